//! What a runtime tells the model.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::model::{ReplicaId, Seen, ServiceKey, Verdict};

/// One thing a runtime has to say. Inputs of one runtime come in order through one stream.
#[derive(Debug, Clone)]
pub enum Input {
    /// The runtime answers; a complete [`Input::Listed`] follows.
    Up { kind: String, version: String, api_version: String },
    /// The runtime no longer answers: what it said last may no longer be true.
    Down { reason: String },
    /// Every replica there is; those not in it are gone. Each entry is at least as new as what was said before.
    Listed(Vec<Seen>),
    /// One replica, freshly inspected.
    Seen(Box<Seen>),
    /// A replica that was asked about no longer exists.
    Gone(ReplicaId),
    /// The runtime reports that something happened.
    Happened(Box<Event>),
    /// The kernel reports that a replica's first process ended; the runtime may not know yet, or may be away.
    ProcessEnded { id: ReplicaId, pid: u32 },
    /// What the compose or stack files say of services, where they can be read. Replaces what was declared for each key.
    Declared(Vec<Declared>),
    /// A person scaled a service through zv. No runtime tells this: whoever carries the wish does.
    Scaled { key: ServiceKey, replicas: u32 },
}

/// What a file says of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    pub key: ServiceKey,
    /// The file has this service; otherwise it had it before.
    pub named: bool,
    pub replicas: Option<u32>,
    pub depends_on: Vec<Arc<str>>,
}

/// Something that happened to a replica, as the runtime reports it.
#[derive(Debug, Clone)]
pub struct Event {
    pub id: ReplicaId,
    pub at: DateTime<Utc>,
    pub kind: EventKind,
    /// Set where the event itself tells enough to know a replica that has not been inspected yet.
    pub seen: Option<Box<Seen>>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    Created,
    /// A process was started; the number where it is known already.
    Started {
        pid: Option<u32>,
    },
    Died {
        code: Option<i32>,
    },
    OutOfMemory,
    /// Somebody had the runtime send it a signal.
    Killed,
    /// Somebody asked for the replica to stop, and it has.
    Stopped,
    Paused,
    Unpaused,
    Health(Verdict),
    Renamed(String),
    Removed,
}
