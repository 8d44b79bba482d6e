//! What was measured, for all who read it. Cheap to clone; the locks are held for the time of a copy.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::{Notify, broadcast, watch};
use tokio::time::{Instant, timeout};
use zv_api::{HostUsage, StatsMessage, StatsPace, Usage};
use zv_stack::ReplicaId;
use zv_stack::stats::{Measurement, Stats};

use super::host::HostMeasurement;
use super::record::Record;
use super::usage::{LEAST_SPAN, usage};
use crate::metrics::own::Own;

/// What a slow listener may be behind with: it gets the next one.
const STREAM_KEPT: usize = 1;

/// A handle to what was measured.
#[derive(Debug, Clone)]
pub struct Collected {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    latest: Mutex<Arc<Latest>>,
    record: Mutex<Record>,
    recorded: broadcast::Sender<Arc<str>>,
    live: broadcast::Sender<Arc<str>>,
    /// Those who watch live.
    pub(super) watchers: watch::Sender<usize>,
    /// How often is measured for the record; never where absent.
    pub(super) interval: watch::Sender<Option<Duration>>,
    /// The number of the last round that is over.
    rounds: watch::Sender<u64>,
    /// Somebody wants a round now.
    pub(super) wanted: Notify,
    pub(super) own: Own,
}

/// What the last round found.
#[derive(Debug, Clone, Default)]
pub struct Latest {
    /// Rises with everything that is new.
    pub number: u64,
    /// When the last round began.
    pub began: Option<Instant>,
    /// Those that run and could be measured.
    pub replicas: BTreeMap<ReplicaId, Arc<Measured>>,
    pub host: Option<Arc<HostMeasured>>,
}

/// A replica as it was measured last.
#[derive(Debug)]
pub struct Measured {
    /// The first process, which tells one life from the next.
    pub pid: Option<u32>,
    /// The runtime was asked: this may be older than the round.
    pub asked: bool,
    pub measurement: Measurement,
    pub usage: Usage,
}

/// The host as it was measured last.
#[derive(Debug)]
pub struct HostMeasured {
    pub measurement: HostMeasurement,
    pub usage: HostUsage,
}

impl Latest {
    /// Returns what a replica in this life uses.
    pub fn usage(&self, id: &ReplicaId, pid: Option<u32>) -> Option<&Usage> {
        self.replicas.get(id).filter(|measured| measured.pid == pid).map(|measured| &measured.usage)
    }

    /// Returns a replica with its usage since it was measured before, in this life.
    pub(super) fn measured(
        &self,
        id: &ReplicaId,
        pid: Option<u32>,
        measurement: Measurement,
        asked: bool,
        recorded: Option<&Measured>,
    ) -> Measured {
        // A round right after another tells no rates: then they are of the time since the one for the record.
        let candidates = [self.replicas.get(id).map(|before| &**before), recorded];
        let is_before =
            |before: &&Measured| before.pid == pid && measurement.at - before.measurement.at >= LEAST_SPAN;
        let before = candidates.into_iter().flatten().find(is_before);
        let usage = usage(&measurement, before.map(|before| &before.measurement));
        Measured { pid, asked, measurement, usage }
    }
}

impl Default for Collected {
    fn default() -> Self {
        Self::new(None, Own::new())
    }
}

