//! The local runtime: services of a stack file as supervised processes, with the events, logs, measurements and
//! actions of containers. No engine is needed.
//!
//! ```yaml
//! name: demo
//! x-zv:
//!   local:
//!     web:
//!       command: ["${ZV_EXE}", service, web]   # variables of LocalOptions::vars; PORT is set in its environment
//!       replicas: 2
//!       depends_on: [db]
//!       health: { http: /health, interval: 2s, timeout: 1s, retries: 3, start_period: 5s }
//!       restart: always
//!       stop_grace: 10s
//! ```

mod backoff;
mod file;
pub mod guard;
mod health;
mod logs;
mod ports;
mod process;
mod replica;
mod shared;
mod supervisor;
mod sweep;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use self::file::StackFile;
use self::logs::LogStore;
use self::ports::Ports;
use self::replica::{Command, Reply};
use self::shared::{Context, Registry};
use self::supervisor::{Ask, Supervisor};
use crate::clock;
use crate::death::{Evidence, LOG_LINES, LastLines};
use crate::input::Input;
use crate::logs::LogLine;
use crate::model::{ReplicaId, ServiceKey};
use crate::reducer::Memory;
use crate::runtime::{ActionError, LogError, LogRange};
use crate::stats::{Measurement, Meters, Running};

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Asks that may wait for the supervisor.
const ASKS: usize = 64;
/// The time for all of an action but the grace.
const MARGIN: Duration = Duration::from_secs(30);
/// How long evidence waits for the last output of a process that has just died.
const LAST_OUTPUT: Duration = Duration::from_millis(500);

/// What to run, and where its files go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalOptions {
    /// The stack file with `x-zv.local`.
    pub file: PathBuf,
    /// Logs are kept here. One supervisor holds it at a time.
    pub state_dir: PathBuf,
    /// The command line that runs [`guard::main`], before its own arguments: the path is never guessed. A relative
    /// path is taken from the folder this process works in.
    pub guard: Vec<OsString>,
    /// What `${NAME}` stands for in the stack file.
    pub vars: BTreeMap<String, String>,
}

/// Processes of one stack file. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LocalRuntime {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: LocalOptions,
    context: Arc<Context>,
    asks: mpsc::Sender<Ask>,
    // Taken once, by the first watcher.
    first: Mutex<Option<(StackFile, mpsc::Receiver<Ask>)>>,
    /// The stack file in force. Locked for the time of a copy.
    file: Mutex<PathBuf>,
    /// What people wished before this run. Locked for the time of a copy.
    wishes: Mutex<Memory>,
}

impl LocalRuntime {
    /// Reads the stack file and opens the state folder; nothing is started yet.
    pub fn new(options: LocalOptions) -> Result<Self, ActionError> {
        let stack = read(&options.file, &options.vars)?;
        let failed = |reason: String| ActionError::Refused { action: "open the state folder".into(), reason };
        let folder = options.state_dir.join("logs");
        let logs = LogStore::open(folder)
            .map_err(|error| failed(format!("`{}`: {error}", options.state_dir.display())))?;
        let path = options.state_dir.canonicalize().map_err(|error| failed(error.to_string()))?;
        let context = Context {
            guard: absolute(&options.guard),
            logs: Arc::new(logs),
            registry: Registry::default(),
            ports: Ports::default(),
            mark: format!("@{:016x}", file::fnv(path.as_os_str().as_encoded_bytes())),
            changed: watch::Sender::new(()),
        };
        let (asks, receiver) = mpsc::channel(ASKS);
        let (first, file) = (Mutex::new(Some((stack, receiver))), Mutex::new(options.file.clone()));
        let (context, wishes) = (Arc::new(context), Mutex::default());
        Ok(Self { inner: Arc::new(Inner { options, context, asks, first, file, wishes }) })
    }

    /// Takes note of what people wished before: what they stopped is not started, what they scaled is as many again.
    pub(crate) fn remember(&self, memory: &Memory) {
        self.inner.wishes.lock().unwrap_or_else(PoisonError::into_inner).clone_from(memory);
    }

