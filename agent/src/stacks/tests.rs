//! What listeners and askers see, with inputs fed by hand: no engine answers here.

use std::collections::BTreeMap;

use chrono::DateTime;
use futures_util::FutureExt;
use tokio::task::JoinSet;
use zv_api::{Action, ActionRequest, LogQuery};
use zv_stack::docker::{DockerOptions, DockerRuntime};
use zv_stack::{
    Details, Event, EventKind, Exit, Health, Input, RestartPolicy, Seen, ServiceKey, State, Verdict,
};

use super::*;

pub(crate) fn stacks_in(store: Option<PathBuf>) -> Stacks {
    let options =
        DockerOptions { host: Some("unix:///nonexistent/docker.sock".into()), ..DockerOptions::default() };
    Stacks::new(Settings {
        host: Host { id: "h1".into(), name: "web-1".into() },
        runtime: Runtime::Docker(DockerRuntime::new(options).unwrap()),
        collected: Collected::default(),
        store,
        death_limits: Limits::default(),
        started_at: DateTime::from_timestamp(1, 0).unwrap(),
        closing: CancellationToken::new(),
    })
}

pub(crate) fn replica(service: &str, number: u32) -> Seen {
    let at = DateTime::from_timestamp(1_700_000_000, 0);
    Seen {
        id: ReplicaId::new(format!("{service}-{number}")),
        name: format!("shop-{service}-{number}"),
        key: ServiceKey::new("shop", service),
        number,
        one_off: false,
        state: State::Running,
        verdict: Verdict::None,
        created_at: at,
        image: "i".into(),
        image_id: String::new(),
        config_hash: None,
        depends_on: Vec::new(),
        labels: BTreeMap::new(),
        ports: vec!["80/tcp".into()],
        addresses: vec![],
        details: Some(Details {
            pid: Some(4_000_000 + number),
            started_at: at,
            exit: None,
            restart_count: 0,
            restart_policy: RestartPolicy::No,
            health: Health::default(),
            tty: false,
        }),
    }
}

pub(crate) fn feed(stacks: &Stacks, seen: Vec<Seen>) {
    stacks.apply(Input::Up { kind: "docker".into(), version: "26".into(), api_version: "1.45".into() });
    stacks.apply(Input::Listed(seen));
}

/// Has the runtime go away.
pub(crate) fn lose(stacks: &Stacks) {
    stacks.apply(Input::Down { reason: "connection refused".into() });
}

fn pause(stacks: &Stacks, id: &str, kind: EventKind) {
    let at = DateTime::from_timestamp(1_700_000_100, 0).unwrap();
    stacks.apply(Input::Happened(Box::new(Event { id: ReplicaId::new(id), at, kind, seen: None })));
}

fn ready(stream: &mut BoxStream<'static, Message>) -> Vec<Message> {
    std::iter::from_fn(|| stream.next().now_or_never().flatten()).collect()
}

fn seqs(messages: &[Message]) -> Vec<u64> {
    let of = |message: &Message| match &message.body {
        Body::Snapshot(snapshot) => snapshot.seq,
        Body::Change(change) => change.seq,
        Body::Stats(_) => 0,
    };
    messages.iter().map(of).collect()
}

#[test]
fn a_listener_gets_a_snapshot_and_then_every_change_once() {
    let stacks = stacks_in(None);
    feed(&stacks, vec![replica("api", 1)]);
    let mut stream = stacks.events(None, None);
    let first = ready(&mut stream);
    assert!(
        matches!(&first[..], [Message { body: Body::Snapshot(s), .. }] if s.stacks[0].services[0].status == "ok")
    );
    pause(&stacks, "api-1", EventKind::Paused);
    pause(&stacks, "api-1", EventKind::Unpaused);
    let later = ready(&mut stream);
    let start = seqs(&first)[0];
    assert_eq!(seqs(&later), (start + 1..=start + later.len() as u64).collect::<Vec<_>>());
    assert_eq!(later.last().unwrap().id, format!("3e8-{}", start + later.len() as u64));
}

#[test]
fn a_listener_that_comes_back_gets_what_it_missed_and_nothing_else() {
    let stacks = stacks_in(None);
    feed(&stacks, vec![replica("api", 1)]);
    let mut stream = stacks.events(None, None);
    let seen = ready(&mut stream).pop().unwrap().id;
    drop(stream);
    pause(&stacks, "api-1", EventKind::Paused);
    let missed = ready(&mut stacks.events(Some(&seen), None));
    assert!(missed.iter().all(|message| matches!(message.body, Body::Change(_))));
    assert!(!missed.is_empty());
    let last = missed.last().unwrap().id.clone();
    assert!(ready(&mut stacks.events(Some(&last), None)).is_empty(), "up to date");
    for foreign in ["feed-3", "3e8-999999", "3e8-x", "", "-"] {
        let messages = ready(&mut stacks.events(Some(foreign), None));
        assert!(matches!(messages[..], [Message { body: Body::Snapshot(_), .. }]), "{foreign}");
    }
}

