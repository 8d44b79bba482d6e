//! The task that measures, round by round. Nothing it waits for can hold it up: what may hang runs beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::stream::{self, StreamExt};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use zv_api::{StatsMessage, StatsPace};
use zv_stack::ReplicaId;
use zv_stack::stats::{Measurement, Round, Running};

use super::host::HostMeasurement;
use super::senses::{Ask, HostSense, Meter, Senses, Sight};
use super::usage::usage;
use super::{Collected, HostMeasured, Latest, Measured};
use crate::metrics::own::RoundKind;

/// The first round, for the record or not: by then the first list is in.
const FIRST: Duration = Duration::from_secs(1);
/// The pace while somebody watches.
const LIVE_EVERY: Duration = Duration::from_secs(1);
/// A round that begins so soon after another would tell nothing new.
const LEAST_APART: Duration = Duration::from_millis(500);
/// How often the runtime is asked for those that cannot be seen: each answer costs the engine more than all the rest
/// costs us.
const ASK_EVERY: Duration = Duration::from_secs(60);
/// The same while somebody watches.
const ASK_EVERY_LIVE: Duration = Duration::from_secs(5);
const ASK_PATIENCE: Duration = Duration::from_secs(6);
const ASKED_AT_ONCE: usize = 4;
/// What the runtime said longer ago is no longer what is.
const ASKED_KEPT: TimeDelta = TimeDelta::seconds(180);
/// For so long a round waits for the host, whose mounts may hang.
const HOST_PATIENCE: Duration = Duration::from_millis(100);
/// What was seen of the host longer ago is no longer what is; in any case three intervals.
const HOST_KEPT: Duration = Duration::from_secs(30);

/// Measures until it is told to stop.
pub async fn run(collected: Collected, senses: Senses, stop: CancellationToken) {
    let mut task = Task::new(collected, senses);
    loop {
        let (collected, deadline) = (task.collected.clone(), task.host_deadline());
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(ended) = task.metering.join_next() => task.metered(ended),
            Some(ended) = task.hosting.join_next() => task.host_measured(ended),
            () = at(deadline) => task.finish(),
            Some(ended) = task.asking.join_next() => report(ended),
            Ok(()) = task.interval.changed() => task.retime(),
            Ok(()) = task.watchers.changed() => task.retime_live(),
            () = tick(&mut task.record) => task.due(RoundKind::Recorded),
            () = tick(&mut task.live) => task.due(RoundKind::Live),
            () = collected.inner.wanted.notified() => task.due(RoundKind::Refresh),
        }
    }
    // A thread that hangs is left behind: nobody waits for it.
    task.metering.abort_all();
    task.hosting.abort_all();
    task.asking.shutdown().await;
}

struct Task {
    collected: Collected,
    senses: Senses,
    interval: watch::Receiver<Option<Duration>>,
    watchers: watch::Receiver<usize>,
    record: Option<Interval>,
    live: Option<Interval>,
    /// Absent while it measures.
    meter: Option<Meter>,
    metering: JoinSet<(Meter, Round)>,
    host: Option<HostSense>,
    hosting: JoinSet<(HostSense, HostMeasurement)>,
    asking: JoinSet<()>,
    asked_at: Option<Instant>,
    flight: Option<Flight>,
    /// What the last round for the record found.
    recorded: BTreeMap<ReplicaId, Arc<Measured>>,
    recorded_host: Option<Arc<HostMeasured>>,
}

/// A round under way.
struct Flight {
    kind: RoundKind,
    began: Instant,
    sight: Sight,
    /// It measures the host too, unless an earlier round is still at it.
    with_host: bool,
    round: Option<Round>,
}

impl Task {
    fn new(collected: Collected, senses: Senses) -> Self {
        let (meter, host) = ((senses.meter)(), (senses.host)());
        let mut interval = collected.inner.interval.subscribe();
        let mut watchers = collected.inner.watchers.subscribe();
        let every = *interval.borrow_and_update();
        let is_watched = *watchers.borrow_and_update() > 0;
        Self {
            record: every.map(|every| ticker(FIRST, every)),
            live: is_watched.then(|| ticker(Duration::ZERO, LIVE_EVERY)),
            interval,
            watchers,
            meter: Some(meter),
            metering: JoinSet::new(),
            host: Some(host),
            hosting: JoinSet::new(),
            asking: JoinSet::new(),
            asked_at: None,
            flight: None,
            recorded: BTreeMap::new(),
            recorded_host: None,
            collected,
            senses,
        }
    }

    fn retime(&mut self) {
        let every = *self.interval.borrow_and_update();
        self.record = every.map(|every| ticker(every.min(FIRST), every));
    }

    fn retime_live(&mut self) {
        let is_watched = *self.watchers.borrow_and_update() > 0;
        if is_watched != self.live.is_some() {
            self.live = is_watched.then(|| ticker(Duration::ZERO, LIVE_EVERY));
        }
    }

