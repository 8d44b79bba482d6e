//! The words of time series: labels and matchers, samples and durations, and the traits in which store and query meet.
//!
//! Everything here is pure: no clock, no files, no network. Times are milliseconds since 1970 and may be negative.

pub mod duration;
pub mod labels;
pub mod matcher;
pub mod metric;
pub mod pattern;
pub mod sample;
pub mod storage;

pub use labels::{Label, Labels, LabelsBuilder};
pub use matcher::{MatchOp, Matcher, MatcherError};
pub use metric::MetricKind;
pub use sample::{NORMAL_NAN, STALE_NAN, Sample, Timestamp, is_stale};
pub use storage::{Queryable, Samples, SelectError, Selected, TimeRange};
