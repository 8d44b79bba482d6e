//! One service: what is known beyond its replicas, and the verdict over all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::replica::Tracked;
use super::text::replica_reason;
use super::view::ReplicaView;
use crate::input::Declared;
use crate::model::{
    Desired, DesiredSource, Intent, ReplicaId, ReplicaStatus, RuntimeState, Seen, ServiceKey, ServiceStatus,
};

/// The label that says how many replicas a service should have.
const REPLICAS_LABEL: &str = "zv.replicas";

/// What is known of a service beside its replicas.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// By one-off, number, id.
    pub(super) replicas: Vec<ReplicaId>,
    pub(super) declared: Option<Declared>,
    pub(super) scaled: Option<u32>,
    /// The most replicas of the current deploy at once.
    pub(super) highest: u32,
    /// The config hash of the newest replica, once there is one.
    pub(super) deploy: Option<Option<String>>,
    pub(super) deployed_at: Option<DateTime<Utc>>,
    pub(super) label: Option<u32>,
    /// It was reported as a service before.
    pub(super) announced: bool,
}

impl Facts {
    /// Says whether it is a service to be shown: it has replicas, or a person wants it to have none for now.
    pub(super) fn is_listed(&self) -> bool {
        !self.replicas.is_empty() || (self.announced && self.scaled == Some(0))
    }

    /// Follows deploys: another configuration begins the count anew. Says whether it did.
    pub(super) fn note_deploy(&mut self, seen: &Seen) -> bool {
        let is_older = self.deployed_at.is_some_and(|at| seen.created_at.is_none_or(|created| created < at));
        if self.deploy.is_some() && is_older {
            return false;
        }
        self.deployed_at = seen.created_at.or(self.deployed_at);
        self.label = seen.labels.get(REPLICAS_LABEL).and_then(|text| text.trim().parse().ok());
        if self.deploy.as_ref() == Some(&seen.config_hash) {
            return false;
        }
        let is_another = self.deploy.replace(seen.config_hash.clone()).is_some();
        if is_another {
            self.highest = 0;
            self.scaled = None;
        }
        is_another
    }

    /// Says whether a replica is of the configuration that counts.
    pub(super) fn is_of_deploy(&self, seen: &Seen) -> bool {
        self.deploy.as_ref().is_none_or(|deploy| *deploy == seen.config_hash)
    }

    /// Follows what others do to the count: where there are more than zv was told to have, its word is out of date.
    /// Says whether it is.
    pub(super) fn note_more(&mut self, tracked: &BTreeMap<ReplicaId, Tracked>) -> bool {
        let count = self.count(tracked);
        self.scaled.take_if(|scaled| count > *scaled).is_some()
    }

    /// A person had this replica removed. Where zv itself did it, fewer were asked for before.
    pub(super) fn want_one_less(&mut self, removed: &ReplicaId, tracked: &BTreeMap<ReplicaId, Tracked>) {
        self.highest = self.highest.saturating_sub(1);
        let is_counted = self.replicas.contains(removed);
        let left = self.count(tracked).saturating_sub(u32::from(is_counted));
        self.scaled.take_if(|scaled| left < *scaled);
    }

    fn count(&self, tracked: &BTreeMap<ReplicaId, Tracked>) -> u32 {
        let counted = |id: &&ReplicaId| tracked.get(*id).is_some_and(|tracked| !tracked.seen.one_off);
        u32::try_from(self.replicas.iter().filter(counted).count()).unwrap_or(u32::MAX)
    }

    fn desired(&self) -> Desired {
        let declared = self.declared.as_ref().filter(|declared| declared.named);
        // Compose makes one where the file names no number; where more were seen, somebody scaled it.
        let by_default = declared.and((self.highest == 1).then_some(1));
        let declared = declared.and_then(|declared| declared.replicas).or(by_default);
        let (replicas, source) = if let Some(scaled) = self.scaled {
            (scaled, DesiredSource::Scaled)
        } else if let Some(label) = self.label {
            (label, DesiredSource::Label)
        } else if let Some(declared) = declared {
            (declared, DesiredSource::File)
        } else {
            (self.highest, DesiredSource::HighestSeen)
        };
        Desired { replicas, source }
    }
}

/// What can be said of a service now.
#[derive(Debug, Clone)]
pub struct ServiceView<'a> {
    pub key: &'a ServiceKey,
    pub status: ServiceStatus,
    /// Why it is not well, in one sentence without a full stop.
    pub reason: Option<String>,
    pub desired: Desired,
    pub running: u32,
    /// Healthy, or up without a health check.
    pub healthy: u32,
    pub depends_on: BTreeSet<Arc<str>>,
    /// By number; one-off containers last.
    pub replicas: Vec<ReplicaView<'a>>,
}

