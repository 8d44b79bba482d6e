//! One agent as a process of its own, in a folder of its own, and what it takes to wait for it.
//!
//! Every process that comes of it, replicas and guards included, carries a mark in its environment, so that a test can
//! say that none was left behind.

use std::fmt::Debug;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use zv_api::client::{Client, ClientError, Endpoint, LogEntry};
use zv_api::{Action, ActionReport, ActionRequest, LogQuery, Replica, RuntimeState, Service, Snapshot};

/// Far beyond what anything here takes, even on a machine with too much to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
/// How long an answer may take that nothing is supposed to delay: below the patience of the agent with a stuck peer.
pub(crate) const PROMPT: Duration = Duration::from_secs(20);
/// How soon after the agent's own death its processes must be gone.
pub(crate) const ORPHANS: Duration = Duration::from_secs(5);
/// Runs until SIGTERM, then ends with 0.
pub(crate) const POLITE: &str = "trap 'exit 0' TERM; echo up; while :; do sleep 1 & wait $!; done";
/// Runs until SIGKILL.
pub(crate) const STUBBORN: &str = "trap '' TERM; echo up; while :; do sleep 1; done";

const MARK: &str = "WHOLE_TEST_MARK";

/// A folder with what an agent needs, before and between its runs.
pub(crate) struct Place {
    folder: TempDir,
    mark: String,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
}

/// An agent that runs. Dropping it kills it.
pub(crate) struct Agent {
    pub(crate) client: Client,
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
    pub(crate) process: Process,
}

/// A process with what it said so far.
pub(crate) struct Process {
    child: Child,
    said: watch::Receiver<Vec<String>>,
    _reader: JoinSet<()>,
}

impl Place {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let place = Self {
            folder: tempfile::Builder::new().prefix("zvw").tempdir_in("/tmp").unwrap(),
            mark: format!("{MARK}={}-{number}", std::process::id()),
            arguments: Vec::new(),
            variables: Vec::new(),
        };
        place.configure("");
        place
    }

    /// A place with a local stack `shop`; `local` is what stands under `x-zv.local`.
    pub(crate) fn of_stack(local: &str) -> Self {
        let place = Self::new().with(&["--runtime", "local", "--file"]);
        let file = place.path("stack.yaml").display().to_string();
        place.deploy(local);
        place.with(&[&file])
    }

    /// Adds arguments.
    pub(crate) fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(ToString::to_string));
        self
    }

    /// Sets an environment variable.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.path("store")
    }

    /// Writes the stack file.
    pub(crate) fn deploy(&self, local: &str) {
        std::fs::write(self.path("stack.yaml"), format!("name: shop\nx-zv:\n  local:\n{local}")).unwrap();
    }

    /// Writes the configuration: no socket that other agents of this host might use, and `rest`.
    pub(crate) fn configure(&self, rest: &str) {
        self.configure_as(&format!("api: {{ unix: off }}\n{rest}"));
    }

    /// Writes the configuration as it is.
    pub(crate) fn configure_as(&self, text: &str) {
        std::fs::write(self.path("zv.yaml"), text).unwrap();
    }

    /// Replaces the content of the token file.
    pub(crate) fn set_token(&self, token: &str) {
        let file = self.store().join("token");
        std::fs::write(&file, token).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    }

    /// Starts the agent and waits until it listens.
    pub(crate) async fn start(&self) -> Agent {
        let mut process = self.spawn();
        let address: SocketAddr = process
            .said("the address it listens on", |line| {
                line.split_once("listening address=")?.1.split(' ').next()?.parse().ok()
            })
            .await;
        let token = std::fs::read_to_string(self.store().join("token")).unwrap_or_default().trim().to_owned();
        let client = client(&format!("http://{address}"), Some(&token));
        Agent { client, address, token, process }
    }

    /// Starts the agent, whatever comes of it.
    pub(crate) fn spawn(&self) -> Process {
        let config = self.path("zv.yaml").display().to_string();
        let store = self.store().display().to_string();
        let mut command = Command::new(env!("CARGO_BIN_EXE_zv-agent"));
        command.args(["--config", &config, "--store", &store, "--listen", "127.0.0.1:0"]);
        self.launch(command.args(&self.arguments))
    }

    /// Starts a command in this place, with nothing in its environment but what this place gives it.
    pub(crate) fn launch(&self, command: &mut Command) -> Process {
        let (name, value) = self.mark.split_once('=').unwrap();
        command
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.folder.path())
            .env(name, value)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.path());
        Process::spawn(command)
    }

    /// Returns the processes that came of this place and still run.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let carries = |pid: &u32| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == self.mark.as_bytes())
        };
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(carries).collect()
    }

    /// Waits until no process of this place runs any more.
    pub(crate) async fn is_empty_within(&self, limit: Duration) {
        let empty = async {
            while !self.processes().is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let outcome = timeout(limit, empty).await;
        assert!(outcome.is_ok(), "left behind after {limit:?}: {:?}", self.processes());
    }
}

