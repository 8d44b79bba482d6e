//! What can be said of one replica now.

use chrono::{DateTime, Utc};

use super::replica::Tracked;
use crate::model::{Exit, Health, Intent, ReplicaStatus, RestartPolicy, Seen, State, Verdict};

/// What can be said of a replica now.
#[derive(Debug, Clone)]
pub struct ReplicaView<'a> {
    pub seen: &'a Seen,
    pub status: ReplicaStatus,
    pub intent: Intent,
    pub restarts: u32,
    /// Absent while the runtime cannot be asked, and before it was.
    pub verdict: Option<Verdict>,
    pub health: Option<&'a Health>,
    pub exit: Option<&'a Exit>,
    pub pid: Option<u32>,
    pub started_at: Option<DateTime<Utc>>,
    /// What was said of it is known to be true still.
    pub certain: bool,
    /// Another number after each start.
    pub life: u64,
}

impl Tracked {
    /// Returns what can be said of the replica.
    pub(super) fn view(&self, runtime_answers: bool) -> ReplicaView<'_> {
        let details = self.seen.details.as_ref();
        let certain = self.certain && runtime_answers;
        ReplicaView {
            seen: &self.seen,
            status: self.status(certain),
            intent: self.intent(),
            restarts: details.map_or(0, |d| d.restart_count),
            verdict: (certain && self.looked).then_some(self.seen.verdict),
            health: details.map(|d| &d.health),
            exit: details.and_then(|d| d.exit.as_ref()),
            pid: details.and_then(|d| d.pid).filter(|_| self.seen.state.is_up()),
            started_at: details.and_then(|d| d.started_at),
            certain: certain || self.ended_pid.is_some(),
            life: self.life,
        }
    }

    fn status(&self, certain: bool) -> ReplicaStatus {
        if !certain && self.ended_pid.is_none() {
            return ReplicaStatus::Unknown;
        }
        if self.crashes.is_looping() && !self.stop_asked && self.seen.state != State::Paused {
            return ReplicaStatus::CrashLoop;
        }
        match self.seen.state {
            State::Running => match self.seen.verdict {
                // It may well have a health check that is yet to pass.
                Verdict::None if !self.looked => ReplicaStatus::Starting,
                Verdict::None => ReplicaStatus::Running,
                Verdict::Starting => ReplicaStatus::Starting,
                Verdict::Healthy => ReplicaStatus::Healthy,
                Verdict::Unhealthy => ReplicaStatus::Unhealthy,
            },
            State::Paused => ReplicaStatus::Paused,
            State::Restarting => ReplicaStatus::Restarting,
            State::Created if self.exit().is_none_or(|exit| exit.code.is_none_or(|code| code == 0)) => {
                ReplicaStatus::Created
            }
            State::Created | State::Exited | State::Dead => match self.intent() {
                Intent::Stopped => ReplicaStatus::Stopped,
                Intent::Finished => ReplicaStatus::Finished,
                Intent::Run | Intent::OneOff if self.seen.details.is_none() => ReplicaStatus::Unknown,
                Intent::OneOff if self.exit().is_some_and(|exit| exit.code == Some(0)) => {
                    ReplicaStatus::Finished
                }
                Intent::Run | Intent::OneOff => ReplicaStatus::Exited,
            },
        }
    }

    pub(super) fn intent(&self) -> Intent {
        if self.seen.one_off {
            return Intent::OneOff;
        }
        if !matches!(self.seen.state, State::Exited | State::Dead | State::Created) {
            return Intent::Run;
        }
        if self.swept {
            return Intent::Run;
        }
        if self.stop_asked {
            return Intent::Stopped;
        }
        let Some(details) = &self.seen.details else { return Intent::Run };
        let restarts_itself =
            matches!(details.restart_policy, RestartPolicy::Always | RestartPolicy::UnlessStopped);
        let exit_code = details.exit.as_ref().and_then(|exit| exit.code);
        if restarts_itself {
            // The engine would have started it again, had nobody stopped it while we were not looking.
            let stopped_unseen = self.inspected && !self.witnessed && self.seen.state == State::Exited;
            return if stopped_unseen { Intent::Stopped } else { Intent::Run };
        }
        // A job has nothing to serve. Its image may bring a health check all the same, but none that ever passed.
        let has_passed = details.health.log.iter().any(|check| check.exit_code == 0);
        let is_job = self.seen.ports.is_empty() && !self.was_healthy && !has_passed;
        if exit_code == Some(0) && is_job { Intent::Finished } else { Intent::Run }
    }

    pub(super) fn exit(&self) -> Option<&Exit> {
        self.seen.details.as_ref().and_then(|d| d.exit.as_ref())
    }
}
