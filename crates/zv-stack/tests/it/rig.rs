//! What the common suite needs of a runtime, and how it watches one.
//!
//! A runtime joins the suite by an implementation of [`Rig`]: it turns [`Plan`]s into a stack whose replicas run the
//! test subject. Everything else the suite does through [`zv_stack::Runtime`].

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::watch;
use tokio::task::JoinSet;
use zv_stack::input::Declared;
use zv_stack::{Event, EventKind, Input, ReplicaId, RestartPolicy, Runtime, Seen, ServiceKey};

/// Far more than anything takes, even on a machine with too much to do.
pub(crate) const DEADLINE: Duration = Duration::from_secs(90);

/// Runs stacks of the test subject.
pub(crate) trait Rig {
    /// Brings up one stack with these services. Called once, before the runtime is watched.
    async fn deploy(&mut self, plans: &[Plan]);

    /// Returns the runtime that sees (and for processes: runs) the stack. Valid after [`Rig::deploy`].
    fn runtime(&self) -> Runtime;

    /// Returns the stack's name.
    fn stack(&self) -> String;

    /// Returns the key of a service of the stack.
    fn key(&self, service: &str) -> ServiceKey {
        ServiceKey::new(self.stack(), service)
    }
}

/// One service.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) service: &'static str,
    pub(crate) replicas: u32,
    /// The subject's arguments.
    pub(crate) args: Vec<&'static str>,
    /// For `serve`: the runtime's way to ask the subject's port (a process) or the command `check` (a container).
    pub(crate) health: Option<HealthPlan>,
    pub(crate) restart: RestartPolicy,
    /// Between SIGTERM and SIGKILL; whole seconds, because Compose rounds.
    pub(crate) grace: Duration,
    pub(crate) labels: Vec<(&'static str, &'static str)>,
    pub(crate) depends_on: Vec<&'static str>,
}

/// How often a service is checked. There is no start period.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HealthPlan {
    pub(crate) interval_ms: u64,
    pub(crate) retries: u32,
}

impl Plan {
    /// Returns one replica of the subject that is never restarted.
    pub(crate) fn new(service: &'static str, args: &[&'static str]) -> Self {
        Self {
            service,
            replicas: 1,
            args: args.to_vec(),
            health: None,
            restart: RestartPolicy::No,
            grace: Duration::from_secs(10),
            labels: Vec::new(),
            depends_on: Vec::new(),
        }
    }
}

/// Returns the path of the test subject.
pub(crate) fn subject() -> PathBuf {
    env!("CARGO_BIN_EXE_zv-test-subject").into()
}

/// What a runtime has told so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Board {
    pub(crate) up: bool,
    pub(crate) down: Option<String>,
    pub(crate) seen: BTreeMap<ReplicaId, Seen>,
    pub(crate) events: Vec<Event>,
    pub(crate) declared: Vec<Declared>,
}

impl Board {
    fn apply(&mut self, input: Input) {
        match input {
            Input::Up { .. } => (self.up, self.down) = (true, None),
            Input::Down { reason } => (self.up, self.down) = (false, Some(reason)),
            Input::Listed(all) => {
                self.seen.retain(|id, _| all.iter().any(|seen| seen.id == *id));
                for seen in all {
                    self.take(seen);
                }
            }
            Input::Seen(seen) => self.take(*seen),
            Input::Gone(id) => {
                self.seen.remove(&id);
            }
            Input::Happened(event) => {
                if event.kind == EventKind::Removed {
                    self.seen.remove(&event.id);
                }
                self.events.push(*event);
            }
            Input::Declared(declared) => self.declared = declared,
            Input::Scaled { .. } | Input::ProcessEnded { .. } => {}
        }
    }

    /// A list knows less than an inspection: details that were known stay.
    fn take(&mut self, mut seen: Seen) {
        if seen.details.is_none() {
            seen.details = self.seen.get(&seen.id).and_then(|before| before.details.clone());
        }
        self.seen.insert(seen.id.clone(), seen);
    }

    /// Returns the replicas of a service in the order of their numbers.
    pub(crate) fn of(&self, service: &str) -> Vec<&Seen> {
        let mut replicas: Vec<&Seen> =
            self.seen.values().filter(|seen| &*seen.key.service == service).collect();
        replicas.sort_by_key(|seen| seen.number);
        replicas
    }

    /// Returns the replica of a service that has only one.
    pub(crate) fn one(&self, service: &str) -> Option<&Seen> {
        self.of(service).first().copied()
    }

    /// Returns what happened to one replica, oldest first.
    pub(crate) fn history(&self, id: &ReplicaId) -> Vec<&EventKind> {
        self.events.iter().filter(|event| event.id == *id).map(|event| &event.kind).collect()
    }
}

/// Watches a runtime in the background; dropping it ends the watch.
#[derive(Debug)]
pub(crate) struct Watch {
    board: watch::Receiver<Board>,
    _task: JoinSet<()>,
}

impl Watch {
    /// Starts to watch.
    pub(crate) fn start(runtime: &Runtime) -> Self {
        let mut inputs = runtime.watch();
        let (sender, board) = watch::channel(Board::default());
        let mut task = JoinSet::new();
        task.spawn(async move {
            while let Some(input) = inputs.next().await {
                sender.send_modify(|board| board.apply(input));
            }
        });
        Self { board, _task: task }
    }

    /// Waits until `found` finds what it looks for; panics with all that was told where it does not come.
    pub(crate) async fn until<T: Debug>(
        &mut self,
        what: &str,
        mut found: impl FnMut(&Board) -> Option<T>,
    ) -> T {
        let wait = async {
            loop {
                if let Some(value) = found(&self.board.borrow_and_update()) {
                    return value;
                }
                if self.board.changed().await.is_err() {
                    return std::future::pending().await;
                }
            }
        };
        match tokio::time::timeout(DEADLINE, wait).await {
            Ok(value) => value,
            Err(_) => panic!("{what}: never came; told so far: {:#?}", *self.board.borrow()),
        }
    }

    /// Waits until the only replica of a service is in this state; returns it.
    pub(crate) async fn until_state(&mut self, service: &str, state: zv_stack::State) -> Seen {
        let what = format!("{service} is {state:?}");
        self.until(&what, |board| {
            board.one(service).filter(|seen| seen.state == state && seen.details.is_some()).cloned()
        })
        .await
    }
}
