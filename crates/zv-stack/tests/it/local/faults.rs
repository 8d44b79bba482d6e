//! Mistakes in files and commands, changes of the file, and disks that are slow, small or full.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use futures_util::StreamExt;
use zv_stack::logs::Output;
use zv_stack::runtime::LogRange;
use zv_stack::{ActionError, EventKind, Runtime, State, local::LocalRuntime};

use super::{LocalRig, stack_file};
use crate::rig::{DEADLINE, Plan, Rig, Watch};

const FOLLOW: LogRange = LogRange { since: None, tail: None, follow: true };

fn one_service(definition: &str) -> String {
    format!("name: demo\nx-zv:\n  local:\n    web: {definition}\n")
}

#[tokio::test]
async fn a_command_that_cannot_be_run_says_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let plain = folder.path().join("plain");
    std::fs::write(&plain, "no program").expect("written");
    let plain = plain.display().to_string();
    let cases = [
        (
            r#"["/no/such/program"]"#.to_owned(),
            127,
            "cannot start `/no/such/program`: no such program".to_owned(),
        ),
        (
            format!("[{plain}]"),
            126,
            format!("cannot start `{plain}`: not an executable file, or no right to run it"),
        ),
    ];
    for (command, code, reason) in cases {
        let mut rig = LocalRig::new();
        rig.deploy_text(&one_service(&format!("{{ command: {command} }}")));
        let runtime = rig.runtime();
        let mut watch = Watch::start(&runtime);
        let seen = watch.until_state("web", State::Exited).await;
        assert_eq!(seen.details.and_then(|details| details.exit?.code), Some(code));
        let error = runtime.start(&seen.id).await.expect_err("it cannot start");
        assert_eq!(error.to_string(), format!("cannot start web-1: {reason}"));
        let evidence = runtime.evidence(&seen.id).await;
        assert!(
            evidence.logs.iter().any(|line| line.text == reason && line.output == Output::Stderr),
            "{evidence:?}"
        );
        runtime.shutdown().await;
    }
}

