//! The owner of a local stack: starts the tasks of its replicas, and carries out what is asked of services.
//!
//! It runs within the stream that [`super::LocalRuntime::watch`] returns. When that is dropped, its tasks are aborted, the sockets
//! to the guards close, and every process ends.

mod change;

use std::collections::BTreeMap;
use std::fs::File;
use std::panic;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinSet};

use super::file::{Spec, StackFile};
use super::replica::{Command, Replica, Reply};
use super::shared::{Context, Events, Shared};
use super::sweep;
use super::{LocalOptions, VERSION};
use crate::clock;
use crate::input::{Declared, Input};
use crate::model::{ReplicaId, ServiceKey};
use crate::reducer::Memory;
use crate::runtime::ActionError;

/// Inputs that may wait for the model. When it stands still for longer, replicas' tasks wait for it.
const EVENTS: usize = 1024;
/// Commands that may wait for one replica.
const COMMANDS: usize = 16;
/// How often a state folder that another supervisor holds is tried again.
const LOCK_RETRY: Duration = Duration::from_secs(2);

/// What can be asked of the supervisor.
#[derive(Debug)]
pub(super) enum Ask {
    /// Passed on to one replica.
    Replica {
        id: ReplicaId,
        command: Command,
    },
    Scale {
        key: ServiceKey,
        replicas: u32,
        reply: Reply,
    },
    Reload {
        file: Box<StackFile>,
        reply: Reply,
    },
    Shutdown {
        done: oneshot::Sender<()>,
    },
}

/// The replicas of one service by number.
#[derive(Debug)]
struct Service {
    spec: Arc<Spec>,
    replicas: BTreeMap<u32, Handle>,
}

/// The way to one replica's task.
#[derive(Debug, Clone)]
struct Handle {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
}

pub(super) struct Supervisor {
    stack: StackFile,
    services: BTreeMap<Arc<str>, Service>,
    context: Arc<Context>,
    events: Events,
    asks: mpsc::Receiver<Ask>,
    /// What people wished before this run.
    wishes: Memory,
    replicas: JoinSet<()>,
    /// Answers that wait for replicas.
    jobs: JoinSet<()>,
}

impl Supervisor {
    /// Returns the supervisor and what it will tell.
    pub(super) fn new(
        stack: StackFile,
        context: Arc<Context>,
        asks: mpsc::Receiver<Ask>,
        wishes: Memory,
    ) -> (Self, mpsc::Receiver<Input>) {
        let (events, told) = mpsc::channel(EVENTS);
        let (replicas, jobs) = (JoinSet::new(), JoinSet::new());
        (Self { stack, services: BTreeMap::new(), context, events, asks, wishes, replicas, jobs }, told)
    }

    /// Runs the stack until it is shut down.
    pub(super) async fn run(mut self, options: LocalOptions) {
        let Some(_lock) = self.hold(&options.state_dir).await else { return };
        self.sweep().await;
        self.begin().await;
        loop {
            tokio::select! {
                ask = self.asks.recv() => match ask {
                    Some(Ask::Replica { id, command }) => self.pass_on(&id, command),
                    Some(Ask::Scale { key, replicas, reply }) => self.scale(&key, replicas, reply).await,
                    Some(Ask::Reload { file, reply }) => self.reload(*file, reply).await,
                    Some(Ask::Shutdown { done }) => {
                        self.shut_down().await;
                        // Whoever asked may have stopped waiting.
                        let _gave_up = done.send(());
                        return;
                    }
                    None => return self.shut_down().await,
                },
                Some(ended) = self.replicas.join_next() => propagate(ended),
                Some(ended) = self.jobs.join_next() => propagate(ended),
            }
        }
    }

    /// Locks the state folder, so that two supervisors never run one stack. None when nobody needs the stack any more.
    async fn hold(&mut self, folder: &Path) -> Option<File> {
        let mut told = false;
        loop {
            let reason = match lock(folder) {
                Ok(lock) => return Some(lock),
                Err(error) => error,
            };
            if !std::mem::replace(&mut told, true) {
                self.send(Input::Down { reason }).await;
            }
            let retry = tokio::time::sleep(LOCK_RETRY);
            tokio::pin!(retry);
            loop {
                tokio::select! {
                    () = &mut retry => break,
                    // Dropped: whoever asked is told that the stack does not run.
                    ask = self.asks.recv() => if matches!(ask, None | Some(Ask::Shutdown { .. })) { return None },
                }
            }
        }
    }

    /// Ends what an earlier supervisor of this state folder left behind, if it was killed together with a guard.
    async fn sweep(&self) {
        let mark = self.context.mark.clone();
        match tokio::task::spawn_blocking(move || sweep::sweep(&mark)).await {
            Ok(0) => {}
            Ok(swept) => tracing::info!(swept, "ended processes that an earlier supervisor left behind"),
            Err(error) => propagate(Err(error)),
        }
    }

