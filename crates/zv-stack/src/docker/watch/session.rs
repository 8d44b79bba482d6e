//! One connection: the list, the inspections, the events and the pings of an engine that answers.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bollard::models::ContainerSummary;
use bollard::query_parameters::{InspectContainerOptions, ListContainersOptionsBuilder};
use chrono::{DateTime, Utc};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until};

use super::backoff::Backoff;
use super::event::{self, Began, Events, Message};
use super::inspections::Inspections;
use super::known::{Known, Listing};
use super::{Closed, Watcher};
use crate::compose::label;
use crate::docker::engine::{ANSWER_TIMEOUT, ApiError, Engine, within};
use crate::docker::{Inner, seen};
use crate::input::{Event, EventKind, Input};
use crate::model::{ReplicaId, Seen, State};

/// The time between two lists.
const LIST_EVERY: Duration = Duration::from_secs(30);
/// A list follows the making of containers so soon: new projects bring files to read.
const LIST_AFTER_CREATE: Duration = Duration::from_secs(2);
/// The time between two pings: with its timeout it bounds how long a hung engine goes unnoticed.
const PING_EVERY: Duration = Duration::from_secs(5);
/// Events of one container that come this close together share an inspection.
const DEBOUNCE: Duration = Duration::from_millis(20);
/// An inspection that failed is tried again after this.
const RETRY: Duration = Duration::from_secs(1);

type Listed = (u64, Result<Vec<ContainerSummary>, ApiError>, Vec<Message>);
type Inspected = (ReplicaId, Result<Option<Seen>, ApiError>);

pub(super) struct Session<'w> {
    watcher: &'w mut Watcher,
    engine: Arc<Engine>,
    known: Known,
    inspections: Inspections,
    answers: FuturesUnordered<BoxFuture<'static, Inspected>>,
    list: Option<BoxFuture<'static, Listed>>,
    next_list: Instant,
    ping: BoxFuture<'static, Result<(), ApiError>>,
    /// What came before the first list: history, and what happened meanwhile.
    past: Option<Past>,
    began: Began,
}

/// Events that the list already reflects, or may: they only tell who was stopped on purpose, and what to look at.
#[derive(Default)]
struct Past {
    /// When a container was stopped, if it was not started since.
    stopped: HashMap<ReplicaId, Option<(i64, DateTime<Utc>)>>,
    /// What the list may have missed.
    fresh: HashSet<ReplicaId>,
}

/// What went on: only the end of the connection carries anything.
enum Turn {
    Goes,
    Ends(String),
}

impl<'w> Session<'w> {
    pub(super) fn new(watcher: &'w mut Watcher, engine: Arc<Engine>, events: &Events) -> Self {
        let ping = ping(Arc::clone(&engine));
        Self {
            watcher,
            engine,
            known: Known::default(),
            inspections: Inspections::default(),
            answers: FuturesUnordered::new(),
            list: None,
            next_list: Instant::now(),
            ping,
            past: Some(Past::default()),
            began: events.began,
        }
    }

    /// Runs until the engine is lost, and returns the reason.
    pub(super) async fn run(mut self, mut events: Events, backoff: &mut Backoff) -> Result<String, Closed> {
        loop {
            let turn = self.turn(&mut events).await?;
            if self.past.is_none() {
                backoff.reset();
            }
            if let Turn::Ends(reason) = turn {
                return Ok(reason);
            }
        }
    }

