//! What is remembered of replicas between rounds: their last minutes, for death records, and what the kernel killed.

use std::collections::{BTreeMap, VecDeque};

use chrono::TimeDelta;
use zv_stack::ReplicaId;
use zv_stack::stats::{Measurement, Stats};

/// The span kept of each replica.
const KEPT: TimeDelta = TimeDelta::minutes(5);
/// However seldom it is measured, so many are kept.
const LEAST_KEPT: usize = 5;
/// Measurements nearer to each other than this add nothing to a story of minutes. They are never more than 75.
const GAP: TimeDelta = TimeDelta::seconds(4);

/// What is remembered of all replicas.
#[derive(Debug, Default)]
pub(super) struct Record {
    rings: BTreeMap<ReplicaId, VecDeque<Stats>>,
    kills: BTreeMap<ReplicaId, Kills>,
}

/// How often the kernel killed something in a replica for want of memory.
#[derive(Debug, Default, Clone, Copy)]
struct Kills {
    /// What its control groups counted, over all its lives.
    counted: u64,
    /// What the present group says.
    last: u64,
    /// What the runtime told of, which it may not tell of all.
    told: u64,
}

impl Record {
    /// Adds a measurement to a replica's last minutes.
    pub(super) fn keep(&mut self, id: &ReplicaId, measurement: &Measurement) {
        let ring = self.rings.entry(id.clone()).or_default();
        let at = measurement.at;
        if ring.back().is_some_and(|last| at - last.at < GAP) {
            return;
        }
        ring.push_back(measurement.stats());
        while ring.len() > LEAST_KEPT && ring.front().is_some_and(|first| at - first.at > KEPT) {
            ring.pop_front();
        }
    }

    /// Takes note of what the control group counted.
    pub(super) fn count_kills(&mut self, id: &ReplicaId, measurement: &Measurement) {
        let Some(now) = measurement.memory.oom_kills else { return };
        let kills = self.kills.entry(id.clone()).or_default();
        // A new life has a group that begins at zero.
        kills.counted += now.checked_sub(kills.last).unwrap_or(now);
        kills.last = now;
    }

    /// Takes note of one that the runtime told of.
    pub(super) fn kill_told(&mut self, id: &ReplicaId) {
        self.kills.entry(id.clone()).or_default().told += 1;
    }

    /// Returns how often something was killed in a replica, as far as anybody has told.
    pub(super) fn kills(&self, id: &ReplicaId) -> Option<u64> {
        self.kills.get(id).map(|kills| kills.counted.max(kills.told))
    }

    /// Takes a replica's last minutes, for the record of its death.
    pub(super) fn take(&mut self, id: &ReplicaId) -> Vec<Stats> {
        self.rings.remove(id).map(Vec::from).unwrap_or_default()
    }

    /// Forgets all but these.
    pub(super) fn retain(&mut self, is_known: impl Fn(&ReplicaId) -> bool) {
        self.rings.retain(|id, _| is_known(id));
        self.kills.retain(|id, _| is_known(id));
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use zv_stack::stats::Memory;

    use super::*;

    fn measured(second: i64, oom_kills: Option<u64>) -> Measurement {
        Measurement {
            at: DateTime::from_timestamp(second, 0).unwrap(),
            memory: Memory { oom_kills, ..Memory::default() },
            ..Measurement::default()
        }
    }

    fn kept(seconds: impl IntoIterator<Item = i64>) -> Vec<i64> {
        let (mut record, id) = (Record::default(), ReplicaId::new("a"));
        seconds.into_iter().for_each(|second| record.keep(&id, &measured(second, None)));
        record.take(&id).iter().map(|stats| stats.at.timestamp()).collect()
    }

    #[test]
    fn five_minutes_are_kept_however_often_is_measured() {
        assert_eq!(kept((0..=600).step_by(10)), (300..=600).step_by(10).collect::<Vec<_>>());
        let every_second = kept(0..=3600);
        assert!(every_second.len() <= 76 && every_second[0] >= 3296, "{every_second:?}");
        assert_eq!(kept((0..=6000).step_by(300)), [4800, 5100, 5400, 5700, 6000]);
    }

    #[test]
    fn what_is_taken_is_gone_and_what_is_unknown_is_forgotten() {
        let (mut record, a, b) = (Record::default(), ReplicaId::new("a"), ReplicaId::new("b"));
        record.keep(&a, &measured(0, None));
        record.keep(&b, &measured(0, None));
        assert_eq!((record.take(&a).len(), record.take(&a).len()), (1, 0));
        record.retain(|id| *id != b);
        assert!(record.take(&b).is_empty());
    }

    #[test]
    fn kills_add_up_over_lives_and_none_known_is_not_zero() {
        let (mut record, id) = (Record::default(), ReplicaId::new("a"));
        assert_eq!(record.kills(&id), None);
        for (kills, expected) in [(0, 0), (2, 2), (3, 3), (0, 3), (1, 4)] {
            record.count_kills(&id, &measured(0, Some(kills)));
            assert_eq!(record.kills(&id), Some(expected));
        }
        let other = ReplicaId::new("b");
        record.count_kills(&other, &measured(0, Some(0)));
        record.kill_told(&other);
        assert_eq!(record.kills(&other), Some(1), "its group was gone before it could be read");
    }
}
