//! Probes against real sockets on the loopback; the runtime is away, and replicas are fed by hand.

use std::net::SocketAddr;
use std::time::Duration;

use chrono::DateTime;
use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use zv_api::What;
use zv_stack::death::store::Limits;
use zv_stack::docker::{DockerOptions, DockerRuntime};
use zv_stack::{
    Details, Event, EventKind, Health, Input, ReplicaId, RestartPolicy, Runtime, Seen, ServiceKey, State,
    Verdict,
};

use super::*;
use crate::config::{Environment, LoadOptions, load};
use crate::stacks::{Body, Settings, Stacks};

/// Far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(90);

/// Probes that run, of stacks whose engine does not exist.
struct Rig {
    stacks: Stacks,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Rig {
    fn start() -> Self {
        let host = Some("unix:///nonexistent/docker.sock".into());
        let runtime = DockerRuntime::new(DockerOptions { host, ..DockerOptions::default() }).unwrap();
        let stacks = Stacks::new(Settings {
            host: Host { id: "h1".into(), name: "web-1".into() },
            runtime: Runtime::Docker(runtime),
            store: None,
            death_limits: Limits::default(),
            started_at: DateTime::from_timestamp(1, 0).unwrap(),
            closing: CancellationToken::new(),
            collected: crate::collect::Collected::default(),
        });
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(run(stacks.clone(), stop.clone()));
        Self { stacks, stop, tasks }
    }

    fn configure(&self, yaml: &str) {
        self.stacks.probes().configure(configured(yaml));
    }

    fn one(&self, id: &str) -> Option<zv_api::Probe> {
        self.stacks.probes().one(id)
    }

    async fn until<T>(&self, what: &str, mut found: impl FnMut(&[zv_api::Probe]) -> Option<T>) -> T {
        let wait = async {
            loop {
                if let Some(value) = found(&self.stacks.probes().list().probes) {
                    return value;
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, wait)
            .await
            .unwrap_or_else(|_| panic!("{what}: {:#?}", self.stacks.probes().latest()))
    }

    async fn until_verdict(&self, id: &str, verdict: &str) -> zv_api::Probe {
        self.until(&format!("{id} is {verdict}"), |probes| {
            probes.iter().find(|probe| probe.id == id && probe.verdict == verdict).cloned()
        })
        .await
    }

    async fn end(mut self) {
        self.stop.cancel();
        timeout(PATIENCE, self.tasks.join_next()).await.unwrap();
    }
}

fn configured(yaml: &str) -> Vec<Arc<config::Probe>> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("zv.yaml");
    std::fs::write(&file, format!("probes:\n{yaml}")).unwrap();
    let environment = Environment::default();
    load(&LoadOptions { file: Some(file), environment, ..LoadOptions::default() }).unwrap().config.probes
}

/// Serves 200 to whoever asks; the sockets close with the set.
async fn server(tasks: &mut JoinSet<()>) -> SocketAddr {
    server_at(tasks, "127.0.0.1:0".parse().unwrap()).await
}

async fn server_at(tasks: &mut JoinSet<()>, address: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut socket, _)) = listener.accept().await {
            while connections.try_join_next().is_some() {}
            connections.spawn(async move {
                let mut request = [0; 1024];
                if matches!(socket.read(&mut request).await, Ok(1..)) {
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
                    socket.write_all(answer).await.ok();
                }
            });
        }
    });
    address
}

/// Takes connections and never says a word.
async fn silence(tasks: &mut JoinSet<()>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tasks.spawn(async move {
        let mut held = std::collections::VecDeque::new();
        while let Ok((socket, _)) = listener.accept().await {
            held.push_back(socket);
            if held.len() > 400 {
                held.pop_front();
            }
        }
    });
    address
}

