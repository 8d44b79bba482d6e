//! Measures what runs here and the host itself, in rounds: every ten seconds for the record, every second while somebody
//! watches.

pub mod host;