    /// Runs the stack for as long as the stream lives; the stream ends after [`Self::shutdown`]. Call it once.
    pub(crate) fn watch(&self) -> BoxStream<'static, Input> {
        let first = self.inner.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((stack, asks)) = first else {
            let reason = "this stack is watched already".to_owned();
            return stream::iter([Input::Down { reason }]).boxed();
        };
        let wishes = std::mem::take(&mut *self.inner.wishes.lock().unwrap_or_else(PoisonError::into_inner));
        let (supervisor, told) = Supervisor::new(stack, self.inner.context.clone(), asks, wishes);
        let run = supervisor.run(self.inner.options.clone());
        // Its own task, owned by the stream: processes are attended to even while the model is busy.
        let first = (JoinSet::new(), Some(run), told);
        stream::unfold(first, |(mut task, mut run, mut told)| async move {
            if let Some(run) = run.take() {
                task.spawn(run);
            }
            if let Some(input) = told.recv().await {
                return Some((input, (task, run, told)));
            }
            if let Some(ended) = task.join_next().await {
                supervisor::propagate(ended);
            }
            None
        })
        .boxed()
    }

    /// Reads the stack file again and applies what changed: unchanged services go on, changed ones restart, missing
    /// ones end. A file with a mistake changes nothing.
    pub async fn reload(&self) -> Result<(), ActionError> {
        let file = self.inner.file.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.reload_from(&file).await
    }

    /// The same with another file from now on.
    pub async fn reload_from(&self, path: &Path) -> Result<(), ActionError> {
        let file = Box::new(read(path, &self.inner.options.vars)?);
        let known = self.inner.context.registry.all();
        if let Some(replica) = known.first().filter(|replica| replica.key.stack != file.name) {
            let reason = format!(
                "its name changed from `{}` to `{}`; that needs a restart",
                replica.key.stack, file.name
            );
            return Err(ActionError::Refused { action: "reload the stack file".into(), reason });
        }
        path.clone_into(&mut self.inner.file.lock().unwrap_or_else(PoisonError::into_inner));
        let within = self.longest_grace() + MARGIN;
        self.ask(within, |reply| Ask::Reload { file, reply }).await
    }

    /// Counts log lines that reached no file because the disk was slow or full.
    pub fn dropped_log_lines(&self) -> u64 {
        self.inner.context.logs.dropped()
    }

    pub(crate) fn logs(
        &self,
        id: &ReplicaId,
        range: LogRange,
    ) -> BoxStream<'static, Result<LogLine, LogError>> {
        match self.inner.context.registry.get(id) {
            Some(replica) => logs::follow(replica.tap.clone(), range),
            None => stream::iter([Err(LogError::Gone(id.clone()))]).boxed(),
        }
    }

    pub(crate) async fn measure(&self, id: &ReplicaId) -> Option<Measurement> {
        let pid = self.inner.context.registry.get(id)?.facts().pid?;
        let running = [Running { id: id.clone(), pid: Some(pid) }];
        // A pass over the process table takes milliseconds on a busy host.
        let measuring = tokio::task::spawn_blocking(move || Meters::of_trees().round(&running, clock::now()));
        measuring.await.ok()?.measured.pop().map(|(_, measurement)| measurement)
    }

    pub(crate) async fn evidence(&self, id: &ReplicaId) -> Evidence {
        let Some(replica) = self.inner.context.registry.get_or_remember(id) else {
            return Evidence::default();
        };
        let facts = replica.facts();
        let health = if facts.pid.is_some() { facts.health_at_death } else { facts.health };
        // If more output comes later, the record has what there is now.
        let _timed_out = tokio::time::timeout(LAST_OUTPUT, replica.tap.ended()).await;
        let range = LogRange { since: None, tail: Some(LOG_LINES), follow: false };
        let mut lines = logs::follow(replica.tap.clone(), range);
        let mut last = LastLines::default();
        while let Some(Ok(line)) = lines.next().await {
            last.push(line);
        }
        Evidence { inspect: Some(replica.inspect()), exit: facts.exit, health, logs: last.into() }
    }

    pub(crate) async fn start(&self, id: &ReplicaId) -> Result<(), ActionError> {
        self.tell(id, Duration::ZERO, Command::Start).await
    }

    pub(crate) async fn stop(&self, id: &ReplicaId, grace: Option<Duration>) -> Result<(), ActionError> {
        self.tell(id, self.grace(id, grace), |reply| Command::Stop { grace, reply }).await
    }

    pub(crate) async fn restart(&self, id: &ReplicaId, grace: Option<Duration>) -> Result<(), ActionError> {
        self.tell(id, self.grace(id, grace), |reply| Command::Restart { grace, reply }).await
    }

    pub(crate) async fn scale(&self, key: &ServiceKey, replicas: u32) -> Result<(), ActionError> {
        let key = key.clone();
        self.ask(self.longest_grace() + MARGIN, |reply| Ask::Scale { key, replicas, reply }).await
    }

    /// Stops every replica, what others depend on last, each within its grace. The stack does not start again.
    pub(crate) async fn shutdown(&self) {
        let (done, ended) = oneshot::channel();
        let levels = u32::try_from(self.inner.context.registry.all().len()).unwrap_or(u32::MAX).clamp(1, 10);
        let within = (self.longest_grace() + MARGIN) * levels;
        let stopped = async {
            if self.is_watched() && self.inner.asks.send(Ask::Shutdown { done }).await.is_ok() {
                // An error means that the stream was dropped, which ends everything as well.
                let _dropped = ended.await;
            }
        };
        if tokio::time::timeout(within, stopped).await.is_err() {
            tracing::warn!("the local stack was not stopped within {within:?}");
        }
    }

    fn is_watched(&self) -> bool {
        self.inner.first.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    fn grace(&self, id: &ReplicaId, grace: Option<Duration>) -> Duration {
        let own = || self.inner.context.registry.get(id).map(|replica| replica.facts().spec.stop_grace);
        grace.or_else(own).unwrap_or_default()
    }

    fn longest_grace(&self) -> Duration {
        let replicas = self.inner.context.registry.all();
        replicas.iter().map(|replica| replica.facts().spec.stop_grace).max().unwrap_or_default()
    }

    async fn tell(
        &self,
        id: &ReplicaId,
        grace: Duration,
        command: impl FnOnce(Reply) -> Command,
    ) -> Result<(), ActionError> {
        let id = id.clone();
        self.ask(grace + MARGIN, |reply| Ask::Replica { id, command: command(reply) }).await
    }

    /// Asks the supervisor and waits for its answer.
    async fn ask(&self, within: Duration, ask: impl FnOnce(Reply) -> Ask) -> Result<(), ActionError> {
        let not_running =
            || Err(ActionError::Unavailable("the local stack is not running; start it first".into()));
        if !self.is_watched() {
            return not_running();
        }
        let (reply, outcome) = oneshot::channel();
        let answered = async {
            match self.inner.asks.send(ask(reply)).await {
                Ok(()) => outcome.await.unwrap_or_else(|_| not_running()),
                Err(_) => not_running(),
            }
        };
        tokio::time::timeout(within, answered).await.unwrap_or(Err(ActionError::TimedOut(within)))
    }
}

/// Parses what may be a stack file, for the fuzz target: what is sound can be put in an order.
#[cfg(any(test, fuzzing))]
pub(crate) fn check_stack_file(text: &str) {
    let vars = BTreeMap::from([("SET".to_owned(), "2".to_owned()), ("EMPTY".to_owned(), String::new())]);
    match file::parse(Path::new("/stack.yaml"), text, &vars) {
        Ok(stack) => assert_eq!(stack.levels().iter().map(Vec::len).sum::<usize>(), stack.services.len()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn read(file: &Path, vars: &BTreeMap<String, String>) -> Result<StackFile, ActionError> {
    let refused = |error: file::FileError| ActionError::Refused {
        action: "read the stack file".into(),
        reason: error.to_string(),
    };
    file::read(file, vars).map_err(refused)
}

/// Replicas work in folders of their own, where a relative path would lead elsewhere.
fn absolute(guard: &[OsString]) -> Vec<OsString> {
    let mut guard = guard.to_vec();
    if let Some(program) = guard.first_mut().filter(|program| program.as_encoded_bytes().contains(&b'/'))
        && let Ok(path) = std::path::absolute(&*program)
    {
        *program = path.into();
    }
    guard
}