impl Collected {
    /// Returns a handle to nothing yet; a task fills it, every `interval` for the record.
    pub fn new(interval: Option<Duration>, own: Own) -> Self {
        let inner = Inner {
            latest: Mutex::default(),
            record: Mutex::default(),
            recorded: broadcast::Sender::new(STREAM_KEPT),
            live: broadcast::Sender::new(STREAM_KEPT),
            watchers: watch::Sender::new(0),
            interval: watch::Sender::new(interval),
            rounds: watch::Sender::new(0),
            wanted: Notify::new(),
            own,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Returns what the last round found.
    pub fn latest(&self) -> Arc<Latest> {
        Arc::clone(&self.lock_latest())
    }

    /// Returns the counters of the agent.
    pub fn own(&self) -> &Own {
        &self.inner.own
    }

    /// Changes how often is measured for the record, at once.
    pub fn set_interval(&self, interval: Duration) {
        self.inner.interval.send_replace(Some(interval));
    }

    /// Makes sure that what is known is no older than `age`, if that takes no longer than `patience`.
    pub async fn refresh(&self, age: Duration, patience: Duration) {
        if self.latest().began.is_some_and(|began| began.elapsed() <= age) {
            return;
        }
        let mut rounds = self.inner.rounds.subscribe();
        let seen = *rounds.borrow_and_update();
        self.inner.wanted.notify_one();
        // What there is by then is what is told.
        let _ = timeout(patience, rounds.wait_for(|round| *round > seen)).await;
    }

    /// Streams measurements as JSON of [`StatsMessage`], the same text for all who listen. One that is slow gets the next.
    pub fn stats(&self, pace: StatsPace) -> BoxStream<'static, Arc<str>> {
        let (receiver, watching) = match pace {
            StatsPace::Recorded => (self.inner.recorded.subscribe(), None),
            StatsPace::Live => (self.inner.live.subscribe(), Some(Watching::new(self.clone()))),
        };
        let following = (receiver, watching, self.inner.own.clone());
        stream::unfold(following, |(mut receiver, watching, own)| async move {
            loop {
                match receiver.recv().await {
                    Ok(message) => return Some((message, (receiver, watching, own))),
                    Err(broadcast::error::RecvError::Lagged(missed)) => own.stream_dropped(missed),
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            }
        })
        .boxed()
    }

    /// Takes the last minutes of a replica that died.
    pub(crate) fn take_record(&self, id: &ReplicaId) -> Vec<Stats> {
        self.record().take(id)
    }

    /// Takes note of a process that was killed for want of memory, as the runtime tells.
    pub(crate) fn kill_told(&self, id: &ReplicaId) {
        self.record().kill_told(id);
    }

    /// Returns how often something was killed in each of these for want of memory, where that is known.
    pub(crate) fn kills<'a>(&self, ids: impl Iterator<Item = &'a ReplicaId>) -> Vec<Option<u64>> {
        let record = self.record();
        ids.map(|id| record.kills(id)).collect()
    }

    /// Locked for the time of a copy.
    pub(super) fn record(&self) -> MutexGuard<'_, Record> {
        self.inner.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_latest(&self) -> MutexGuard<'_, Arc<Latest>> {
        self.inner.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what was found last.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Latest)) -> Arc<Latest> {
        let mut held = self.lock_latest();
        let mut latest = Latest::clone(&held);
        change(&mut latest);
        latest.number += 1;
        *held = Arc::new(latest);
        Arc::clone(&held)
    }

    /// Tells those who wait that a round is over.
    pub(super) fn round_is_over(&self) {
        self.inner.rounds.send_modify(|round| *round += 1);
    }

    /// Tells those who listen at this pace.
    pub(super) fn publish(&self, pace: StatsPace, message: impl FnOnce() -> StatsMessage) {
        let channel = match pace {
            StatsPace::Recorded => &self.inner.recorded,
            StatsPace::Live => &self.inner.live,
        };
        if channel.receiver_count() == 0 {
            return;
        }
        let json = serde_json::to_string(&message())
            .expect("its maps have strings for keys, its numbers are finite");
        // The last listener may just have left.
        let _ = channel.send(json.into());
    }
}

/// One who watches live: while there is one, every second is measured.
struct Watching(Collected);

impl Watching {
    fn new(collected: Collected) -> Self {
        collected.inner.watchers.send_modify(|count| *count += 1);
        Self(collected)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.inner.watchers.send_modify(|count| *count = count.saturating_sub(1));
    }
}
