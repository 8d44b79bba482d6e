//! Recorded files through the code that reads the kernel's.

use std::path::Path;

use proptest::prelude::*;
use zv_wire::{Exposition, Format};

use super::*;

const FILES: [(&str, &str); 20] = [
    (
        "proc/stat",
        "cpu  300 0 100 800 20 5 5 40 0 0\ncpu0 200 0 50 400 10 5 0 20 7 0\ncpu3 100 0 50 400 10 0 5 20 0 0\n\
         intr 12345 0 9 1\nctxt 777\nbtime 1795163762\nprocesses 42\nprocs_running 3\nprocs_blocked 1\n",
    ),
    ("proc/loadavg", "0.50 1.25 2.00 3/456 789\n"),
    (
        "proc/meminfo",
        "MemTotal:       1000 kB\nMemFree:         100 kB\nMemAvailable:    400 kB\nSwapTotal:        50 kB\n\
         SwapFree:         20 kB\nActive(anon):      8 kB\nHugePages_Total:       2\n",
    ),
    ("proc/vmstat", "nr_free_pages 1\npgpgin 2\noom_kill 6\n"),
    (
        "proc/diskstats",
        " 254 0 vda 10 1 20 3000 40 2 60 7000 1 9000 10000 11 12 13 14000 15 16000\n 254 1 vda1 1 1 1 1 1 1 1 1 1 1 1\n",
    ),
    (
        "proc/1/net/dev",
        "Inter-| Receive | Transmit\n face |bytes\n    lo: 5 1 0 0 0 0 0 0 5 1 0 0 0 0 0 0\n\
         eth0: 1000 2 3 4 5 6 7 8 2000 10 11 12 13 14 15 16\nveth1: 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9\n",
    ),
    ("proc/1/net/sockstat", "TCP: inuse 2 mem 1\n"),
    ("proc/1/net/netstat", "TcpExt: ListenDrops Other\nTcpExt: 4 5\n"),
    ("proc/1/net/snmp6", "Ip6InOctets 2636\n"),
    (
        "proc/1/mountinfo",
        "27 1 8:0 / / rw,relatime - ext4 /dev/vda rw\n28 27 0:9 / /none ro - ext4 /dev/gone rw\n",
    ),
    ("proc/sys/fs/file-nr", "1008\t0\t2466183\n"),
    ("proc/sys/kernel/random/entropy_avail", "256\n"),
    ("proc/pressure/cpu", "some avg10=0.00 total=2500000\nfull avg10=0.00 total=0\n"),
    ("proc/pressure/io", "some avg10=0.00 total=1\nfull avg10=0.00 total=1500000\n"),
    ("sys/class/net/eth0/operstate", "up\n"),
    ("sys/class/net/eth0/flags", "0x1003\n"),
    ("sys/class/net/eth0/speed", "1000\n"),
    ("sys/class/net/eth0/address", "02:00:00:00:00:01\n"),
    ("etc/os-release", "NAME=\"Debian GNU/Linux\"\nID=debian\nVERSION_ID=\"12\"\n"),
    ("etc/hostname", "the-host\n"),
];

fn write(root: &Path, name: &str, text: &str) {
    let path = root.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn tree() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in FILES {
        write(folder.path(), name, text);
    }
    folder
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_175_894 + seconds, 500_000_000).unwrap()
}

fn exposition(host: &HostMeasurement) -> String {
    let mut out = Exposition::new(Format::Text, 0);
    crate::metrics::host::expose(&mut out, host);
    out.finish()
}

/// Measures until the file systems are known.
fn measured(meter: &mut HostMeter) -> HostMeasurement {
    let begun = std::time::Instant::now();
    loop {
        let host = meter.measure(at(0));
        if host.volumes.is_some() || begun.elapsed().as_secs() > 20 {
            return host;
        }
    }
}

