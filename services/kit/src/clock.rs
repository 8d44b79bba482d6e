//! The only place of the kit that reads the wall clock.

use chrono::{DateTime, SecondsFormat, Utc};

/// Returns the wall clock's time.
#[expect(clippy::disallowed_methods, reason = "this is the module that reads the wall clock")]
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now()
}

/// Returns `at` as logs and answers spell it: RFC 3339, UTC, milliseconds.
pub(crate) fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
