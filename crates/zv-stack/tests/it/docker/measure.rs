//! What containers use, beside what their control groups' own files and the engine say.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bollard::query_parameters::StatsOptionsBuilder;
use futures_util::StreamExt as _;
use tokio::io::AsyncWriteExt as _;
use zv_stack::stats::{Measurement, Meters, Running};
use zv_stack::{ReplicaId, clock};

use super::lab::Lab;
use super::view::eventually;

/// A running container, and what its control group's own files say.
struct Subject {
    running: Running,
    /// By controller; version 2 has no name.
    folders: HashMap<String, PathBuf>,
}

impl Subject {
    async fn of(lab: &Lab, id: &ReplicaId) -> Self {
        let pid = lab.docker(&["inspect", "-f", "{{.State.Pid}}", id.as_str()]).await;
        let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        let mut folders = HashMap::new();
        for line in groups.lines() {
            let parts: Vec<&str> = line.splitn(3, ':').collect();
            for controller in parts[1].split(',') {
                let hierarchy = if controller.is_empty() { "unified" } else { controller };
                let mounted = Path::new("/sys/fs/cgroup").join(hierarchy);
                let mounted = if mounted.is_dir() { mounted } else { "/sys/fs/cgroup".into() };
                folders.insert(controller.to_owned(), mounted.join(parts[2].trim_start_matches('/')));
            }
        }
        Self { running: Running { id: id.clone(), pid: Some(pid.parse().unwrap()) }, folders }
    }

    /// Reads a file of version 1, or else the field of version 2.
    fn read(&self, controller: &str, one: (&str, &str), two: (&str, &str)) -> u64 {
        let (folder, (file, field)) = match self.folders.get(controller) {
            Some(folder) => (folder, one),
            None => (&self.folders[""], two),
        };
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        let line = text.lines().find(|line| field.is_empty() || line.starts_with(&format!("{field} ")));
        line.unwrap().trim_start_matches(field).trim().parse().unwrap()
    }

    fn is_version_1(&self) -> bool {
        self.folders.contains_key("cpuacct")
    }

    /// Counters that only grow, in the units of the files.
    fn counters(&self) -> [u64; 5] {
        [
            self.read("cpuacct", ("cpuacct.usage", ""), ("cpu.stat", "usage_usec")),
            self.read("cpuacct", ("cpuacct.stat", "user"), ("cpu.stat", "user_usec")),
            self.read("cpuacct", ("cpuacct.stat", "system"), ("cpu.stat", "system_usec")),
            self.read("cpu", ("cpu.stat", "nr_periods"), ("cpu.stat", "nr_periods")),
            self.read("cpu", ("cpu.stat", "throttled_time"), ("cpu.stat", "throttled_usec")),
        ]
    }

    /// The same out of a measurement.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "seconds that are no more than counts"
    )]
    fn counted(&self, measurement: &Measurement) -> [u64; 5] {
        let (nanos, ticks) = if self.is_version_1() { (1e9, 100.0) } else { (1e6, 1e6) };
        let whole = |seconds: Option<f64>, unit: f64| (seconds.unwrap() * unit).round() as u64;
        let cpu = &measurement.cpu;
        [
            whole(cpu.usage_seconds, nanos),
            whole(cpu.user_seconds, ticks),
            whole(cpu.system_seconds, ticks),
            cpu.periods.unwrap(),
            whole(cpu.throttled_seconds, nanos),
        ]
    }

    fn measure(&self, meters: &mut Meters) -> Option<Measurement> {
        measure(meters, &self.running)
    }
}

fn measure(meters: &mut Meters, running: &Running) -> Option<Measurement> {
    let mut round = meters.round(std::slice::from_ref(running), clock::now());
    assert_eq!(round.measured.len() + round.unseen.len(), 1);
    round.measured.pop().map(|(_, measurement)| measurement)
}

/// Where this process' open files lead.
fn open_files() -> Vec<String> {
    let links = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    links
        .filter_map(|link| Some(std::fs::read_link(link.path()).ok()?.to_string_lossy().into_owned()))
        .collect()
}