    /// Waits for the next thing and deals with it. Events go before answers: what an event says is never older.
    async fn turn(&mut self, events: &mut Events) -> Result<Turn, Closed> {
        let now = Instant::now();
        while let Some(id) = self.inspections.start(now) {
            let inner = Arc::clone(&self.watcher.inner);
            self.answers.push(Box::pin(inspect(inner, Arc::clone(&self.engine), id)));
        }
        let due = self.inspections.next();
        tokio::select! {
            biased;
            (id, pid) = self.watcher.pids.ended() => {
                self.inspections.request(&id, Instant::now(), DEBOUNCE);
                self.watcher.emit(Input::ProcessEnded { id, pid }).await?;
            }
            event = events.stream.next() => match event {
                Some(Ok(message)) => self.event(message).await?,
                Some(Err(reason)) => return Ok(Turn::Ends(reason)),
                None => return Ok(Turn::Ends("the engine closed the connection".to_owned())),
            },
            alive = &mut self.ping => match alive {
                Ok(()) => self.ping = ping(Arc::clone(&self.engine)),
                Err(error) if self.lacks(&error, "GET /_ping", "an engine that hangs is noticed late") => {
                    self.ping = Box::pin(std::future::pending());
                }
                Err(error) => return Ok(Turn::Ends(error.to_string())),
            },
            Some((id, answer)) = self.answers.next(), if !self.answers.is_empty() => self.answer(id, answer).await?,
            (began, listed, history) = async { self.list.as_mut().expect("guarded").await }, if self.list.is_some() => {
                self.list = None;
                match listed {
                    Ok(listed) => self.listed(began, listed, &history).await?,
                    Err(error) => return Ok(Turn::Ends(refused("GET /containers/json", &error))),
                }
            }
            () = sleep_until(self.next_list), if self.list.is_none() => {
                let history = self.past.is_some().then_some(self.began);
                self.list = Some(Box::pin(list(Arc::clone(&self.engine), self.known.list_begins(), history)));
            }
            () = sleep_until(due.unwrap_or(now)), if due.is_some() => {}
            declared = self.watcher.files.changed() => self.watcher.emit(Input::Declared(declared)).await?,
        }
        Ok(Turn::Goes)
    }

    async fn event(&mut self, message: Message) -> Result<(), Closed> {
        if !self.is_wanted(message.attributes.get(label::PROJECT)) {
            return Ok(());
        }
        if message.nanos < self.began.earliest {
            return Ok(());
        }
        if let Some(past) = &mut self.past {
            past.take(&message);
            past.fresh.insert(message.id);
            return Ok(());
        }
        if message.nanos < self.began.likely {
            let mut past = Past::default();
            past.take(&message);
            past.fresh.insert(message.id);
            return self.settle(past).await;
        }
        let id = message.id.clone();
        let removed = message.kind == Some(EventKind::Removed);
        let introduced = if removed || self.known.contains(&id) { None } else { Some(introduce(&message)) };
        match &introduced {
            Some(seen) => self.known.add(seen.clone()),
            None => self.known.event(&id, message.kind.as_ref()),
        }
        if removed {
            self.inspections.forget(&id);
            self.watcher.pids.forget(&id);
        } else {
            self.inspections.request(&id, Instant::now(), DEBOUNCE);
        }
        if message.kind == Some(EventKind::Created) {
            self.next_list = self.next_list.min(Instant::now() + LIST_AFTER_CREATE);
        }
        let at = message.at();
        self.watcher.reported_until = self.watcher.reported_until.max(message.nanos);
        let Some(kind) = message.kind else { return Ok(()) };
        let event = Event { id, at, kind, seen: introduced.map(Box::new) };
        self.watcher.emit(Input::Happened(Box::new(event))).await
    }

    async fn listed(
        &mut self,
        began: u64,
        containers: Vec<ContainerSummary>,
        history: &[Message],
    ) -> Result<(), Closed> {
        self.next_list = Instant::now() + LIST_EVERY;
        let projects = &self.watcher.inner.options.projects;
        let project =
            |one: &ContainerSummary| one.labels.as_ref().and_then(|all| all.get(label::PROJECT)).cloned();
        let wanted: Vec<_> =
            containers.into_iter().filter(|one| is_wanted(projects, project(one).as_ref())).collect();
        self.watcher.files.consider(wanted.iter());
        let Listing { all, inspect } =
            self.known.list(began, wanted.iter().filter_map(seen::from_summary).collect());
        let now = Instant::now();
        for id in &inspect {
            self.inspections.request(id, now, Duration::ZERO);
        }
        let known = &self.known;
        self.watcher.pids.retain(|id| known.contains(id));
        self.watcher.inner.log_files.listed(|id| known.contains(id));
        self.watcher.emit(Input::Listed(all)).await?;
        match self.past.take() {
            Some(since) => {
                let mut past = Past::default();
                for message in history {
                    past.take(message);
                }
                past.stopped.extend(since.stopped);
                past.fresh = since.fresh;
                self.settle(past).await
            }
            None => Ok(()),
        }
    }

    /// After the first list: tells which of the dead were stopped on purpose, and looks at what happened meanwhile.
    async fn settle(&mut self, past: Past) -> Result<(), Closed> {
        let now = Instant::now();
        for id in &past.fresh {
            self.inspections.request(id, now, Duration::ZERO);
        }
        let until = self.watcher.reported_until;
        for (id, stopped) in past.stopped {
            let Some((nanos, at)) = stopped.filter(|(nanos, _)| *nanos > until) else { continue };
            if matches!(self.known.state(&id), Some(State::Exited | State::Dead)) {
                self.watcher.reported_until = self.watcher.reported_until.max(nanos);
                let event = Event { id, at, kind: EventKind::Stopped, seen: None };
                self.watcher.emit(Input::Happened(Box::new(event))).await?;
            }
        }
        Ok(())
    }