impl Agent {
    pub(crate) fn client_with(&self, token: &str) -> Client {
        client(&format!("http://{}", self.address), Some(token))
    }

    /// Waits until a snapshot has what `found` looks for.
    pub(crate) async fn until<T>(&self, what: &str, mut found: impl FnMut(&Snapshot) -> Option<T>) -> T {
        let mut last = None;
        let wait = async {
            let mut events = self.client.events(None).await.unwrap();
            while let Some(event) = events.next().await {
                event.unwrap();
                let snapshot = self.client.snapshot().await.unwrap();
                if let Some(value) = found(&snapshot) {
                    return Some(value);
                }
                last = Some(snapshot);
            }
            None
        };
        match timeout(PATIENCE, wait).await {
            Ok(Some(value)) => value,
            Ok(None) => panic!("{what}: the stream ended; the agent said: {:#?}", self.process.text()),
            Err(_) => panic!(
                "{what}: never came; last: {:#?}; the agent said: {:#?}",
                last.as_ref().map(brief),
                self.process.text()
            ),
        }
    }

    /// Waits until a service has this status and returns it.
    pub(crate) async fn until_status(&self, name: &str, status: &str) -> Service {
        self.until(&format!("{name} is {status}"), |snapshot| {
            service(snapshot, name).filter(|service| service.status == status).cloned()
        })
        .await
    }

    /// Waits until so many replicas of a service run and returns them by number.
    pub(crate) async fn until_running(&self, name: &str, count: usize) -> Vec<Replica> {
        self.until(&format!("{count} of {name} run"), |snapshot| {
            let service = service(snapshot, name)?;
            let mut replicas = service.replicas.clone();
            replicas.sort_by_key(|replica| replica.number);
            let up = replicas.iter().filter(|replica| replica.pid.is_some()).count();
            (up == count && replicas.len() == count).then_some(replicas)
        })
        .await
    }

    /// Waits until so many shells have said that they are up, and so have set their traps: one that has a process only may
    /// still die of a signal it means to ignore. Returns the lines that follow.
    pub(crate) async fn until_up(&self, count: usize) -> BoxStream<'static, Result<LogEntry, ClientError>> {
        let query = LogQuery { follow: true, ..LogQuery::default() };
        let mut lines = self.client.logs(&query, None).await.unwrap();
        for _ in 0..count {
            let line = timeout(PATIENCE, lines.next()).await.expect("a shell says that it is up");
            assert_eq!(line.unwrap().unwrap().line.text, "up");
        }
        lines
    }

    /// Asks for an action on a service and expects that it is carried out on every replica.
    pub(crate) async fn act(&self, action: Action, service: &str) -> ActionReport {
        let report = self.client.act(&request(action, service), PATIENCE).await.unwrap();
        assert!(report.results.iter().all(|result| result.error.is_none()), "{report:?}");
        report
    }

    /// Waits for so many death records of a service; returns the newest first.
    pub(crate) async fn until_deaths(&self, name: &str, count: usize) -> Vec<zv_api::DeathSummary> {
        eventually(&format!("{count} deaths of {name}"), async || {
            let deaths = self.client.deaths(None, Some(name), 100).await.unwrap().deaths;
            (deaths.len() >= count).then_some(deaths)
        })
        .await
    }

    /// Asks what nothing may delay, and expects prompt answers.
    pub(crate) async fn answers_promptly(&self) -> Snapshot {
        let asked = async {
            self.client.healthy().await.unwrap();
            self.client.ready().await.unwrap();
            self.client.happenings(10).await.unwrap();
            self.client.snapshot().await.unwrap()
        };
        timeout(PROMPT, asked).await.expect("the agent answers promptly")
    }

    /// Sends SIGTERM and waits for the end.
    pub(crate) async fn end(mut self) -> (ExitStatus, Vec<String>) {
        self.process.signal(Signal::TERM);
        let status = self.process.ended().await;
        (status, self.process.text())
    }
}