#[tokio::test]
async fn counters_are_those_of_the_control_groups_own_files() {
    let Some(lab) = Lab::open("counters").await else { return };
    let options = ["--memory", "64m", "--memory-swap", "96m", "--cpus", "0.3", "--pids-limit", "40"];
    let id = lab.run("a", &options, &["burn", "--threads", "3"]).await;
    let subject = Subject::of(&lab, &id).await;
    let mut meters = lab.runtime().meters();
    let mut last = [0; 5];
    for _ in 0..30 {
        let before = subject.counters();
        let measured = subject.measure(&mut meters).expect("it is seen");
        let after = subject.counters();
        let counted = subject.counted(&measured);
        for number in 0..5 {
            let told = format!("counter {number}: {} {} {}", before[number], counted[number], after[number]);
            assert!(before[number] <= counted[number] && counted[number] <= after[number], "{told}");
            assert!(last[number] <= counted[number], "{told}");
        }
        last = counted;
        tokio::task::yield_now().await;
    }
    let measured = subject.measure(&mut meters).expect("it is seen");
    assert_eq!(measured.memory.limit, Some(64 << 20));
    assert!(measured.memory.swap_limit.is_some_and(|limit| limit == 32 << 20 || limit == 96 << 20));
    assert_eq!((measured.cpu.quota_micros, measured.cpu.period_micros), (Some(30_000), Some(100_000)));
    assert_eq!((measured.tasks.threads_limit, measured.tasks.processes), (Some(40), Some(1)));
    assert_eq!((measured.tasks.threads, measured.memory.oom_kills), (Some(3), Some(0)));
    assert!(measured.memory.working_set <= measured.memory.usage && measured.memory.rss > Some(0));
    assert_eq!(measured.network, Some(Vec::new()), "it is in no network");
    assert!(measured.group.is_some_and(|group| group.contains(id.as_str())));
    assert!(measured.io.is_some());
}

#[tokio::test]
async fn rates_agree_with_the_engines_own_stream() {
    let Some(lab) = Lab::open("rates").await else { return };
    let Some(socket) = lab.host.strip_prefix("unix://") else { return };
    let id = lab.run("a", &["--cpus", "0.5"], &["burn"]).await;
    let subject = Subject::of(&lab, &id).await;
    let mut meters = lab.runtime().meters();
    let docker = bollard::Docker::connect_with_unix(socket, 60, bollard::API_DEFAULT_VERSION).unwrap();
    let docker = docker.negotiate_version().await.unwrap();
    let options = StatsOptionsBuilder::default().stream(true).build();
    let mut stream = docker.stats(id.as_str(), Some(options));
    let nanos = |stats: &bollard::models::ContainerStatsResponse| {
        stats.cpu_stats.clone().unwrap().cpu_usage.unwrap().total_usage.unwrap() as f64
    };
    // On a machine with too much to do the answer comes late, and the load is not steady: then a later window counts.
    let mut both = Vec::new();
    let our_last = loop {
        let theirs = stream.next().await.unwrap().unwrap();
        both.push((theirs, subject.measure(&mut meters).expect("it is seen")));
        let [.., (first, our_first), _, _, _, (last, our_last)] = &both[..] else { continue };
        let elapsed = (last.read.unwrap() - first.read.unwrap()).as_seconds_f64();
        let theirs = (nanos(last) - nanos(first)) / 1e9 / elapsed;
        let used = our_last.cpu.usage_seconds.unwrap() - our_first.cpu.usage_seconds.unwrap();
        let ours = used / (our_last.at - our_first.at).as_seconds_f64();
        println!("of a core: {ours} here, {theirs} there");
        if theirs > 0.01 && (ours - theirs).abs() <= 0.05 * theirs {
            break our_last.clone();
        }
        assert!(both.len() < 60, "the rates never agree");
    };
    let asked = lab.runtime().measure(&id).await.expect("the engine is asked");
    let memory = (asked.memory.working_set.unwrap() as f64, our_last.memory.working_set.unwrap() as f64);
    assert!((memory.0 - memory.1).abs() <= 0.05 * memory.0 + 65536.0, "{memory:?}");
    assert!(asked.cpu.usage_seconds >= our_last.cpu.usage_seconds);
    assert!(asked.cpu.user_seconds.is_some() && asked.cpu.periods > Some(0));
    assert_eq!(asked.memory.limit, None);
    assert_eq!(asked.tasks.threads, Some(1));
}