#[test]
fn recorded_files_become_metrics() {
    let folder = tree();
    let text = exposition(&measured(&mut HostMeter::new(Roots::under(folder.path()))));
    for line in [
        "node_cpu_seconds_total{cpu=\"3\",mode=\"steal\"} 0.2",
        "node_cpu_guest_seconds_total{cpu=\"0\",mode=\"user\"} 0.07",
        "node_intr_total 12345",
        "node_forks_total 42",
        "node_boot_time_seconds 1795163762",
        "node_load15 2",
        "node_memory_MemTotal_bytes 1024000",
        "node_memory_Active_anon_bytes 8192",
        "node_memory_HugePages_Total 2",
        "# TYPE node_vmstat_oom_kill untyped",
        "node_vmstat_oom_kill 6",
        "node_disk_read_bytes_total{device=\"vda\"} 10240",
        "node_disk_io_time_weighted_seconds_total{device=\"vda\"} 10",
        "node_disk_io_now{device=\"vda\"} 1",
        "node_network_receive_frame_total{device=\"eth0\"} 6",
        "node_network_transmit_bytes_total{device=\"eth0\"} 2000",
        "node_network_up{device=\"eth0\"} 1",
        "node_network_speed_bytes{device=\"eth0\"} 125000000",
        "node_network_info{device=\"eth0\",address=\"02:00:00:00:00:01\",adminstate=\"up\",operstate=\"up\"} 1",
        "node_sockstat_TCP_inuse 2",
        "node_netstat_TcpExt_ListenDrops 4",
        "node_netstat_Ip6_InOctets 2636",
        "node_filesystem_device_error{device=\"/dev/vda\",fstype=\"ext4\",mountpoint=\"/\"} 0",
        "node_filesystem_device_error{device=\"/dev/gone\",fstype=\"ext4\",mountpoint=\"/none\"} 1",
        "node_filesystem_readonly{device=\"/dev/gone\",fstype=\"ext4\",mountpoint=\"/none\"} 1",
        "node_filefd_allocated 1008",
        "node_filefd_maximum 2466183",
        "node_entropy_available_bits 256",
        "node_pressure_cpu_waiting_seconds_total 2.5",
        "node_pressure_io_stalled_seconds_total 1.5",
        "node_os_info{id=\"debian\",name=\"Debian GNU/Linux\",version_id=\"12\"} 1",
        "node_os_version{id=\"debian\",name=\"Debian GNU/Linux\"} 12",
        "node_time_seconds 1795175894.5",
    ] {
        assert!(text.lines().any(|other| other == line), "{line}\n{text}");
    }
    assert!(text.contains("nodename=\"the-host\""), "{text}");
    for absent in
        ["veth1", "vda1", "node_pressure_memory", "node_entropy_pool", "size_bytes{device=\"/dev/gone\""]
    {
        assert!(!text.contains(absent), "{absent}\n{text}");
    }
}

