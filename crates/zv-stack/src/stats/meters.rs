//! Measures all running replicas in one round, again and again: what can stay open between rounds does.
//!
//! A round blocks for some tens of microseconds for each replica; call it where that is fine.

use chrono::{DateTime, Utc};

use super::Measurement;
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
    Groups,
    /// Processes with their descendants.
    Trees,
}

impl Meters {
    pub(crate) fn of_groups() -> Self {
        Self { kind: Kind::Groups }
    }

    pub(crate) fn of_trees() -> Self {
        Self { kind: Kind::Trees }
    }

    /// Measures each of these once. What it kept open for others is closed.
    pub fn round(&mut self, running: &[Running], at: DateTime<Utc>) -> Round {
        let mut round = Round::default();
        for replica in running {
            let stats = replica.pid.and_then(|pid| match self.kind {
                Kind::Groups => super::of_container(replica.id.as_str(), pid, at),
                Kind::Trees => super::of_process_tree(pid, at),
            });
            match stats {
                Some(stats) => round.measured.push((replica.id.clone(), Measurement::from(&stats))),
                None => round.unseen.push(replica.id.clone()),
            }
        }
        round
    }
}
