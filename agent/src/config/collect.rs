//! The area `collect`: how often is measured, and where the host is seen.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::reading::Reading;
use super::values::Span;

/// The bounds of `collect.interval`.
const BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
const DEFAULT_INTERVAL: Duration = Duration::from_secs(10);

/// How often is measured, and where the host is seen.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CollectFile {
    /// How often containers, processes and the host are measured for the record: from `1s` to `5m`. Default: `10s`.
    interval: Option<Span>,
    /// Where the host's file system is mounted, for an agent in a container. Default: `/`.
    host_root: Option<PathBuf>,
}

/// How often is measured, and where the host is seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collect {
    pub interval: Duration,
    pub host_root: PathBuf,
}

impl Default for Collect {
    fn default() -> Self {
        Self { interval: DEFAULT_INTERVAL, host_root: "/".into() }
    }
}

impl Collect {
    pub(crate) fn resolve(file: CollectFile, reading: &mut Reading<'_>) -> Self {
        let default = Self::default();
        let interval = file.interval.map_or(default.interval, |span| span.0);
        if !(BOUNDS.0..=BOUNDS.1).contains(&interval) {
            let (least, most) = (Span(BOUNDS.0), Span(BOUNDS.1));
            reading.mistake(
                "collect.interval",
                format!("`collect.interval` is {}; choose from {least} to {most}", Span(interval)),
            );
        }
        let host_root = file.host_root.map(|path| reading.path("collect.host_root", path));
        if let Some(root) = host_root.as_ref().filter(|root| !root.is_dir()) {
            reading.warn(
                "collect.host_root",
                format!("`{}` is no folder: the host is not measured until it is", root.display()),
            );
        }
        Self { interval, host_root: host_root.unwrap_or(default.host_root) }
    }
}
