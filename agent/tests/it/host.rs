//! The host's metrics beside the real node_exporter's, in the same run, and before promtool.
//!
//! node_exporter is Debian's package, found where packages put it or in `PATH`; promtool by `ZV_PROMTOOL` or in `PATH`.
//! Where one is missing its test says so; with `ZV_REQUIRE_SERVERS` set it fails.

mod exporter;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use zv_agent::clock::now;
use zv_agent::collect::host::{HostMeasurement, HostMeter, Roots};
use zv_agent::metrics;
use zv_wire::{Exposition, Format};

use exporter::Exporter;

/// A metric's name with its labels, sorted, those that are empty left out.
type Series = BTreeMap<String, f64>;

/// Finds a program of a package.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/bin".into(), "/usr/local/bin".into()]);
    let found = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
    if found.is_none() {
        assert!(std::env::var_os("ZV_REQUIRE_SERVERS").is_none(), "`{name}` is required");
        println!("skipped: `{name}` is not installed");
    }
    found
}

fn text(host: &HostMeasurement) -> String {
    let mut out = Exposition::new(Format::Text, 1 << 16);
    metrics::host::expose(&mut out, host);
    out.finish()
}

/// Reads an exposition; this is a test's reader, for what these two write.
fn series(text: &str) -> Series {
    let lines = text.lines().filter(|line| !line.starts_with('#') && line.starts_with("node_"));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (normal(name), value.parse().unwrap())
        })
        .collect()
}

fn normal(name: &str) -> String {
    let Some((family, labels)) = name.split_once('{') else { return name.to_owned() };
    let labels = labels.strip_suffix('}').unwrap();
    let mut pairs: Vec<&str> = labels.split_inclusive("\",").map(|pair| pair.trim_end_matches(',')).collect();
    pairs.retain(|pair| !pair.ends_with("=\"\""));
    pairs.sort_unstable();
    format!("{family}{{{}}}", pairs.join(","))
}

fn family(series: &str) -> &str {
    series.split('{').next().unwrap_or(series)
}

/// Returns what `# TYPE` says of each family.
fn types(text: &str) -> BTreeMap<&str, &str> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    lines.filter(|(name, _)| name.starts_with("node_")).collect()
}

/// What only node_exporter shows: itself, and what no rule for a container host asks for.
const THEIRS_ONLY: [&str; 27] = [
    "node_arp_",
    "node_cooling_",
    "node_cpu_",
    "node_disk_info",
    "node_dmi_",
    "node_edac_",
    "node_exporter_",
    "node_filesystem_mount_info",
    "node_filesystem_purgeable_bytes",
    "node_hwmon_",
    "node_network_",
    "node_nf_conntrack_stat_",
    "node_nvme_",
    "node_power_",
    "node_rapl_",
    "node_schedstat_",
    "node_scrape_",
    "node_selinux_",
    "node_softnet_",
    "node_textfile_",
    "node_thermal_",
    "node_time_clocksource_",
    "node_time_zone_",
    "node_timex_",
    "node_udp_",
    "node_watchdog_",
    "node_xfs_",
];

/// What some versions show and others do not: newer ones have families more, and fewer fields of memory.
const OURS_ONLY: [&str; 10] = [
    "node_kernel_hung_tasks_total",
    "node_memory_Balloon_bytes",
    "node_memory_FileHugePages_bytes",
    "node_memory_FilePmdMapped_bytes",
    "node_memory_Hugetlb_bytes",
    "node_memory_KReclaimable_bytes",
    "node_memory_SecPageTables_bytes",
    "node_pressure_irq_stalled_seconds_total",
    "node_netstat_TcpExt_TCPOFOQueue",
    "node_netstat_TcpExt_TCPRcvQDrop",
];

