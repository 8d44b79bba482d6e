//! The agent's view of its stacks: what is true now, what changed, and the actions on it. Cheap to clone.
//!
//! One task, [`watch`], feeds the model; everybody else reads it here. The lock is held for the time of a copy, never
//! across an await, so a slow listener cannot delay the watch.

mod actions;
mod capture;
mod convert;
mod log;
mod measured;
mod memory;
mod probes;
mod select;
#[cfg(test)]
pub(crate) mod tests;
pub mod watch;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::{Mutex as AsyncMutex, Semaphore, broadcast, watch as signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use zv_api::{Change, Deaths, Happening, Happenings, Host, LogLine, Snapshot, StatsPace, What};
use zv_stack::death::store::{DeathStore, Limits};
use zv_stack::{Memory, Model, ReplicaId, Runtime};

use crate::collect::Collected;
use crate::metrics::own::Listening;

use crate::probes::Probes;

/// The changes kept for listeners that come back; older gaps are filled with a snapshot.
const CHANGES_KEPT: usize = 1024;
/// The bytes of them.
const CHANGES_KEPT_BYTES: usize = 2 * 1024 * 1024;
/// The happenings kept for those who ask what was.
const HAPPENINGS_KEPT: usize = 500;
/// The stops on request that are kept until the deaths they caused are on record.
const STOPS_KEPT: usize = 1024;
/// The logs that are read at once: each takes a connection to the engine for every replica in it, and reading takes no
/// token on the host itself.
const LOGS_AT_ONCE: usize = 64;
/// How long a question for deaths waits for evidence that is being gathered.
const CAPTURE_PATIENCE: Duration = Duration::from_secs(5);
/// How long the disk may take over a death record.
const STORE_PATIENCE: Duration = Duration::from_secs(10);

/// A handle to everything the agent knows of its stacks.
#[derive(Debug, Clone)]
pub struct Stacks {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    host: Host,
    runtime: Runtime,
    collected: Collected,
    /// Where people's wishes are kept over restarts; nowhere for a passing look.
    memory_file: Option<PathBuf>,
    /// Names this run of the agent: numbers of another run mean nothing here.
    epoch: String,
    /// Locked for the time of a copy.
    state: Mutex<State>,
    /// Locked while a record is written or read: one thread at most waits for the disk, the others who ask wait here.
    deaths: Arc<AsyncMutex<DeathStore>>,
    changes: broadcast::Sender<Arc<Published>>,
    /// Rises with every change.
    version: signal::Sender<u64>,
    /// Actions under way: they are finished even if whoever asked does not wait for it.
    /// None is begun any more once they have been taken away.
    actions: Mutex<Option<JoinSet<()>>>,
    /// The agent is ending, and what its replicas do now is nobody's wish.
    wishes_are_final: AtomicBool,
    /// Logs that may be read at once.
    log_turns: Arc<Semaphore>,
    probes: Probes,
    /// A person's wish is to be written down.
    wishes: tokio::sync::Notify,
    /// Deaths whose evidence is being gathered.
    captures: signal::Sender<usize>,
    /// Ends every stream.
    closing: CancellationToken,
}

#[derive(Debug)]
struct State {
    model: Model,
    seq: u64,
    kept: VecDeque<Arc<Published>>,
    kept_bytes: usize,
    happenings: VecDeque<Happening>,
    /// The last stops on request, oldest first: a replica that was removed or started again tells of none.
    stops: VecDeque<(ReplicaId, DateTime<Utc>)>,
}

/// What a handle is made of.
#[derive(Debug)]
pub struct Settings {
    pub host: Host,
    pub runtime: Runtime,
    /// What is measured of it.
    pub collected: Collected,
    /// Where death records and wishes are kept; nowhere for a passing look.
    pub store: Option<PathBuf>,
    pub death_limits: Limits,
    /// When this run began.
    pub started_at: DateTime<Utc>,
    /// Ends every stream.
    pub closing: CancellationToken,
}

/// One message of the event stream.
#[derive(Debug, Clone)]
pub struct Message {
    /// Sent back as `Last-Event-ID`, it resumes after this message; empty for what is not told again.
    pub id: String,
    pub body: Body,
}

/// A snapshot comes first, and again where a listener missed too much; changes follow, and measurements between them
/// where they were asked for.
#[derive(Debug, Clone)]
pub enum Body {
    Snapshot(Box<Snapshot>),
    Change(Arc<Published>),
    /// A [`zv_api::StatsMessage`] as JSON.
    Stats(Arc<str>),
}

/// A change as it goes to every listener: written once, however many there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    pub seq: u64,
    /// A [`Change`] as JSON.
    pub json: String,
}

