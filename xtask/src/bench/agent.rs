//! The agent under measurement, as a process of its own.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use super::figures::Series;
use super::listen::{Listener, fetch};

/// How long the agent may take to know everything; to end; to listen.
const PATIENCE: Duration = Duration::from_secs(120);
/// The time between two attempts to reach an agent that has only been started.
const KNOCK_EVERY: Duration = Duration::from_millis(2);
/// Snapshots that are fetched.
const SNAPSHOTS: usize = 20;
const CONFIG: &str = "zv.yaml";

#[derive(Debug)]
pub(super) struct Agent {
    child: Child,
    pid: u32,
    address: SocketAddr,
    began: Instant,
    folder: TempDir,
}

/// What an agent has to do.
#[derive(Debug, Clone, Default)]
pub(super) struct Setup<'a> {
    /// `unix:///PATH`.
    pub(super) engine: &'a str,
    /// The projects it watches; all where empty.
    pub(super) projects: Vec<String>,
    /// The addresses it probes, every so many seconds.
    pub(super) probes: Vec<SocketAddr>,
    pub(super) every_seconds: u32,
    pub(super) timeout_seconds: u32,
}

impl Setup<'_> {
    fn config(&self, socket: &Path) -> String {
        let projects = self.projects.join(", ");
        let mut text = format!(
            "stack: {{ runtime: docker, project: [{projects}] }}\napi: {{ unix: \"{}\" }}\nprobes:\n",
            socket.display()
        );
        for (number, address) in self.probes.iter().enumerate() {
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "  - {{ name: web-{number}, http: \"http://{address}/{number}\", every: {}s, timeout: {}s }}",
                self.every_seconds, self.timeout_seconds
            );
        }
        if self.probes.is_empty() { text.replace("probes:\n", "") } else { text }
    }
}

/// What a look at everything costs.
#[derive(Debug)]
pub(super) struct Snapshots {
    pub(super) bytes: usize,
    /// In milliseconds.
    pub(super) times: Series,
}

impl Agent {
    /// Starts it with nothing kept from before.
    pub(super) fn start(program: &Path, setup: &Setup<'_>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let config = folder.path().join(CONFIG);
        // Another agent on this host may have taken the default socket.
        let socket = folder.path().join("zv.sock");
        std::fs::write(&config, setup.config(&socket))?;
        let log = File::create(folder.path().join("log"))?;
        let address = free_address()?;
        let began = Instant::now();
        let child = Command::new(program)
            .arg("--config")
            .arg(&config)
            .args(["--listen", &address.to_string()])
            .arg("--store")
            .arg(folder.path().join("store"))
            .env("DOCKER_HOST", setup.engine)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("cannot start the agent")?;
        let pid = child.id().context("the agent ended at once")?;
        Ok(Self { child, pid, address, began, folder })
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the file it is configured by.
    pub(super) fn config(&self) -> PathBuf {
        self.folder.path().join(CONFIG)
    }

    /// Returns how long after its start the agent had told the process of so many containers.
    pub(super) async fn wait_until_complete(&self, count: usize) -> Result<Duration> {
        match timeout(PATIENCE, self.complete(count)).await {
            Ok(complete) => complete,
            Err(_) => {
                let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                let last: Vec<&str> = log.lines().rev().take(5).collect();
                bail!("the agent does not know all containers after {PATIENCE:?}; its last words: {last:?}")
            }
        }
    }

    async fn complete(&self, count: usize) -> Result<Duration> {
        while TcpStream::connect(self.address).await.is_err() {
            sleep(KNOCK_EVERY).await;
        }
        let mut told = HashSet::new();
        let mut is_up = false;
        let mut changes = self.changes().await?;
        loop {
            let line = changes.line().await?;
            let Some(data) = data_of(&line.text)? else { continue };
            is_up = is_up || data["runtime"]["state"] == "up";
            for replica in replicas_of(&data).filter(|replica| replica["pid"].is_u64()) {
                told.insert(replica["id"].as_str().unwrap_or_default().to_owned());
            }
            if is_up && told.len() >= count {
                return Ok(line.at - self.began);
            }
        }
    }

    /// Opens the stream of changes, which begins with a snapshot.
    pub(super) async fn changes(&self) -> Result<Listener> {
        Listener::open(self.connect().await?, "/api/zv/v1/events").await
    }

    /// Times some looks at everything.
    pub(super) async fn time_snapshots(&self) -> Result<Snapshots> {
        let mut bytes = 0;
        let mut times = Vec::new();
        for _ in 0..SNAPSHOTS {
            let began = Instant::now();
            bytes = fetch(self.connect().await?, "/api/zv/v1/stack").await?.len();
            times.push(began.elapsed());
        }
        Ok(Snapshots { bytes, times: times.into_iter().collect() })
    }

    /// Ends it as a service manager would.
    pub(super) async fn stop(mut self) -> Result<()> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).context("no such process")?;
        kill_process(pid, Signal::TERM)?;
        let status = timeout(PATIENCE, self.child.wait()).await.context("the agent does not end")??;
        ensure!(status.success(), "the agent ended with {status}");
        Ok(())
    }

    async fn connect(&self) -> Result<TcpStream> {
        TcpStream::connect(self.address).await.context("the agent does not listen any more")
    }
}

/// Returns what a line of the agent's stream carries, if it carries anything.
pub(super) fn data_of(line: &str) -> Result<Option<Value>> {
    let data = line.strip_prefix("data:").map(serde_json::from_str).transpose();
    data.context("the agent's stream carries no JSON")
}

/// Returns the replicas that a snapshot or a change tells of.
pub(super) fn replicas_of(data: &Value) -> impl Iterator<Item = &Value> {
    fn items<'v>(value: &'v Value, name: &str) -> &'v [Value] {
        value[name].as_array().map_or(&[], Vec::as_slice)
    }
    let listed = items(data, "stacks").iter().flat_map(|stack| items(stack, "services"));
    let changed = data.get("service").into_iter();
    listed.chain(changed).flat_map(|service| items(service, "replicas"))
}

/// Finds an address nobody uses; the agent takes it a moment later.
fn free_address() -> Result<SocketAddr> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr()?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn replicas_are_found_in_snapshots_and_in_changes() {
        let service = json!({ "name": "a", "replicas": [{ "id": "x" }, { "id": "y" }] });
        let snapshot = json!({ "stacks": [{ "services": [service] }, { "services": [] }] });
        assert_eq!(replicas_of(&snapshot).count(), 2);
        assert_eq!(replicas_of(&json!({ "type": "service", "service": service })).count(), 2);
        assert_eq!(replicas_of(&json!({ "type": "service_gone", "service": "a" })).count(), 0);
    }

    #[test]
    fn only_data_lines_carry_something() {
        assert_eq!(data_of("data: {\"a\":1}\n").unwrap(), Some(json!({ "a": 1 })));
        assert_eq!(data_of("event: change\n").unwrap(), None);
        assert!(data_of("data: {\n").is_err());
    }
}
