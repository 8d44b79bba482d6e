//! A source that answers what a test tells it, and remembers what it was asked.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::{broadcast, watch};
use tokio_stream::wrappers::BroadcastStream;
use zv_agent::http::Source;
use zv_agent::stacks::{Body, LogMessage, Message, Published, Refusal};
use zv_api::{
    ActionReport, ActionRequest, ActionResult, Change, Death, DeathSummary, Deaths, Exit, Happening,
    Happenings, Health, Host, HostReport, LogLine, LogQuery, RuntimeState, Service, Snapshot, Stack,
    StatsPace, What,
};

pub(crate) fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000 + second, 0).unwrap()
}

/// What a log's replicas wrote.
#[derive(Clone)]
pub(crate) enum Log {
    Lines(usize),
    /// Lines without an end, each so long.
    Endless(usize),
    Panics,
}

#[derive(Clone)]
pub(crate) struct Fake(Arc<Inner>);

struct Inner {
    snapshot: Mutex<Snapshot>,
    happenings: Mutex<Vec<Happening>>,
    changes: Mutex<Vec<Arc<Change>>>,
    live: broadcast::Sender<Arc<Change>>,
    log: Mutex<Log>,
    /// Held by every log that is being read.
    reading: Arc<()>,
    asked: Mutex<Vec<String>>,
    acting: watch::Sender<usize>,
    /// Actions wait until this is true.
    may_act: watch::Sender<bool>,
}

impl Fake {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            snapshot: Mutex::new(snapshot(vec![service("api", "ok", None)])),
            happenings: Mutex::new(Vec::new()),
            changes: Mutex::new(Vec::new()),
            live: broadcast::Sender::new(64),
            log: Mutex::new(Log::Lines(3)),
            reading: Arc::new(()),
            asked: Mutex::new(Vec::new()),
            acting: watch::Sender::new(0),
            may_act: watch::Sender::new(true),
        }))
    }

    pub(crate) fn show(&self, snapshot: Snapshot) {
        *self.0.snapshot.lock().unwrap() = snapshot;
    }

    pub(crate) fn happened(&self, kind: &str, text: &str, when: DateTime<Utc>) {
        self.0.happenings.lock().unwrap().push(happening(kind, text, when));
    }

    /// Adds a change and tells every listener.
    pub(crate) fn change(&self) {
        let mut changes = self.0.changes.lock().unwrap();
        let seq = changes.len() as u64 + 1;
        let what = What::Happened { happening: happening("started", "started", at(0)) };
        let change = Arc::new(Change { seq, host: "host-1".to_owned(), what });
        changes.push(Arc::clone(&change));
        // Nobody may be listening.
        self.0.live.send(change).ok();
    }

    pub(crate) fn write(&self, log: Log) {
        *self.0.log.lock().unwrap() = log;
    }

    /// Returns what was asked, and forgets it.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.0.asked.lock().unwrap())
    }

    pub(crate) fn listeners(&self) -> usize {
        self.0.live.receiver_count()
    }

    pub(crate) fn open_logs(&self) -> usize {
        Arc::strong_count(&self.0.reading) - 1
    }

    pub(crate) fn hold_actions(&self) {
        self.0.may_act.send_replace(false);
    }

    pub(crate) fn release_actions(&self) {
        self.0.may_act.send_replace(true);
    }

    /// Waits until so many actions were begun.
    pub(crate) async fn actions_begun(&self, count: usize) {
        self.0.acting.subscribe().wait_for(|begun| *begun >= count).await.unwrap();
    }

    fn note(&self, asked: String) {
        self.0.asked.lock().unwrap().push(asked);
    }
}

impl Source for Fake {
    fn probes(&self) -> zv_agent::probes::Probes {
        zv_agent::probes::Probes::new(Host::default())
    }

    fn snapshot(&self) -> Snapshot {
        self.0.snapshot.lock().unwrap().clone()
    }

    fn host(&self) -> HostReport {
        HostReport { host: host(), usage: None, kernel: Some("6.1.0".to_owned()) }
    }