#[test]
fn a_listener_that_missed_too_much_gets_a_snapshot() {
    let stacks = stacks_in(None);
    feed(&stacks, vec![replica("api", 1)]);
    let mut slow = stacks.events(None, None);
    let first = ready(&mut slow).pop().unwrap().id;
    for _ in 0..CHANGES_KEPT {
        pause(&stacks, "api-1", EventKind::Paused);
        pause(&stacks, "api-1", EventKind::Unpaused);
    }
    let caught_up = ready(&mut slow);
    assert!(matches!(caught_up[..], [Message { body: Body::Snapshot(_), .. }]), "{}", caught_up.len());
    assert_eq!(seqs(&caught_up), [stacks.snapshot().seq]);
    let returned = ready(&mut stacks.events(Some(&first), None));
    assert!(matches!(returned[..], [Message { body: Body::Snapshot(_), .. }]));
    assert!(stacks.happenings(usize::MAX).happenings.len() <= HAPPENINGS_KEPT);
}

#[test]
fn changes_of_large_services_are_kept_within_bounds() {
    let stacks = stacks_in(None);
    feed(&stacks, (1..=200).map(|number| replica("api", number)).collect());
    let before = ready(&mut stacks.events(None, None)).pop().unwrap().id;
    for _ in 0..20 {
        pause(&stacks, "api-1", EventKind::Paused);
        pause(&stacks, "api-1", EventKind::Unpaused);
    }
    let state = stacks.state();
    let bytes: usize = state.kept.iter().map(|change| change.json.len()).sum();
    assert_eq!(bytes, state.kept_bytes);
    assert!((CHANGES_KEPT_BYTES / 2..=CHANGES_KEPT_BYTES).contains(&bytes), "{bytes}");
    let last = state.seq;
    drop(state);
    let returned = ready(&mut stacks.events(Some(&before), None));
    assert!(matches!(returned[..], [Message { body: Body::Snapshot(_), .. }]), "a gap that is too large");
    let (epoch, _) = before.rsplit_once('-').unwrap();
    let missed = ready(&mut stacks.events(Some(&format!("{epoch}-{}", last - 1)), None));
    assert_eq!(seqs(&missed), [last]);
}

