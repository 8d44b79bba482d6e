//! The host: its file systems, its clock, and what probes need of it: a name server and certificates.

use std::fs;
use std::path::Path;

use chrono::{DateTime, Datelike, TimeDelta, Utc};
use tokio::time::Instant;
use zv_probe::{Check, Dns, Prober, RecordKind, Target, Trust, Verdict};
use zv_stack::visibility;

use super::finding::{Area, Finding, Findings};
use super::here::Here;

/// A clock that is before this year was never set.
const BEGINNING: i32 = 2024;
const END: i32 = 2100;
/// The engine's clock may differ by so much: its answer takes a while.
const TOLERATED: TimeDelta = TimeDelta::seconds(5);

/// Where the host's root is mounted in a container, by convention.
const HOST_ROOTS: [&str; 3] = ["/host", "/rootfs", "/hostfs"];

/// Says what is seen of the host's file systems. `given` is where the configuration says that they are.
pub(super) fn file_systems(here: &Here, is_given: bool) -> Vec<Finding> {
    let mut findings = Findings::of(Area::Host);
    let mounted = HOST_ROOTS.into_iter().find(|root| here.mounts.at(Path::new(root)).is_some());
    match mounted {
        _ if !here.contained => findings.ok("file systems", "those of the host"),
        // The agent looks there by itself.
        None if !is_given && visibility::shares_process_table() && fs::read_dir("/proc/1/root").is_ok() => {
            findings.ok("file systems", "those of the host, through its first process");
        }
        Some(root) if is_given => findings.ok("file systems", format!("those of the host, below {root}")),
        Some(root) => findings.note(
            "file systems",
            format!("those of the host are at {root}, and nothing says so"),
            format!("set `collect: {{ host_root: {root} }}` in the agent's zv.yaml"),
        ),
        None if is_given => findings.ok("file systems", "where `collect.host_root` says"),
        None => findings.note(
            "file systems",
            "those of this container alone: a disk of the host that fills up is not noticed",
            "run the container with `-v /:/host:ro,rslave`, and set `collect: { host_root: /host }` in zv.yaml",
        ),
    }
    findings.all
}

/// Judges the clock, beside the engine's where that is known.
pub(super) fn clock(now: DateTime<Utc>, engines: Option<DateTime<Utc>>) -> Vec<Finding> {
    let mut findings = Findings::of(Area::Host);
    let shown = now.format("%Y-%m-%d %H:%M:%S UTC");
    let advice = "set it: `sudo timedatectl set-ntp true`, or start chrony";
    let apart = engines.map(|engines| (engines - now).abs());
    if !(BEGINNING..END).contains(&now.year()) {
        findings.problem("clock", format!("it says {shown}"), advice);
    } else if let Some(apart) = apart.filter(|apart| *apart > TOLERATED) {
        findings.note(
            "clock",
            format!("it says {shown}; the engine's differs by {} s", apart.num_seconds()),
            advice,
        );
    } else {
        findings.ok("clock", shown.to_string());
    }
    findings.all
}

/// Asks the first name server anything.
pub(super) async fn names(deadline: Instant) -> Vec<Finding> {
    const ADVICE: &str = "probes of names fail: correct /etc/resolv.conf, or `--dns ADDRESS` for a container";
    let mut findings = Findings::of(Area::Host);
    let conf = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let Some(server) = first_server(&conf) else {
        findings.note("names", "/etc/resolv.conf names no server", ADVICE);
        return findings.all;
    };
    let check = Dns { server: None, name: ".".to_owned(), kind: RecordKind::Ns, expect: Vec::new() };
    let target = Target::new("dns://", Check::Dns(check));
    let prober = Prober::new(std::sync::Arc::new(Trust::system()));
    let report = Box::pin(prober.run(&target, deadline)).await;
    // That it knows no such name is an answer, too.
    if report.verdict == Verdict::Up || report.phases.transfer.is_some() {
        findings.ok("names", format!("{server} answers"));
    } else {
        findings.note("names", format!("{server}: {}", report.reason), ADVICE);
    }
    findings.all
}

fn first_server(conf: &str) -> Option<&str> {
    conf.lines().find_map(|line| line.trim().strip_prefix("nameserver")?.split_whitespace().next())
}

/// Looks for the authorities of the system; blocks for milliseconds.
pub(super) fn certificates() -> Vec<Finding> {
    let mut findings = Findings::of(Area::Host);
    match Trust::authorities_of_system() {
        0 => findings.note(
            "certificates",
            "the system has no authorities: those built into zv are believed instead",
            "`apt install ca-certificates`, or `-v /etc/ssl/certs:/etc/ssl/certs:ro` for a container",
        ),
        count => findings.ok("certificates", format!("{count} authorities of the system")),
    }
    findings.all
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::super::here::tests::here;
    use super::*;
    use crate::samples;

    #[test]
    fn a_clock_that_was_never_set_is_a_problem() {
        let never = DateTime::<Utc>::from_timestamp(86_400, 0).unwrap();
        assert_eq!(clock(never, None)[0].status, Level::Problem);
        let now = samples::now();
        assert_eq!(clock(now, Some(now + TimeDelta::seconds(2)))[0].status, Level::Ok);
        let apart = &clock(now, Some(now - TimeDelta::seconds(90)))[0];
        assert!(apart.status == Level::Note && apart.found.contains("90 s"), "{apart:?}");
    }

    #[test]
    fn a_container_sees_the_hosts_disks_where_its_root_is_mounted() {
        let mut contained = here(true, 0);
        contained.mounts.points.clear();
        contained.mounts.points.push(("/host".into(), "ext4".into()));
        assert!(file_systems(&contained, false)[0].advice.as_ref().unwrap().contains("host_root: /host"));
        assert_eq!(file_systems(&contained, true)[0].status, Level::Ok);
        assert_eq!(file_systems(&here(false, 0), false)[0].status, Level::Ok);
    }

    #[test]
    fn the_first_server_is_found() {
        assert_eq!(first_server("# x\nsearch a\nnameserver 10.0.0.1\nnameserver 2\n"), Some("10.0.0.1"));
        assert_eq!(first_server("search a\n"), None);
    }
}
