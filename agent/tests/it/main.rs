//! The agent through its public face: configuration files as people write them, HTTP over real sockets, and the binary
//! as a process with processes, and with an engine.

#![expect(clippy::unwrap_used, reason = "a test may fail wherever it is")]

mod config;
mod engine;
mod http;
mod whole;