    async fn answer(&mut self, id: ReplicaId, answer: Result<Option<Seen>, ApiError>) -> Result<(), Closed> {
        if !self.inspections.finish(&id) {
            return Ok(());
        }
        match answer {
            Ok(Some(seen)) => {
                match seen.details.as_ref().and_then(|details| details.pid) {
                    Some(pid) if seen.state.is_up() => self.watcher.pids.watch(&id, pid),
                    _ => self.watcher.pids.forget(&id),
                }
                self.known.inspected(&seen);
                self.watcher.emit(Input::Seen(Box::new(seen))).await
            }
            Err(error) if error.is_gone() => {
                self.known.gone(&id);
                self.watcher.pids.forget(&id);
                self.watcher.emit(Input::Gone(id)).await
            }
            Ok(None) => Ok(()),
            Err(error) => {
                let lost = "exit codes, health checks and restarts are known in part, and no log is read";
                if !self.lacks(&error, "GET /containers/{id}/json", lost) {
                    tracing::debug!(container.id = %id, %error, "inspection failed");
                }
                self.inspections.request(&id, Instant::now(), RETRY);
                Ok(())
            }
        }
    }

    fn lacks(&self, error: &ApiError, route: &'static str, lost: &str) -> bool {
        self.watcher.inner.lacks(error, route, lost)
    }

    fn is_wanted(&self, project: Option<&String>) -> bool {
        is_wanted(&self.watcher.inner.options.projects, project)
    }
}

impl Past {
    fn take(&mut self, message: &Message) {
        match message.kind {
            Some(EventKind::Stopped) => {
                self.stopped.insert(message.id.clone(), Some((message.nanos, message.at())));
            }
            Some(EventKind::Started { .. }) => {
                self.stopped.insert(message.id.clone(), None);
            }
            _ => {}
        }
    }
}

fn is_wanted(projects: &[String], project: Option<&String>) -> bool {
    projects.is_empty() || project.is_some_and(|project| projects.contains(project))
}

/// Makes a first picture of a container from an event about it.
pub(super) fn introduce(message: &Message) -> Seen {
    let (state, created_at) = match message.kind {
        Some(EventKind::Created) => (State::Created, Some(message.at())),
        Some(EventKind::Died { .. } | EventKind::Stopped) => (State::Exited, None),
        Some(EventKind::Paused) => (State::Paused, None),
        _ => (State::Running, None),
    };
    seen::from_event(&message.id, &message.attributes, state, created_at)
}

/// Names the right that is missing, where one is.
pub(super) fn refused(route: &str, error: &ApiError) -> String {
    match error {
        ApiError::Status { status: 401 | 403, message } => {
            format!("not allowed to watch the engine: the right to `{route}` is missing ({message})")
        }
        other => other.to_string(),
    }
}

fn ping(engine: Arc<Engine>) -> BoxFuture<'static, Result<(), ApiError>> {
    Box::pin(async move {
        tokio::time::sleep(PING_EVERY).await;
        engine.ping().await
    })
}

/// Lists all containers; the first time, history is asked for beside it.
async fn list(engine: Arc<Engine>, began: u64, history: Option<Began>) -> Listed {
    let options = ListContainersOptionsBuilder::new().all(true).build();
    let listing = within(ANSWER_TIMEOUT, engine.docker.list_containers(Some(options)));
    let asking = async {
        match history {
            Some(subscribed) => event::history(Arc::clone(&engine), subscribed).await,
            None => Vec::new(),
        }
    };
    let (listed, history) = tokio::join!(listing, asking);
    (began, listed, history)
}

async fn inspect(inner: Arc<Inner>, engine: Arc<Engine>, id: ReplicaId) -> Inspected {
    let asking = engine.docker.inspect_container(id.as_str(), None::<InspectContainerOptions>);
    let answer = within(ANSWER_TIMEOUT, asking).await.map(|inspected| {
        let seen = seen::from_inspect(&inspected);
        if seen.as_ref().is_some_and(|seen| seen.state.is_up()) {
            inner.log_files.remember(&id, inspected.log_path.as_deref());
        }
        seen
    });
    (id, answer)
}