impl Published {
    /// Writes a change down.
    pub fn new(change: &Change) -> Self {
        let json =
            serde_json::to_string(change).expect("its maps have strings for keys, its numbers are finite");
        Self { seq: change.seq, json }
    }
}

/// One line with the cursor that resumes after it.
#[derive(Debug, Clone)]
pub struct LogMessage {
    pub cursor: String,
    pub line: LogLine,
}

/// Why a request could not be served. The texts are sentences for the person who asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// 400
    #[error("{0}")]
    Bad(String),
    /// 404
    #[error("{0}")]
    NotFound(String),
    /// 409
    #[error("{0}")]
    Conflict(String),
    /// 503
    #[error("{0}")]
    Unavailable(String),
}

impl Stacks {
    /// Opens what is kept on disk. What cannot be read is reported and does without.
    pub fn new(settings: Settings) -> Self {
        let memory_file = settings.store.as_ref().map(|store| store.join("wishes.json"));
        let (deaths, trouble) = DeathStore::open(
            settings.store.as_ref().map(|store| store.join("deaths")),
            settings.death_limits,
        );
        if let Some(error) = trouble {
            tracing::warn!(error = %error, "death records are kept in memory only: the store cannot be written");
        }
        let memory = memory_file.as_deref().map_or_else(Memory::default, memory::load);
        settings.runtime.remember(&memory);
        let state = State {
            model: Model::new(memory),
            seq: 0,
            kept: VecDeque::new(),
            kept_bytes: 0,
            happenings: VecDeque::new(),
            stops: VecDeque::new(),
        };
        let probes = Probes::new(settings.host.clone());
        let inner = Inner {
            host: settings.host,
            runtime: settings.runtime,
            collected: settings.collected,
            memory_file,
            epoch: format!("{:x}", settings.started_at.timestamp_millis()),
            state: Mutex::new(state),
            deaths: Arc::new(AsyncMutex::new(deaths)),
            changes: broadcast::Sender::new(CHANGES_KEPT),
            version: signal::Sender::new(0),
            actions: Mutex::new(Some(JoinSet::new())),
            wishes_are_final: AtomicBool::new(false),
            log_turns: Arc::new(Semaphore::new(LOGS_AT_ONCE)),
            probes,
            wishes: tokio::sync::Notify::new(),
            captures: signal::Sender::new(0),
            closing: settings.closing,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Returns all that is known now.
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot_of(&self.state())
    }

    /// Returns the handle to the probes.
    pub fn probes(&self) -> Probes {
        self.inner.probes.clone()
    }

    /// Streams changes after `last_event_id`, or from a snapshot on, and measurements where a pace for them is given; ends
    /// when the agent shuts down.
    pub fn events(
        &self,
        last_event_id: Option<&str>,
        stats: Option<StatsPace>,
    ) -> BoxStream<'static, Message> {
        let state = self.state();
        // Subscribed under the lock: nothing can fall between what is sent now and what is sent later.
        let receiver = self.inner.changes.subscribe();
        let first = match last_event_id.and_then(|id| self.changes_after(&state, id)) {
            Some(missed) => missed,
            None => vec![self.message(Body::Snapshot(Box::new(self.snapshot_of(&state))))],
        };
        drop(state);
        let follower =
            Follower { stacks: self.clone(), receiver, _listening: self.inner.collected.own().listening() };
        let later = stream::unfold(follower, |mut follower| async move {
            let message = follower.next().await?;
            Some((message, follower))
        });
        let stats = match stats {
            Some(pace) => self.inner.collected.stats(pace).map(Message::stats).boxed(),
            None => stream::pending().boxed(),
        };
        let later = stream::iter(first).chain(stream::select(later, stats));
        later.take_until(self.inner.closing.clone().cancelled_owned()).boxed()
    }

