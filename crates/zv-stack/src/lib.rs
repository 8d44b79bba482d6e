//! Stacks, services and replicas: what runs on this host, through a Docker engine or as supervised processes.
//!
//! A [`Runtime`] yields [`Input`]s and carries out actions; the pure [`Model`] turns inputs into what is true now and
//! what changed. This crate spawns nothing that outlives its streams and knows nothing of HTTP, configuration or alerts.

pub mod clock;
pub mod compose;
pub mod death;
pub mod docker;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod input;
pub mod local;
pub mod logs;
pub mod model;
pub mod reducer;
pub mod runtime;
pub mod stats;
pub mod visibility;

pub use input::{Event, EventKind, Input};
pub use model::*;
pub use reducer::{Change, Death, Memory, Model, ReplicaView, ServiceView, exit_text};
pub use runtime::{ActionError, Runtime};
