//! What a store is told when it is opened.

use std::time::Duration;

/// How a store keeps samples, and how much of them.
#[derive(Debug, Clone)]
pub struct Options {
    /// The time that one block covers when it is first written; a whole number of milliseconds, at most 31 days.
    pub block: Duration,
    /// How much older than a series' newest sample another may be and is still taken.
    pub late: Duration,
    /// Samples older than this are removed.
    pub keep_for: Duration,
    /// The bytes that all files together may take; the oldest blocks are removed beyond it.
    pub keep_bytes: u64,
    /// The bytes of a segment of the log.
    pub segment_bytes: u64,
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            block: Duration::from_hours(2),
            late: Duration::from_mins(10),
            keep_for: Duration::from_hours(15 * 24),
            keep_bytes: 1 << 30,
            segment_bytes: 8 << 20,
            limits: Limits::default(),
        }
    }
}

/// What a store refuses.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Series in memory at the same time.
    pub series: usize,
    /// Series of one source at the same time: whoever makes more than it should harms nobody else.
    pub series_per_source: usize,
    /// Samples between two commits.
    pub samples_per_commit: usize,
    /// Labels of one series.
    pub labels: usize,
    /// Bytes of a label's name.
    pub name_bytes: usize,
    /// Bytes of a label's value.
    pub value_bytes: usize,
    /// Bytes of chunks that are held in memory because no file takes them.
    pub heap_chunk_bytes: usize,
    /// Series that one query may select.
    pub selected_series: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            series: 1_000_000,
            series_per_source: 100_000,
            samples_per_commit: 1_000_000,
            labels: 64,
            name_bytes: 512,
            value_bytes: 4096,
            heap_chunk_bytes: 64 << 20,
            selected_series: 1_000_000,
        }
    }
}

/// The options in the units that everything inside counts in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Milliseconds of a window: no chunk reaches over the border of two.
    pub(crate) window: i64,
    pub(crate) late: i64,
    pub(crate) keep_for: i64,
}

impl Rules {
    pub(crate) fn of(options: &Options) -> Self {
        let month = Duration::from_hours(31 * 24);
        let block = options.block.clamp(Duration::from_millis(1), month);
        Self { window: millis(block), late: millis(options.late), keep_for: millis(options.keep_for) }
    }

    /// Returns where the window of a time begins.
    pub(crate) fn window_of(&self, at: i64) -> i64 {
        at.div_euclid(self.window) * self.window
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
