//! The whole evaluator: test scripts, and what holds of any expression.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "this crate is tests; the lint spares only their bodies, not what they share"
)]

mod properties;
mod scripts;
