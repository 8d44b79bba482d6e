//! The one place of this crate that reads the wall clock: everything else is told the time.

use chrono::{DateTime, Utc};

/// Returns the wall-clock time.
#[expect(clippy::disallowed_methods, reason = "this is the clock module")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}
