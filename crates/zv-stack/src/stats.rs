//! What one replica uses, measured once: a container by its cgroup, a process by its tree in `/proc`.
//!
//! No file is kept open between measurements, and each is read up to a bound. The readers block for some tens of
//! microseconds (a process tree: up to milliseconds on a host with thousands of processes); call them where that is fine.

pub mod cgroup;
mod measurement;
mod meters;
pub mod proc;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use chrono::{DateTime, Utc};
pub use measurement::{Cpu, Device, Flow, Interface, Measurement, Memory, Pressure, Stall, Tasks};
pub use meters::{Meters, Round, Running};
use serde::{Deserialize, Serialize};

/// One measurement. What could not be read is absent, never zero.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    pub at: DateTime<Utc>,
    /// Processor time since the replica started, in seconds.
    pub cpu_seconds: Option<f64>,
    /// Memory in use without the page cache that can be dropped, in bytes.
    pub memory_bytes: Option<u64>,
    /// The limit in bytes; absent where there is none.
    pub memory_limit_bytes: Option<u64>,
    pub network_receive_bytes: Option<u64>,
    pub network_transmit_bytes: Option<u64>,
    pub processes: Option<u32>,
}

/// Measures the container whose first process is `pid`; absent where neither its cgroup nor its network can be read.
pub fn of_container_pid(pid: u32, at: DateTime<Utc>) -> Option<Stats> {
    let usage = cgroup::usage_of(pid).unwrap_or_default();
    let network = if shares_host_network(pid) { None } else { network_of(pid) };
    if usage == cgroup::Usage::default() && network.is_none() {
        return None;
    }
    Some(Stats {
        at,
        cpu_seconds: usage.cpu_seconds,
        memory_bytes: usage.memory_bytes,
        memory_limit_bytes: usage.memory_limit_bytes,
        network_receive_bytes: network.map(|(received, _)| received),
        network_transmit_bytes: network.map(|(_, transmitted)| transmitted),
        processes: usage.processes,
    })
}

/// Measures the container `id` whose first process should be `pid`; absent where that process is another by now, or runs
/// elsewhere.
pub fn of_container(id: &str, pid: u32, at: DateTime<Utc>) -> Option<Stats> {
    let groups = read_bounded(Path::new(&format!("/proc/{pid}/cgroup")), 16 * 1024)?;
    if !groups.contains(id) {
        return None;
    }
    of_container_pid(pid, at)
}

/// Measures `pid` with its descendants and the rest of its process group; absent where it no longer exists. Memory is the
/// sum of resident sets: pages that processes share count once for each.
pub fn of_process_tree(pid: u32, at: DateTime<Utc>) -> Option<Stats> {
    let tree = proc::tree_of(pid, &proc::all());
    if tree.is_empty() {
        return None;
    }
    let ticks: u64 = tree.iter().map(|process| process.cpu_ticks).sum();
    let pages: u64 = tree.iter().map(|process| process.resident_pages).sum();
    Some(Stats {
        at,
        cpu_seconds: Some(ticks as f64 / rustix::param::clock_ticks_per_second() as f64),
        memory_bytes: Some(pages * rustix::param::page_size() as u64),
        memory_limit_bytes: None,
        network_receive_bytes: None,
        network_transmit_bytes: None,
        processes: Some(u32::try_from(tree.len()).unwrap_or(u32::MAX)),
    })
}

/// Reads the counters of all interfaces but the loopback: received and transmitted bytes. The file is closed again at
/// once: an open `net/dev` pins the network namespace of a container that is gone.
fn network_of(pid: u32) -> Option<(u64, u64)> {
    parse_net_dev(&read_bounded(Path::new(&format!("/proc/{pid}/net/dev")), 256 * 1024)?)
}

fn parse_net_dev(text: &str) -> Option<(u64, u64)> {
    let mut sum = None;
    for line in text.lines().skip(2) {
        let (interface, counters) = line.split_once(':')?;
        let mut counters = counters.split_ascii_whitespace();
        let received: u64 = counters.next()?.parse().ok()?;
        let transmitted: u64 = counters.nth(7)?.parse().ok()?;
        if interface.trim() != "lo" {
            let (all_received, all_transmitted) = sum.unwrap_or((0, 0));
            sum = Some((all_received + received, all_transmitted + transmitted));
        }
    }
    sum
}

/// A container on the host's network has no counters of its own.
fn shares_host_network(pid: u32) -> bool {
    let of = |who: &str| std::fs::read_link(format!("/proc/{who}/ns/net")).ok();
    of(&pid.to_string()).is_some_and(|own| of("1").or_else(|| of("self")).is_some_and(|host| host == own))
}

/// Reads at most `limit` bytes of a small kernel file.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(limit).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_counters_add_up_without_the_loopback() {
        let text = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:  999999    100    0    0    0     0          0         0   999999    100    0    0    0     0       0          0
  eth0: 1500      10    0    0    0     0          0         0     2500      20    0    0    0     0       0          0
  eth1:1          10    0    0    0     0          0         0     2      20    0    0    0     0       0          0
";
        assert_eq!(parse_net_dev(text), Some((1501, 2502)));
    }

    #[test]
    fn a_namespace_with_only_a_loopback_has_no_network() {
        let text = "head\nhead\n    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n";
        assert_eq!(parse_net_dev(text), None);
    }

    #[test]
    fn this_process_can_be_measured() {
        let stats = of_process_tree(std::process::id(), crate::clock::now()).expect("it runs");
        assert!(stats.memory_bytes.is_some_and(|bytes| bytes > 64 * 1024), "{stats:?}");
        assert!(stats.processes.is_some_and(|count| count >= 1));
        assert_eq!(stats.network_receive_bytes, None);
    }

    #[test]
    fn what_does_not_exist_is_absent() {
        assert_eq!(of_process_tree(u32::MAX >> 1, crate::clock::now()), None);
        assert_eq!(of_container_pid(u32::MAX >> 1, crate::clock::now()), None);
    }
}
