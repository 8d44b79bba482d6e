//! Whole trees of files, as real hosts have them, read by the same code as the kernel's.

use std::os::unix::fs::symlink;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use tempfile::TempDir;

use super::groups::Groups;
use super::*;
use crate::model::ReplicaId;

const ID: &str = "7d3c1e0f9a5b4c6d8e2f1a0b3c5d7e9f1b2d4f6a8c0e2a4c6e8f0b1d3f5a7c9e";
const OUTER: &str = "1111111111111111111111111111111111111111111111111111111111111111";
const V2: &str = include_str!("../../tests/fixtures/cgroups/v2-every-counter.txt");
/// Recorded on Debian 13: `limited`, `hungry` and one in a slice of its own.
const DEBIAN: &str = include_str!("../../tests/fixtures/cgroups/v2-systemd.txt");
const LIMITED: (&str, u32) = ("5aaed938da3c9eef2afe1a15b12ef30d614f3d8a7515ae57ef1bd8f4c7effa37", 901);
const HUNGRY: (&str, u32) = ("cc179413a8d1d5ffc07b21e8535e2689e0426df51ec9f38e2cb28366207bb041", 1052);
const SLICED: (&str, u32) = ("eed2b6129f0c0c4a2a112820227405a68f9d6b038bcddb917c1e6feabf60df43", 1135);

/// A host of files.
struct Host {
    root: TempDir,
    groups: Groups,
    at: DateTime<Utc>,
}

