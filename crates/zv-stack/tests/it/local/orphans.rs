//! Whoever is killed, nothing of the stack is left behind.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use rustix::process::{Pid, Signal};
use zv_stack::runtime::LogRange;
use zv_stack::{EventKind, RestartPolicy, Runtime, State};

use super::{LocalRig, stack_file};
use crate::rig::{DEADLINE, Plan, Rig, Watch, subject};

/// Returns the processes of a stack, guards included: all that work in its folder.
fn processes(rig: &LocalRig) -> BTreeSet<u32> {
    let folder = rig.file().canonicalize().expect("a file").parent().expect("a folder").to_owned();
    let pids = fs::read_dir("/proc").expect("a process table").flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == folder)).collect()
}

async fn until_none(rig: &LocalRig) {
    let begun = Instant::now();
    while !processes(rig).is_empty() {
        assert!(begun.elapsed() < DEADLINE, "still there: {:?}", processes(rig));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn kill(pid: u32) {
    let pid = Pid::from_raw(i32::try_from(pid).expect("a number")).expect("not zero");
    rustix::process::kill_process(pid, Signal::KILL).expect("it runs");
}

fn parent_of(pid: u32) -> u32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    zv_stack::stats::proc::parse_stat(stat.as_bytes()).expect("a line of the process table").parent
}

/// Ends a supervisor that a failed test left behind.
struct Supervisor(Child);

impl Drop for Supervisor {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _collected = self.0.wait();
    }
}