#[test]
fn the_names_labels_types_and_values_of_node_exporter() {
    let Some(program) = program("prometheus-node-exporter") else { return };
    let exporter = Exporter::start(&program);
    let mut meter = HostMeter::new(Roots::default());
    let begun = Instant::now();
    // Other programs come and go, with their devices and mounts: in a quiet moment both see the same.
    let differences = loop {
        meter.measure(now());
        let before = text(&meter.measure(now()));
        let theirs = exporter.scrape();
        let after = text(&meter.measure(now()));
        let mut differences = names(&before, &theirs);
        differences.extend(values(&series(&before), &series(&theirs), &series(&after)));
        if differences.is_empty() || begun.elapsed() > Duration::from_secs(30) {
            break differences;
        }
    };
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Returns what one shows and the other does not, but for what is known to differ.
fn names(ours: &str, theirs: &str) -> Vec<String> {
    let (our_types, their_types) = (types(ours), types(theirs));
    let known = |name: &str| our_types.contains_key(family(name));
    let mut differences = Vec::new();
    for (name, kind) in &our_types {
        match their_types.get(name) {
            Some(other) if other == kind => {}
            None if OURS_ONLY.contains(name) => {}
            other => differences.push(format!("{name} is {kind}, there {other:?}")),
        }
    }
    for name in their_types.keys().filter(|name| !known(name)) {
        if !THEIRS_ONLY.iter().any(|prefix| name.starts_with(prefix)) {
            differences.push(format!("{name} is only there"));
        }
    }
    // Versions before 1.8 do not tell what an administrator wants.
    let newer = theirs.contains("adminstate=");
    let ours = if newer { ours.to_owned() } else { without_adminstate(ours) };
    let (ours, theirs): (BTreeSet<String>, BTreeSet<String>) =
        (series(&ours).into_keys().collect(), series(theirs).into_keys().collect());
    let ours_only = ours.difference(&theirs).filter(|name| !OURS_ONLY.contains(&family(name)));
    differences.extend(ours_only.map(|name| format!("{name} is only here")));
    let theirs_only = theirs.difference(&ours).filter(|name| known(name));
    differences.extend(theirs_only.map(|name| format!("{name} is only there")));
    differences
}

fn without_adminstate(text: &str) -> String {
    text.replace("adminstate=\"up\",", "").replace("adminstate=\"down\",", "")
}

/// What is the same whenever it is asked.
fn is_constant(name: &str) -> bool {
    const CONSTANT: [&str; 18] = [
        "node_boot_time_seconds",
        "node_bonding_slaves",
        "node_entropy_pool_size_bits",
        "node_filefd_maximum",
        "node_filesystem_device_error",
        "node_filesystem_files",
        "node_filesystem_size_bytes",
        "node_memory_CommitLimit_bytes",
        "node_memory_MemTotal_bytes",
        "node_memory_SwapTotal_bytes",
        "node_network_info",
        "node_network_mtu_bytes",
        "node_network_speed_bytes",
        "node_network_up",
        "node_nf_conntrack_entries_limit",
        "node_os_info",
        "node_os_version",
        "node_uname_info",
    ];
    CONSTANT.contains(&family(name))
}

/// Compares what was measured before and after a scrape with what it says.
fn values(before: &Series, theirs: &Series, after: &Series) -> Vec<String> {
    let mut differences = Vec::new();
    let mut counters = 0;
    for (name, theirs) in theirs {
        let (Some(before), Some(after)) = (before.get(name), after.get(name)) else { continue };
        let wrong = if is_constant(name) {
            before != theirs
        } else if name.contains("node_filesystem_readonly") {
            // 1.11 overlooks it where the mount and the whole file system are read-only.
            before != theirs && *theirs != 0.0
        } else if name.contains("_total") || ["vmstat", "netstat"].iter().any(|part| name.contains(part)) {
            counters += 1;
            // The kernel's own sums over processors are a tick off now and then.
            let gauge = name.ends_with("CurrEstab");
            !gauge && !(before - 0.02..=after + 0.02).contains(theirs)
        } else if name == "node_time_seconds" {
            !(before..=after).contains(&theirs)
        } else {
            // Gauges that move: by a few percent of what there is in between.
            let near = |other: &f64| (theirs - other).abs() <= 0.05 * theirs.abs().max(other.abs());
            let sizes =
                name.contains("avail_bytes") || name.contains("free_bytes") || name.contains("files_free");
            sizes && !near(before) && !near(after)
        };
        if wrong {
            differences.push(format!("{name} is {before} and then {after}, there {theirs}"));
        }
    }
    assert!(counters > 100, "{counters} counters were compared");
    differences
}

#[test]
fn rates_are_those_of_node_exporter() {
    let Some(program) = program("prometheus-node-exporter") else { return };
    let exporter = Exporter::start(&program);
    let mut meter = HostMeter::new(Roots::default());
    let begun = Instant::now();
    // Others work on this machine too, and what they begin between our look and the other's is seen by one only.
    loop {
        let (host_before, theirs_before) = (meter.measure(now()), series(&exporter.scrape()));
        let sent = work(Duration::from_millis(2500));
        let (host, theirs) = (meter.measure(now()), series(&exporter.scrape()));
        let cores = host.usage(Some(&host_before)).cpu_cores.unwrap();
        let seconds = theirs["node_time_seconds"] - theirs_before["node_time_seconds"];
        let busy = |series: &Series| -> f64 {
            let idle = ["mode=\"idle\"", "mode=\"iowait\"", "mode=\"steal\""];
            let working = series.iter().filter(|(name, _)| {
                name.starts_with("node_cpu_seconds_total") && !idle.iter().any(|mode| name.contains(mode))
            });
            working.map(|(_, seconds)| seconds).sum()
        };
        let their_cores = (busy(&theirs) - busy(&theirs_before)) / seconds;
        let loopback = "node_network_receive_bytes_total{device=\"lo\"}";
        let (ours_before, ours) = (series(&text(&host_before)), series(&text(&host)));
        let (received, their_received) =
            (ours[loopback] - ours_before[loopback], theirs[loopback] - theirs_before[loopback]);
        println!("cores {cores:.3} and {their_cores:.3}; received {received} and {their_received} of {sent}");
        let near = |one: f64, other: f64| (one - other).abs() <= 0.05 * other;
        assert!(received >= sent as f64, "what was sent is received");
        if cores > 0.3 && near(cores, their_cores) && near(received, their_received) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "rates differ for a minute");
    }
}

