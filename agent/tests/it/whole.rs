//! The agent as a process: the real binary, the real client over real sockets, replicas that are shell one-liners.

mod actions;
mod clients;
pub(crate) mod disk;
mod docker;
mod ending;
mod logs;
mod measured;
mod memory;
mod reload;
pub(crate) mod rig;
mod start;