fn results(probe: &zv_api::Probe) -> u64 {
    probe.results.values().sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_targets_that_hang_delay_none_of_eight_hundred() {
    let mut tasks = JoinSet::new();
    let (good, hung) = (server(&mut tasks).await, silence(&mut tasks).await);
    let yaml: String = (0..1000)
        .map(|number| {
            let at = if number % 5 == 0 { hung } else { good };
            format!("  - {{ name: p{number:03}, http: \"http://{at}/{number}\", every: 2s, timeout: 10s }}\n")
        })
        .collect();
    let rig = Rig::start();
    let begun = Instant::now();
    rig.configure(&yaml);
    let is_hung = |probe: &zv_api::Probe| probe.target.starts_with(&format!("http://{hung}/"));
    rig.until("each good one has four results", |probes| {
        let mut good = probes.iter().filter(|probe| !is_hung(probe));
        (probes.len() == 1000 && good.all(|probe| results(probe) >= 4)).then_some(())
    })
    .await;
    let took = begun.elapsed();
    let probes = rig.stacks.probes().list().probes;
    let (hung, good): (Vec<_>, Vec<_>) = probes.iter().partition(|probe| is_hung(probe));
    assert_eq!((hung.len(), good.len()), (200, 800));
    for probe in &good {
        assert_eq!((probe.verdict.as_str(), probe.results["up"]), ("up", results(probe)), "{probe:?}");
        // Due every two seconds: some lateness is the machine's, thrice the interval would be the runner's.
        for pair in probe.history.windows(2) {
            let gap = (pair[1].at - pair[0].at).to_std().unwrap();
            assert!(gap < Duration::from_secs(8), "{gap:?} between two results of {}", probe.name);
        }
    }
    // Each takes ten seconds to fail, so they cannot have had their turn more often than this.
    let most = took.as_secs() / 10 + 1;
    assert!(hung.iter().all(|probe| results(probe) <= most && probe.results["up"] == 0), "{took:?}");
    rig.end().await;
}

#[tokio::test]
async fn a_reload_leaves_alone_what_did_not_change() {
    let mut tasks = JoinSet::new();
    let at = server(&mut tasks).await;
    let probe = |name: &str, path: &str| {
        format!("  - {{ name: {name}, http: \"http://{at}/{path}\", every: 100ms, confirm: 1 of 1 }}\n")
    };
    let rig = Rig::start();
    rig.configure(&(probe("a", "") + &probe("b", "") + &probe("c", "")));
    for id in ["a", "b", "c"] {
        rig.until_verdict(id, "up").await;
    }
    let before =
        rig.until("a few results", |probes| probes.iter().find(|p| p.id == "a" && results(p) > 5).cloned());
    let before = before.await;
    rig.configure(&(probe("b", "other") + &probe("a", "") + &probe("d", "")));
    rig.until_verdict("d", "up").await;
    let b = rig.until_verdict("b", "up").await;
    assert!(rig.one("c").is_none());
    assert!(b.target.ends_with("/other") && b.since > before.since);
    let a = rig.one("a").unwrap();
    assert_eq!(a.since, before.since);
    assert!(results(&a) >= results(&before));
    rig.end().await;
}

fn replica(labels: &[(&str, &str)], state: State) -> Seen {
    let at = DateTime::from_timestamp(1_700_000_000, 0);
    Seen {
        id: ReplicaId::new("web-1"),
        name: "shop-web-1".into(),
        key: ServiceKey::new("shop", "web"),
        number: 1,
        one_off: false,
        state,
        verdict: Verdict::None,
        created_at: at,
        image: "i".into(),
        image_id: String::new(),
        config_hash: None,
        depends_on: Vec::new(),
        labels: labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        ports: Vec::new(),
        addresses: vec!["127.0.0.1".parse().unwrap()],
        details: Some(Details {
            pid: Some(4_000_000),
            started_at: at,
            exit: None,
            restart_count: 0,
            restart_policy: RestartPolicy::No,
            health: Health::default(),
            tty: false,
        }),
    }
}

fn list(rig: &Rig, seen: Vec<Seen>) {
    rig.stacks.apply(Input::Up { kind: "docker".into(), version: "26".into(), api_version: "1.45".into() });
    rig.stacks.apply(Input::Listed(seen));
}

fn pause(rig: &Rig, kind: EventKind) {
    let at = DateTime::from_timestamp(1_700_000_100, 0).unwrap();
    rig.stacks.apply(Input::Happened(Box::new(Event { id: ReplicaId::new("web-1"), at, kind, seen: None })));
}

#[tokio::test]
async fn labels_of_a_running_replica_are_probed_for_as_long_as_it_runs() {
    let mut tasks = JoinSet::new();
    let port = server(&mut tasks).await.port().to_string();
    let rig = Rig::start();
    let labels = [("zv.probe.http", port.as_str()), ("zv.probe.tcp", &port), ("zv.probe.interval", "200ms")];
    list(&rig, vec![replica(&labels, State::Running)]);
    let web = rig.until_verdict("replica.web-1-http", "up").await;
    assert_eq!((web.name.as_str(), web.kind.as_str()), ("shop-web-1 http", "http"));
    assert_eq!(web.target, format!("http://127.0.0.1:{port}/"));
    let owner = [web.stack, web.service, web.replica].map(Option::unwrap);
    assert_eq!(owner, ["shop", "web", "web-1"]);
    rig.until_verdict("replica.web-1-tcp", "up").await;
    // The engine goes away: that is no reason to stop asking.
    rig.stacks.apply(Input::Down { reason: "gone".into() });
    let before = results(&rig.one("replica.web-1-http").unwrap());
    rig.until("it goes on", |probes| {
        probes.iter().find(|p| p.id == "replica.web-1-http" && results(p) > before + 3).map(drop)
    })
    .await;
    pause(&rig, EventKind::Paused);
    rig.until("its probes are gone", |probes| probes.is_empty().then_some(())).await;
    pause(&rig, EventKind::Unpaused);
    rig.until_verdict("replica.web-1-http", "up").await;
    rig.end().await;
}

#[tokio::test]
async fn a_mistake_in_a_label_is_shown() {
    let rig = Rig::start();
    list(&rig, vec![replica(&[("zv.probe.htpp", "80")], State::Running)]);
    let probe = rig.until("it is shown", |probes| probes.first().cloned()).await;
    assert_eq!((probe.id.as_str(), probe.verdict.as_str()), ("replica.web-1-labels", "unknown"));
    assert!(probe.reason.contains("`zv.probe.htpp` is no label of a probe"), "{}", probe.reason);
    let mut out = zv_wire::Exposition::new(zv_wire::Format::Text, 0);
    crate::metrics::probes::expose(&mut out, &rig.stacks.probes());
    assert!(out.finish().contains("service=\"web\",replica=\"shop-web-1\",state=\"unknown\"} 1"));
    rig.end().await;
}

#[tokio::test]
async fn listeners_are_told_when_what_stands_changes() {
    let mut tasks = JoinSet::new();
    let at = server(&mut tasks).await;
    let rig = Rig::start();
    let mut events = rig.stacks.events(None, None);
    rig.configure(&format!(
        "  - {{ name: my api, http: \"http://{at}/\", every: 100ms, failing_every: 100ms, confirm: 2 of 2 }}\n"
    ));
    let mut told: Vec<(String, String)> = Vec::new();
    let mut listen = async |stop: &str| {
        let wait = async {
            while let Some(message) = events.next().await {
                let Body::Change(change) = message.body else { continue };
                let change: zv_api::Change = serde_json::from_str(&change.json).unwrap();
                match change.what {
                    What::Probe { probe } => told.push(("probe".into(), probe.verdict)),
                    What::Happened { happening } => {
                        told.push((happening.kind.clone(), happening.text));
                        if happening.kind == stop {
                            return;
                        }
                    }
                    What::ProbeGone { id } => {
                        told.push(("gone".into(), id));
                        return;
                    }
                    _ => {}
                }
            }
        };
        timeout(PATIENCE, wait).await.unwrap();
    };
    rig.until("it is up", |probes| probes.iter().find(|probe| probe.verdict == "up").cloned()).await;
    assert_eq!(rig.stacks.snapshot().probes[0].history.len(), 1);
    tasks.shutdown().await;
    listen("probe-down").await;
    server_at(&mut tasks, at).await;
    listen("probe-up").await;
    rig.configure("  []");
    listen("").await;
    let kinds: Vec<&str> = told.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds[..4], ["probe", "probe", "probe", "probe-down"]);
    assert_eq!(
        told[..3].iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(),
        ["unknown", "up", "down"]
    );
    assert_eq!(told[3].1, format!("is down: connection refused by {at}"));
    assert_eq!(kinds[4..], ["probe", "probe-up", "gone"]);
    assert!(told[5].1.starts_with("is up again after "), "{}", told[5].1);
    let id = &told.last().unwrap().1;
    assert!(id.starts_with("my-api-") && id.len() == "my-api-".len() + 8, "{id}");
    rig.end().await;
}

#[test]
fn a_history_is_bounded() {
    let mut history = history::History::default();
    for number in 0..200 {
        let mut report = zv_probe::Report::unknown("because");
        report.output = Some(format!("output {number}"));
        history.push(DateTime::from_timestamp(number, 0).unwrap(), &report);
    }
    let kept = history.last(usize::MAX);
    assert_eq!((kept.len(), kept[59].at.timestamp()), (60, 199));
    let outputs: Vec<_> = kept.iter().filter_map(|result| result.output.as_deref()).collect();
    assert_eq!(outputs, ["output 197", "output 198", "output 199"]);
    assert_eq!(history.last(2).len(), 2);
}