/// Starts a supervisor as a process of its own and waits until it has started so many processes.
fn supervise(rig: &LocalRig, processes: usize) -> Supervisor {
    let mut child = Command::new(subject())
        .arg("supervise")
        .args([rig.file(), rig.state_dir()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the subject");
    let output = BufReader::new(child.stdout.take().expect("a pipe"));
    let supervisor = Supervisor(child);
    assert_eq!(
        output
            .lines()
            .take(processes)
            .filter(|line| line.as_ref().is_ok_and(|l| l.starts_with("started")))
            .count(),
        processes
    );
    supervisor
}

/// Waits for what the subject's grandchild prints into the log file.
async fn grandchildren(rig: &LocalRig, name: &str) -> Vec<u32> {
    let begun = Instant::now();
    loop {
        let log =
            fs::read_to_string(rig.state_dir().join("logs").join(format!("{name}.log"))).unwrap_or_default();
        let pids: Vec<u32> =
            log.lines().filter_map(|line| line.split("grandchild ").nth(1)?.parse().ok()).collect();
        if !pids.is_empty() {
            return pids;
        }
        assert!(begun.elapsed() < DEADLINE, "no grandchild: {log}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_killed_supervisor_leaves_nothing_behind() {
    let rig = LocalRig::new();
    rig.write(&stack_file(&[
        Plan { replicas: 2, ..Plan::new("orphan-a", &["sleep"]) },
        Plan::new("orphan-b", &["stubborn"]),
        Plan::new("orphan-c", &["fork"]),
    ]));
    let mut supervisor = supervise(&rig, 4);
    let grandchild = grandchildren(&rig, "orphan-c-1").await[0];
    assert!(processes(&rig).contains(&grandchild));
    supervisor.0.kill().expect("it runs");
    supervisor.0.wait().expect("it ends");
    until_none(&rig).await;
}

#[tokio::test]
async fn a_supervisor_killed_together_with_its_guards_is_swept_up_after() {
    let rig = LocalRig::new();
    rig.write(&stack_file(&[Plan::new("swept", &["fork"])]));
    let mut supervisor = supervise(&rig, 1);
    let grandchild = grandchildren(&rig, "swept-1").await[0];
    let guard = parent_of(grandchild);
    kill(guard);
    supervisor.0.kill().expect("it runs");
    supervisor.0.wait().expect("it ends");
    let next = supervise(&rig, 1);
    assert!(!processes(&rig).contains(&grandchild));
    drop(next);
    until_none(&rig).await;
}

#[tokio::test]
async fn a_killed_guard_takes_its_replica_and_grandchildren_along() {
    let mut rig = LocalRig::new();
    rig.deploy(&[Plan { restart: RestartPolicy::Always, ..Plan::new("guarded", &["fork"]) }]).await;
    let runtime = rig.runtime();
    let mut watch = Watch::start(&runtime);
    let seen = watch.until_state("guarded", State::Running).await;
    let pid = seen.details.and_then(|details| details.pid).expect("it runs");
    let grandchild = grandchildren(&rig, "guarded-1").await[0];
    kill(parent_of(pid));
    watch
        .until("it died and came back", |board| {
            let history = board.history(&seen.id);
            let died = history.iter().position(|kind| matches!(kind, EventKind::Died { code: None }))?;
            history[died..].iter().any(|kind| matches!(kind, EventKind::Started { .. })).then_some(())
        })
        .await;
    let left = processes(&rig);
    assert!(!left.contains(&pid) && !left.contains(&grandchild), "{left:?}");
    runtime.shutdown().await;
    until_none(&rig).await;
}

#[tokio::test]
async fn a_replica_that_ends_takes_its_grandchildren_along() {
    let mut rig = LocalRig::new();
    rig.deploy(&[Plan::new("parent", &["fork"])]).await;
    let runtime = rig.runtime();
    let mut watch = Watch::start(&runtime);
    let seen = watch.until_state("parent", State::Running).await;
    grandchildren(&rig, "parent-1").await;
    runtime.stop(&seen.id, None).await.expect("it stops");
    assert_eq!(processes(&rig), BTreeSet::new());
    runtime.shutdown().await;
}

#[tokio::test]
async fn a_dropped_stream_ends_the_stack() {
    let mut rig = LocalRig::new();
    rig.deploy(&[Plan { replicas: 2, ..Plan::new("dropped", &["sleep"]) }]).await;
    let mut watch = Watch::start(&rig.runtime());
    watch
        .until("both run", |board| {
            board.of("dropped").iter().all(|seen| seen.state == State::Running).then_some(())
        })
        .await;
    drop(watch);
    until_none(&rig).await;
}

#[tokio::test]
async fn a_health_command_that_hangs_is_ended_with_all_it_started() {
    let mut rig = LocalRig::new();
    rig.deploy_text(
        r#"{ name: demo, x-zv: { local: { hanging: {
            command: ["${SUBJECT}", sleep],
            health: { exec: ["${SUBJECT}", fork], interval: 50ms, timeout: 300ms },
        } } } }"#,
    );
    let runtime = rig.runtime();
    let mut watch = Watch::start(&runtime);
    watch
        .until("two checks timed out", |board| {
            let details = board.one("hanging")?.details.as_ref()?;
            (details.health.log.len() >= 2 && details.health.log.iter().all(|check| check.exit_code == -1))
                .then_some(())
        })
        .await;
    runtime.shutdown().await;
    until_none(&rig).await;
}

#[tokio::test]
async fn shutdown_ends_the_stream_and_stops_dependents_first() {
    let mut rig = LocalRig::new();
    rig.deploy(&[
        Plan::new("base", &["sleep"]),
        Plan { depends_on: vec!["base"], ..Plan::new("top", &["sleep"]) },
    ])
    .await;
    let runtime: Runtime = rig.runtime();
    let mut watch = Watch::start(&runtime);
    let ids = watch
        .until("both run", |board| {
            let (base, top) = (board.one("base")?, board.one("top")?);
            (base.state == State::Running && top.state == State::Running)
                .then(|| (base.id.clone(), top.id.clone()))
        })
        .await;
    let follow = LogRange { since: None, tail: None, follow: true };
    let ready = |id| runtime.logs(id, follow).any(async |line| line.is_ok_and(|line| line.text == "ready"));
    assert!(ready(&ids.0).await && ready(&ids.1).await);
    runtime.shutdown().await;
    let order = watch
        .until("both stopped", |board| {
            let stopped: Vec<_> = board
                .events
                .iter()
                .filter(|event| event.kind == EventKind::Stopped)
                .map(|event| event.id.clone())
                .collect();
            (stopped.len() == 2).then_some(stopped)
        })
        .await;
    assert_eq!(order, [ids.1, ids.0]);
}
