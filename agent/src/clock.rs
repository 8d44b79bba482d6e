//! The one place of this crate that reads the wall clock: the edges stamp what they see, the model is told.

use chrono::{DateTime, Utc};

/// Returns the wall-clock time.
#[expect(clippy::disallowed_methods, reason = "this is the clock module")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}
