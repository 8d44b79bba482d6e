//! Probes from outside: against servers on loopback that are scripted to be hostile, and against real ones.
#![expect(
    clippy::unwrap_used,
    reason = "this crate is tests; the lint spares only their bodies, not what they share"
)]

mod answers;
mod common;
mod hostile;
mod programs;
mod secure;
mod servers;