#[tokio::test]
async fn what_a_container_receives_is_counted_and_its_network_is_not_held() {
    let Some(lab) = Lab::open("receives").await else { return };
    let id = lab.run_in(&lab.network().await, "a", &[], &["take", "--port", "8080"]).await;
    let host = lab.run_in("host", "b", &[], &["sleep"]).await;
    let (subject, on_host) = (Subject::of(&lab, &id).await, Subject::of(&lab, &host).await);
    let mut meters = lab.runtime().meters();
    let all = [subject.running.clone(), on_host.running.clone()];
    let round = |meters: &mut Meters| {
        let mut round = meters.round(&all, clock::now());
        assert!(round.unseen.is_empty());
        (round.measured.remove(0).1, round.measured.remove(0).1)
    };
    let (before, elsewhere) = round(&mut meters);
    assert_eq!(elsewhere.network, None, "the host's network is not the container's");
    let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    let address = lab.docker(&["inspect", "-f", format, id.as_str()]).await;
    let sent = 8 << 20;
    let mut stream = eventually("it listens", async || {
        tokio::net::TcpStream::connect((address.as_str(), 8080)).await.ok()
    })
    .await;
    stream.write_all(&vec![7; sent]).await.unwrap();
    stream.shutdown().await.unwrap();
    drop(stream);
    eventually("it took all", async || {
        lab.docker(&["logs", id.as_str()]).await.contains(&format!("took {sent}")).then_some(())
    })
    .await;
    let (after, _) = round(&mut meters);
    let interface = |measured: &Measurement| measured.network.clone().expect("its own network").remove(0);
    let (first, last) = (interface(&before), interface(&after));
    assert_eq!(&*last.name, "eth0");
    let received = last.received.bytes - first.received.bytes;
    assert!(received >= sent as u64 && received < sent as u64 * 6 / 5, "{received} of {sent}");
    assert!(last.transmitted.packets > first.transmitted.packets);
    let asked = lab.runtime().measure(&id).await.expect("the engine is asked");
    assert!(interface(&asked).received.bytes >= last.received.bytes);
    assert_eq!(interface(&asked).name, last.name);

    let files = open_files();
    assert!(files.iter().any(|file| file.contains(id.as_str())), "its control groups stay open");
    assert!(!files.iter().any(|file| file.contains("/net")), "{files:?}");
}

#[tokio::test]
async fn a_container_that_goes_is_unseen_and_delays_nobody() {
    let Some(lab) = Lab::open("goes").await else { return };
    let (goes, stays) = (lab.run("goes", &[], &["sleep"]).await, lab.run("stays", &[], &["sleep"]).await);
    let all = [Subject::of(&lab, &goes).await.running, Subject::of(&lab, &stays).await.running];
    let mut meters = lab.runtime().meters();
    assert_eq!(meters.round(&all, clock::now()).measured.len(), 2);
    assert!(open_files().iter().any(|file| file.contains(goes.as_str())));
    lab.docker(&["rm", "-f", goes.as_str()]).await;
    for _ in 0..2 {
        let round = meters.round(&all, clock::now());
        assert_eq!(round.unseen, std::slice::from_ref(&goes));
        assert_eq!(round.measured[0].0, stays);
        assert!(!open_files().iter().any(|file| file.contains(goes.as_str())));
    }
    assert_eq!(lab.runtime().measure(&goes).await, None);
}

