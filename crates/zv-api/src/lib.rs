//! The agent's HTTP contract under `/api/zv/v1`: the types both sides share, and a client behind the feature `client`.
//!
//! Readers tolerate fields they do not know. Every id is unique together with the host it comes from.

#[cfg(feature = "client")]
pub mod client;
mod types;

pub use types::*;

/// Where the API lives on an agent.
pub const BASE: &str = "/api/zv/v1";