impl Host {
    fn new(fixture: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let groups = Groups::new(root.path());
        let host = Self { root, groups, at: DateTime::UNIX_EPOCH };
        host.write("/proc/1/net/dev", "the host's own\n");
        for file in fixture.split("== /").skip(1) {
            let (path, text) = file.split_once('\n').expect("a path and a text");
            host.write(path, text);
        }
        host
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.path().join(path.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn path(&self, path: &str) -> std::path::PathBuf {
        self.root.path().join(path.trim_start_matches('/'))
    }

    /// Measures one container so many seconds later.
    fn later(&mut self, seconds: i64, id: &str, pid: Option<u32>) -> Option<Measurement> {
        self.at += TimeDelta::seconds(seconds);
        let running = [Running { id: ReplicaId::new(id), pid }];
        let mut round = self.groups.measure(&running, self.at);
        assert_eq!(round.measured.len() + round.unseen.len(), 1);
        round.measured.pop().map(|(_, measurement)| measurement)
    }

    fn measure(&mut self, id: &str, pid: u32) -> Option<Measurement> {
        self.later(10, id, Some(pid))
    }
}

fn flow(bytes: u64, packets: u64, errors: u64, dropped: u64) -> Flow {
    Flow { bytes, packets, errors, dropped }
}

fn stall(some_seconds: f64, full_seconds: f64) -> Option<Stall> {
    Some(Stall { some_seconds, full_seconds: Some(full_seconds) })
}

#[test]
fn version_1_beside_an_unused_version_2() {
    const TREE: &str = include_str!("../../tests/fixtures/cgroups/v1-cgroupfs-hybrid.txt");
    let id = TREE.split("docker/").nth(1).and_then(|rest| rest.get(..64)).expect("it names the container");
    let measured = Host::new(TREE).measure(id, 24570).expect("it is seen");
    let expected = Measurement {
        at: measured.at,
        group: Some(format!("/docker/{id}").into()),
        cpu: Cpu {
            usage_seconds: Some(0.050_704_669),
            user_seconds: Some(0.01),
            system_seconds: Some(0.03),
            periods: Some(3),
            throttled_periods: Some(0),
            throttled_seconds: Some(0.0),
            quota_micros: Some(50_000),
            period_micros: Some(100_000),
        },
        memory: Memory {
            usage: Some(66_953_216),
            working_set: Some(66_953_216 - 62_922_752),
            rss: Some(1_781_760),
            cache: Some(62_926_848),
            mapped_file: Some(0),
            swap: Some(0),
            limit: Some(67_108_864),
            swap_limit: Some(100_663_296),
            limit_hits: Some(20),
            oom_kills: Some(0),
        },
        network: Some(vec![Interface {
            name: "eth0".into(),
            received: flow(736, 8, 0, 0),
            transmitted: Flow::default(),
        }]),
        io: Some(vec![Device {
            name: "/dev/vda".into(),
            read_bytes: 4096,
            written_bytes: 20_975_616,
            reads: 1,
            writes: 7,
        }]),
        tasks: Tasks { processes: Some(1), threads: Some(1), threads_limit: Some(50) },
        pressure: Pressure {
            cpu: stall(0.014_699, 0.008_768),
            memory: stall(0.018_256, 0.018_256),
            io: stall(0.016_510, 0.016_510),
        },
    };
    assert_eq!(measured, expected);
}

#[test]
fn version_2_with_every_counter() {
    let measured = Host::new(V2).measure(ID, 4242).expect("it is seen");
    let expected = Measurement {
        at: measured.at,
        group: Some(format!("/system.slice/docker-{ID}.scope").into()),
        cpu: Cpu {
            usage_seconds: Some(4.823_911),
            user_seconds: Some(3.611_204),
            system_seconds: Some(1.212_707),
            periods: Some(412),
            throttled_periods: Some(37),
            throttled_seconds: Some(1.840_220),
            quota_micros: Some(50_000),
            period_micros: Some(100_000),
        },
        memory: Memory {
            usage: Some(48_123_904),
            working_set: Some(48_123_904 - 15_204_352),
            rss: Some(21_237_760),
            cache: Some(24_731_648),
            mapped_file: Some(9_461_760),
            swap: Some(1_052_672),
            limit: Some(67_108_864),
            swap_limit: Some(33_554_432),
            limit_hits: Some(29),
            oom_kills: Some(1),
        },
        network: Some(vec![Interface {
            name: "eth0".into(),
            received: flow(8_713_541, 6021, 1, 2),
            transmitted: flow(402_193, 5127, 3, 4),
        }]),
        io: Some(vec![Device {
            name: "/dev/sda".into(),
            read_bytes: 9_568_256,
            written_bytes: 1_056_768,
            reads: 402,
            writes: 31,
        }]),
        tasks: Tasks { processes: Some(3), threads: Some(9), threads_limit: Some(50) },
        pressure: Pressure {
            cpu: stall(2.210_344, 1.999_001),
            memory: stall(0.051_2, 0.040_1),
            io: stall(0.881_224, 0.861_002),
        },
    };
    assert_eq!(measured, expected);
}

#[test]
fn version_2_under_systemd() {
    let mut host = Host::new(DEBIAN);
    let limited = host.measure(LIMITED.0, LIMITED.1).expect("it is seen");
    let expected = Measurement {
        at: limited.at,
        group: Some(format!("/system.slice/docker-{}.scope", LIMITED.0).into()),
        cpu: Cpu {
            usage_seconds: Some(65.326_724),
            user_seconds: Some(43.208_612),
            system_seconds: Some(22.118_111),
            periods: Some(1749),
            throttled_periods: Some(1324),
            throttled_seconds: Some(117.117_768),
            quota_micros: Some(50_000),
            period_micros: Some(100_000),
        },
        memory: Memory {
            usage: Some(4_923_392),
            working_set: Some(4_923_392 - 4_198_400),
            rss: Some(163_840),
            cache: Some(4_198_400),
            mapped_file: Some(0),
            swap: Some(0),
            limit: Some(64 << 20),
            swap_limit: Some(32 << 20),
            limit_hits: Some(0),
            oom_kills: Some(0),
        },
        network: Some(vec![Interface {
            name: "eth0".into(),
            received: flow(1392, 16, 0, 0),
            transmitted: Flow::default(),
        }]),
        io: Some(vec![Device {
            name: "/dev/vda".into(),
            read_bytes: 4096,
            written_bytes: 4 << 20,
            reads: 1,
            writes: 8,
        }]),
        tasks: Tasks { processes: Some(3), threads: Some(3), threads_limit: Some(50) },
        pressure: Pressure {
            cpu: stall(94.189_287, 88.978_552),
            memory: stall(0.0, 0.0),
            io: stall(0.001_642, 0.001_642),
        },
    };
    assert_eq!(limited, expected);
    let hungry = host.measure(HUNGRY.0, HUNGRY.1).expect("it is seen");
    assert_eq!((hungry.memory.oom_kills, hungry.memory.limit_hits), (Some(1), Some(18)));
    assert_eq!((hungry.cpu.quota_micros, hungry.cpu.throttled_periods), (None, Some(0)));
    assert_eq!(hungry.io, Some(Vec::new()));
}

#[test]
fn a_container_beside_them_with_its_own_namespace_sees_the_same() {
    let mut outside = Host::new(DEBIAN);
    let mut inside = Host::new(DEBIAN);
    inside.write(
        "/proc/self/mountinfo",
        "321 315 0:26 /../.. /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime - cgroup2 cgroup2 rw\n",
    );
    for ((id, pid), folder) in [(LIMITED, "/.."), (HUNGRY, "/.."), (SLICED, "/../../shop.slice")] {
        inside.write(&format!("/proc/{pid}/cgroup"), &format!("0::{folder}/docker-{id}.scope\n"));
        let told = inside.measure(id, pid).expect("it is seen");
        assert_eq!(Some(told), outside.measure(id, pid));
    }
}

#[test]
fn what_a_kernel_does_not_have_is_absent() {
    let host = format!(
        "== /proc/self/mountinfo\n30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n\
         == /proc/7/cgroup\n0::/docker/{ID}/init\n== /proc/7/net/dev\nh\nh\nlo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n\
         == /sys/fs/cgroup/docker/{ID}/cpu.stat\nusage_usec 5\n== /sys/fs/cgroup/docker/{ID}/pids.max\nmax\n\
         == /sys/fs/cgroup/docker/{ID}/memory.max\nmax\n== /sys/fs/cgroup/docker/{ID}/cpu.max\nmax 100000\n\
         == /sys/fs/cgroup/docker/{ID}/cgroup.procs\n"
    );
    let measured = Host::new(&host).measure(ID, 7).expect("it is seen");
    let expected = Measurement {
        at: measured.at,
        group: Some(format!("/docker/{ID}").into()),
        cpu: Cpu { usage_seconds: Some(5e-6), ..Cpu::default() },
        network: Some(Vec::new()),
        ..Measurement::default()
    };
    assert_eq!(measured, expected);
    assert_eq!(measured.stats().network_receive_bytes, None);
}

/// A tree with one file of version 2.
fn small(mount: &str, membership: &str, folder: &str) -> String {
    format!(
        "== /proc/self/mountinfo\n{mount}\n== /proc/7/cgroup\n{membership}\n\
         == /proc/7/net/dev\nh\nh\neth0: 5 1 0 0 0 0 0 0 6 1 0 0 0 0 0 0\n== {folder}/memory.current\n100\n"
    )
}

#[test]
fn an_engine_in_a_container_has_its_groups_below_that_container() {
    let mount = format!("30 23 0:26 /docker/{OUTER} /sys/fs/cgroup rw - cgroup2 cgroup2 rw");
    let path = format!("/docker/{OUTER}/docker/{ID}");
    let host = small(&mount, &format!("0::{path}"), &format!("/sys/fs/cgroup/docker/{ID}"));
    let measured = Host::new(&host).measure(ID, 7).expect("it is seen");
    assert_eq!((measured.memory.usage, measured.group.as_deref()), (Some(100), Some(&*path)));
}

#[test]
fn a_namespace_of_groups_hides_where_they_are_and_they_are_found() {
    let mounts = "29 23 0:26 / /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n30 23 0:26 /../.. /host/cgroup ro - cgroup2 cgroup2 rw";
    let folder = format!("/host/cgroup/system.slice/docker-{ID}.scope");
    let mut host = Host::new(&small(mounts, &format!("0::/../docker-{ID}.scope"), &folder));
    let measured = host.measure(ID, 7).expect("it is seen");
    assert_eq!(measured.memory.usage, Some(100));
    assert_eq!(measured.group.as_deref(), Some(&*format!("/system.slice/docker-{ID}.scope")));
    assert!(measured.network.is_some(), "its process is seen, and is its own");
}

#[test]
fn without_its_process_a_container_has_no_network_and_all_else() {
    let mut host = Host::new(V2);
    for pid in [None, Some(9999)] {
        let measured = host.later(10, ID, pid).expect("it is seen");
        assert_eq!((measured.network, measured.memory.usage), (None, Some(48_123_904)), "{pid:?}");
    }
    let other = "4:memory:/docker/another\n";
    host.write("/proc/8/cgroup", other);
    host.write("/proc/8/net/dev", "h\nh\neth0: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n");
    assert_eq!(host.measure(ID, 8).expect("it is seen").network, None, "that is another's process");
}

#[test]
fn the_hosts_network_is_nobodys() {
    let mut host = Host::new(V2);
    std::fs::remove_file(host.path("/proc/4242/net/dev")).unwrap();
    symlink(host.path("/proc/1/net/dev"), host.path("/proc/4242/net/dev")).unwrap();
    assert_eq!(host.measure(ID, 4242).expect("it is seen").network, None);
}

#[test]
fn counters_are_read_anew_and_so_are_limits() {
    let mut host = Host::new(V2);
    let folder = format!("/sys/fs/cgroup/system.slice/docker-{ID}.scope");
    let first = host.measure(ID, 4242).expect("it is seen");
    assert!(host.groups.open_files() > 8);
    host.write(&format!("{folder}/memory.max"), "33554432\n");
    host.write(&format!("{folder}/memory.current"), "1\n");
    host.write(&format!("{folder}/cpu.max"), "max 100000\n");
    host.write("/proc/4242/net/dev", "h\nh\neth0: 7 1 0 0 0 0 0 0 8 1 0 0 0 0 0 0\n");
    let second = host.measure(ID, 4242).expect("it is seen");
    assert_eq!((first.memory.limit, second.memory.limit), (Some(67_108_864), Some(33_554_432)));
    assert_eq!((second.memory.usage, second.memory.working_set), (Some(1), Some(0)));
    assert_eq!((second.cpu.quota_micros, second.cpu.period_micros), (None, None));
    assert_eq!(second.network.unwrap()[0].received.bytes, 7);
}

#[test]
fn short_of_files_it_goes_on_without_keeping_any() {
    let mut host = Host::new(V2);
    let kept = host.measure(ID, 4242).expect("it is seen");
    host.groups.run_short();
    assert_eq!(host.groups.open_files(), 0);
    let spared = host.measure(ID, 4242).expect("it is seen");
    assert_eq!(Measurement { at: kept.at, ..spared }, kept);
    assert_eq!(host.groups.open_files(), 0);
    for _ in 0..60 {
        assert!(host.measure(ID, 4242).is_some());
    }
    assert!(host.groups.open_files() > 8, "some time later it tries again");
}

#[test]
fn what_vanished_is_unseen_and_holds_no_file() {
    let mut host = Host::new(V2);
    host.groups.run_short();
    assert!(host.measure(ID, 4242).is_some());
    std::fs::remove_dir_all(host.path("/sys/fs/cgroup/system.slice")).unwrap();
    assert_eq!(host.measure(ID, 4242), None);
    assert_eq!(host.measure(ID, 4242), None);
    let now = host.at;
    assert!(host.groups.measure(&[], now).measured.is_empty());
    assert_eq!(host.groups.open_files(), 0);
}

#[test]
fn what_is_not_there_is_looked_for_once_a_minute() {
    let mut host =
        Host::new("== /proc/self/mountinfo\n30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    assert_eq!(host.later(10, ID, None), None);
    host.write(&format!("/sys/fs/cgroup/a/b/{ID}/memory.current"), "100\n");
    assert_eq!(host.later(10, ID, None), None);
    assert!(host.later(50, ID, None).is_some());
    // A new one is looked for at once.
    host.write(&format!("/sys/fs/cgroup/a/b/{OUTER}/memory.current"), "100\n");
    assert!(host.later(1, OUTER, None).is_some());
}

#[test]
fn the_limit_of_files_can_be_raised_and_raised_again() {
    let raised = raise_file_limit().unwrap();
    assert_eq!(raise_file_limit().unwrap(), raised);
    assert_eq!(rustix::process::getrlimit(rustix::process::Resource::Nofile).current, raised);
}

#[test]
fn an_empty_host_shows_nothing() {
    assert_eq!(Host::new("").measure(ID, 1), None);
    assert!(read_bounded(Path::new("/nowhere"), 1).is_none());
}
