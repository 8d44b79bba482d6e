//! An agent made of its real HTTP face and a script of what it knows.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use zv_agent::http::{
    self, Face, Limits, ListenOptions, ReadRight, Readiness, Rights, SharedRights, Source, Token,
};
use zv_agent::stacks::{LogMessage, Message, Refusal};
use zv_api::{
    ActionReport, ActionRequest, ActionResult, Death, DeathSummary, Deaths, Exit, Happenings, Health, Host,
    HostReport, LogLine, LogQuery, Replica, RuntimeState, Service, Snapshot, Stack, StatsPace,
};

pub(crate) const TOKEN: &str = "0123456789abcdef";

/// What the agent knows. Clones share it.
#[derive(Clone)]
pub(crate) struct Script(Arc<Known>);

struct Known {
    snapshot: Mutex<Snapshot>,
    deaths: Vec<Death>,
    /// The lines of the one log there is; those who follow wait for more.
    log: watch::Sender<Vec<LogLine>>,
    asked: Mutex<Vec<String>>,
}

/// A served agent. It ends when it is dropped.
pub(crate) struct Agent {
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Agent {
    /// Serves at any free port.
    pub(crate) fn start(script: &Script) -> Self {
        Self::serve(script, "127.0.0.1:0".parse().unwrap(), None)
    }

    /// Serves at a given address, and at a unix socket.
    pub(crate) fn serve(script: &Script, address: SocketAddr, unix: Option<PathBuf>) -> Self {
        let options =
            ListenOptions { tcp: vec![address], unix, unix_group: None, tls: None, limits: Limits::STANDARD };
        let listeners = http::bind(options).unwrap();
        let address = listeners.addresses()[0];
        let readiness = Readiness::default();
        readiness.set();
        let token = Some(Token::given("a test", TOKEN).unwrap());
        let rights = SharedRights::new(Rights { token, read: ReadRight::Open, hosts: Vec::new() });
        let source = script.clone();
        let router =
            http::router(Face { source, rights, readiness, metrics: Default::default(), reload: None });
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let serving = listeners.serve(router, stopped.cancelled_owned(), Duration::from_secs(5));
            runtime.block_on(async { serving.await.map(drop) }).ok();
        });
        Self { address, stop, thread: Some(thread) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

impl Script {
    /// Returns a stack `shop` whose `orders` lost a replica, and a `db` in two stacks.
    pub(crate) fn shop() -> Self {
        let at = "2026-03-01T12:00:00Z".parse().unwrap();
        let stack = |name: &str, services| Stack { name: name.to_owned(), services };
        let mut orders = service("shop", "orders", &["shop-orders-1", "shop-orders-2"]);
        orders.status = "degraded".into();
        orders.running = 1;
        orders.reason = Some("shop-orders-2 exited with code 137 (out of memory) 2m ago".into());
        orders.replicas[1].status = "exited".into();
        orders.replicas[1].state = "exited".into();
        let snapshot = Snapshot {
            host: Host { id: "h1".into(), name: "web-1".into() },
            at,
            version: "0.1.0".into(),
            seq: 1,
            runtime: RuntimeState::Up {
                kind: "docker".into(),
                version: "26.1.5".into(),
                api_version: "1.45".into(),
            },
            stacks: vec![
                stack("blog", vec![service("blog", "db", &["blog-db-1"])]),
                stack("shop", vec![service("shop", "db", &["shop-db-1"]), orders]),
            ],
            probes: Vec::new(),
        };
        let (log, _) = watch::channel(Vec::new());
        Self(Arc::new(Known {
            snapshot: Mutex::new(snapshot),
            deaths: vec![death()],
            log,
            asked: Mutex::new(Vec::new()),
        }))
    }

    /// Adds lines to the log of `orders`.
    pub(crate) fn log(&self, lines: &[&str]) {
        self.0.log.send_modify(|log| log.extend(lines.iter().map(|text| line(text))));
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Snapshot)) {
        change(&mut self.0.snapshot.lock().unwrap());
    }

    /// Returns what was asked, and forgets it.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.0.asked.lock().unwrap())
    }

    fn note(&self, asked: String) {
        self.0.asked.lock().unwrap().push(asked);
    }
}

impl Source for Script {
    fn probes(&self) -> zv_agent::probes::Probes {
        zv_agent::probes::Probes::new(Host::default())
    }

    fn snapshot(&self) -> Snapshot {
        self.0.snapshot.lock().unwrap().clone()
    }

    fn host(&self) -> HostReport {
        HostReport { host: self.snapshot().host, usage: None, kernel: None }
    }

