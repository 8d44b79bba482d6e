//! Trees that a real kernel with version 2 showed (see `docs/cgroup-v2.md`), on the host and from inside a container that
//! has a namespace of control groups of its own and the host's tree mounted.

use super::*;

const ON_THE_HOST: &str = include_str!("../../../tests/fixtures/cgroup2/systemd-on-the-host.txt");
const IN_A_CONTAINER: &str = include_str!("../../../tests/fixtures/cgroup2/systemd-in-a-container.txt");
const LIMITED: (&str, u32) = ("5aaed938da3c9eef2afe1a15b12ef30d614f3d8a7515ae57ef1bd8f4c7effa37", 901);
const HUNGRY: (&str, u32) = ("cc179413a8d1d5ffc07b21e8535e2689e0426df51ec9f38e2cb28366207bb041", 1052);
const NESTED: (&str, u32) = ("eed2b6129f0c0c4a2a112820227405a68f9d6b038bcddb917c1e6feabf60df43", 1135);

fn measure(tree: &str, (id, pid): (&str, u32)) -> Measurement {
    let mut measured = Host::new(tree).measure(id, pid).expect("it is seen");
    measured.at = DateTime::UNIX_EPOCH;
    measured
}

#[test]
fn limits_and_counters_under_the_systemd_driver() {
    let measured = measure(ON_THE_HOST, LIMITED);
    assert_eq!(measured.group.as_deref(), Some(&*format!("/system.slice/docker-{}.scope", LIMITED.0)));
    assert_eq!((measured.cpu.usage_seconds, measured.cpu.throttled_periods), (Some(65.326_724), Some(1324)));
    assert_eq!((measured.cpu.quota_micros, measured.cpu.period_micros), (Some(50_000), Some(100_000)));
    let memory = &measured.memory;
    assert_eq!((memory.usage, memory.limit), (Some(4_923_392), Some(67_108_864)));
    let io = measured.io.expect("it wrote to a disk");
    assert_eq!((&*io[0].name, io[0].written_bytes, io[0].writes), ("/dev/vda", 4_194_304, 8));
    let network = measured.network.expect("it has a network of its own");
    assert_eq!((&*network[0].name, network[0].received.bytes), ("eth0", 1392));
}

#[test]
fn want_of_memory_is_counted() {
    assert_eq!(measure(ON_THE_HOST, HUNGRY).memory.oom_kills, Some(1));
}

#[test]
fn a_container_sees_what_the_host_sees() {
    for replica in [LIMITED, NESTED] {
        assert_eq!(measure(IN_A_CONTAINER, replica), measure(ON_THE_HOST, replica));
    }
}

#[test]
fn limits_and_counters_under_the_cgroupfs_driver() {
    const ON_THE_HOST: &str = include_str!("../../../tests/fixtures/cgroup2/cgroupfs-on-the-host.txt");
    const IN_A_CONTAINER: &str = include_str!("../../../tests/fixtures/cgroup2/cgroupfs-in-a-container.txt");
    let limited = ("c43ba33d77fb66cbf34f881924b19100d0967baea761534cbdefe52b56331946", 7032);
    let nested = ("81875f40c088c182bb1dd1c457b3615cbab38516332f097fabfb26c21aef359b", 7252);
    let measured = measure(ON_THE_HOST, limited);
    assert_eq!(measured.group.as_deref(), Some(&*format!("/docker/{}", limited.0)));
    assert_eq!((measured.cpu.usage_seconds, measured.cpu.throttled_periods), (Some(13.726_91), Some(651)));
    assert_eq!((measured.memory.usage, measured.memory.swap_limit), (Some(4_902_912), Some(33_554_432)));
    // The kernel names its disk and nothing that it did there.
    assert_eq!(measured.io, Some(Vec::new()));
    assert_eq!(
        measure(ON_THE_HOST, nested).group.as_deref(),
        Some("/shop/81875f40c088c182bb1dd1c457b3615cbab38516332f097fabfb26c21aef359b")
    );
    for replica in [limited, nested] {
        assert_eq!(measure(IN_A_CONTAINER, replica), measure(ON_THE_HOST, replica));
    }
}
