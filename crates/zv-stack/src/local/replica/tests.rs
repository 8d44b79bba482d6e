//! One replica through its lives.

use std::collections::BTreeMap;

use super::*;
use crate::local::file;
use crate::local::logs::LogStore;
use crate::local::ports::Ports;
use crate::local::shared::Registry;

struct Bench {
    replica: Replica,
    commands: mpsc::Sender<Command>,
    inputs: mpsc::Receiver<Input>,
    _folder: tempfile::TempDir,
}

fn bench() -> Bench {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "name: demo\nx-zv: { local: { web: { command: [web], restart: always } } }\n";
    let stack = file::parse(&folder.path().join("stack.yaml"), text, &BTreeMap::new()).expect("a good file");
    let context = Context {
        guard: Vec::new(),
        logs: Arc::new(LogStore::open(folder.path().to_owned()).expect("a folder")),
        registry: Registry::default(),
        ports: Ports::default(),
        mark: String::new(),
        changed: tokio::sync::watch::Sender::new(()),
    };
    let spec = stack.services["web"].clone();
    let shared = Shared::new(&stack.name, &"web".into(), 1, spec, &context.logs, clock::now());
    let (events, inputs) = mpsc::channel(64);
    let (commands, receiver) = mpsc::channel(4);
    let replica = Replica::new(Arc::new(shared), Arc::new(context), events, receiver);
    Bench { replica, commands, inputs, _folder: folder }
}

fn failed() -> Exit {
    Exit { at: clock::now(), code: Some(1), oom: false }
}

fn kinds(inputs: &mut mpsc::Receiver<Input>) -> Vec<EventKind> {
    let mut kinds = Vec::new();
    while let Ok(input) = inputs.try_recv() {
        if let Input::Happened(event) = input {
            kinds.push(event.kind);
        }
    }
    kinds
}

#[tokio::test(start_paused = true)]
async fn each_failure_doubles_the_wait() {
    let mut bench = bench();
    for expected in [100_u64, 200, 400, 800, 1600] {
        let Next::Wait(delay) = bench.replica.ended(failed(), Then::AsPolicy, Duration::ZERO).await else {
            panic!("it waits")
        };
        assert_eq!(bench.replica.shared.facts().state, State::Restarting);
        let begun = Instant::now();
        assert!(matches!(bench.replica.wait(delay).await, Next::Launch));
        let waited = begun.elapsed();
        let expected = Duration::from_millis(expected);
        // Jitter shortens by up to a quarter; the timer rounds up to a millisecond.
        assert!(waited >= expected * 3 / 4 && waited <= expected + Duration::from_millis(2), "{waited:?}");
    }
    assert_eq!(bench.replica.shared.facts().restart_count, 5);
}

#[tokio::test(start_paused = true)]
async fn a_person_who_starts_it_need_not_wait() {
    let mut bench = bench();
    let (reply, _answer) = oneshot::channel();
    bench.commands.send(Command::Start(reply)).await.expect("room");
    let begun = Instant::now();
    assert!(matches!(bench.replica.wait(Duration::from_secs(30)).await, Next::Launch));
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(bench.replica.shared.facts().restart_count, 0);
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_wait_for_good() {
    let mut bench = bench();
    bench.replica.ended(failed(), Then::AsPolicy, Duration::ZERO).await;
    let (reply, _answer) = oneshot::channel();
    bench.commands.send(Command::Stop { grace: None, reply }).await.expect("room");
    assert!(matches!(bench.replica.wait(Duration::from_secs(30)).await, Next::Rest));
    assert_eq!(bench.replica.shared.facts().state, State::Exited);
    assert_eq!(kinds(&mut bench.inputs), [EventKind::Died { code: Some(1) }, EventKind::Stopped]);
}

#[tokio::test]
async fn policies() {
    let exit = |code| Exit { at: clock::now(), code, oom: false };
    let cases = [
        (RestartPolicy::No, Some(1), false),
        (RestartPolicy::OnFailure, Some(0), false),
        (RestartPolicy::OnFailure, Some(3), true),
        (RestartPolicy::OnFailure, None, true),
        (RestartPolicy::Always, Some(0), true),
        (RestartPolicy::UnlessStopped, Some(0), true),
    ];
    for (policy, code, again) in cases {
        let mut bench = bench();
        bench
            .replica
            .shared
            .update(|facts| facts.spec = Arc::new(Spec { restart: policy, ..(*facts.spec).clone() }));
        let next = bench.replica.ended(exit(code), Then::AsPolicy, Duration::ZERO).await;
        assert_eq!(matches!(next, Next::Wait(_)), again, "{policy:?} {code:?}");
        let next = bench.replica.ended(exit(code), Then::Rest, Duration::ZERO).await;
        assert!(matches!(next, Next::Rest), "a person's word stands");
    }
}
