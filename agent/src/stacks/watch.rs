//! The task that feeds the model: inputs of the runtime, the passing of time, and what follows from them.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use zv_api::What;
use zv_stack::{Change, Happening, HappeningKind, Input, Memory, ReplicaId};

use super::{STOPS_KEPT, Stacks, capture, convert, memory, push_bounded};

/// How often a crash loop is looked at again.
const TICK: Duration = Duration::from_secs(5);
/// How often each running replica is measured for its death record.
const SAMPLE_EVERY: Duration = Duration::from_secs(10);
/// A replica that only the engine can measure is measured in every so many rounds.
const ASK_EVERY: u32 = 6;
/// The measurements kept of a replica: five minutes.
const SAMPLES_KEPT: usize = 30;
/// Replicas measured at once.
const SAMPLERS: usize = 4;
/// Deaths whose evidence is gathered at once.
const CAPTURERS: usize = 8;
/// Deaths that wait for their turn; more at once are counted and not kept.
const CAPTURES_LIMIT: usize = 1024;
/// How long a shutdown waits for evidence that is being gathered.
const CAPTURE_GRACE: Duration = Duration::from_secs(3);

/// What the watch does beside watching.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Duties {
    /// Measures the running replicas, for their death records.
    pub sample: bool,
}

/// Watches until it is told to stop, then ends what it began. The runtime itself is left to its owner.
pub async fn run(stacks: Stacks, duties: Duties, stop: CancellationToken) {
    let mut inputs = stacks.inner.runtime.watch();
    let mut jobs = JoinSet::new();
    let turns = Arc::new(Semaphore::new(CAPTURERS));
    let mut tick = interval_at(Instant::now() + TICK, TICK);
    let mut sample = interval_at(Instant::now() + Duration::from_secs(1), SAMPLE_EVERY);
    let mut saver = Saver::new(stacks.inner.memory_file.clone());
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    sample.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut sampling, mut retrying) = (JoinSet::new(), JoinSet::new());
    let mut round = 0_u32;
    loop {
        let changes = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            input = inputs.next() => match input {
                Some(input) => stacks.apply(input),
                None => break,
            },
            _ = tick.tick() => {
                if retrying.is_empty() {
                    retrying.spawn(capture::retry(stacks.clone()));
                }
                stacks.pass_time()
            }
            Some(ended) = retrying.join_next() => {
                report_panic(ended);
                continue;
            }
            _ = sample.tick(), if duties.sample && sampling.is_empty() => {
                sampling.spawn(sample_all(stacks.clone(), round));
                round = round.wrapping_add(1);
                continue;
            }
            Some(_) = sampling.join_next() => continue,
            Some(ended) = jobs.join_next() => {
                report_panic(ended);
                continue;
            }
            () = stacks.inner.wishes.notified() => vec![Change::Memory],
            Some(memory) = saver.due() => {
                saver.save(memory);
                continue;
            }
        };
        for change in changes {
            match change {
                Change::Died(death) if jobs.len() < CAPTURES_LIMIT => {
                    let record = stacks.begin_record(&death);
                    jobs.spawn(capture::capture(stacks.clone(), death, record, Arc::clone(&turns)));
                }
                Change::Died(death) => {
                    tracing::warn!(container.id = %death.id, "too many deaths at once: this one leaves no record");
                    stacks.inner.captures.send_modify(|count| *count = count.saturating_sub(1));
                }
                Change::Memory if stacks.inner.wishes_are_final.load(Ordering::Acquire) => {}
                Change::Memory => saver.note(stacks.state().model.memory()),
                Change::Service(_) | Change::ServiceGone(_) | Change::Runtime(_) | Change::Happened(_) => {}
            }
        }
    }
    drop(inputs);
    sampling.shutdown().await;
    let ending = async { while jobs.join_next().await.is_some() {} };
    if tokio::time::timeout(CAPTURE_GRACE, ending).await.is_err() {
        tracing::warn!(deaths = jobs.len(), "evidence was still being gathered at shutdown");
    }
    jobs.shutdown().await;
    retrying.shutdown().await;
    capture::retry(stacks).await;
    saver.finish().await;
}

impl Stacks {
    /// Feeds the model and tells the listeners what changed. Returns what else is to be done.
    pub(crate) fn apply(&self, input: Input) -> Vec<Change> {
        let mut state = self.state();
        let was_listed = state.model.is_listed();
        let changes = state.model.apply(crate::clock::now(), input);
        if changes.is_empty() && state.model.is_listed() != was_listed {
            // A first list of nothing changes nothing, and still is what others wait for.
            self.inner.version.send_modify(|version| *version += 1);
        }
        self.tell(&mut state, changes)
    }

    fn pass_time(&self) -> Vec<Change> {
        let mut state = self.state();
        let changes = state.model.tick(crate::clock::now());
        self.tell(&mut state, changes)
    }

