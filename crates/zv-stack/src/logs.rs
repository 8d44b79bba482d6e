//! Log lines: what one is, how pieces are joined into lines, how one service is followed across its replicas.

pub mod cursor;
pub mod follow;
pub mod join;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::model::ReplicaId;

/// The longest line that is kept whole; the rest of a longer one is dropped and the line marked.
pub const LINE_LIMIT: usize = 256 * 1024;

/// Where a line was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Output {
    Stdout,
    /// Never set for a replica with a terminal: that has one stream.
    Stderr,
}

/// One line of a replica's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    pub replica: ReplicaId,
    pub output: Output,
    /// When the runtime received it, with nanoseconds.
    pub at: DateTime<Utc>,
    /// Without its line end; bytes that are not UTF-8 replaced.
    pub text: String,
    /// It was longer than [`LINE_LIMIT`].
    pub cut: bool,
}
