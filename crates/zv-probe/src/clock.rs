//! The one place of this crate that reads clocks: everything else is told the time or measures with what this returns.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Returns now on the clock that only goes forward.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Returns the wall-clock time in seconds since 1970, which certificates are judged by.
#[expect(clippy::disallowed_methods, reason = "this is the clock module")]
pub(crate) fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