    /// Returns the last things that happened, oldest first.
    pub fn happenings(&self, limit: usize) -> Happenings {
        let state = self.state();
        let skip = state.happenings.len().saturating_sub(limit);
        Happenings {
            host: self.inner.host.clone(),
            happenings: state.happenings.iter().skip(skip).cloned().collect(),
        }
    }

    /// Lists deaths, newest first. Waits a moment for those whose evidence is being gathered.
    pub async fn deaths(
        &self,
        stack: Option<&str>,
        service: Option<&str>,
        limit: usize,
    ) -> Result<Deaths, Refusal> {
        let mut captures = self.inner.captures.subscribe();
        // What is still missing after that is shown by the next question.
        let _ = tokio::time::timeout(CAPTURE_PATIENCE, captures.wait_for(|count| *count == 0)).await;
        let (stack, service) = (stack.map(str::to_owned), service.map(str::to_owned));
        let listed = self.with_deaths(move |store| {
            let matching = store.list().filter(|summary| {
                stack.as_ref().is_none_or(|stack| *summary.key.stack == **stack)
                    && service.as_ref().is_none_or(|service| *summary.key.service == **service)
            });
            matching.take(limit).map(convert::death_summary).collect()
        });
        let deaths = listed.await.ok_or_else(|| unreadable("the store does not answer"))?;
        Ok(Deaths { host: self.inner.host.clone(), deaths })
    }

    /// Reads one death record.
    pub async fn death(&self, id: &str) -> Result<zv_api::Death, Refusal> {
        let wanted = id.to_owned();
        match self.with_deaths(move |store| store.read(&wanted)).await {
            Some(Ok(Some(record))) => Ok(convert::death(record)),
            Some(Ok(None)) => Err(Refusal::NotFound(format!("There is no death record `{}`.", short(id)))),
            Some(Err(error)) => Err(unreadable(&error.to_string())),
            None => Err(unreadable("the store does not answer")),
        }
    }