#[test]
fn rates_are_of_the_time_between() {
    let folder = tree();
    let mut meter = HostMeter::new(Roots::under(folder.path()));
    let before = measured(&mut meter);
    write(folder.path(), "proc/stat", "cpu0 300 0 50 400 10 5 0 20 7 0\ncpu3 100 0 100 400 10 0 5 99 0 0\n");
    write(
        folder.path(),
        "proc/1/net/dev",
        "lo: 9 9 0 0 0 0 0 0 9 9 0 0 0 0 0 0\neth0: 5000 2 3 4 5 6 7 8 2500 1 1 1 1 1 1 1\n",
    );
    write(
        folder.path(),
        "proc/diskstats",
        "254 0 vda 1 1 30 3 4 2 100 7 1 9 10\n253 0 dm-0 1 1 99 3 4 2 99 7 1 9 10\n",
    );
    let now = meter.measure(at(2));
    let usage = now.usage(Some(&before));
    assert_eq!((usage.cpu_cores, usage.cpus), (Some(0.75), Some(2)));
    assert_eq!(usage.network_receive_bytes_per_second, Some(2000.0));
    assert_eq!(usage.network_transmit_bytes_per_second, Some(250.0));
    assert_eq!(usage.read_bytes_per_second, Some(10.0 * 512.0 / 2.0));
    assert_eq!(usage.written_bytes_per_second, Some(40.0 * 512.0 / 2.0));
    assert_eq!((usage.load1, usage.load5, usage.load15), (Some(0.5), Some(1.25), Some(2.0)));
    assert_eq!((usage.memory_bytes, usage.memory_total_bytes), (Some(600 * 1024), Some(1000 * 1024)));
    assert_eq!((usage.swap_bytes, usage.swap_total_bytes), (Some(30 * 1024), Some(50 * 1024)));
    let mounts: Vec<(&str, &str)> =
        usage.filesystems.iter().map(|filesystem| (&*filesystem.mount, &*filesystem.device)).collect();
    assert_eq!(mounts, [("/", "/dev/vda")]);
    assert!(now.kernel().is_some_and(|kernel| !kernel.is_empty()));

    // The other way round every counter went down; and without time between there is no rate.
    let mut backwards = before.clone();
    backwards.at = at(9);
    let usage = backwards.usage(Some(&now));
    assert_eq!(
        (usage.network_receive_bytes_per_second, usage.read_bytes_per_second, usage.cpu_cores),
        (None, None, None)
    );
    assert_eq!(now.usage(Some(&now)).cpu_cores, None);
    assert_eq!(now.usage(None).cpu_cores, None);
}

#[test]
fn the_boot_time_is_a_moment() {
    let folder = tree();
    let usage = HostMeter::new(Roots::under(folder.path())).measure(at(0)).usage(None);
    assert_eq!(usage.booted_at, DateTime::from_timestamp(1_795_163_762, 0));
}

#[test]
fn where_nothing_can_be_seen_everything_is_absent() {
    let folder = tempfile::tempdir().unwrap();
    let mut meter = HostMeter::new(Roots::under(folder.path()));
    let host = measured(&mut meter);
    let usage = host.usage(Some(&meter.measure(at(1))));
    assert_eq!(usage, zv_api::HostUsage { at: at(0), ..zv_api::HostUsage::default() });
    let names: Vec<String> =
        exposition(&host).lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
    let (uname, time) = (names[0].split('{').next(), names[1].split(' ').next());
    assert_eq!((uname, time, names.len()), (Some("node_uname_info"), Some("node_time_seconds"), 2));
}

/// Texts that look a little like the kernel's.
fn lines() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        "[ -~]{0,12}",
        "\\PC{0,6}",
        any::<u64>().prop_map(|number| number.to_string()),
        any::<i64>().prop_map(|number| format!("{number}:")),
        proptest::sample::select(vec![
            "cpu0",
            "cpu",
            "intr",
            "btime",
            "some",
            "total=",
            "Tcp:",
            "InErrs",
            "eth0:",
            "vda",
            "mmcblk0p1",
            "nvme0n1p",
            "-",
            "/",
            "\\040",
            "\\",
            "8:0",
            "kB",
            "MemTotal:",
            "Active(anon):",
            "(",
            "oom_kill",
            "pgp",
            "Ip6",
            "6",
            "VERSION_ID=1.",
            "ID=\"",
            "18446744073709551615",
        ])
        .prop_map(str::to_owned),
    ];
    let line = proptest::collection::vec(word, 0..24).prop_map(|words| words.join(" "));
    proptest::collection::vec(line, 0..8).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_file_makes_it_panic(texts in proptest::collection::vec(lines(), FILES.len()), later in lines()) {
        let folder = tempfile::tempdir().unwrap();
        for ((name, _), text) in FILES.iter().zip(&texts) {
            write(folder.path(), name, text);
        }
        let mut meter = HostMeter::new(Roots::under(folder.path()));
        let before = meter.measure(at(0));
        write(folder.path(), "proc/stat", &later);
        let now = meter.measure(at(1));
        now.usage(Some(&before));
        exposition(&now);
    }
}
