//! The two runtimes behind one face. Everything above this module works with either.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;

use crate::death::Evidence;
use crate::docker::DockerRuntime;
use crate::input::Input;
use crate::local::LocalRuntime;
use crate::logs::LogLine;
use crate::model::{ReplicaId, ServiceKey};
use crate::reducer::Memory;
use crate::stats::{Measurement, Meters, Running, Stats};

/// What runs replicas.
#[derive(Debug, Clone)]
pub enum Runtime {
    Docker(DockerRuntime),
    Local(LocalRuntime),
}

/// Which lines of one replica's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogRange {
    /// Lines written at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// At most so many of the last lines there are now; all where absent.
    pub tail: Option<u32>,
    /// Goes on with new lines until the replica's process ends.
    pub follow: bool,
}

/// Why a log ended early.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    #[error("replica `{0}` no longer exists")]
    Gone(ReplicaId),
    #[error("the log cannot be read: {0}")]
    Unreadable(String),
}

/// Why an action was not carried out. The texts reach the person who asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ActionError {
    #[error("`{0}` no longer exists")]
    Gone(String),
    /// The runtime forbids it: a read-only proxy, a missing group.
    #[error("not allowed to {action}: {reason}")]
    Forbidden { action: String, reason: String },
    #[error("cannot {action}: {reason}")]
    Refused { action: String, reason: String },
    #[error("{0}")]
    Unavailable(String),
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
}

impl Runtime {
    /// Says whether it runs processes of this host.
    pub fn is_local(&self) -> bool {
        matches!(self, Runtime::Local(_))
    }

    /// Takes note of what people wished before, ahead of [`Runtime::watch`]: a local stack begins as they left it.
    /// Containers are as they are.
    pub fn remember(&self, memory: &Memory) {
        match self {
            Runtime::Docker(_) => {}
            Runtime::Local(local) => local.remember(memory),
        }
    }

    /// Watches: connects, reports, reconnects with back-off, for as long as the stream is polled. Call it once.
    pub fn watch(&self) -> BoxStream<'static, Input> {
        match self {
            Runtime::Docker(docker) => docker.watch(),
            Runtime::Local(local) => local.watch(),
        }
    }

    /// Reads the log of one replica, oldest line first. The stream ends with the replica's process or with the range.
    pub fn logs(&self, id: &ReplicaId, range: LogRange) -> BoxStream<'static, Result<LogLine, LogError>> {
        match self {
            Runtime::Docker(docker) => docker.logs(id, range),
            Runtime::Local(local) => local.logs(id, range),
        }
    }

    /// Returns what measures its replicas without asking it.
    pub fn meters(&self) -> Meters {
        match self {
            Runtime::Docker(_) => Meters::of_groups(),
            Runtime::Local(_) => Meters::of_trees(),
        }
    }

    /// Measures one replica once, by asking for it: for those that [`Meters`] cannot see.
    pub async fn measure(&self, id: &ReplicaId) -> Option<Measurement> {
        match self {
            Runtime::Docker(docker) => docker.measure(id).await,
            Runtime::Local(local) => local.measure(id).await,
        }
    }

    /// Measures a container through its own control group, without a word to the engine; `pid` is its first process.
    /// Absent where this host does not run it, or it cannot be seen.
    pub fn stats_here(&self, id: &ReplicaId, pid: u32) -> Option<Stats> {
        if self.is_local() {
            return None;
        }
        let running = [Running { id: id.clone(), pid: Some(pid) }];
        let (_, measurement) = self.meters().round(&running, crate::clock::now()).measured.pop()?;
        Some(measurement.stats())
    }

    /// Measures one replica once, by asking for it.
    pub async fn stats(&self, id: &ReplicaId) -> Option<Stats> {
        self.measure(id).await.map(|measurement| measurement.stats())
    }

    /// Gathers what remains of a replica that has just died. Never fails: what cannot be had is absent.
    pub async fn evidence(&self, id: &ReplicaId) -> Evidence {
        match self {
            Runtime::Docker(docker) => docker.evidence(id).await,
            Runtime::Local(local) => local.evidence(id).await,
        }
    }

    /// Starts a replica that is not running; one that runs is left alone.
    pub async fn start(&self, id: &ReplicaId) -> Result<(), ActionError> {
        match self {
            Runtime::Docker(docker) => docker.start(id).await,
            Runtime::Local(local) => local.start(id).await,
        }
    }

    /// Stops a replica: asks it, waits for `grace` (its own grace where absent), then kills it.
    pub async fn stop(&self, id: &ReplicaId, grace: Option<Duration>) -> Result<(), ActionError> {
        match self {
            Runtime::Docker(docker) => docker.stop(id, grace).await,
            Runtime::Local(local) => local.stop(id, grace).await,
        }
    }

    /// Stops and starts a replica.
    pub async fn restart(&self, id: &ReplicaId, grace: Option<Duration>) -> Result<(), ActionError> {
        match self {
            Runtime::Docker(docker) => docker.restart(id, grace).await,
            Runtime::Local(local) => local.restart(id, grace).await,
        }
    }

    /// Brings a service to so many replicas: adds after the highest number, removes the highest numbers first.
    pub async fn scale(&self, key: &ServiceKey, replicas: u32) -> Result<(), ActionError> {
        match self {
            Runtime::Docker(docker) => docker.scale(key, replicas).await,
            Runtime::Local(local) => local.scale(key, replicas).await,
        }
    }

    /// Ends what the runtime owns: the processes of a local stack. Containers go on.
    pub async fn shutdown(&self) {
        match self {
            Runtime::Docker(_) => {}
            Runtime::Local(local) => local.shutdown().await,
        }
    }
}
