//! What every runtime has to do alike.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use zv_stack::logs::{LogLine, Output};
use zv_stack::runtime::LogRange;
use zv_stack::stats::Running;
use zv_stack::{Details, EventKind, ReplicaId, RestartPolicy, Runtime, Seen, State, Verdict};

use crate::rig::{Board, DEADLINE, HealthPlan, Plan, Rig, Watch};

const HISTORY: LogRange = LogRange { since: None, tail: None, follow: false };
const FOLLOW: LogRange = LogRange { since: None, tail: None, follow: true };

async fn up(rig: &mut impl Rig, plans: &[Plan]) -> (Runtime, Watch) {
    rig.deploy(plans).await;
    let runtime = rig.runtime();
    let watch = Watch::start(&runtime);
    (runtime, watch)
}

fn details(seen: &Seen) -> &Details {
    seen.details.as_ref().expect("it was inspected")
}

fn running(board: &Board, service: &str) -> Vec<u32> {
    board.of(service).iter().filter(|seen| seen.state == State::Running).map(|seen| seen.number).collect()
}

async fn lines(runtime: &Runtime, id: &ReplicaId, range: LogRange) -> Vec<LogLine> {
    let all = runtime.logs(id, range).map(|line| line.expect("a readable log")).collect();
    tokio::time::timeout(DEADLINE, all).await.expect("the log ends")
}

fn texts(lines: &[LogLine], output: Output) -> Vec<&str> {
    lines.iter().filter(|line| line.output == output).map(|line| line.text.as_str()).collect()
}

/// Services, replica numbers, dependencies and labels are seen.
pub(crate) async fn discovers_services_and_replicas(mut rig: impl Rig) {
    let db = Plan::new("db", &["sleep"]);
    let labels = vec![("zv.replicas", "2"), ("other", "x")];
    let web = Plan { replicas: 2, depends_on: vec!["db"], labels, ..Plan::new("web", &["sleep"]) };
    let (runtime, mut watch) = up(&mut rig, &[db, web]).await;
    let all = watch.until("three run", |board| {
        let up = running(board, "db") == [1] && running(board, "web") == [1, 2];
        let inspected = board.seen.values().all(details_with_pid);
        (up && inspected).then(|| board.clone())
    });
    let board = all.await;
    for seen in board.of("web") {
        assert_eq!(seen.key, rig.key("web"));
        assert_eq!(seen.depends_on.iter().map(|name| &**name).collect::<Vec<_>>(), ["db"]);
        assert_eq!(seen.labels.get("zv.replicas").map(String::as_str), Some("2"));
        assert!(seen.name.ends_with(&format!("web-{}", seen.number)), "{}", seen.name);
        assert!(seen.config_hash.is_some() && !seen.one_off && !seen.labels.contains_key("other"));
        assert!(details(seen).started_at.is_some() && details(seen).exit.is_none());
    }
    runtime.shutdown().await;
}

fn details_with_pid(seen: &Seen) -> bool {
    seen.details.as_ref().is_some_and(|details| details.pid.is_some())
}

/// A process that ends by itself is listed with its exit code.
pub(crate) async fn knows_the_exit_code(mut rig: impl Rig) {
    let (runtime, mut watch) =
        up(&mut rig, &[Plan::new("job", &["exit", "--code", "7", "--after-ms", "300"])]).await;
    let seen = watch.until_state("job", State::Exited).await;
    let exit = details(&seen).exit.clone().expect("it ended");
    assert_eq!((exit.code, exit.oom), (Some(7), false));
    assert_eq!(details(&seen).pid, None);
    watch
        .until("nobody asked for it", |board| {
            let history = board.history(&seen.id);
            assert!(!history.contains(&&EventKind::Stopped));
            history.contains(&&EventKind::Died { code: Some(7) }).then_some(())
        })
        .await;
    runtime.shutdown().await;
}

