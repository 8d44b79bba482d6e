//! Files of cgroup v1 and v2 as kernels write them.

use super::*;

const V1_MOUNTS: &str = "\
30 29 0:26 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
31 30 0:27 / /sys/fs/cgroup/unified rw shared:10 - cgroup2 cgroup2 rw,nsdelegate
33 30 0:30 / /sys/fs/cgroup/cpu,cpuacct rw shared:15 - cgroup cgroup rw,cpu,cpuacct
34 30 0:31 / /sys/fs/cgroup/memory rw shared:16 - cgroup cgroup rw,memory
35 30 0:32 / /sys/fs/cgroup/pids rw shared:17 - cgroup cgroup rw,pids
";
const V1_GROUP: &str = "\
12:pids:/docker/abc
9:memory:/docker/abc
4:cpu,cpuacct:/docker/abc
1:name=systemd:/docker/abc
0::/system.slice/containerd.service
";
const V2_MOUNTS: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
const V2_GROUP: &str = "0::/system.slice/docker-abc.scope\n";

fn usage(mounts: &str, membership: &str, files: &[(&str, &str)]) -> Usage {
    let read = |folder: &Path, file: &str| {
        let path = folder.join(file);
        files.iter().find(|(name, _)| Path::new(name) == path).map(|(_, text)| (*text).to_owned())
    };
    measure(&parse_mounts(mounts), membership, &read)
}

#[test]
fn version_1_reads_each_hierarchy() {
    let files = [
        ("/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpuacct.usage", "2500000000\n"),
        ("/sys/fs/cgroup/memory/docker/abc/memory.usage_in_bytes", "10485760\n"),
        ("/sys/fs/cgroup/memory/docker/abc/memory.stat", "inactive_file 1\ntotal_inactive_file 485760\n"),
        ("/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "9223372036854771712\n"),
        ("/sys/fs/cgroup/pids/docker/abc/pids.current", "7\n"),
    ];
    let expected = Usage {
        cpu_seconds: Some(2.5),
        memory_bytes: Some(10_000_000),
        memory_limit_bytes: None,
        processes: Some(7),
    };
    assert_eq!(usage(V1_MOUNTS, V1_GROUP, &files), expected);
}

#[test]
fn version_2_reads_one_folder() {
    let folder = "/sys/fs/cgroup/system.slice/docker-abc.scope";
    let cpu = format!("{folder}/cpu.stat");
    let current = format!("{folder}/memory.current");
    let stat = format!("{folder}/memory.stat");
    let max = format!("{folder}/memory.max");
    let pids = format!("{folder}/pids.current");
    let files = [
        (cpu.as_str(), "usage_usec 1500000\nuser_usec 1\n"),
        (current.as_str(), "5000\n"),
        (stat.as_str(), "active_file 1\ninactive_file 1000\n"),
        (max.as_str(), "268435456\n"),
        (pids.as_str(), "3\n"),
    ];
    let expected = Usage {
        cpu_seconds: Some(1.5),
        memory_bytes: Some(4000),
        memory_limit_bytes: Some(268_435_456),
        processes: Some(3),
    };
    assert_eq!(usage(V2_MOUNTS, V2_GROUP, &files), expected);
}

#[test]
fn a_word_for_no_limit_is_no_limit() {
    let files = [
        ("/sys/fs/cgroup/system.slice/docker-abc.scope/memory.current", "5000\n"),
        ("/sys/fs/cgroup/system.slice/docker-abc.scope/memory.max", "max\n"),
    ];
    let usage = usage(V2_MOUNTS, V2_GROUP, &files);
    assert_eq!((usage.memory_bytes, usage.memory_limit_bytes, usage.cpu_seconds), (Some(5000), None, None));
}

#[test]
fn a_mount_inside_a_container_shows_its_own_group_as_the_top() {
    let mounts = "34 30 0:31 /docker/outer /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
    let files = [("/sys/fs/cgroup/memory/inner/memory.usage_in_bytes", "12\n")];
    assert_eq!(usage(mounts, "9:memory:/docker/outer/inner\n", &files).memory_bytes, Some(12));
    assert_eq!(usage(mounts, "9:memory:/docker/outermost/inner\n", &files), Usage::default());
}

#[test]
fn the_host_itself_and_the_outside_are_not_measured() {
    let files = [
        ("/sys/fs/cgroup/cpu.stat", "usage_usec 1500000\n"),
        ("/sys/fs/cgroup/memory.current", "5000\n"),
        ("/sys/fs/cgroup/../x/memory.current", "5000\n"),
    ];
    assert_eq!(usage(V2_MOUNTS, "0::/\n", &files), Usage::default());
    assert_eq!(usage(V2_MOUNTS, "0::/../x\n", &files), Usage::default());
}