/// Burns a processor and sends over the loopback for a while; returns how many bytes were sent.
fn work(time: Duration) -> u64 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let reader = std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let mut buffer = vec![0; 1 << 16];
        while stream.read(&mut buffer).unwrap() > 0 {}
    });
    let (begun, data, mut sent) = (Instant::now(), vec![7; 1 << 16], 0);
    while begun.elapsed() < time {
        sender.write_all(&data).unwrap();
        sent += data.len() as u64;
    }
    drop(sender);
    reader.join().unwrap();
    sent
}

#[test]
fn promtool_reads_what_is_shown() {
    let promtool = std::env::var_os("ZV_PROMTOOL").map(PathBuf::from);
    let Some(promtool) = promtool.or_else(|| program("promtool")) else { return };
    let mut meter = HostMeter::new(Roots::default());
    meter.measure(now());
    let text = text(&meter.measure(now()));
    assert!(text.contains("node_filesystem_size_bytes{"), "{text}");
    let mut command = Command::new(promtool);
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    // Names that node_exporter made are as they are: the linter likes neither their capitals nor their bits.
    let known = ["camelCase", "node_entropy_"];
    let wrong: Vec<&str> = said
        .lines()
        .filter(|line| !line.is_empty() && !known.iter().any(|known| line.contains(known)))
        .collect();
    assert!(wrong.is_empty() && matches!(output.status.code(), Some(0 | 3)), "{:?}\n{said}", output.status);
}

#[test]
fn a_measurement_is_short() {
    let mut meter = HostMeter::new(Roots::default());
    meter.measure(now());
    // Of this thread, in nanoseconds: other tests run beside it.
    let spent = || {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
    };
    let (before, begun) = (spent(), Instant::now());
    for _ in 0..100 {
        meter.measure(now());
    }
    println!(
        "a measurement takes {:?}, and {:?} of processors' time",
        begun.elapsed() / 100,
        (spent() - before) / 100
    );
    assert!(begun.elapsed() < Duration::from_secs(60));
}
