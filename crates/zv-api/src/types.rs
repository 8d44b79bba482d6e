//! The shapes on the wire. Times are RFC 3339 in UTC.

use std::collections::BTreeMap;
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Which host speaks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Host {
    /// Stable over reboots and renames.
    pub id: String,
    pub name: String,
}

/// `GET /stack`: all that is known now. Also the first event of `GET /events`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    pub host: Host,
    pub at: DateTime<Utc>,
    /// The agent's version.
    pub version: String,
    /// The change this snapshot includes last; changes with a higher number follow it.
    pub seq: u64,
    pub runtime: RuntimeState,
    pub stacks: Vec<Stack>,
    /// With the last result only.
    #[serde(default)]
    pub probes: Vec<Probe>,
}

/// Whether the runtime can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum RuntimeState {
    Connecting,
    Up { kind: String, version: String, api_version: String },
    Down { since: DateTime<Utc>, reason: String },
}

/// A Compose project, a local stack, or the containers that belong to none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stack {
    pub name: String,
    pub services: Vec<Service>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    pub stack: String,
    pub name: String,
    /// `ok`, `starting`, `finished`, `stopped`, `unknown`, `degraded`, `down`.
    pub status: String,
    /// A sentence where the status is not `ok`: `orders-2 exited with code 137 (out of memory) 2m ago`.
    pub reason: Option<String>,
    pub desired: u32,
    /// `scaled`, `label`, `file`, `highest-seen`.
    pub desired_source: String,
    pub running: u32,
    /// Healthy, or up without a health check.
    pub healthy: u32,
    pub depends_on: Vec<String>,
    /// Of all replicas.
    #[serde(default)]
    pub restarts: u32,
    /// What its running replicas use together, one-off ones left out; absent while none is measured. What is not known
    /// of one of them is not known of all.
    #[serde(default)]
    pub usage: Option<Usage>,
    pub replicas: Vec<Replica>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replica {
    pub id: String,
    pub name: String,
    pub number: u32,
    /// `healthy`, `running`, `starting`, `created`, `paused`, `finished`, `stopped`, `unknown`, `restarting`,
    /// `unhealthy`, `exited`, `crash-loop`.
    pub status: String,
    /// `run`, `stopped`, `finished`, `one-off`.
    pub intent: String,
    /// What the runtime said last: `created`, `running`, `paused`, `restarting`, `exited`, `dead`.
    pub state: String,
    pub image: String,
    pub image_id: String,
    pub config_hash: Option<String>,
    pub version: Option<String>,
    pub ports: Vec<String>,
    /// Its own, one for each network; none where it shares the host's.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
    pub pid: Option<u32>,
    pub created_at: Option<DateTime<Utc>>,
    pub started_at: Option<DateTime<Utc>>,
    pub exit: Option<Exit>,
    pub restarts: u32,
    /// Absent while it does not run, or cannot be measured.
    #[serde(default)]
    pub usage: Option<Usage>,
    pub health: Health,
    pub labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    pub at: DateTime<Utc>,
    /// Absent while only the death itself is known.
    pub code: Option<i32>,
    pub oom: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Health {
    /// `none`, `starting`, `healthy`, `unhealthy`; `unknown` while the runtime cannot be asked.
    pub verdict: String,
    pub failing_streak: u32,
    /// Newest last.
    pub log: Vec<Check>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    pub at: DateTime<Utc>,
    pub exit_code: i64,
    pub output: String,
}

/// `GET /events`: server-sent events named `snapshot` (a [`Snapshot`]) and `change` (this). The event id is
/// `EPOCH-SEQ`; sent back as `Last-Event-ID` it resumes, with a snapshot only where the gap is too old.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    pub seq: u64,
    pub host: String,
    #[serde(flatten)]
    pub what: What,
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum What {
    /// A service is new or different; it comes whole.
    Service {
        service: Service,
    },
    ServiceGone {
        stack: String,
        service: String,
    },
    Runtime {
        runtime: RuntimeState,
    },
    Happened {
        happening: Happening,
    },
    /// A probe is new, or what stands of it changed; it comes with its last result only.
    Probe {
        probe: Probe,
    },
    ProbeGone {
        id: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happening {
    pub at: DateTime<Utc>,
    pub stack: Option<String>,
    pub service: Option<String>,
    pub replica: Option<String>,
    pub name: String,
    /// `created`, `started`, `died`, `out-of-memory`, `stopped`, `finished`, `paused`, `unpaused`, `healthy`,
    /// `unhealthy`, `crash-loop`, `removed`, `scaled`, `runtime-up`, `runtime-down`, `action`, `probe-up`,
    /// `probe-degraded`, `probe-unknown`, `probe-down`.
    pub kind: String,
    pub text: String,
}

/// `GET /logs?service=&stack=&replica=&since=&tail=&follow=&grep=`: server-sent events named `line`. The event id is
/// a cursor that resumes without a lost or repeated line. `event: end` tells that a log without `follow` is complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    pub stack: String,
    pub service: String,
    pub replica: String,
    /// The replica's name.
    pub name: String,
    /// `stdout` or `stderr`.
    pub output: String,
    pub at: DateTime<Utc>,
    pub text: String,
    /// The line was longer than what is kept of one.
    #[serde(default)]
    pub cut: bool,
}

/// What `GET /logs` is asked for. Repeat `service` for more than one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LogQuery {
    pub stack: Option<String>,
    /// Service names; none means all.
    pub services: Vec<String>,
    /// A replica's name or the start of its id.
    pub replica: Option<String>,
    pub since: Option<DateTime<Utc>>,
    /// The last lines of each replica.
    pub tail: Option<u32>,
    pub follow: bool,
    /// Lines that contain this text.
    pub grep: Option<String>,
}

/// `POST /actions`: needs a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionRequest {
    pub action: Action,
    /// Needed only where the service's name is not unique on the host.
    pub stack: Option<String>,
    pub service: String,
    /// A replica's name or the start of its id; all of the service where absent. Not with `scale`.
    pub replica: Option<String>,
    /// Seconds between asking and killing; the replica's own where absent.
    pub grace_seconds: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "name")]
