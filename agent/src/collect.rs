//! Measures what runs here and the host itself, in rounds: at `collect.interval` for the record, every second while
//! somebody watches, and once more where a scrape finds the last round old.
//!
//! One task, [`task`], measures; everybody else reads what it found in [`Collected`]. What may hang (a control group, a
//! mount, the engine) is waited for by nobody: a round that is not over when the next is due makes that one be left out.

mod collected;
pub mod host;
mod record;
mod senses;
pub mod task;
pub mod usage;

pub use collected::{Collected, HostMeasured, Latest, Measured};
pub use senses::{Senses, Sight};