#[tokio::test]
async fn a_restart_is_measured_anew() {
    let Some(lab) = Lab::open("anew").await else { return };
    let id = lab.run_in(&lab.network().await, "a", &["--stop-timeout", "0"], &["burn"]).await;
    let first = Subject::of(&lab, &id).await;
    let mut meters = lab.runtime().meters();
    eventually("it has burnt some time", async || {
        let measured = first.measure(&mut meters).expect("it is seen");
        measured.cpu.usage_seconds.filter(|seconds| *seconds > 0.5)
    })
    .await;
    lab.docker(&["stop", id.as_str()]).await;
    assert_eq!(first.measure(&mut meters), None);
    lab.docker(&["start", id.as_str()]).await;
    let second = Subject::of(&lab, &id).await;
    assert_ne!(first.running, second.running);
    // The model may still have the number of the process before.
    let stale = first.measure(&mut meters);
    assert!(stale.is_none_or(|measured| measured.network.is_none()));
    let measured = second.measure(&mut meters).expect("it is seen");
    assert!(measured.network.as_ref().is_some_and(|all| all.len() == 1));
    assert!(second.counted(&measured)[0] <= second.counters()[0], "it counts from the beginning");
}

#[tokio::test]
async fn a_paused_container_stands_still_and_new_limits_are_seen() {
    let Some(lab) = Lab::open("paused").await else { return };
    let options = ["--memory", "64m", "--memory-swap", "64m", "--cpus", "0.5"];
    let id = lab.run("a", &options, &["burn"]).await;
    let subject = Subject::of(&lab, &id).await;
    let mut meters = lab.runtime().meters();
    assert_eq!(subject.measure(&mut meters).expect("it is seen").memory.limit, Some(64 << 20));
    lab.docker(&["pause", id.as_str()]).await;
    let paused = subject.measure(&mut meters).expect("it is seen");
    let still = subject.measure(&mut meters).expect("it is seen");
    assert_eq!(paused.cpu.usage_seconds, still.cpu.usage_seconds);
    lab.docker(&["unpause", id.as_str()]).await;
    let more = ["--memory", "128m", "--memory-swap", "256m", "--cpus", "0.7", "--pids-limit", "77"];
    lab.docker(&[&["update"], &more[..], &[id.as_str()]].concat()).await;
    let updated = subject.measure(&mut meters).expect("it is seen");
    assert_eq!(updated.memory.limit, Some(128 << 20));
    assert_eq!((updated.cpu.quota_micros, updated.tasks.threads_limit), (Some(70_000), Some(77)));
    eventually("it goes on", async || {
        let measured = subject.measure(&mut meters).expect("it is seen");
        (measured.cpu.usage_seconds > still.cpu.usage_seconds).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_kill_for_want_of_memory_is_counted() {
    let Some(lab) = Lab::open("starves").await else { return };
    let id = lab.run("a", &["--memory", "32m", "--memory-swap", "64m"], &["sleep"]).await;
    let subject = Subject::of(&lab, &id).await;
    let mut meters = lab.runtime().meters();
    let before = subject.measure(&mut meters).expect("it is seen").memory;
    assert_eq!(before.oom_kills, Some(0));
    let (_, error) = lab.try_docker(&["exec", id.as_str(), "/subject", "oom"]).await;
    assert!(error.is_some(), "it was killed");
    let after = subject.measure(&mut meters).expect("its first process goes on").memory;
    assert_eq!(after.oom_kills, Some(1));
    assert!(after.limit_hits > before.limit_hits);
}

#[tokio::test]
async fn without_a_file_to_spare_all_is_measured_all_the_same() {
    let Some(lab) = Lab::open("short").await else { return };
    let id = lab.run_in(&lab.network().await, "a", &[], &["sleep"]).await;
    let subject = Subject::of(&lab, &id).await;
    let pid = subject.running.pid.unwrap().to_string();
    let output = tokio::process::Command::new(crate::rig::subject())
        .args(["meters", id.as_str(), &pid, "--files", "64"])
        .output()
        .await
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(
        told.lines().collect::<Vec<_>>(),
        ["kept: whole, open: more", "short: whole, open: as before"]
    );
}
