//! The agent through its public face: configuration files as people write them, and HTTP over real sockets.

mod config;
mod http;