#[tokio::test]
async fn streams_end_when_the_agent_closes() {
    let stacks = stacks_in(None);
    let events = stacks.events(None, None);
    let logs = stacks.logs(LogQuery { follow: true, ..LogQuery::default() }, None).unwrap();
    stacks.inner.closing.cancel();
    assert!(events.count().await <= 1);
    assert_eq!(logs.count().await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_host_without_a_container_is_ready_as_well() {
    let stacks = stacks_in(None);
    let (ready, ()) = tokio::join!(tokio::time::timeout(Duration::from_secs(1), stacks.ready()), async {
        tokio::task::yield_now().await;
        stacks.apply(Input::Up { kind: "docker".into(), version: "26".into(), api_version: "1.45".into() });
        stacks.apply(Input::Listed(Vec::new()));
    });
    ready.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_death_leaves_a_record_even_while_the_engine_is_away() {
    let dir = tempfile::tempdir().unwrap();
    let stacks = stacks_in(Some(dir.path().into()));
    feed(&stacks, vec![replica("api", 1), replica("api", 2)]);
    stacks.apply(Input::Down { reason: "connection refused".into() });
    let changes = stacks.apply(Input::ProcessEnded { id: ReplicaId::new("api-1"), pid: 4_000_001 });
    let mut jobs = JoinSet::new();
    for change in changes {
        if let zv_stack::Change::Died(death) = change {
            let record = stacks.begin_record(&death);
            let turns = Arc::new(tokio::sync::Semaphore::new(1));
            jobs.spawn(capture::capture(stacks.clone(), death, record, turns));
        }
    }
    assert_eq!(jobs.len(), 1);
    jobs.join_all().await;
    let deaths = stacks.deaths(Some("shop"), Some("api"), 10).await.unwrap().deaths;
    assert_eq!((deaths.len(), deaths[0].name.as_str(), deaths[0].wanted), (1, "shop-api-1", false));
    assert_eq!(stacks.death(&deaths[0].id).await.unwrap().host, "web-1");
    assert!(matches!(stacks.death("../../etc/passwd").await, Err(Refusal::NotFound(_))));
}

#[tokio::test(start_paused = true)]
async fn a_late_death_is_recorded_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut dead = replica("api", 1);
    dead.state = State::Exited;
    let details = dead.details.as_mut().unwrap();
    details.pid = None;
    details.exit =
        Some(Exit { at: DateTime::from_timestamp(1_700_000_050, 0).unwrap(), code: Some(3), oom: true });
    for run in 0..2 {
        // The record was made from the runtime's event, which is a little younger than the end that it tells of.
        let at = DateTime::from_timestamp_millis(1_700_000_050_040 - 40 * run).unwrap();
        dead.details.as_mut().unwrap().exit.as_mut().unwrap().at = at;
        let stacks = stacks_in(Some(dir.path().into()));
        stacks.apply(Input::Up { kind: "docker".into(), version: "26".into(), api_version: "1.45".into() });
        let changes = stacks.apply(Input::Listed(vec![dead.clone()]));
        let deaths = changes.into_iter().filter_map(|c| match c {
            zv_stack::Change::Died(death) => Some(death),
            _ => None,
        });
        for death in deaths {
            assert!(death.late);
            let record = stacks.begin_record(&death);
            let turns = Arc::new(tokio::sync::Semaphore::new(1));
            capture::capture(stacks.clone(), death, record, turns).await;
        }
        assert_eq!(stacks.deaths(None, None, 10).await.unwrap().deaths.len(), 1);
    }
}

#[test]
fn a_disk_that_hangs_takes_one_thread_and_loses_no_record() {
    let dir = tempfile::tempdir().unwrap();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(2).build().unwrap();
    let patience = Duration::from_secs(10);
    runtime.block_on(async {
        let stacks = stacks_in(Some(dir.path().into()));
        let (hang, hung) = std::sync::mpsc::channel::<()>();
        let mut asking = JoinSet::new();
        let held = stacks.clone();
        asking.spawn(async move { held.with_deaths(move |_| hung.recv().is_err()).await.is_some() });
        for _ in 0..8 {
            let stacks = stacks.clone();
            asking.spawn(async move { stacks.with_deaths(|store| store.list().count()).await.is_some() });
        }
        tokio::task::yield_now().await;
        tokio::time::timeout(patience, tokio::task::spawn_blocking(|| ()))
            .await
            .expect("a thread is free")
            .unwrap();
        drop(hang);
        let answered = tokio::time::timeout(patience, asking.join_all()).await.expect("the disk works again");
        assert_eq!(answered, [true; 9]);
    });
}

#[tokio::test]
async fn names_are_found_or_explained() {
    let stacks = stacks_in(None);
    let mut other = replica("api", 1);
    other.id = ReplicaId::new("other");
    other.key = ServiceKey::new("blog", "api");
    feed(&stacks, vec![replica("api", 1), replica("web", 1), replica("web", 2), other]);
    let ask = |service: &str, stack: Option<&str>, replica: Option<&str>| ActionRequest {
        action: Action::Stop,
        stack: stack.map(Into::into),
        service: service.into(),
        replica: replica.map(Into::into),
        grace_seconds: None,
    };
    let refusal = |request| stacks.act(request).now_or_never().unwrap().unwrap_err().to_string();
    assert_eq!(refusal(ask("api", None, None)), "`api` is in more than one stack: say which of blog, shop.");
    assert_eq!(
        refusal(ask("apo", None, None)),
        "There is no service `apo`: there is blog/api, shop/api, shop/web."
    );
    assert_eq!(
        refusal(ask("web", None, Some("7"))),
        "`shop/web` has no replica `7`: it has shop-web-1, shop-web-2."
    );
    assert_eq!(refusal(ask("web", None, Some("web-"))), "`web-` names more than one replica of `shop/web`.");
    let scale = ActionRequest { action: Action::Scale { replicas: 5000 }, ..ask("web", None, None) };
    assert_eq!(refusal(scale), "More than 1000 replicas are not possible.");

    let report = stacks.act(ask("web", Some("shop"), Some("2"))).await.unwrap();
    assert_eq!(report.results[0].name, "shop-web-2");
    assert!(report.results[0].error.is_some(), "no engine answers here");
    stacks.finish_actions().await;
    assert_eq!(refusal(ask("web", None, None)), "The agent is shutting down.");
}

#[tokio::test]
async fn only_so_many_logs_are_read_at_once() {
    let stacks = stacks_in(None);
    feed(&stacks, vec![replica("api", 1)]);
    let query = || LogQuery { services: vec!["api".into()], follow: true, ..LogQuery::default() };
    let mut open: Vec<_> = (0..LOGS_AT_ONCE).map(|_| stacks.logs(query(), None).ok().unwrap()).collect();
    assert!(matches!(stacks.logs(query(), None), Err(Refusal::Unavailable(_))));
    open.pop();
    assert!(stacks.logs(query(), None).is_ok());
}

#[tokio::test]
async fn a_misspelt_service_has_no_log() {
    let stacks = stacks_in(None);
    feed(&stacks, vec![replica("api", 1)]);
    let query = |service: &str| LogQuery { services: vec![service.into()], ..LogQuery::default() };
    assert!(matches!(stacks.logs(query("apo"), None), Err(Refusal::NotFound(_))));
    assert!(matches!(stacks.logs(query("api"), Some("nonsense")), Err(Refusal::Bad(_))));
    let lines: Vec<LogMessage> = stacks.logs(query("api"), None).unwrap().collect().await;
    assert_eq!(lines.len(), 1, "a log that cannot be read says so");
    assert!(lines[0].line.text.starts_with("[zv] "), "{}", lines[0].line.text);
}
