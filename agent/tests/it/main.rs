//! The agent as a whole.

mod config;
