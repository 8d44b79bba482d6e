//! The agent through its public face: configuration files as people write them, and HTTP over real sockets.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod config;
mod http;
