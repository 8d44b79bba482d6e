//! What was found when a store was opened, and what was lost.

/// What was found when a store was opened, and what was lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Samples read back from log and checkpoint.
    pub samples: u64,
    /// Samples in the log that blocks hold already.
    pub in_blocks: u64,
    /// Bytes at the end of files that were not written whole: the machine or the process went down.
    pub torn_bytes: u64,
    /// Records that are not what was written.
    pub bad_records: u64,
    pub bad_bytes: u64,
    /// Files whose first bytes are not what was written; what follows was read.
    pub damaged_headers: u64,
    /// Samples that were found but mean nothing without what is lost.
    pub lost_samples: u64,
    /// Blocks whose index was made anew from their data.
    pub repaired_blocks: u64,
    /// Blocks of which nothing could be read; they are set aside.
    pub lost_blocks: u64,
    /// Writes that failed meanwhile.
    pub disk_errors: u64,
}

impl Recovery {
    /// Says whether anything was lost or damaged but the end of what was being written.
    pub fn is_clean(&self) -> bool {
        self.bad_records == 0 && self.damaged_headers == 0 && self.lost_samples == 0 && self.lost_blocks == 0
    }
}
