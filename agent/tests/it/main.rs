//! The agent through its public face: configuration files as people write them, HTTP over real sockets, the whole
//! process with all that can go wrong around it, and real engines.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests fail like tests, and say what they skip"
)]

mod config;
mod engine;
mod host;
mod http;
mod probes;
mod whole;
