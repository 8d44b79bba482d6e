//! The pure heart: inputs in, what is true and what changed out.

use chrono::{DateTime, Utc};

use crate::input::Input;
use crate::model::{Happening, ReplicaId, RuntimeState, ServiceKey};

/// One thing that changed.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    Service(ServiceKey),
    ServiceGone(ServiceKey),
    Runtime(RuntimeState),
    Happened(Happening),
    /// Evidence of this death should be gathered now.
    Died(ReplicaId),
}

/// All that is known of the replicas of one runtime.
#[derive(Debug, Default)]
pub struct Model {}

impl Model {
    /// Takes one input and returns what it changed.
    pub fn apply(&mut self, _now: DateTime<Utc>, _input: Input) -> Vec<Change> {
        unimplemented!()
    }
}
