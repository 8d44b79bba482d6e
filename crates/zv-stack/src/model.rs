//! The words of the domain: stack → service → replica, and what can be said of each.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The name of the stack that holds containers which belong to no Compose project.
pub const LOOSE_STACK: &str = "(no project)";

/// Identifies a replica on its host: a container's full id, or `local-` and a name for a process.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ReplicaId(Arc<str>);

impl ReplicaId {
    /// Returns the id made of `text`.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// Returns the whole id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the part people read: twelve characters of a container's id, all of any other.
    pub fn short(&self) -> &str {
        let is_container = self.0.len() == 64 && self.0.bytes().all(|b| b.is_ascii_hexdigit());
        if is_container { &self.0[..12] } else { &self.0 }
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.short())
    }
}

/// Names a service: its stack and its name within it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ServiceKey {
    pub stack: Arc<str>,
    pub service: Arc<str>,
}

impl ServiceKey {
    /// Returns the key of `service` in `stack`.
    pub fn new(stack: impl Into<Arc<str>>, service: impl Into<Arc<str>>) -> Self {
        Self { stack: stack.into(), service: service.into() }
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.stack, self.service)
    }
}

/// What the runtime says a replica is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Created,
    Running,
    Paused,
    Restarting,
    Exited,
    /// The engine failed to remove it.
    Dead,
}

impl State {
    /// Says whether a process is there.
    pub fn is_up(self) -> bool {
        matches!(self, State::Running | State::Paused)
    }
}

/// The verdict of a replica's own health check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It has no health check.
    #[default]
    None,
    Starting,
    Healthy,
    Unhealthy,
}

/// One run of a health check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    pub at: DateTime<Utc>,
    /// 0 is healthy.
    pub exit_code: i64,
    /// Cut to [`Check::OUTPUT_LIMIT`] bytes.
    pub output: String,
}

impl Check {
    /// The bytes kept of an output.
    pub const OUTPUT_LIMIT: usize = 4096;
    /// The runs kept of a replica, newest last.
    pub const KEPT: usize = 5;
}

/// A replica's health as its own check sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Health {
    pub verdict: Verdict,
    pub failing_streak: u32,
    /// Newest last, at most [`Check::KEPT`].
    pub log: Vec<Check>,
}

/// How a replica's first process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    pub at: DateTime<Utc>,
    /// As a shell says it (128 + signal); absent where only the death itself was seen.
    pub code: Option<i32>,
    /// The kernel killed it, or a process in it, for want of memory.
    pub oom: bool,
}

/// What the runtime does when the first process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    #[default]
    No,
    OnFailure,
    Always,
    UnlessStopped,
}

/// Whose network a replica has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Network {
    /// Its own, or several of its own.
    #[default]
    Own,
    Host,
    Nothing,
    /// That of another replica.
    Of(ReplicaId),
}

/// One replica as a runtime reports it. [`Seen::details`] is absent where only the list was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub id: ReplicaId,
    /// The container's name without its slash, or `SERVICE-NUMBER`.
    pub name: String,
    pub key: ServiceKey,
    /// From 1.
    pub number: u32,
    /// Made by `compose run`.
    pub one_off: bool,
    pub state: State,
    /// What the list knows of the health: the verdict alone.
    pub verdict: Verdict,
    pub created_at: Option<DateTime<Utc>>,
    /// As given by the person who started it.
    pub image: String,
    /// The content's digest or id.
    pub image_id: String,
    pub config_hash: Option<String>,
    /// Services of the same stack that this one needs.
    pub depends_on: Vec<Arc<str>>,
    /// The labels that start with `zv.`, and the OCI version.
    pub labels: BTreeMap<String, String>,
    /// `HOST:PORT->PORT/PROTO` as published, or where a process listens.
    pub ports: Vec<String>,
    /// Where it can be reached from this host, one for each network; the loopback for a process.
    pub addresses: Vec<IpAddr>,
    pub network: Network,
    pub details: Option<Details>,
}

/// What only an inspection of one replica tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Details {
    /// The first process, as this host's process table numbers it, while it is up.
    pub pid: Option<u32>,
    pub started_at: Option<DateTime<Utc>>,
    /// Set once it has ended at least once.
    pub exit: Option<Exit>,
    /// As the runtime counts; it may start anew when a person starts the replica.
    pub restart_count: u32,
    pub restart_policy: RestartPolicy,
    pub health: Health,
    /// Its output is a terminal's: one stream, no frames.
    pub tty: bool,
}

/// How many replicas a service should have, and who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired {
    pub replicas: u32,
    pub source: DesiredSource,
}

/// Who says how many replicas a service should have, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DesiredSource {
    /// A person scaled it through zv since the last deploy.
    Scaled,
    /// The label `zv.replicas`.
    Label,
    /// `deploy.replicas` or `scale` of the compose or stack file.
    File,
    /// The most replicas seen at once since the last deploy.
    HighestSeen,
}

/// Whether a replica that does not run was meant to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Intent {
    /// It should run.
    Run,
    /// A person stopped it.
    Stopped,
    /// It was to run once and ended with 0.
    Finished,
    /// A `compose run` container: never part of the service's count.
    OneOff,
}

/// The one word for a replica, worst causes told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReplicaStatus {
    Healthy,
    /// Up, and has no health check.
    Running,
    Starting,
    Created,
    Paused,
    Finished,
    Stopped,
    /// The runtime cannot be asked.
    Unknown,
    Restarting,
    Unhealthy,
    Exited,
    /// At least three restarts in five minutes.
    CrashLoop,
}

/// The one word for a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceStatus {
    Ok,
    /// It has yet to become healthy for the first time.
    Starting,
    /// It was to run once and has.
    Finished,
    /// A person stopped it.
    Stopped,
    Unknown,
    /// Fewer healthy replicas than desired.
    Degraded,
    /// None is up.
    Down,
}

/// One line of what happened, for people and for the stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happening {
    pub at: DateTime<Utc>,
    pub key: Option<ServiceKey>,
    pub replica: Option<ReplicaId>,
    /// The replica's name, or the runtime's.
    pub name: String,
    pub kind: HappeningKind,
    /// A sentence without a full stop: `exited with code 137 (out of memory)`.
    pub text: String,
}

/// What kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HappeningKind {
    Created,
    Started,
    Died,
    OutOfMemory,
    Stopped,
    Finished,
    Paused,
    Unpaused,
    Healthy,
    Unhealthy,
    CrashLoop,
    Removed,
    Scaled,
    /// The runtime can be asked again.
    RuntimeUp,
    RuntimeDown,
    /// A person asked for something through zv.
    Action,
}

/// Whether the runtime can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum RuntimeState {
    Connecting,
    Up {
        /// `docker` or `local`.
        kind: String,
        /// `26.1.5`.
        version: String,
        /// `1.45`, where there is one.
        api_version: String,
    },
    Down {
        since: DateTime<Utc>,
        reason: String,
    },
}