    fn events(&self, last_event_id: Option<&str>, stats: Option<StatsPace>) -> BoxStream<'static, Message> {
        self.note(format!("events after {last_event_id:?}"));
        let measured =
            stats.map(|pace| Message { id: String::new(), body: Body::Stats(stats_message(pace).into()) });
        let changes = self.0.changes.lock().unwrap();
        let live = BroadcastStream::new(self.0.live.subscribe());
        let resumed = last_event_id.and_then(|id| id.strip_prefix("e-")?.parse::<usize>().ok());
        let first = match resumed {
            Some(seen) => changes[seen..].iter().map(|change| message(change)).collect(),
            None => vec![Message {
                id: format!("e-{}", changes.len()),
                body: Body::Snapshot(Box::new(self.snapshot())),
            }],
        };
        stream::iter(first)
            .chain(stream::iter(measured))
            .chain(live.filter_map(|change| async { change.ok().map(|change| message(&change)) }))
            .boxed()
    }

    fn happenings(&self, limit: usize) -> Happenings {
        self.note(format!("{limit} happenings"));
        Happenings { host: host(), happenings: self.0.happenings.lock().unwrap().clone() }
    }

    async fn deaths(
        &self,
        stack: Option<&str>,
        service: Option<&str>,
        limit: usize,
    ) -> Result<Deaths, Refusal> {
        self.note(format!("{limit} deaths of {stack:?} {service:?}"));
        Ok(Deaths { host: host(), deaths: vec![death("d-1").summary] })
    }

    async fn death(&self, id: &str) -> Result<Death, Refusal> {
        match id {
            "d-1" => Ok(death(id)),
            "d-2" => Err(Refusal::Unavailable("the disk does not answer".to_owned())),
            _ => Err(Refusal::NotFound(format!("there is no death record `{id}`"))),
        }
    }

    fn logs(&self, query: LogQuery, cursor: Option<&str>) -> Result<BoxStream<'static, LogMessage>, Refusal> {
        if query.services.iter().any(|service| service == "nobody") {
            return Err(Refusal::NotFound("there is no service `nobody`".to_owned()));
        }
        self.note(format!("logs {query:?} after {cursor:?}"));
        let from = cursor.and_then(|cursor| cursor.strip_prefix("c-")?.parse().ok()).unwrap_or(0);
        let (count, width) = match *self.0.log.lock().unwrap() {
            Log::Lines(count) => (count, 8),
            Log::Endless(width) => (usize::MAX, width),
            Log::Panics => return Ok(stream::poll_fn(|_| panic!("a mistake of the source")).boxed()),
        };
        let reading = Arc::clone(&self.0.reading);
        let lines = stream::iter(from..count).map(move |number| log_message(number + 1, width));
        let lines = if query.follow { lines.chain(stream::pending()).boxed() } else { lines.boxed() };
        Ok(lines.inspect(move |_| _ = &reading).boxed())
    }

    async fn act(&self, request: ActionRequest) -> Result<ActionReport, Refusal> {
        self.note(format!("{:?} {}", request.action, request.service));
        self.0.acting.send_modify(|begun| *begun += 1);
        self.0.may_act.subscribe().wait_for(|may| *may).await.unwrap();
        if request.service == "busy" {
            return Err(Refusal::Conflict("`busy` is being changed by somebody else".to_owned()));
        }
        let results = vec![ActionResult { name: format!("{}-1", request.service), error: None }];
        Ok(ActionReport { stack: "shop".to_owned(), service: request.service, results })
    }
}

fn message(change: &Change) -> Message {
    Message { id: format!("e-{}", change.seq), body: Body::Change(Arc::new(Published::new(change))) }
}

/// Returns a measurement that tells at which pace it was asked for.
fn stats_message(pace: StatsPace) -> String {
    format!(
        r#"{{"at":"2026-01-01T00:00:00Z","replicas":{{"{}":{{"at":"2026-01-01T00:00:00Z","cpu_cores":0.5}}}},"host":null}}"#,
        pace.word()
    )
}

fn log_message(number: usize, width: usize) -> LogMessage {
    let line = LogLine {
        stack: "shop".to_owned(),
        service: "api".to_owned(),
        replica: "r1".to_owned(),
        name: "shop-api-1".to_owned(),
        output: "stdout".to_owned(),
        at: at(0),
        text: format!("{number:0width$}"),
        cut: false,
    };
    LogMessage { cursor: format!("c-{number}"), line }
}

fn host() -> Host {
    Host { id: "host-1".to_owned(), name: "web-1".to_owned() }
}

fn happening(kind: &str, text: &str, when: DateTime<Utc>) -> Happening {
    Happening {
        at: when,
        stack: Some("shop".to_owned()),
        service: Some("api".to_owned()),
        replica: None,
        name: "shop-api-1".to_owned(),
        kind: kind.to_owned(),
        text: text.to_owned(),
    }
}

pub(crate) fn snapshot(services: Vec<Service>) -> Snapshot {
    Snapshot {
        host: host(),
        at: at(0),
        version: "0.1.0".to_owned(),
        seq: 0,
        runtime: RuntimeState::Up {
            kind: "docker".to_owned(),
            version: "28.5.1".to_owned(),
            api_version: "1.51".to_owned(),
        },
        stacks: vec![Stack { name: "shop".to_owned(), services }],
        probes: Vec::new(),
    }
}

pub(crate) fn service(name: &str, status: &str, reason: Option<&str>) -> Service {
    Service {
        stack: "shop".to_owned(),
        name: name.to_owned(),
        status: status.to_owned(),
        reason: reason.map(str::to_owned),
        desired: 2,
        desired_source: "label".to_owned(),
        running: 2,
        healthy: if status == "ok" { 2 } else { 1 },
        depends_on: Vec::new(),
        restarts: 0,
        usage: None,
        replicas: Vec::new(),
    }
}

fn death(id: &str) -> Death {
    Death {
        summary: DeathSummary {
            id: id.to_owned(),
            stack: "shop".to_owned(),
            service: "api".to_owned(),
            replica: "r1".to_owned(),
            name: "shop-api-1".to_owned(),
            exit: Exit { at: at(0), code: Some(137), oom: true },
            wanted: false,
        },
        host: "host-1".to_owned(),
        image: "api:1".to_owned(),
        image_id: "sha256:1".to_owned(),
        started_at: None,
        restarts: 0,
        health: Health::default(),
        logs: Vec::new(),
        stats: Vec::new(),
        inspect: None,
    }
}
