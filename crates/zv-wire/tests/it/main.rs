//! How the formats fare against each other, against documents of others, and against Prometheus itself.
#![expect(
    clippy::unwrap_used,
    reason = "this crate is tests; the lint spares only their bodies, not what they share"
)]

mod lab;
mod relabel;
mod remote;
mod speed;
mod tricky;
mod written;
