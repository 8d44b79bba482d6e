//! The binary `zv` from outside: against an agent's real HTTP face with a scripted source, and on its own.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "this crate is tests; the lint spares only their bodies, not what they share"
)]

mod actions;
mod agent;
mod doctor;
mod engine;
mod generated;
mod health_check;
mod logs;
mod reading;
mod usage;
mod zv;