/// Restart policies decide who comes back, and restarts are counted.
pub(crate) async fn restarts_as_the_policy_says(mut rig: impl Rig) {
    let plan = |service, policy, code| Plan {
        restart: policy,
        ..Plan::new(service, &["exit", "--code", code, "--after-ms", "200"])
    };
    let plans = [
        plan("never", RestartPolicy::No, "1"),
        plan("failed", RestartPolicy::OnFailure, "1"),
        plan("finished", RestartPolicy::OnFailure, "0"),
        plan("always", RestartPolicy::Always, "0"),
    ];
    let (runtime, mut watch) = up(&mut rig, &plans).await;
    let count = |board: &Board, service: &str| {
        board.one(service).and_then(|seen| seen.details.as_ref()).map_or(0, |details| details.restart_count)
    };
    watch
        .until("two restarts each", |board| {
            (count(board, "failed") >= 2 && count(board, "always") >= 2).then_some(())
        })
        .await;
    for service in ["never", "finished"] {
        let seen = watch.until_state(service, State::Exited).await;
        assert_eq!(details(&seen).restart_count, 0, "{service}");
    }
    runtime.shutdown().await;
}

/// Health goes from starting to healthy to unhealthy, and the last outputs are kept.
pub(crate) async fn follows_health(mut rig: impl Rig) {
    let health = Some(HealthPlan { interval_ms: 300, retries: 2 });
    let (runtime, mut watch) =
        up(&mut rig, &[Plan { health, ..Plan::new("web", &["serve", "--sick-after", "3"]) }]).await;
    let verdict = |board: &Board, wanted| {
        let seen = board.one("web")?;
        let details = seen.details.as_ref()?;
        (seen.verdict == wanted && details.health.verdict == wanted).then(|| details.health.clone())
    };
    watch.until("healthy", |board| verdict(board, Verdict::Healthy)).await;
    let health = watch.until("unhealthy", |board| verdict(board, Verdict::Unhealthy)).await;
    assert!(health.failing_streak >= 2);
    let last = health.log.last().expect("a check");
    assert!(last.exit_code != 0 && last.output.contains("sick"), "{last:?}");
    assert!(health.log.iter().any(|check| check.exit_code == 0 && check.output.contains("ok")), "{health:?}");
    let events = watch.until("both verdicts are events", |board| {
        let seen = board.one("web")?;
        let history: Vec<EventKind> = board.history(&seen.id).into_iter().cloned().collect();
        history.contains(&EventKind::Health(Verdict::Unhealthy)).then_some(history)
    });
    assert!(events.await.contains(&EventKind::Health(Verdict::Healthy)));
    runtime.shutdown().await;
}

/// A replica that a person stopped stays listed as exited; it can be started and restarted.
pub(crate) async fn stops_starts_and_restarts(mut rig: impl Rig) {
    let plan = Plan { restart: RestartPolicy::Always, ..Plan::new("web", &["sleep"]) };
    let (runtime, mut watch) = up(&mut rig, &[plan]).await;
    let first = watch.until_state("web", State::Running).await;
    heeds_signals(&runtime, &first.id, 1).await;
    runtime.stop(&first.id, None).await.expect("it stops");
    let stopped = watch.until_state("web", State::Exited).await;
    assert_eq!(details(&stopped).exit.as_ref().and_then(|exit| exit.code), Some(0));
    watch
        .until("it was asked for", |board| {
            board.history(&first.id).contains(&&EventKind::Stopped).then_some(())
        })
        .await;
    runtime.stop(&first.id, None).await.expect("stopping twice is no mistake");

    runtime.start(&first.id).await.expect("it starts");
    let second = watch.until_state("web", State::Running).await;
    assert_eq!(second.id, first.id);
    assert_ne!(details(&second).pid, details(&first).pid);
    runtime.start(&first.id).await.expect("starting twice is no mistake");
    heeds_signals(&runtime, &first.id, 2).await;

    runtime.restart(&first.id, None).await.expect("it restarts");
    let pid = details(&second).pid;
    watch
        .until("a new process", |board| {
            let seen = board.one("web").filter(|seen| seen.state == State::Running)?;
            seen.details.as_ref()?.pid.filter(|_| details(seen).pid != pid)
        })
        .await;
    runtime.shutdown().await;
}

/// Waits until the subject has said for the `times`-th time that it heeds signals.
async fn heeds_signals(runtime: &Runtime, id: &ReplicaId, times: usize) {
    says(runtime, id, "ready", times).await;
}