impl<'a> ServiceView<'a> {
    pub(super) fn new(
        key: &'a ServiceKey,
        facts: &'a Facts,
        replicas: Vec<ReplicaView<'a>>,
        runtime: &RuntimeState,
    ) -> Self {
        let desired = facts.desired();
        let counted = || replicas.iter().filter(|r| r.intent != Intent::OneOff);
        let count = |test: &dyn Fn(&ReplicaView<'_>) -> bool| {
            u32::try_from(counted().filter(|r| test(r)).count()).unwrap_or(u32::MAX)
        };
        let tally = Tally {
            all: count(&|_| true),
            up: count(&|r| r.certain && r.seen.state.is_up()),
            healthy: count(&|r| matches!(r.status, ReplicaStatus::Healthy | ReplicaStatus::Running)),
            starting: count(&|r| matches!(r.status, ReplicaStatus::Starting | ReplicaStatus::Created)),
            stopped: count(&|r| r.status == ReplicaStatus::Stopped),
            finished: count(&|r| r.status == ReplicaStatus::Finished),
            unknown: count(&|r| r.status == ReplicaStatus::Unknown),
            bad: count(&|r| is_bad(r.status)),
        };
        let status = tally.verdict(desired.replicas);
        let reason = reason(status, &tally, desired.replicas, &replicas, runtime);
        let declared = facts.declared.iter().flat_map(|declared| declared.depends_on.iter());
        let depends_on =
            replicas.iter().flat_map(|r| r.seen.depends_on.iter()).chain(declared).cloned().collect();
        Self { key, status, reason, desired, running: tally.up, healthy: tally.healthy, depends_on, replicas }
    }
}

/// The replicas of a service by what they are, one-off ones left out.
#[derive(Debug)]
struct Tally {
    all: u32,
    up: u32,
    healthy: u32,
    starting: u32,
    stopped: u32,
    finished: u32,
    unknown: u32,
    bad: u32,
}

impl Tally {
    fn verdict(&self, desired: u32) -> ServiceStatus {
        if self.all == 0 {
            return if desired == 0 { ServiceStatus::Stopped } else { ServiceStatus::Finished };
        }
        if self.unknown > 0 {
            // What the kernel told us is known; the rest is not, and not knowing is not being down.
            return if self.bad > 0 { ServiceStatus::Degraded } else { ServiceStatus::Unknown };
        }
        if self.stopped == self.all {
            return ServiceStatus::Stopped;
        }
        if self.finished + self.stopped == self.all {
            return ServiceStatus::Finished;
        }
        // A replica that a person stopped is not missed, nor is a job that has ended.
        let wanted = desired.saturating_sub(self.stopped + self.finished);
        if self.bad == 0
            && self.healthy >= wanted
            && self.healthy + self.starting + self.stopped + self.finished == self.all
        {
            return if self.healthy == 0 && self.starting > 0 {
                ServiceStatus::Starting
            } else {
                ServiceStatus::Ok
            };
        }
        if self.bad == 0 && self.starting > 0 && self.healthy + self.starting >= wanted {
            return ServiceStatus::Starting;
        }
        if self.healthy + self.starting == 0 { ServiceStatus::Down } else { ServiceStatus::Degraded }
    }
}

fn is_bad(status: ReplicaStatus) -> bool {
    use ReplicaStatus::{CrashLoop, Exited, Restarting, Unhealthy};
    matches!(status, Unhealthy | Exited | Restarting | CrashLoop)
}

fn reason(
    status: ServiceStatus,
    tally: &Tally,
    desired: u32,
    replicas: &[ReplicaView<'_>],
    runtime: &RuntimeState,
) -> Option<String> {
    match status {
        ServiceStatus::Ok | ServiceStatus::Starting | ServiceStatus::Finished | ServiceStatus::Stopped => {
            return None;
        }
        ServiceStatus::Unknown => {
            return Some(match runtime {
                RuntimeState::Down { reason, .. } => reason.clone(),
                RuntimeState::Connecting | RuntimeState::Up { .. } => "not inspected yet".to_owned(),
            });
        }
        ServiceStatus::Degraded | ServiceStatus::Down => {}
    }
    let counted = replicas.iter().filter(|r| r.intent != Intent::OneOff);
    let worst = counted.max_by_key(|r| severity(r.status))?;
    if is_bad(worst.status) || worst.status == ReplicaStatus::Paused {
        return Some(replica_reason(worst));
    }
    Some(format!("{} of {desired} replicas", tally.healthy))
}

/// Orders statuses by how much they explain an outage.
fn severity(status: ReplicaStatus) -> u8 {
    match status {
        ReplicaStatus::CrashLoop => 7,
        ReplicaStatus::Exited => 6,
        ReplicaStatus::Unhealthy => 5,
        ReplicaStatus::Restarting => 4,
        ReplicaStatus::Paused => 3,
        ReplicaStatus::Unknown => 2,
        ReplicaStatus::Created | ReplicaStatus::Starting => 1,
        ReplicaStatus::Healthy
        | ReplicaStatus::Running
        | ReplicaStatus::Finished
        | ReplicaStatus::Stopped => 0,
    }
}
