//! What one replica uses, measured once.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// One measurement. What could not be read is absent, never zero.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    pub at: DateTime<Utc>,
    /// Processor time since the replica started, in seconds.
    pub cpu_seconds: Option<f64>,
    /// Memory in use without the page cache that can be dropped, in bytes.
    pub memory_bytes: Option<u64>,
    /// The limit in bytes; absent where there is none.
    pub memory_limit_bytes: Option<u64>,
    pub network_receive_bytes: Option<u64>,
    pub network_transmit_bytes: Option<u64>,
    pub processes: Option<u32>,
}