impl Process {
    fn spawn(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (sender, said) = watch::channel(Vec::new());
        let mut reader = JoinSet::new();
        reader.spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                sender.send_modify(|lines| lines.push(line));
            }
        });
        Self { child, said, _reader: reader }
    }

    /// Returns its number; it has not been waited for.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal);
    }

    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let status = timeout(PATIENCE, self.child.wait()).await.expect("the process ends").unwrap();
        // What it said last is still in the pipe.
        let said_all = async { while self.said.changed().await.is_ok() {} };
        let _kept_open_by_a_child = timeout(Duration::from_secs(2), said_all).await;
        status
    }

    /// Waits until it says a line that `found` takes.
    pub(crate) async fn said<T>(&mut self, what: &str, found: impl Fn(&str) -> Option<T>) -> T {
        let wait = async {
            loop {
                if let Some(value) = self.said.borrow_and_update().iter().find_map(|line| found(line)) {
                    return Some(value);
                }
                self.said.changed().await.ok()?;
            }
        };
        let outcome = timeout(PATIENCE, wait).await.ok().flatten();
        outcome.unwrap_or_else(|| panic!("{what}: never said; it said {:#?}", self.text()))
    }

    pub(crate) fn text(&self) -> Vec<String> {
        self.said.borrow().clone()
    }

    /// Returns the memory it uses, in bytes.
    pub(crate) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
    }
}

/// Returns what a failed test shows of a snapshot.
pub(crate) fn brief(snapshot: &Snapshot) -> (RuntimeState, Vec<String>) {
    let services = snapshot.stacks.iter().flat_map(|stack| &stack.services);
    let line = |service: &Service| {
        let replicas = service.replicas.iter();
        let replicas: Vec<String> =
            replicas.map(|one| format!("{} {} {:?}", one.name, one.status, one.pid)).collect();
        let Service { name, status, reason, running, desired, desired_source, .. } = service;
        format!("{name} {status} {running}/{desired} ({desired_source}) {reason:?} {replicas:?}")
    };
    (snapshot.runtime.clone(), services.map(line).collect())
}

pub(crate) fn client(endpoint: &str, token: Option<&str>) -> Client {
    Client::new(Endpoint::parse(endpoint).unwrap(), token.map(str::to_owned)).unwrap()
}

pub(crate) fn kill(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

pub(crate) fn is_alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

pub(crate) fn request(action: Action, service: &str) -> ActionRequest {
    ActionRequest { action, stack: None, service: service.to_owned(), replica: None, grace_seconds: None }
}

pub(crate) fn service<'s>(snapshot: &'s Snapshot, name: &str) -> Option<&'s Service> {
    snapshot.stacks.iter().flat_map(|stack| &stack.services).find(|service| service.name == name)
}

/// Returns why the runtime is down, if it is.
pub(crate) fn down(snapshot: &Snapshot) -> Option<String> {
    match &snapshot.runtime {
        RuntimeState::Down { reason, .. } => Some(reason.clone()),
        RuntimeState::Connecting | RuntimeState::Up { .. } => None,
    }
}

/// One service of a stack file: a shell script, and further keys such as `replicas: 2`.
pub(crate) fn shell(name: &str, script: &str, keys: &str) -> String {
    let command = serde_json::to_string(&["sh", "-c", script]).unwrap().replace('$', "$$");
    let keys: String =
        keys.split(", ").filter(|key| !key.is_empty()).map(|key| format!("      {key}\n")).collect();
    format!("    {name}:\n      command: {command}\n{keys}")
}

/// Asks again and again until there is an answer.
pub(crate) async fn eventually<T: Debug>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let wait = async {
        loop {
            if let Some(value) = ask().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{what}: never came"))
}