    async fn begin(&mut self) {
        let version = VERSION.to_owned();
        self.send(Input::Up { kind: "local".into(), version, api_version: String::new() }).await;
        self.send(Input::Declared(self.declared())).await;
        let services: Vec<(Arc<str>, Arc<Spec>)> =
            self.stack.services.iter().map(|(name, spec)| (name.clone(), spec.clone())).collect();
        // All are known before the first one starts: each looks for those it depends on.
        let mut tasks = Vec::new();
        for (name, spec) in services {
            let key = ServiceKey::new(self.stack.name.clone(), name.clone());
            let numbers = 1..=self.wishes.scaled(&key, &spec.hash).unwrap_or(spec.replicas);
            self.services.insert(name.clone(), Service { spec: spec.clone(), replicas: BTreeMap::new() });
            let created = numbers.filter_map(|number| self.create(&name, number)).collect::<Vec<_>>();
            let wishes = &self.wishes;
            tasks.extend(created.into_iter().map(|task| match wishes.is_stopped(&task.shared.id) {
                true => task.kept_down(),
                false => task,
            }));
        }
        let names: Vec<String> =
            self.context.registry.all().iter().map(|replica| replica.name.clone()).collect();
        self.context.logs.keep_only(&names);
        self.send(Input::Listed(self.listed())).await;
        for task in tasks {
            self.replicas.spawn(task.live());
        }
    }

    /// Makes a replica known and returns its task.
    fn create(&mut self, service: &Arc<str>, number: u32) -> Option<Replica> {
        let entry = self.services.get_mut(service)?;
        let name = &self.stack.name;
        let shared = Shared::new(name, service, number, entry.spec.clone(), &self.context.logs, clock::now());
        let shared = Arc::new(shared);
        self.context.registry.insert(shared.clone());
        let (commands, receiver) = mpsc::channel(COMMANDS);
        entry.replicas.insert(number, Handle { shared: shared.clone(), commands });
        Some(Replica::new(shared, self.context.clone(), self.events.clone(), receiver))
    }

    fn pass_on(&self, id: &ReplicaId, command: Command) {
        let mut handles = self.services.values().flat_map(|service| service.replicas.values());
        match handles.find(|handle| handle.shared.id == *id) {
            Some(handle) => handle.tell(command),
            None => command.refuse(&ActionError::Gone(id.short().to_owned())),
        }
    }

    /// Stops everything, what others depend on last.
    async fn shut_down(&mut self) {
        for level in self.stack.levels().into_iter().rev() {
            let handles: Vec<Handle> = level
                .iter()
                .filter_map(|name| self.services.get(name))
                .flat_map(|service| service.replicas.values().cloned())
                .collect();
            let stopped =
                handles.iter().map(|handle| handle.ask(|reply| Command::Stop { grace: None, reply }));
            for outcome in futures_util::future::join_all(stopped).await {
                if let Err(error) = outcome {
                    tracing::warn!(error = %error, "a replica was not stopped");
                }
            }
        }
        self.context.logs.sync().await;
    }

    fn declared(&self) -> Vec<Declared> {
        let key = |name: &Arc<str>| ServiceKey::new(self.stack.name.clone(), name.clone());
        let services = self.stack.services.iter();
        services
            .map(|(name, spec)| Declared {
                key: key(name),
                named: true,
                replicas: Some(spec.replicas),
                depends_on: spec.depends_on.clone(),
            })
            .collect()
    }

    fn listed(&self) -> Vec<crate::model::Seen> {
        self.context.registry.all().iter().map(|replica| replica.seen()).collect()
    }

    async fn send(&self, input: Input) {
        // Nobody watches any more: this task is about to be dropped.
        let _unwatched = self.events.send(input).await;
    }
}

impl Handle {
    /// Passes a command on; refuses it where the replica has too much to do.
    fn tell(&self, command: Command) {
        if let Err(error) = self.commands.try_send(command) {
            let action = format!("reach {}", self.shared.name);
            let (command, reason) = match error {
                mpsc::error::TrySendError::Full(command) => (command, "it is busy; try again".to_owned()),
                mpsc::error::TrySendError::Closed(command) => (command, "it has been removed".to_owned()),
            };
            command.refuse(&ActionError::Refused { action, reason });
        }
    }

    /// Passes a command on and waits for the outcome.
    async fn ask(&self, command: impl FnOnce(Reply) -> Command) -> Result<(), ActionError> {
        let (reply, outcome) = oneshot::channel();
        self.tell(command(reply));
        outcome.await.unwrap_or_else(|_| Err(ActionError::Gone(self.shared.name.clone())))
    }
}

impl Command {
    fn refuse(self, error: &ActionError) {
        let (Command::Start(reply)
        | Command::Stop { reply, .. }
        | Command::Restart { reply, .. }
        | Command::Replace { reply, .. }
        | Command::Remove { reply }) = self;
        // Whoever asked may have stopped waiting.
        let _gave_up = reply.send(Err(error.clone()));
    }
}

/// Takes the lock of a state folder; the kernel lets go of it when this process ends, however that happens.
fn lock(folder: &Path) -> Result<File, String> {
    let path = folder.join("lock");
    let opened = std::fs::create_dir_all(folder)
        .and_then(|()| File::options().create(true).truncate(false).write(true).open(&path));
    let file = opened.map_err(|error| format!("`{}` cannot be written: {error}", path.display()))?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)
        .map(|()| file)
        .map_err(|_| format!("another process runs this stack: it holds `{}`", path.display()))
}

/// A panic of a task is this task's own.
pub(super) fn propagate(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && let Ok(reason) = error.try_into_panic()
    {
        panic::resume_unwind(reason);
    }
}