#[tokio::test]
async fn a_missing_folder_says_why() {
    let mut rig = LocalRig::new();
    rig.deploy_text(&one_service(r#"{ command: ["${SUBJECT}", sleep], working_dir: nowhere }"#));
    let runtime = rig.runtime();
    let mut watch = Watch::start(&runtime);
    let seen = watch.until_state("web", State::Exited).await;
    let error = runtime.start(&seen.id).await.expect_err("it cannot start").to_string();
    assert!(error.contains("the working directory") && error.ends_with("does not exist"), "{error}");
    runtime.shutdown().await;
}

#[test]
fn a_bad_stack_file_is_refused_with_its_line() {
    let rig = LocalRig::new();
    rig.write(&one_service("{ command: [a], replica: 2 }"));
    let error = rig.open().expect_err("a mistake").to_string();
    assert!(error.contains("stack.yaml:4: ") && error.contains("replica"), "{error}");
    std::fs::remove_file(rig.file()).expect("removed");
    let error = rig.open().expect_err("no file").to_string();
    assert!(error.contains("stack.yaml: cannot be read"), "{error}");
}

#[tokio::test]
async fn actions_before_the_start_and_on_strangers_are_refused() {
    let mut rig = LocalRig::new();
    rig.deploy(&[Plan::new("web", &["sleep"])]).await;
    let runtime = rig.runtime();
    let stranger = zv_stack::ReplicaId::new("local-demo-nobody-1");
    assert!(matches!(runtime.stop(&stranger, None).await, Err(ActionError::Unavailable(_))));
    let mut watch = Watch::start(&runtime);
    watch.until_state("web", State::Running).await;
    assert!(matches!(runtime.stop(&stranger, None).await, Err(ActionError::Gone(_))));
    assert!(matches!(runtime.scale(&rig.key("nobody"), 2).await, Err(ActionError::Gone(_))));
    assert!(matches!(runtime.scale(&rig.key("web"), 5000).await, Err(ActionError::Refused { .. })));
    runtime.shutdown().await;
}

#[tokio::test]
async fn two_supervisors_never_run_one_stack() {
    let mut rig = LocalRig::new();
    rig.deploy(&[Plan::new("web", &["sleep"])]).await;
    let runtime = rig.runtime();
    let mut watch = Watch::start(&runtime);
    watch.until_state("web", State::Running).await;
    let second = Runtime::Local(rig.open().expect("a good file"));
    let mut other = Watch::start(&second);
    let reason = other.until("it says why", |board| board.down.clone()).await;
    assert!(reason.contains("another process runs this stack"), "{reason}");
    runtime.shutdown().await;
    other.until_state("web", State::Running).await;
    second.shutdown().await;
}

#[tokio::test]
async fn a_reload_touches_only_what_changed() {
    let rig = LocalRig::new();
    let plans = |changed: &'static str| {
        [
            Plan::new("kept", &["sleep"]),
            Plan::new("changed", if changed == "old" { &["sleep"] } else { &["sleep", "new"] }),
            Plan::new(changed, &["sleep"]),
            Plan { replicas: if changed == "old" { 1 } else { 3 }, ..Plan::new("grown", &["sleep"]) },
        ]
    };
    rig.write(&stack_file(&plans("old")));
    let local: LocalRuntime = rig.open().expect("a good file");
    let runtime = Runtime::Local(local.clone());
    let mut watch = Watch::start(&runtime);
    let pid = |board: &crate::rig::Board, service: &str| {
        board.one(service).filter(|seen| seen.state == State::Running)?.details.as_ref()?.pid
    };
    let before = watch
        .until("all run", |board| {
            Some([pid(board, "kept")?, pid(board, "changed")?, pid(board, "old")?, pid(board, "grown")?])
        })
        .await;

    rig.write("name: demo\nx-zv: { local: { web: { command: [] } } }\n");
    local.reload().await.expect_err("a mistake");
    rig.write(&stack_file(&plans("new")));
    local.reload().await.expect("a good file");
    let after = watch
        .until("all changed", |board| {
            let settled = board.of("old").is_empty()
                && pid(board, "changed")? != before[1]
                && board.of("grown").len() == 3;
            pid(board, "new").filter(|_| settled)?;
            Some([pid(board, "kept")?, pid(board, "grown")?])
        })
        .await;
    assert_eq!(after, [before[0], before[3]]);
    runtime.shutdown().await;
}

#[tokio::test]
async fn a_number_on_its_way_out_is_not_given_again() {
    let mut rig = LocalRig::new();
    let slow =
        Plan { replicas: 3, grace: std::time::Duration::from_secs(1), ..Plan::new("web", &["stubborn"]) };
    rig.deploy(&[slow]).await;
    let runtime = rig.runtime();
    let mut watch = Watch::start(&runtime);
    let numbers = |board: &crate::rig::Board| -> Vec<u32> {
        board.of("web").iter().filter(|seen| seen.state == State::Running).map(|seen| seen.number).collect()
    };
    let ids = watch.until("three run", |board| {
        (numbers(board) == [1, 2, 3])
            .then(|| board.of("web").iter().map(|seen| seen.id.clone()).collect::<Vec<_>>())
    });
    for id in ids.await {
        let mut lines = runtime.logs(&id, FOLLOW);
        while lines.next().await.expect("it goes on").expect("readable").text != "ready" {}
    }
    let key = rig.key("web");
    let (fewer, more) = tokio::join!(runtime.scale(&key, 1), runtime.scale(&key, 2));
    fewer.and(more).expect("both are done");
    watch.until("the third is gone", |board| (numbers(board) == [1, 4]).then_some(())).await;
    runtime.shutdown().await;
}

#[tokio::test]
async fn every_replica_has_a_port_of_its_own_and_keeps_it() {
    let mut rig = LocalRig::new();
    rig.deploy(&[Plan { replicas: 5, ..Plan::new("web", &["serve"]) }]).await;
    let runtime = rig.runtime();
    let mut watch = Watch::start(&runtime);
    let all = watch
        .until("five run", |board| {
            let running = board.of("web").iter().filter(|seen| seen.state == State::Running).count();
            (running == 5).then(|| board.of("web").into_iter().cloned().collect::<Vec<_>>())
        })
        .await;
    let ports: BTreeSet<&String> = all.iter().flat_map(|seen| &seen.ports).collect();
    assert_eq!(ports.len(), 5, "{ports:?}");
    let mut lines = runtime.logs(&all[0].id, FOLLOW);
    let said = tokio::time::timeout(DEADLINE, lines.next())
        .await
        .expect("it listens")
        .expect("a line")
        .expect("readable")
        .text;
    assert_eq!(said.replace("listening on ", "127.0.0.1:"), all[0].ports[0]);
    runtime.restart(&all[0].id, None).await.expect("it restarts");
    let started = watch
        .until("it restarted", |board| {
            let started = board
                .history(&all[0].id)
                .iter()
                .filter(|kind| matches!(kind, EventKind::Started { .. }))
                .count();
            (started == 2).then(|| board.seen[&all[0].id].clone())
        })
        .await;
    assert_eq!(started.ports, all[0].ports);
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_under_load_gets_every_line_once_over_rotations() {
    const LINES: usize = 20_000;
    let mut rig = LocalRig::new();
    rig.deploy(&[Plan::new("web", &["print", "--lines", "20000", "--long", "500"])]).await;
    let runtime = rig.runtime();
    let mut watch = Watch::start(&runtime);
    let id = watch
        .until("it is there", |board| {
            let seen = board.one("web")?;
            board
                .history(&seen.id)
                .iter()
                .any(|kind| matches!(kind, EventKind::Started { .. }))
                .then(|| seen.id.clone())
        })
        .await;
    let numbers = runtime
        .logs(&id, FOLLOW)
        .map(|line| line.expect("readable").text.split(' ').nth(1).unwrap().parse::<usize>().unwrap());
    let numbers: Vec<usize> = tokio::time::timeout(DEADLINE, numbers.collect()).await.expect("it ends");
    assert_eq!(numbers.len(), LINES);
    assert!(numbers.iter().copied().eq(1..=LINES));
    let again = runtime.logs(&id, LogRange { follow: false, ..FOLLOW }).count().await;
    assert_eq!(again, LINES);
    assert!(rig.state_dir().join("logs/web-1.log.2").exists(), "it rotated twice");
    runtime.shutdown().await;
}

/// A control group with little memory, removed when dropped.
struct SmallGroup(PathBuf);

impl SmallGroup {
    fn create(name: &str) -> Option<Self> {
        let version_1 = (Path::new("/sys/fs/cgroup/memory"), "memory.limit_in_bytes");
        let version_2 = (Path::new("/sys/fs/cgroup"), "memory.max");
        [version_1, version_2].into_iter().find_map(|(root, limit)| {
            let group = Self(root.join(name));
            std::fs::create_dir(&group.0).ok()?;
            std::fs::write(group.0.join(limit), (64 << 20).to_string()).ok().map(|()| group)
        })
    }
}

impl Drop for SmallGroup {
    fn drop(&mut self) {
        let begun = std::time::Instant::now();
        while std::fs::remove_dir(&self.0).is_err() && begun.elapsed() < DEADLINE {
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_process_killed_for_want_of_memory_is_told_apart() {
    let rig = LocalRig::new();
    rig.write(&stack_file(&[Plan::new("greedy", &["oom"]), Plan::new("modest", &["sleep"])]));
    let Some(group) = SmallGroup::create(&format!("zv-test-{}", std::process::id())) else {
        println!("skipped: only root can limit the memory of a group");
        return;
    };
    let script = r#"echo $$ > "$0" && exec "$@""#;
    let mut supervisor = Command::new("sh")
        .args(["-c", script])
        .arg(group.0.join("cgroup.procs"))
        .arg(crate::rig::subject())
        .arg("supervise")
        .args([rig.file(), rig.state_dir()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("a shell");
    let output = BufReader::new(supervisor.stdout.take().expect("a pipe"));
    let starved = output.lines().map_while(Result::ok).find(|line| line.starts_with("starved"));
    supervisor.kill().expect("it runs");
    supervisor.wait().expect("it ends");
    assert_eq!(starved.as_deref(), Some("starved greedy-1"));
}

/// A file system of a few pages, unmounted when dropped.
struct Tmpfs<'a>(&'a Path);

impl<'a> Tmpfs<'a> {
    fn mount(at: &'a Path) -> Option<Self> {
        std::fs::create_dir_all(at).expect("a folder");
        let options = ["-t", "tmpfs", "-o", "size=256k", "tmpfs"];
        let mounted =
            Command::new("mount").args(options).arg(at).output().is_ok_and(|output| output.status.success());
        mounted.then_some(Self(at))
    }
}

impl Drop for Tmpfs<'_> {
    fn drop(&mut self) {
        let _unmounted = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_stops_neither_the_replica_nor_its_follower() {
    let rig = LocalRig::new();
    let args = ["print", "--lines", "1000", "--every-ms", "1", "--long", "500", "--then-sleep"];
    rig.write(&stack_file(&[Plan::new("web", &args)]));
    let disk = rig.state_dir();
    let Some(_mounted) = Tmpfs::mount(&disk) else {
        println!("skipped: a small file system can only be mounted by root");
        return;
    };
    let local = LocalRuntime::new(rig.options(&disk)).expect("a good file");
    let runtime = Runtime::Local(local.clone());
    let mut watch = Watch::start(&runtime);
    let seen = watch.until_state("web", State::Running).await;
    let mut live = runtime.logs(&seen.id, FOLLOW).map(|line| line.expect("readable").text);
    let mut texts = Vec::new();
    while let Some(text) = tokio::time::timeout(DEADLINE, live.next()).await.expect("it goes on") {
        if text == "ready" {
            runtime.stop(&seen.id, None).await.expect("it stops");
        }
        texts.push(text.trim_end_matches([' ', 'x']).to_owned());
    }
    let mut expected: Vec<String> = (1..=1000).map(|number| format!("line {number}")).collect();
    expected.extend(["ready".to_owned(), "ending".to_owned()]);
    assert_eq!(texts, expected);
    assert!(local.dropped_log_lines() > 0, "the disk is smaller than that");

    let kept = runtime.logs(&seen.id, LogRange { follow: false, ..FOLLOW });
    let kept: Vec<String> = kept.map(|line| line.expect("readable").text).collect().await;
    assert!(kept.len() > 100 && kept.len() < 1000, "as far as the disk goes: {}", kept.len());
    let whole = |text: &String| text.len() > 500 || text == "ready" || text == "ending";
    assert!(kept.iter().all(whole), "only whole lines");
    runtime.shutdown().await;
}
