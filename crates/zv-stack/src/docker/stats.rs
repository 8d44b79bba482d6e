//! One measurement through the engine's API, for where the container's control group cannot be read.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::Inner;
use crate::model::ReplicaId;
use crate::stats::{Cpu, Device, Flow, Interface, Measurement, Memory, Tasks};

/// How long one measurement may take.
const LIMIT: Duration = Duration::from_secs(5);
/// A limit above this is a kernel's way to write that there is none.
const NO_LIMIT: u64 = 1 << 60;

/// Measures a container once; `None` where it does not run or cannot be measured.
pub(super) async fn measure(inner: &Inner, id: &ReplicaId) -> Option<Measurement> {
    let asking = async {
        let engine = inner.engine().await?;
        let path = format!("/containers/{}/stats?stream=false&one-shot=true", id.as_str());
        let answer = engine.get::<Answer>(&path, LIMIT).await?;
        Ok::<_, super::engine::ApiError>((answer, engine.memory_total().await))
    };
    match tokio::time::timeout(LIMIT, asking).await {
        Ok(Ok((answer, memory_total))) => read(&answer, memory_total),
        Ok(Err(error)) => {
            tracing::debug!(container.id = %id, %error, "not measured");
            None
        }
        Err(_) => {
            tracing::debug!(container.id = %id, "not measured within {LIMIT:?}");
            None
        }
    }
}

/// The part of the engine's answer that is of use. Its zeros mean that nothing was measured.
#[derive(Debug, Deserialize, Default)]
#[serde(default)]
struct Answer {
    read: String,
    cpu_stats: CpuStats,
    memory_stats: MemoryStats,
    pids_stats: Pids,
    blkio_stats: Block,
    networks: Option<BTreeMap<String, Network>>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
struct CpuStats {
    cpu_usage: CpuUsage,
    throttling_data: Throttling,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
struct CpuUsage {
    total_usage: Option<u64>,
    usage_in_usermode: Option<u64>,
    usage_in_kernelmode: Option<u64>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
struct Throttling {
    periods: Option<u64>,
    throttled_periods: Option<u64>,
    throttled_time: Option<u64>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
struct MemoryStats {
    usage: Option<u64>,
    limit: Option<u64>,
    failcnt: Option<u64>,
    stats: Option<BTreeMap<String, u64>>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
struct Pids {
    current: Option<u64>,
    limit: Option<u64>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
struct Block {
    io_service_bytes_recursive: Option<Vec<Operation>>,
    io_serviced_recursive: Option<Vec<Operation>>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
struct Operation {
    major: u64,
    minor: u64,
    op: String,
    value: u64,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
struct Network {
    rx_bytes: u64,
    rx_packets: u64,
    rx_errors: u64,
    rx_dropped: u64,
    tx_bytes: u64,
    tx_packets: u64,
    tx_errors: u64,
    tx_dropped: u64,
}

/// Reads an answer; a limit as large as the host's memory is none.
fn read(answer: &Answer, memory_total: Option<u64>) -> Option<Measurement> {
    let at: DateTime<Utc> = DateTime::parse_from_rfc3339(&answer.read).ok()?.to_utc();
    if at.timestamp() <= 0 || answer.pids_stats.current.is_none() && answer.memory_stats.usage.is_none() {
        return None;
    }
    Some(Measurement {
        at,
        cpu: cpu(&answer.cpu_stats),
        memory: memory(&answer.memory_stats, memory_total),
        network: answer.networks.as_ref().filter(|networks| !networks.is_empty()).map(interfaces),
        io: devices(&answer.blkio_stats),
        tasks: Tasks {
            processes: None,
            threads: answer.pids_stats.current,
            threads_limit: answer.pids_stats.limit.filter(|limit| (1..NO_LIMIT).contains(limit)),
        },
        ..Measurement::default()
    })
}

#[expect(clippy::cast_precision_loss, reason = "processor time in nanoseconds loses less than a microsecond")]
fn cpu(stats: &CpuStats) -> Cpu {
    let seconds = |nanos: Option<u64>| nanos.map(|nanos| nanos as f64 / 1e9);
    let (usage, throttling) = (&stats.cpu_usage, &stats.throttling_data);
    Cpu {
        usage_seconds: seconds(usage.total_usage),
        user_seconds: seconds(usage.usage_in_usermode),
        system_seconds: seconds(usage.usage_in_kernelmode),
        periods: throttling.periods,
        throttled_periods: throttling.throttled_periods,
        throttled_seconds: seconds(throttling.throttled_time),
        quota_micros: None,
        period_micros: None,
    }
}

/// The names with `total_` are those of version 1, where the others leave groups further down out.
fn memory(memory: &MemoryStats, memory_total: Option<u64>) -> Memory {
    let stat = |names: [&str; 2]| {
        let stats = memory.stats.as_ref()?;
        names.iter().find_map(|name| stats.get(*name)).copied()
    };
    let is_limit =
        |limit: &u64| (1..NO_LIMIT).contains(limit) && memory_total.is_none_or(|total| *limit < total);
    // An engine that has no details leaves the cache that can be dropped in.
    let droppable = stat(["total_inactive_file", "inactive_file"]).unwrap_or(0);
    Memory {
        usage: memory.usage,
        working_set: memory.usage.map(|usage| usage.saturating_sub(droppable)),
        rss: stat(["total_rss", "anon"]),
        cache: stat(["total_cache", "file"]),
        mapped_file: stat(["total_mapped_file", "file_mapped"]),
        swap: stat(["total_swap", "swap"]),
        limit: memory.limit.filter(is_limit),
        swap_limit: stat(["hierarchical_memsw_limit"; 2]).filter(|limit| (1..NO_LIMIT).contains(limit)),
        limit_hits: memory.failcnt,
        oom_kills: None,
    }
}

fn interfaces(networks: &BTreeMap<String, Network>) -> Vec<Interface> {
    let interface = |(name, network): (&String, &Network)| Interface {
        name: name.as_str().into(),
        received: Flow {
            bytes: network.rx_bytes,
            packets: network.rx_packets,
            errors: network.rx_errors,
            dropped: network.rx_dropped,
        },
        transmitted: Flow {
            bytes: network.tx_bytes,
            packets: network.tx_packets,
            errors: network.tx_errors,
            dropped: network.tx_dropped,
        },
    };
    networks.iter().map(interface).collect()
}

/// Devices by their numbers: the engine may be on another host, where names differ.
fn devices(block: &Block) -> Option<Vec<Device>> {
    if block.io_service_bytes_recursive.is_none() && block.io_serviced_recursive.is_none() {
        return None;
    }
    let mut all: Vec<Device> = Vec::new();
    for (operations, is_bytes) in
        [(&block.io_service_bytes_recursive, true), (&block.io_serviced_recursive, false)]
    {
        for operation in operations.iter().flatten() {
            let name = format!("{}:{}", operation.major, operation.minor);
            let at = all.iter().position(|device| *device.name == *name).unwrap_or_else(|| {
                let name = name.into();
                all.push(Device { name, read_bytes: 0, written_bytes: 0, reads: 0, writes: 0 });
                all.len() - 1
            });
            let device = &mut all[at];
            match (operation.op.to_ascii_lowercase().as_str(), is_bytes) {
                ("read", true) => device.read_bytes = operation.value,
                ("write", true) => device.written_bytes = operation.value,
                ("read", false) => device.reads = operation.value,
                ("write", false) => device.writes = operation.value,
                _ => {}
            }
        }
    }
    Some(all)
}

#[cfg(test)]
mod tests;
