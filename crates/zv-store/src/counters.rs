//! What a store counts: read by `/metrics` while the writer goes on.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only rises, or a size that is set.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn one(&self) {
        self.add(1);
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

/// The counters of a store since it was opened, and its sizes.
#[derive(Debug, Default)]
pub struct Counters {
    /// Samples that were taken, in order and late ones.
    pub samples: Counter,
    /// Of these, the late ones.
    pub late: Counter,
    /// Samples that were there already, with the same value.
    pub same: Counter,
    /// Samples for whose time there was another value already, which was kept.
    pub differing: Counter,
    /// Samples refused because of their time.
    pub too_old: Counter,
    /// Samples refused because of a limit.
    pub over_limit: Counter,
    /// Series in memory.
    pub series: Counter,
    pub series_created: Counter,
    pub series_removed: Counter,
    /// Bytes of chunks that no file took.
    pub heap_chunk_bytes: Counter,
    /// Chunks whose bytes were not what was written.
    pub chunks_lost: Counter,
    /// Samples that are in memory but not in the log, because it could not be written.
    pub unlogged: Counter,
    /// Writes, syncs and the like that failed.
    pub disk_errors: Counter,
    /// 1 while nothing can be written to the disk.
    pub memory_only: Counter,
    /// Bytes written to the log.
    pub wal_bytes: Counter,
    pub blocks: Counter,
    pub block_bytes: Counter,
    pub blocks_written: Counter,
    pub compactions: Counter,
    pub blocks_expired: Counter,
}