async fn says(runtime: &Runtime, id: &ReplicaId, text: &str, times: usize) {
    let mut said = 0;
    let mut lines = runtime.logs(id, FOLLOW);
    let heard = async {
        while let Some(line) = lines.next().await {
            said += usize::from(line.expect("a readable log").text == text);
            if said == times {
                return;
            }
        }
        panic!("the log ended before `{text}` came {times} times");
    };
    tokio::time::timeout(DEADLINE, heard).await.expect("it says so");
}

/// A process that ignores SIGTERM is killed once its grace is over.
pub(crate) async fn kills_the_stubborn(mut rig: impl Rig) {
    let (runtime, mut watch) = up(&mut rig, &[Plan::new("web", &["stubborn"])]).await;
    let seen = watch.until_state("web", State::Running).await;
    heeds_signals(&runtime, &seen.id, 1).await;
    let begun = Instant::now();
    runtime.stop(&seen.id, Some(Duration::from_secs(1))).await.expect("it stops");
    assert!(begun.elapsed() >= Duration::from_millis(900), "it had its grace");
    let stopped = watch.until_state("web", State::Exited).await;
    assert_eq!(details(&stopped).exit.as_ref().and_then(|exit| exit.code), Some(137));
    assert!(texts(&lines(&runtime, &seen.id, HISTORY).await, Output::Stdout).contains(&"ignored"));
    runtime.shutdown().await;
}

/// More replicas come after the highest number; fewer means that the highest go first.
pub(crate) async fn scales_up_and_down(mut rig: impl Rig) {
    let (runtime, mut watch) = up(&mut rig, &[Plan { replicas: 2, ..Plan::new("web", &["sleep"]) }]).await;
    watch.until("two run", |board| (running(board, "web") == [1, 2]).then_some(())).await;
    let key = rig.key("web");
    runtime.scale(&key, 4).await.expect("it grows");
    watch.until("four run", |board| (running(board, "web") == [1, 2, 3, 4]).then_some(())).await;
    runtime.scale(&key, 1).await.expect("it shrinks");
    let board = watch.until("one is left", |board| (board.of("web").len() == 1).then(|| board.clone())).await;
    assert_eq!(running(&board, "web"), [1]);
    let removed = board.events.iter().filter(|event| event.kind == EventKind::Removed).count();
    assert_eq!(removed, 3);
    runtime.shutdown().await;
}

/// The log of one replica goes on after a restart, each line once, and a follower's stream ends with the process.
pub(crate) async fn keeps_logs_over_a_restart(mut rig: impl Rig) {
    let plan = Plan::new("web", &["print", "--lines", "3", "--then-sleep"]);
    let (runtime, mut watch) = up(&mut rig, &[plan]).await;
    let seen = watch.until_state("web", State::Running).await;
    heeds_signals(&runtime, &seen.id, 1).await;
    let mut follower = runtime.logs(&seen.id, FOLLOW);
    let first = follower.next().await.expect("a line").expect("a readable log");
    assert_eq!(first.text, "line 1");
    runtime.restart(&seen.id, None).await.expect("it restarts");
    let rest: Vec<LogLine> =
        tokio::time::timeout(DEADLINE, follower.map(|line| line.expect("a readable log")).collect())
            .await
            .expect("the stream ends with the process");
    assert_eq!(texts(&rest, Output::Stdout), ["line 2", "line 3", "ready", "ending"]);

    heeds_signals(&runtime, &seen.id, 2).await;
    let since = rest.last().expect("lines").at;
    let later = lines(&runtime, &seen.id, LogRange { since: Some(since), ..HISTORY }).await;
    assert_eq!(texts(&later, Output::Stdout), ["ending", "line 1", "line 2", "line 3", "ready"]);
    let all = lines(&runtime, &seen.id, HISTORY).await;
    assert_eq!(all.len(), 9);
    assert!(all.is_sorted_by(|a, b| a.at < b.at || a.output != b.output));
    let tail = lines(&runtime, &seen.id, LogRange { tail: Some(2), ..HISTORY }).await;
    assert_eq!(texts(&tail, Output::Stdout), ["line 3", "ready"]);
    runtime.shutdown().await;
}