pub enum Action {
    Start,
    Stop,
    Restart,
    Scale { replicas: u32 },
}

/// What came of an action, replica by replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionReport {
    pub stack: String,
    pub service: String,
    pub results: Vec<ActionResult>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionResult {
    /// The replica's name, or the service's for `scale`.
    pub name: String,
    /// Absent where it was done.
    pub error: Option<String>,
}

/// `GET /deaths?stack=&service=&limit=`: newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deaths {
    pub host: Host,
    pub deaths: Vec<DeathSummary>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeathSummary {
    pub id: String,
    pub stack: String,
    pub service: String,
    pub replica: String,
    pub name: String,
    pub exit: Exit,
    /// Somebody asked for it.
    pub wanted: bool,
}

/// `GET /deaths/{id}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Death {
    #[serde(flatten)]
    pub summary: DeathSummary,
    pub host: String,
    pub image: String,
    pub image_id: String,
    pub started_at: Option<DateTime<Utc>>,
    pub restarts: u32,
    pub health: Health,
    pub logs: Vec<LogLine>,
    pub stats: Vec<Stats>,
    /// The runtime's own description; values of environment variables are masked.
    pub inspect: Option<serde_json::Value>,
}

/// One measurement of a replica. What could not be read is absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    pub at: DateTime<Utc>,
    pub cpu_seconds: Option<f64>,
    pub memory_bytes: Option<u64>,
    pub memory_limit_bytes: Option<u64>,
    pub network_receive_bytes: Option<u64>,
    pub network_transmit_bytes: Option<u64>,
    pub processes: Option<u32>,
}

/// What a replica, or all of a service, uses now. Rates are of the time since the measurement before; what could not be
/// measured is absent.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Usage {
    pub at: DateTime<Utc>,
    /// Processors' worth of time: 1.0 is one processor in full use.
    pub cpu_cores: Option<f64>,
    /// The quota; absent where there is none.
    pub cpu_limit_cores: Option<f64>,
    /// The part of the time in which the quota was used up, from 0 to 1.
    pub cpu_throttled: Option<f64>,
    /// Without the page cache that can be dropped.
    pub memory_bytes: Option<u64>,
    /// The limit; absent where there is none.
    pub memory_limit_bytes: Option<u64>,
    pub network_receive_bytes_per_second: Option<f64>,
    pub network_transmit_bytes_per_second: Option<f64>,
    pub read_bytes_per_second: Option<f64>,
    pub written_bytes_per_second: Option<f64>,
    pub processes: Option<u64>,
}

