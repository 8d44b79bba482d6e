//! The zv agent as a library: configuration, the owned tasks, and the HTTP face. The binaries only parse arguments.

pub mod agent;
pub mod check;
pub mod clock;
pub mod collect;
pub mod config;
pub mod embedded;
pub mod http;
pub mod logging;
pub mod metrics;
pub mod probes;
pub mod process;
mod reload;
pub mod stacks;