/// Nothing a process writes is lost, however short it lives, and the outputs are told apart.
pub(crate) async fn reads_the_log_of_a_short_life(mut rig: impl Rig) {
    let plans = [
        Plan::new("brief", &["print", "--lines", "20", "--every-ms", "10"]),
        Plan::new("errors", &["print", "--lines", "5", "--stderr", "--then-exit", "3"]),
    ];
    let (runtime, mut watch) = up(&mut rig, &plans).await;
    let brief = watch.until_state("brief", State::Exited).await;
    let errors = watch.until_state("errors", State::Exited).await;
    let expected: Vec<String> = (1..=20).map(|number| format!("line {number}")).collect();
    assert_eq!(texts(&lines(&runtime, &brief.id, FOLLOW).await, Output::Stdout), expected);
    let lines = lines(&runtime, &errors.id, FOLLOW).await;
    assert_eq!(texts(&lines, Output::Stderr), expected[..5]);
    assert!(texts(&lines, Output::Stdout).is_empty());
    runtime.shutdown().await;
}

/// What a replica uses is measured while it runs.
pub(crate) async fn measures_what_runs(mut rig: impl Rig) {
    let (runtime, mut watch) = up(&mut rig, &[Plan::new("web", &["oom", "--up-to-mib", "32"])]).await;
    let seen = watch.until_state("web", State::Running).await;
    says(&runtime, &seen.id, "taken", 1).await;
    let asked = runtime.measure(&seen.id).await.expect("it runs");
    let running = [Running { id: seen.id.clone(), pid: details(&seen).pid }];
    let mut meters = runtime.meters();
    let first = meters.round(&running, zv_stack::clock::now());
    let later = meters.round(&running, zv_stack::clock::now());
    for measured in [&asked, &first.measured[0].1, &later.measured[0].1] {
        assert!(measured.memory.working_set.is_some_and(|bytes| bytes >= 32 << 20), "{measured:?}");
        assert!(measured.memory.rss.is_some_and(|bytes| bytes >= 32 << 20), "{measured:?}");
        assert!(measured.tasks.threads.is_some_and(|count| count >= 1), "{measured:?}");
        assert!(measured.stats().processes.is_some_and(|count| count >= 1), "{measured:?}");
        let cpu = &measured.cpu;
        assert!(cpu.usage_seconds.is_some_and(|seconds| seconds >= 0.0), "{measured:?}");
        assert!(cpu.user_seconds.is_some() && cpu.system_seconds.is_some(), "{measured:?}");
    }
    assert!(later.measured[0].1.cpu.usage_seconds >= asked.cpu.usage_seconds, "{asked:?} {later:?}");
    runtime.stop(&seen.id, Some(Duration::ZERO)).await.expect("it stops");
    watch.until_state("web", State::Exited).await;
    assert_eq!(runtime.measure(&seen.id).await, None);
    assert_eq!(meters.round(&running, zv_stack::clock::now()).unseen, [seen.id]);
    runtime.shutdown().await;
}

/// A death leaves its last lines, its exit and its description behind.
pub(crate) async fn keeps_evidence_of_a_death(mut rig: impl Rig) {
    let plan = Plan::new("job", &["print", "--lines", "300", "--then-exit", "9"]);
    let (runtime, mut watch) = up(&mut rig, &[plan]).await;
    let id = watch.until("it died", |board| {
        let seen = board.one("job")?;
        // One that ended before the first list is told by the list alone.
        let listed = seen.details.as_ref().and_then(|details| details.exit.as_ref()?.code) == Some(9);
        let told = board.history(&seen.id).contains(&&EventKind::Died { code: Some(9) });
        (listed || told).then(|| seen.id.clone())
    });
    let id = id.await;
    let evidence = runtime.evidence(&id).await;
    assert_eq!(evidence.exit.and_then(|exit| exit.code), Some(9));
    let expected: Vec<String> = (101..=300).map(|number| format!("line {number}")).collect();
    assert_eq!(texts(&evidence.logs, Output::Stdout), expected);
    assert!(evidence.inspect.is_some());
    runtime.shutdown().await;
}