    fn tell(&self, state: &mut super::State, changes: Vec<Change>) -> Vec<Change> {
        if changes.is_empty() {
            return changes;
        }
        for change in &changes {
            match change {
                Change::Service(key) => {
                    if let Some(view) = state.model.service(key) {
                        let service = convert::service(&view);
                        self.publish(state, What::Service { service });
                    }
                }
                Change::ServiceGone(key) => {
                    let (stack, service) = (key.stack.to_string(), key.service.to_string());
                    self.publish(state, What::ServiceGone { stack, service });
                }
                Change::Runtime(runtime) => {
                    self.publish(state, What::Runtime { runtime: convert::runtime(runtime) });
                }
                Change::Happened(happening) => {
                    log(happening);
                    if let (HappeningKind::Stopped, Some(id)) = (happening.kind, &happening.replica) {
                        push_bounded(&mut state.stops, (id.clone(), happening.at), STOPS_KEPT);
                    }
                    self.publish(state, What::Happened { happening: convert::happening(happening) });
                }
                Change::Died(_) => self.inner.captures.send_modify(|count| *count += 1),
                Change::Memory => {}
            }
        }
        self.inner.version.send_modify(|version| *version += 1);
        changes
    }
}

/// Measures every running replica once and keeps the last minutes of each. What has to be asked for is asked for in every
/// [`ASK_EVERY`]th round only: each answer costs the engine more than all the rest costs us.
async fn sample_all(stacks: Stacks, round: u32) {
    let running: Vec<(ReplicaId, Option<u32>)> = {
        let state = stacks.state();
        let up = state.model.replicas().filter(|view| view.seen.state.is_up());
        up.map(|view| (view.seen.id.clone(), view.pid)).collect()
    };
    let runtime = &stacks.inner.runtime;
    let asks = runtime.is_local() || round.is_multiple_of(ASK_EVERY);
    let measured: Vec<_> = stream::iter(running)
        .map(|(id, pid)| async move {
            let stats = match pid.and_then(|pid| runtime.stats_here(&id, pid)) {
                None if asks => runtime.stats(&id).await,
                here => here,
            };
            stats.map(|stats| (id, stats))
        })
        .buffer_unordered(SAMPLERS)
        .filter_map(std::future::ready)
        .collect()
        .await;
    let mut state = stacks.state();
    let state = &mut *state;
    for (id, stats) in measured {
        push_bounded(state.stats.entry(id).or_default(), stats, SAMPLES_KEPT);
    }
    let model = &state.model;
    state.stats.retain(|id, _| model.replica(id).is_some());
}

/// Tells the log what happened, and loudly where nothing can be seen any more.
fn log(happening: &Happening) {
    let Happening { name, kind, text, .. } = happening;
    match (kind, &happening.replica) {
        (HappeningKind::RuntimeDown, _) => tracing::warn!(?kind, "{text}"),
        (_, Some(_)) => tracing::info!(container.name = %name, ?kind, "{text}"),
        (_, None) => tracing::info!(%name, ?kind, "{text}"),
    }
}

fn report_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        // A fault in one record must not take the watch down with it.
        tracing::error!(error = %error, "gathering evidence failed");
    }
}

/// Writes what must survive a restart, one write at a time, the newest only: a slow disk delays nothing.
#[derive(Debug)]
struct Saver {
    path: Option<PathBuf>,
    pending: Option<Memory>,
    writing: JoinSet<std::io::Result<()>>,
    failing: bool,
}

impl Saver {
    fn new(path: Option<PathBuf>) -> Self {
        Self { path, pending: None, writing: JoinSet::new(), failing: false }
    }

    fn note(&mut self, memory: Memory) {
        self.pending = self.path.is_some().then_some(memory);
    }

    /// Returns what is to be written, once the write before it has ended.
    async fn due(&mut self) -> Option<Memory> {
        if self.pending.is_none() && self.writing.is_empty() {
            return std::future::pending().await;
        }
        if let Some(ended) = self.writing.join_next().await {
            self.judge(ended);
        }
        match self.pending.take() {
            Some(memory) => Some(memory),
            None => std::future::pending().await,
        }
    }

    fn save(&mut self, memory: Memory) {
        let Some(path) = self.path.clone() else { return };
        self.writing.spawn_blocking(move || memory::save(&path, &memory));
    }

    fn judge(&mut self, ended: Result<std::io::Result<()>, tokio::task::JoinError>) {
        let failed = match ended {
            Ok(Ok(())) => false,
            Ok(Err(error)) => {
                if !self.failing {
                    tracing::warn!(error = %error, "what was stopped or scaled will not be known after a restart");
                }
                true
            }
            Err(_) => true,
        };
        self.failing = failed;
    }

    async fn finish(mut self) {
        while let Some(ended) = self.writing.join_next().await {
            self.judge(ended);
        }
        if let Some(memory) = self.pending.take() {
            self.save(memory);
            while let Some(ended) = self.writing.join_next().await {
                self.judge(ended);
            }
        }
    }
}
