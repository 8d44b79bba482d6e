//! Death records: what remains of a replica that died, kept before anyone removes it.

pub mod store;

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

/// What a list of deaths shows of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Sorts by time; names the file.
    pub id: String,
    pub key: ServiceKey,
    pub replica: ReplicaId,
    pub name: String,
    pub exit: Exit,
    /// Somebody asked for it.
    pub wanted: bool,
}

/// One death, with all that is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeathRecord {
    pub summary: Summary,
    pub host: String,
    pub image: String,
    pub image_id: String,
    pub started_at: Option<DateTime<Utc>>,
    /// Restarts before this death.
    pub restarts: u32,
    pub health: Health,
    pub logs: Vec<LogLine>,
    /// The last minutes, oldest first.
    pub stats: Vec<Stats>,
    pub inspect: Option<serde_json::Value>,
}

impl Summary {
    /// Returns the id of a death: its time and its replica.
    pub fn id_of(replica: &ReplicaId, at: DateTime<Utc>) -> String {
        let name: String =
            replica.short().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        format!("{:013}-{name}", at.timestamp_millis().max(0))
    }
}
