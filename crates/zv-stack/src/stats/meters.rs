//! Measures all running replicas in one round, again and again: what can stay open between rounds does.
//!
//! A round blocks for some tens of microseconds for each container, and for one pass over the process table for all
//! processes; call it where that is fine. It asks nobody, and no replica delays another.

use std::path::Path;

use chrono::{DateTime, Utc};

use super::Measurement;
use super::groups::Groups;
use super::trees::Trees;
use crate::model::ReplicaId;

/// A replica to be measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    pub id: ReplicaId,
    /// Its first process, as this host's process table numbers it.
    pub pid: Option<u32>,
}

/// What one round found.
#[derive(Debug, Clone, Default)]
pub struct Round {
    pub measured: Vec<(ReplicaId, Measurement)>,
    /// Those that cannot be seen from here: the runtime may be asked for them.
    pub unseen: Vec<ReplicaId>,
}

/// Measures the replicas of one runtime.
#[derive(Debug)]
pub struct Meters {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Containers, by their control groups.
    Groups(Box<Groups>),
    /// Processes with their descendants.
    Trees(Box<Trees>),
}

impl Meters {
    pub(crate) fn of_groups() -> Self {
        Self { kind: Kind::Groups(Box::new(Groups::new(Path::new("/")))) }
    }

    pub(crate) fn of_trees() -> Self {
        Self { kind: Kind::Trees(Box::new(Trees::new(Path::new("/")))) }
    }

    /// Measures each of these once. What it kept open for others is closed.
    pub fn round(&mut self, running: &[Running], at: DateTime<Utc>) -> Round {
        match &mut self.kind {
            Kind::Groups(groups) => groups.measure(running, at),
            Kind::Trees(trees) => trees.measure(running, at),
        }
    }
}