    fn events(&self, _last_event_id: Option<&str>, _stats: Option<StatsPace>) -> BoxStream<'static, Message> {
        stream::empty().boxed()
    }

    fn happenings(&self, _limit: usize) -> Happenings {
        Happenings { host: self.snapshot().host, happenings: Vec::new() }
    }

    async fn deaths(
        &self,
        stack: Option<&str>,
        service: Option<&str>,
        limit: usize,
    ) -> Result<Deaths, Refusal> {
        let deaths = self.0.deaths.iter().map(|death| death.summary.clone());
        let deaths = deaths.filter(|death| stack.is_none_or(|stack| stack == death.stack));
        let deaths = deaths.filter(|death| service.is_none_or(|service| service == death.service));
        Ok(Deaths { host: self.snapshot().host, deaths: deaths.take(limit).collect() })
    }

    async fn death(&self, id: &str) -> Result<Death, Refusal> {
        let found = self.0.deaths.iter().find(|death| death.summary.id == id).cloned();
        found.ok_or_else(|| Refusal::NotFound(format!("there is no death record `{id}`")))
    }

    fn logs(&self, query: LogQuery, cursor: Option<&str>) -> Result<BoxStream<'static, LogMessage>, Refusal> {
        self.note(format!("logs of {:?} {:?} after {cursor:?}", query.stack, query.services));
        let from = cursor.map_or(0, |cursor| cursor.parse().unwrap());
        let message = |number: usize, line: LogLine| LogMessage { cursor: number.to_string(), line };
        if !query.follow {
            let lines = self.0.log.borrow().clone();
            let lines = lines.into_iter().enumerate().map(move |(at, line)| message(at + 1, line));
            return Ok(stream::iter(lines).boxed());
        }
        let receiver = self.0.log.subscribe();
        let lines = stream::unfold((receiver, from), move |(mut receiver, from)| async move {
            let line = receiver.wait_for(|log| log.len() > from).await.ok()?[from].clone();
            Some((message(from + 1, line), (receiver, from + 1)))
        });
        Ok(lines.boxed())
    }

    async fn act(&self, request: ActionRequest) -> Result<ActionReport, Refusal> {
        self.note(format!(
            "{:?} {:?}/{} {:?}",
            request.action, request.stack, request.service, request.grace_seconds
        ));
        if request.service == "db" {
            return Err(Refusal::Conflict("`db` is being changed by somebody else".to_owned()));
        }
        let result = |name: &str, error: Option<&str>| ActionResult {
            name: name.to_owned(),
            error: error.map(str::to_owned),
        };
        let failed = request.grace_seconds == Some(0);
        let results = vec![
            result("shop-orders-1", None),
            result("shop-orders-2", failed.then_some("no answer within 10s")),
        ];
        Ok(ActionReport { stack: request.stack.unwrap_or_default(), service: request.service, results })
    }
}

fn service(stack: &str, name: &str, replicas: &[&str]) -> Service {
    let count = u32::try_from(replicas.len()).unwrap();
    Service {
        stack: stack.into(),
        name: name.into(),
        status: "ok".into(),
        reason: None,
        desired: count,
        desired_source: "file".into(),
        running: count,
        healthy: count,
        depends_on: Vec::new(),
        restarts: 0,
        usage: None,
        replicas: replicas.iter().map(|name| replica(name)).collect(),
    }
}

fn replica(name: &str) -> Replica {
    Replica {
        id: format!("id-of-{name}"),
        name: name.into(),
        number: 1,
        status: "healthy".into(),
        intent: "run".into(),
        state: "running".into(),
        image: "shop/orders:1.4".into(),
        image_id: String::new(),
        config_hash: None,
        version: None,
        ports: Vec::new(),
        addresses: Vec::new(),
        pid: None,
        created_at: None,
        started_at: None,
        exit: None,
        restarts: 0,
        usage: None,
        health: Health { verdict: "healthy".into(), ..Health::default() },
        labels: std::collections::BTreeMap::new(),
    }
}

fn line(text: &str) -> LogLine {
    LogLine {
        stack: "shop".into(),
        service: "orders".into(),
        replica: "id-of-shop-orders-1".into(),
        name: "shop-orders-1".into(),
        output: "stdout".into(),
        at: "2026-03-01T12:00:00Z".parse().unwrap(),
        text: text.into(),
        cut: false,
    }
}

fn death() -> Death {
    Death {
        summary: DeathSummary {
            id: "d-1".into(),
            stack: "shop".into(),
            service: "orders".into(),
            replica: "id-of-shop-orders-2".into(),
            name: "shop-orders-2".into(),
            exit: Exit { at: "2026-03-01T11:58:00Z".parse().unwrap(), code: Some(137), oom: true },
            wanted: false,
        },
        host: "web-1".into(),
        image: "shop/orders:1.4".into(),
        image_id: String::new(),
        started_at: None,
        restarts: 2,
        health: Health::default(),
        logs: vec![line("the last words")],
        stats: Vec::new(),
        inspect: None,
    }
}
