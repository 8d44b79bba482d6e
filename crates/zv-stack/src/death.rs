//! Death records: what remains of a replica that died, kept before anyone removes it.

pub mod store;

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::logs::LogLine;
use crate::model::{Exit, Health, ReplicaId, ServiceKey};
use crate::stats::Stats;

/// The last lines of log that are kept.
pub const LOG_LINES: u32 = 200;
/// The bytes of log that are kept at most: the lines are the replica's own, and may be as long as it likes.
const LOG_BYTES: usize = crate::logs::LINE_LIMIT;

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

/// Collects the last lines of a log.
#[derive(Debug, Default)]
pub(crate) struct LastLines {
    lines: VecDeque<LogLine>,
    bytes: usize,
}

impl LastLines {
    /// Takes a newer line; the oldest give way to it.
    pub(crate) fn push(&mut self, line: LogLine) {
        self.bytes += line.text.len();
        self.lines.push_back(line);
        while self.lines.len() > LOG_LINES as usize || self.bytes > LOG_BYTES {
            let Some(oldest) = self.lines.pop_front() else { break };
            self.bytes -= oldest.text.len();
        }
    }
}

impl From<LastLines> for Vec<LogLine> {
    fn from(last: LastLines) -> Self {
        last.lines.into()
    }
}

impl Summary {
    /// Returns the id of a death: its time and its replica.
    pub fn id_of(replica: &ReplicaId, at: DateTime<Utc>) -> String {
        let name: String =
            replica.short().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        format!("{:013}-{name}", at.timestamp_millis().max(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::Output;

    fn kept(lines: impl Iterator<Item = String>) -> Vec<LogLine> {
        let mut last = LastLines::default();
        for text in lines {
            let at = DateTime::UNIX_EPOCH;
            last.push(LogLine { replica: ReplicaId::new("a"), output: Output::Stdout, at, text, cut: false });
        }
        last.into()
    }

    #[test]
    fn the_last_lines_are_bounded_in_number_and_in_bytes() {
        let many = kept((0..1000).map(|number| number.to_string()));
        assert_eq!((many.len(), many[0].text.as_str()), (LOG_LINES as usize, "800"));
        let long = kept((0..LOG_LINES).map(|_| "x".repeat(LOG_BYTES / 3)));
        assert_eq!(long.len(), 3);
        assert_eq!(kept(["x".repeat(LOG_BYTES)].into_iter()).len(), 1);
    }
}
