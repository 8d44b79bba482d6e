//! Why a sample is not taken, and why a store cannot be used.

use std::io;
use std::path::PathBuf;

/// Why a sample was not taken. Nothing of it was kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    #[error("a series needs at least one label")]
    NoLabels,
    #[error("a series has {count} labels, more than {limit}")]
    TooManyLabels { count: usize, limit: usize },
    #[error("the label `{name}` has a name or value of {bytes} bytes, more than {limit}")]
    LabelTooLong { name: String, bytes: usize, limit: usize },
    #[error("there are {limit} series already: remove targets or raise the limit of series")]
    TooManySeries { limit: usize },
    #[error("this source has {limit} series already: drop labels that never repeat, or raise its limit")]
    TooManySeriesOfSource { limit: usize },
    #[error("more than {limit} samples at once: send them in portions")]
    TooManySamples { limit: usize },
    #[error("a sample at {at} is older than what is still taken there, {oldest}")]
    TooOld { at: i64, oldest: i64 },
    #[error("a sample at {at} is outside of any calendar")]
    TimeOutOfRange { at: i64 },
    #[error("the series is gone: append by its labels")]
    UnknownSeries,
    #[error("nothing can be written to the disk and memory holds all that it may: free space")]
    Full,
}

/// Why a store cannot be opened, or something in it not be done.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot {action} `{}`", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("the store in `{}` is in use by another process: stop that, or use another folder", path.display())]
    InUse { path: PathBuf },
    #[error("`{}` was written in the newer format {version}: use the version that wrote it", path.display())]
    Version { path: PathBuf, version: u16 },
}

impl StoreError {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |cause| Self::Io { action, path, cause }
    }
}