    /// Begins a round, unless one is under way: that one serves those who came for less; what it cannot serve is left out.
    fn due(&mut self, kind: RoundKind) {
        let is_recent = |began: Instant| began.elapsed() < LEAST_APART;
        match &mut self.flight {
            Some(flight) if kind == RoundKind::Recorded && flight.kind != RoundKind::Recorded => {
                flight.kind = RoundKind::Recorded;
            }
            Some(flight) if kind == RoundKind::Refresh || is_recent(flight.began) => {}
            Some(_) => self.collected.own().round_missed(),
            None if kind == RoundKind::Live && self.collected.latest().began.is_some_and(is_recent) => {}
            None => self.begin(kind),
        }
    }

    fn begin(&mut self, kind: RoundKind) {
        let Some(mut meter) = self.meter.take() else { return };
        let sight = (self.senses.sight)();
        let (running, now) = (sight.running.clone(), crate::clock::now());
        self.metering.spawn_blocking(move || {
            let round = meter(&running, now);
            (meter, round)
        });
        let host = self.host.take();
        let with_host = host.is_some();
        if let Some(mut host) = host {
            self.hosting.spawn_blocking(move || {
                let measurement = host(now);
                (host, measurement)
            });
        }
        self.flight = Some(Flight { kind, began: Instant::now(), sight, with_host, round: None });
    }

    fn metered(&mut self, ended: Result<(Meter, Round), JoinError>) {
        match ended {
            Ok((meter, round)) => {
                self.meter = Some(meter);
                if let Some(flight) = &mut self.flight {
                    flight.round = Some(round);
                }
            }
            Err(error) => {
                tracing::error!(%error, "a round of measuring failed");
                self.meter = Some((self.senses.meter)());
                self.flight = None;
                // Nobody is to wait for it in vain.
                self.collected.round_is_over();
            }
        }
        if self.host_deadline().is_none() {
            self.finish();
        }
    }

    /// Returns until when a round that is over waits for the host.
    fn host_deadline(&self) -> Option<Instant> {
        let flight = self.flight.as_ref()?;
        let waits = flight.round.is_some() && flight.with_host && self.host.is_none();
        waits.then(|| flight.began + HOST_PATIENCE)
    }

    fn host_measured(&mut self, ended: Result<(HostSense, HostMeasurement), JoinError>) {
        match ended {
            Ok((host, measurement)) => {
                self.host = Some(host);
                let recorded = self.recorded_host.clone();
                self.collected.update(|latest| {
                    let candidates = [latest.host.as_deref(), recorded.as_deref()].into_iter().flatten();
                    let before = candidates
                        .map(|before| &before.measurement)
                        .find(|before| measurement.at - before.at >= super::usage::LEAST_SPAN);
                    let usage = measurement.usage(before);
                    latest.host = Some(Arc::new(HostMeasured { usage, measurement }));
                });
            }
            Err(error) => {
                tracing::error!(%error, "the host cannot be measured");
                self.host = Some((self.senses.host)());
            }
        }
        if self.flight.as_ref().is_some_and(|flight| flight.round.is_some()) {
            self.finish();
        }
    }

    /// Ends a round: what it found becomes what is known.
    fn finish(&mut self) {
        let Some(flight) = self.flight.take() else { return };
        let Some(round) = flight.round else { return };
        let now = crate::clock::now();
        let own = self.collected.own().clone();
        own.round(flight.kind, flight.began.elapsed());
        let unseen = round.unseen.clone();
        let latest = self.take_in(&flight.sight.running, round, flight.began, now);
        let asked = latest.replicas.values().filter(|measured| measured.asked).count();
        own.replicas_measured(latest.replicas.len() - asked, asked);
        if flight.kind == RoundKind::Recorded {
            self.keep(&latest, now);
        }
        if flight.kind != RoundKind::Refresh {
            self.collected
                .publish(StatsPace::Live, || message(now, &latest.replicas, latest.host.as_deref()));
            self.ask(unseen, &flight.sight, flight.kind);
        }
        self.collected.round_is_over();
    }

    fn take_in(&self, running: &[Running], round: Round, began: Instant, now: DateTime<Utc>) -> Arc<Latest> {
        let pids: BTreeMap<&ReplicaId, Option<u32>> = running.iter().map(|one| (&one.id, one.pid)).collect();
        let pid_of = |id: &ReplicaId| pids.get(id).copied().flatten();
        let host_kept = self.interval.borrow().map_or(HOST_KEPT, |every| HOST_KEPT.max(every * 3));
        self.collected.update(|latest| {
            let mut replicas = BTreeMap::new();
            for (id, measurement) in round.measured {
                let recorded = self.recorded.get(&id).map(|measured| &**measured);
                let measured = latest.measured(&id, pid_of(&id), measurement, false, recorded);
                replicas.insert(id, Arc::new(measured));
            }
            // What the runtime was asked for stands until it is asked again.
            for id in round.unseen {
                let kept = latest.replicas.get(&id).filter(|before| {
                    before.asked && before.pid == pid_of(&id) && now - before.measurement.at <= ASKED_KEPT
                });
                if let Some(kept) = kept {
                    replicas.insert(id, Arc::clone(kept));
                }
            }
            latest.replicas = replicas;
            latest.began = Some(began);
            let host_kept = TimeDelta::from_std(host_kept).unwrap_or(TimeDelta::MAX);
            latest.host = latest.host.take().filter(|host| now - host.measurement.at <= host_kept);
        })
    }