/// An event named `stats` on `GET /events?stats=recorded` (each time the agent measures for the record) or
/// `GET /events?stats=live` (every second, for as long as somebody follows). It has no number and is not repeated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatsMessage {
    pub at: DateTime<Utc>,
    /// The running replicas by id.
    pub replicas: BTreeMap<String, Usage>,
    pub host: Option<HostUsage>,
}

/// How often [`StatsMessage`]s are wished for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatsPace {
    /// Each time the agent measures for the record.
    Recorded,
    /// Every second.
    Live,
}

impl StatsPace {
    /// Returns the word in `?stats=`.
    pub fn word(self) -> &'static str {
        match self {
            StatsPace::Recorded => "recorded",
            StatsPace::Live => "live",
        }
    }
}

/// What the host uses now; part of `GET /host` and of `stats` events. What could not be read is absent.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct HostUsage {
    pub at: DateTime<Utc>,
    pub cpu_cores: Option<f64>,
    /// The processors there are.
    pub cpus: Option<u32>,
    pub load1: Option<f64>,
    pub load5: Option<f64>,
    pub load15: Option<f64>,
    pub memory_bytes: Option<u64>,
    pub memory_total_bytes: Option<u64>,
    pub swap_bytes: Option<u64>,
    pub swap_total_bytes: Option<u64>,
    pub network_receive_bytes_per_second: Option<f64>,
    pub network_transmit_bytes_per_second: Option<f64>,
    pub read_bytes_per_second: Option<f64>,
    pub written_bytes_per_second: Option<f64>,
    pub filesystems: Vec<Filesystem>,
    pub booted_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filesystem {
    pub mount: String,
    pub device: String,
    pub kind: String,
    pub size_bytes: u64,
    /// What a user other than root can still write.
    pub available_bytes: u64,
}

/// `GET /host`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostReport {
    pub host: Host,
    /// Absent until the first measurement, and where nothing of the host can be seen.
    pub usage: Option<HostUsage>,
    pub kernel: Option<String>,
}

/// `GET /probes`: every probe with its last results. `GET /probes/{id}`: one of them with all that are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probes {
    pub host: Host,
    pub probes: Vec<Probe>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// Unique on the host, and fit for a path.
    pub id: String,
    pub name: String,
    /// `http`, `tcp`, `tls`, `dns`, `redis`, `postgres`, `mysql`, `exec`.
    pub kind: String,
    /// What is asked, without secrets.
    pub target: String,
    /// Where it comes from a label: the replica it belongs to.
    pub stack: Option<String>,
    pub service: Option<String>,
    pub replica: Option<String>,
    /// What stands, once enough results agree: `up`, `degraded`, `unknown`, `down`.
    pub verdict: String,
    pub since: Option<DateTime<Utc>>,
    /// Why it is not up, or what is worth knowing where it is.
    pub reason: String,
    pub interval_seconds: f64,
    /// `2 of 3`.
    pub confirm: String,
    /// How many results there were, by verdict.
    pub results: BTreeMap<String, u64>,
    /// Newest last.
    pub history: Vec<ProbeResult>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeResult {
    pub at: DateTime<Utc>,
    pub verdict: String,
    pub reason: String,
    pub duration_seconds: f64,
    /// `resolve`, `connect`, `tls`, `processing`, `transfer`, in seconds; those that were entered.
    pub phases: BTreeMap<String, f64>,
    pub http_status: Option<u16>,
    /// When the first certificate of the chain to end does so.
    pub certificate_ends: Option<DateTime<Utc>>,
    /// What was answered, cut; only where it is not up.
    pub output: Option<String>,
}

/// `GET /happenings?limit=`: the last things that happened, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happenings {
    pub host: Host,
    pub happenings: Vec<Happening>,
}

/// The body of every answer that is not 2xx.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// A sentence that says what to do.
    pub error: String,
}
