//! The task that feeds the model: inputs of the runtime, the passing of time, and what follows from them.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::stream::StreamExt;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use zv_api::What;
use zv_stack::{Change, Happening, HappeningKind, Input, Memory};

use super::{STOPS_KEPT, Stacks, capture, convert, memory, push_bounded};

/// How often a crash loop is looked at again.
const TICK: Duration = Duration::from_secs(5);
/// Deaths whose evidence is gathered at once.
const CAPTURERS: usize = 8;
/// Deaths that wait for their turn; more at once are counted and not kept.
const CAPTURES_LIMIT: usize = 1024;
/// How long a shutdown waits for evidence that is being gathered.
const CAPTURE_GRACE: Duration = Duration::from_secs(3);

/// Watches until it is told to stop, then ends what it began. The runtime itself is left to its owner.
pub async fn run(stacks: Stacks, stop: CancellationToken) {
    let mut inputs = stacks.inner.runtime.watch();
    let mut jobs = JoinSet::new();
    let turns = Arc::new(Semaphore::new(CAPTURERS));
    let mut tick = interval_at(Instant::now() + TICK, TICK);
    let mut saver = Saver::new(stacks.inner.memory_file.clone());
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut retrying = JoinSet::new();
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
                    stacks.inner.collected.own().death_lost();
                    stacks.inner.captures.send_modify(|count| *count = count.saturating_sub(1));
                }
                Change::Memory if stacks.inner.wishes_are_final.load(Ordering::Acquire) => {}
                Change::Memory => saver.note(stacks.state().model.memory()),
                Change::Service(_) | Change::ServiceGone(_) | Change::Runtime(_) | Change::Happened(_) => {}
            }
        }
    }
    drop(inputs);
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
        let latest = self.inner.collected.latest();
        for change in &changes {
            match change {
                Change::Service(key) => {
                    if let Some(view) = state.model.service(key) {
                        let service = convert::service(&view, &latest);
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
                    match (happening.kind, &happening.replica) {
                        (HappeningKind::Stopped, Some(id)) => {
                            push_bounded(&mut state.stops, (id.clone(), happening.at), STOPS_KEPT);
                        }
                        (HappeningKind::OutOfMemory, Some(id)) => self.inner.collected.kill_told(id),
                        _ => {}
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