    /// Keeps a round for the record, and tells those who follow the record: rates are of the time since the last one.
    fn keep(&mut self, latest: &Latest, now: DateTime<Utc>) {
        let known: BTreeSet<ReplicaId> = (self.senses.is_known)().into_iter().collect();
        {
            let mut record = self.collected.record();
            for (id, measured) in latest.replicas.iter().filter(|(_, measured)| !measured.asked) {
                record.keep(id, &measured.measurement);
                record.count_kills(id, &measured.measurement);
            }
            record.retain(|id| known.contains(id));
        }
        self.collected.publish(StatsPace::Recorded, || {
            let since_recorded = |(id, measured): (&ReplicaId, &Arc<Measured>)| {
                let before = self.recorded.get(id).filter(|before| before.pid == measured.pid);
                let told = match before.filter(|_| !measured.asked) {
                    Some(before) => Arc::new(Measured {
                        usage: usage(&measured.measurement, Some(&before.measurement)),
                        measurement: Measurement::default(),
                        ..**measured
                    }),
                    None => Arc::clone(measured),
                };
                (id.clone(), told)
            };
            let replicas = latest.replicas.iter().map(since_recorded).collect();
            message(now, &replicas, latest.host.as_deref())
        });
        self.recorded.clone_from(&latest.replicas);
        self.recorded_host.clone_from(&latest.host);
    }

    /// Has the runtime asked for those that cannot be seen, beside the rounds.
    fn ask(&mut self, unseen: Vec<ReplicaId>, sight: &Sight, kind: RoundKind) {
        let pace = if self.live.is_some() { ASK_EVERY_LIVE } else { ASK_EVERY };
        let is_due = self.asked_at.is_none_or(|last| last.elapsed() >= pace);
        let Some(ask) = self.senses.ask.clone() else { return };
        if unseen.is_empty() || !sight.answers || !is_due || !self.asking.is_empty() {
            return;
        }
        self.asked_at = Some(Instant::now());
        let pids = sight.running.iter().map(|one| (one.id.clone(), one.pid)).collect();
        let for_record = kind == RoundKind::Recorded;
        self.asking.spawn(ask_all(self.collected.clone(), ask, unseen, pids, for_record));
    }
}

/// Asks for one after the other, a few at once; each is known as soon as it is told.
async fn ask_all(
    collected: Collected,
    ask: Ask,
    unseen: Vec<ReplicaId>,
    pids: BTreeMap<ReplicaId, Option<u32>>,
    for_record: bool,
) {
    let asking = stream::iter(unseen).map(|id| {
        let asked = timeout(ASK_PATIENCE, ask(id.clone()));
        async move { asked.await.ok().flatten().map(|measurement| (id, measurement)) }
    });
    let mut told = asking.buffer_unordered(ASKED_AT_ONCE);
    while let Some(answer) = told.next().await {
        let Some((id, measurement)) = answer else { continue };
        if for_record {
            let mut record = collected.record();
            record.keep(&id, &measurement);
            record.count_kills(&id, &measurement);
        }
        let pid = pids.get(&id).copied().flatten();
        collected.update(|latest| {
            let measured = latest.measured(&id, pid, measurement, true, None);
            latest.replicas.insert(id, Arc::new(measured));
        });
    }
}

fn message(
    at: DateTime<Utc>,
    replicas: &BTreeMap<ReplicaId, Arc<Measured>>,
    host: Option<&HostMeasured>,
) -> StatsMessage {
    let usage =
        |(id, measured): (&ReplicaId, &Arc<Measured>)| (id.as_str().to_owned(), measured.usage.clone());
    StatsMessage {
        at,
        replicas: replicas.iter().map(usage).collect(),
        host: host.map(|host| host.usage.clone()),
    }
}

fn ticker(first: Duration, every: Duration) -> Interval {
    let mut ticker = interval_at(Instant::now() + first, every);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticker
}

async fn tick(ticker: &mut Option<Interval>) {
    match ticker {
        Some(ticker) => {
            ticker.tick().await;
        }
        None => std::future::pending().await,
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "asking the runtime failed");
    }
}

#[cfg(test)]
mod tests;