    /// Uses the store of death records away from the workers: its disk may be slow, or hang.
    async fn with_deaths<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut DeathStore) -> T + Send + 'static,
    ) -> Option<T> {
        tokio::time::timeout(STORE_PATIENCE, self.with_deaths_in_the_end(act)).await.ok()?
    }

    /// The same for as long as it takes.
    async fn with_deaths_in_the_end<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut DeathStore) -> T + Send + 'static,
    ) -> Option<T> {
        let mut deaths = Arc::clone(&self.inner.deaths).lock_owned().await;
        tokio::task::spawn_blocking(move || act(&mut deaths)).await.ok()
    }

    /// Says whether there is something to tell: the first list is in, or the runtime is known not to answer.
    pub fn is_ready(&self) -> bool {
        let state = self.state();
        state.model.is_listed() || matches!(state.model.runtime(), zv_stack::RuntimeState::Down { .. })
    }

    /// Waits until there is something to tell.
    pub async fn ready(&self) {
        let mut version = self.inner.version.subscribe();
        while !self.is_ready() {
            if version.changed().await.is_err() {
                return;
            }
        }
    }

    /// Waits until every replica has been looked at closely, or the runtime is known not to answer.
    pub async fn settled(&self) {
        let mut version = self.inner.version.subscribe();
        loop {
            if self.is_ready() && !self.state().model.awaits_inspection() {
                return;
            }
            if version.changed().await.is_err() {
                return;
            }
        }
    }

    /// Notes no wish any more: replicas that stop from now on stop because the agent ends.
    pub(crate) fn keep_wishes_as_they_are(&self) {
        self.inner.wishes_are_final.store(true, Ordering::Release);
    }

    /// Changes how many death records are kept.
    pub async fn set_death_limits(&self, limits: Limits) {
        self.with_deaths(move |store| store.set_limits(limits)).await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock can leave the state half changed in a way that matters more than going on.
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn snapshot_of(&self, state: &State) -> Snapshot {
        let latest = self.inner.collected.latest();
        let probes = self.inner.probes.latest();
        convert::snapshot(&state.model, &latest, &self.inner.host, state.seq, crate::clock::now(), probes)
    }

    fn message(&self, body: Body) -> Message {
        let seq = match &body {
            Body::Snapshot(snapshot) => snapshot.seq,
            Body::Change(change) => change.seq,
            Body::Stats(_) => return Message { id: String::new(), body },
        };
        Message { id: format!("{}-{seq}", self.inner.epoch), body }
    }

    /// Returns what came after the message with this id, if all of it is still there.
    fn changes_after(&self, state: &State, id: &str) -> Option<Vec<Message>> {
        let (epoch, seq) = id.rsplit_once('-')?;
        let seq: u64 = seq.parse().ok()?;
        let oldest = state.kept.front().map_or(state.seq + 1, |change| change.seq);
        let is_whole = epoch == self.inner.epoch && seq <= state.seq && oldest <= seq + 1;
        let missed = state.kept.iter().filter(|change| change.seq > seq);
        is_whole.then(|| missed.map(|change| self.message(Body::Change(Arc::clone(change)))).collect())
    }

    /// Tells every listener.
    fn publish(&self, state: &mut State, what: What) {
        state.seq += 1;
        if let What::Happened { happening } = &what {
            push_bounded(&mut state.happenings, happening.clone(), HAPPENINGS_KEPT);
        }
        let change = Change { seq: state.seq, host: self.inner.host.id.clone(), what };
        let change = Arc::new(Published::new(&change));
        state.keep(Arc::clone(&change));
        // Nobody listening is no fault.
        let _ = self.inner.changes.send(change);
    }
}

impl Message {
    fn stats(json: Arc<str>) -> Self {
        Self { id: String::new(), body: Body::Stats(json) }
    }
}

/// One who follows the changes.
struct Follower {
    stacks: Stacks,
    receiver: broadcast::Receiver<Arc<Published>>,
    _listening: Listening,
}

impl Follower {
    async fn next(&mut self) -> Option<Message> {
        match self.receiver.recv().await {
            Ok(change) => Some(self.stacks.message(Body::Change(change))),
            Err(broadcast::error::RecvError::Lagged(_)) => {
                let state = self.stacks.state();
                self.receiver = self.stacks.inner.changes.subscribe();
                let snapshot = Body::Snapshot(Box::new(self.stacks.snapshot_of(&state)));
                drop(state);
                Some(self.stacks.message(snapshot))
            }
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

impl State {
    /// Keeps a change for listeners that come back, within both bounds.
    fn keep(&mut self, change: Arc<Published>) {
        self.kept_bytes += change.json.len();
        self.kept.push_back(change);
        while self.kept.len() > CHANGES_KEPT || self.kept_bytes > CHANGES_KEPT_BYTES {
            let Some(oldest) = self.kept.pop_front() else { return };
            self.kept_bytes -= oldest.json.len();
        }
    }
}

fn push_bounded<T>(queue: &mut VecDeque<T>, item: T, limit: usize) {
    if queue.len() >= limit {
        queue.pop_front();
    }
    queue.push_back(item);
}

fn unreadable(reason: &str) -> Refusal {
    Refusal::Unavailable(format!("The death records cannot be read: {reason}."))
}

/// Cuts what a person sent before it is repeated to them.
fn short(text: &str) -> String {
    text.chars().take(80).collect()
}
