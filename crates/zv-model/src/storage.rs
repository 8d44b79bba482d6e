//! Where store and query meet: a query asks for series by matchers, the store hands out their samples in runs.

use std::sync::Arc;

use crate::labels::Labels;
use crate::matcher::Matcher;
use crate::sample::{Sample, Timestamp};

/// Both ends belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    pub from: Timestamp,
    pub to: Timestamp,
}

/// A source of series.
pub trait Queryable {
    /// Returns the series that every matcher accepts and that may have samples in `range`, in the order of their labels.
    /// A matcher that accepts the empty text also accepts series without that label.
    fn select<'a>(&'a self, range: TimeRange, matchers: &[Matcher])
    -> Result<Vec<Selected<'a>>, SelectError>;
}

/// One series and its samples.
pub struct Selected<'a> {
    pub labels: Labels,
    pub samples: Box<dyn Samples + 'a>,
}

impl std::fmt::Debug for Selected<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Selected").field("labels", &self.labels).finish_non_exhaustive()
    }
}

/// The samples of one series within the range asked for, oldest first, each time once. Stale markers are among them.
pub trait Samples: Send {
    /// Appends the next run of samples to `out`. Returns false once there are no more.
    fn next_run(&mut self, out: &mut Vec<Sample>) -> Result<bool, SelectError>;
}

impl Samples for std::vec::IntoIter<Sample> {
    fn next_run(&mut self, out: &mut Vec<Sample>) -> Result<bool, SelectError> {
        let before = out.len();
        out.extend(self.by_ref());
        Ok(out.len() > before)
    }
}

/// Why series cannot be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SelectError {
    /// Too much was asked for; the text says of what and how much is allowed.
    #[error("{0}")]
    Limit(String),
    #[error("the store cannot be read: {reason}")]
    Unreadable {
        reason: String,
        #[source]
        cause: Option<Arc<std::io::Error>>,
    },
}
