//! The task that measures, round by round. Nothing it waits for can hold it up: what may hang runs beside it.

mod asking;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use asking::Asking;
use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};
use tokio_util::sync::CancellationToken;
use zv_api::{StatsMessage, StatsPace, Usage};
use zv_stack::ReplicaId;
use zv_stack::stats::{Round, Running};

use super::host::HostMeasurement;
use super::senses::{HostSense, Meter, Senses, Sight};
use super::usage::usage;
use super::{Collected, HostMeasured, Latest, Measured};
use crate::metrics::own::RoundKind;

/// The first round, for the record or not: by then the first list is in.
const FIRST: Duration = Duration::from_secs(1);
/// The pace while somebody watches.
const LIVE_EVERY: Duration = Duration::from_secs(1);
/// A round that begins so soon after another would tell nothing new.
const LEAST_APART: Duration = Duration::from_millis(500);
/// For so long a round waits for the host, whose mounts may hang.
const HOST_PATIENCE: Duration = Duration::from_millis(100);
/// What was seen longer ago is no longer what is; in any case three intervals.
const KEPT: Duration = Duration::from_secs(30);
/// What the runtime said longer ago is not either: it is asked three times in that time.
const ASKED_KEPT: Duration = Duration::from_secs(180);

/// Measures until it is told to stop.
pub async fn run(collected: Collected, senses: Senses, stop: CancellationToken) {
    let mut task = Task::new(collected, senses);
    loop {
        let (collected, deadline, expiry) = (task.collected.clone(), task.host_deadline(), task.expiry());
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(ended) = task.metering.join_next() => task.metered(ended),
            Some(ended) = task.hosting.join_next() => task.host_measured(ended),
            () = at(deadline) => task.finish(),
            // However something hangs: what was known before is not told for ever.
            () = at(expiry) => task.expire(),
            () = task.asking.ended() => {}
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
    task.asking.end().await;
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
    host_began: Option<Instant>,
    asking: Asking,
    flight: Option<Flight>,
    /// What the last round for the record found.
    recorded: BTreeMap<ReplicaId, Arc<Measured>>,
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
            host_began: None,
            asking: Asking::default(),
            flight: None,
            recorded: BTreeMap::new(),
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
        // The host waits for no replica that hangs.
        if self.flight.is_some() && !self.host_began.is_some_and(is_recent) {
            self.begin_host(crate::clock::now());
        }
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
        let with_host = self.begin_host(now);
        self.flight = Some(Flight { kind, began: Instant::now(), sight, with_host, round: None });
    }

    /// Begins to measure the host, unless it is still being measured.
    fn begin_host(&mut self, now: DateTime<Utc>) -> bool {
        let Some(mut host) = self.host.take() else { return false };
        self.host_began = Some(Instant::now());
        self.hosting.spawn_blocking(move || {
            let measurement = host(now);
            (host, measurement)
        });
        true
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
                let least = self.collected.least_span();
                self.collected.update(|latest| {
                    let measured = HostMeasured::new(measurement, latest.host.as_deref(), least);
                    latest.host = Some(Arc::new(measured));
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
            self.collected.publish(StatsPace::Live, || message(now, usages(&latest), &latest));
            self.ask(unseen, &flight.sight);
        }
        self.collected.round_is_over();
    }

    fn take_in(&self, running: &[Running], round: Round, began: Instant, now: DateTime<Utc>) -> Arc<Latest> {
        let pids: BTreeMap<&ReplicaId, Option<u32>> = running.iter().map(|one| (&one.id, one.pid)).collect();
        let pid_of = |id: &ReplicaId| pids.get(id).copied().flatten();
        let least = self.collected.least_span();
        self.collected.update(|latest| {
            let mut replicas = BTreeMap::new();
            for (id, measurement) in round.measured {
                let before = latest.replicas.get(&id).map(|before| &**before);
                let measured = Measured::new(pid_of(&id), false, measurement, now, before, least);
                replicas.insert(id, Arc::new(measured));
            }
            // What the runtime was asked for stands until it is asked again.
            for id in round.unseen {
                let is_told = |before: &&Arc<Measured>| before.asked && before.pid == pid_of(&id);
                let kept = latest.replicas.get(&id).filter(is_told);
                if let Some(kept) = kept {
                    replicas.insert(id, Arc::clone(kept));
                }
            }
            latest.replicas = replicas;
            latest.began = Some(began);
        })
    }

    /// Returns for how long what was seen, and what the runtime told, is taken for what is.
    fn kept(&self) -> (Duration, Duration) {
        let kept = self.interval.borrow().map_or(KEPT, |every| KEPT.max(every.saturating_mul(3)));
        (kept, kept.max(ASKED_KEPT))
    }

    /// Returns when the first of what is known will be too old to be told.
    fn expiry(&self) -> Option<Instant> {
        let (kept, asked_kept) = self.kept();
        let latest = self.collected.latest();
        let of_replica = |one: &Arc<Measured>| one.arrived + if one.asked { asked_kept } else { kept };
        let host = latest.host.as_ref().map(|host| host.arrived + kept);
        latest.replicas.values().map(of_replica).chain(host).min()
    }

    /// Drops what is too old to be told: unknown is better than wrong.
    fn expire(&mut self) {
        let (kept, asked_kept) = self.kept();
        let latest = self.collected.update(|latest| {
            latest
                .replicas
                .retain(|_, one| one.arrived.elapsed() < if one.asked { asked_kept } else { kept });
            latest.host = latest.host.take().filter(|host| host.arrived.elapsed() < kept);
        });
        if let Some(flight) = &self.flight {
            let seconds = flight.began.elapsed().as_secs();
            tracing::warn!(seconds, "a round of measuring hangs: what it measured before is no longer told");
        }
        for pace in [StatsPace::Live, StatsPace::Recorded] {
            self.collected.publish(pace, || message(crate::clock::now(), usages(&latest), &latest));
        }
    }

    /// Keeps a round for the record, and tells those who follow the record: rates are of the time since the last one.
    fn keep(&mut self, latest: &Latest, now: DateTime<Utc>) {
        let known: BTreeSet<ReplicaId> = (self.senses.is_known)().into_iter().collect();
        {
            let mut record = self.collected.record();
            for (id, measured) in latest.replicas.iter().filter(|(_, measured)| !measured.asked) {
                record.keep(id, measured.usage.at, &measured.measurement);
                record.count_kills(id, measured.pid, &measured.measurement);
            }
            record.retain(|id| known.contains(id));
        }
        self.collected.publish(StatsPace::Recorded, || {
            let since_recorded = |(id, measured): (&ReplicaId, &Arc<Measured>)| {
                let is_base = |before: &&Arc<Measured>| before.pid == measured.pid && !before.asked;
                let before = self.recorded.get(id).filter(is_base).filter(|_| !measured.asked);
                let told = match before {
                    Some(before) => usage(&measured.measurement, Some(&before.measurement)),
                    None => measured.usage.clone(),
                };
                (id.as_str().to_owned(), told)
            };
            message(now, latest.replicas.iter().map(since_recorded).collect(), latest)
        });
        self.recorded.clone_from(&latest.replicas);
    }

    /// Has the runtime asked for those that cannot be seen, beside the rounds.
    fn ask(&mut self, unseen: Vec<ReplicaId>, sight: &Sight) {
        let Some(ask) = self.senses.ask.clone().filter(|_| sight.answers && !unseen.is_empty()) else {
            return;
        };
        let interval = self.interval.borrow().unwrap_or_default();
        let Some(for_record) = self.asking.turn(self.live.is_some(), interval) else { return };
        let pids = sight.running.iter().map(|one| (one.id.clone(), one.pid)).collect();
        self.asking.begin(self.collected.clone(), ask, unseen, pids, for_record);
    }
}

fn usages(latest: &Latest) -> BTreeMap<String, Usage> {
    latest.replicas.iter().map(|(id, measured)| (id.as_str().to_owned(), measured.usage.clone())).collect()
}

fn message(at: DateTime<Utc>, replicas: BTreeMap<String, Usage>, latest: &Latest) -> StatsMessage {
    StatsMessage { at, replicas, host: latest.host.as_ref().map(|host| host.usage.clone()) }
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

#[cfg(test)]
mod tests;
