//! Death records: what remains of a replica that died, kept before anyone removes it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::logs::LogLine;
use crate::model::{Exit, Health, ReplicaId, ServiceKey};
use crate::stats::Stats;

/// The last lines of log that are kept.
pub const LOG_LINES: u32 = 200;

/// What a runtime can still tell of a dead replica.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evidence {
    /// The engine's own description, with the values of environment variables masked.
    pub inspect: Option<serde_json::Value>,
    /// The exit as the runtime knows it by now.
    pub exit: Option<Exit>,
    pub health: Health,
    /// Oldest first, at most [`LOG_LINES`].
    pub logs: Vec<LogLine>,
}

/// One death, with all that is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeathRecord {
    /// Sorts by time; names the file.
    pub id: String,
    pub host: String,
    pub key: ServiceKey,
    pub replica: ReplicaId,
    pub name: String,
    pub image: String,
    pub image_id: String,
    pub started_at: Option<DateTime<Utc>>,
    pub exit: Exit,
    /// Restarts before this death.
    pub restarts: u32,
    /// Somebody asked for it.
    pub wanted: bool,
    pub health: Health,
    pub logs: Vec<LogLine>,
    /// The last minutes, oldest first.
    pub stats: Vec<Stats>,
    pub inspect: Option<serde_json::Value>,
}
