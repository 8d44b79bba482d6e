//! One measurement through the engine's API, for where the container's control group cannot be read.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::Inner;
use crate::model::ReplicaId;
use crate::stats::Stats;

/// How long one measurement may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Measures a container once; `None` where it does not run or cannot be measured.
pub(super) async fn measure(inner: &Inner, id: &ReplicaId) -> Option<Stats> {
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
        Err(_) => None,
    }
}

/// The part of the engine's answer that is of use. Its zeros mean that nothing was measured.
#[derive(Debug, Deserialize, Default)]
#[serde(default)]
struct Answer {
    read: String,
    cpu_stats: Cpu,
    memory_stats: Memory,
    pids_stats: Pids,
    networks: Option<HashMap<String, Network>>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
struct Cpu {
    cpu_usage: CpuUsage,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
struct CpuUsage {
    total_usage: Option<u64>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
struct Memory {
    usage: Option<u64>,
    limit: Option<u64>,
    stats: Option<HashMap<String, u64>>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
struct Pids {
    current: Option<u32>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
struct Network {
    rx_bytes: u64,
    tx_bytes: u64,
}

/// Reads an answer; a limit as large as the host's memory is none.
#[expect(clippy::cast_precision_loss, reason = "processor time in nanoseconds loses less than a microsecond")]
fn read(answer: &Answer, memory_total: Option<u64>) -> Option<Stats> {
    let at: DateTime<Utc> = DateTime::parse_from_rfc3339(&answer.read).ok()?.to_utc();
    if at.timestamp() <= 0 || answer.pids_stats.current.is_none() && answer.memory_stats.usage.is_none() {
        return None;
    }
    let networks = answer.networks.as_ref().filter(|networks| !networks.is_empty());
    let sum = |of: fn(&Network) -> u64| networks.map(|networks| networks.values().map(of).sum());
    Some(Stats {
        at,
        cpu_seconds: answer.cpu_stats.cpu_usage.total_usage.map(|nanos| nanos as f64 / 1e9),
        memory_bytes: working_set(&answer.memory_stats),
        memory_limit_bytes: answer
            .memory_stats
            .limit
            .filter(|limit| *limit > 0 && memory_total.is_none_or(|total| *limit < total)),
        network_receive_bytes: sum(|network| network.rx_bytes),
        network_transmit_bytes: sum(|network| network.tx_bytes),
        processes: answer.pids_stats.current,
    })
}

/// What is in use without the page cache that can be dropped; `total_inactive_file` is cgroup v1's name of it.
fn working_set(memory: &Memory) -> Option<u64> {
    let stats = memory.stats.as_ref();
    let cache =
        stats.and_then(|stats| stats.get("total_inactive_file").or_else(|| stats.get("inactive_file")));
    Some(memory.usage?.saturating_sub(cache.copied().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stats(value: serde_json::Value, total: Option<u64>) -> Option<Stats> {
        read(&serde_json::from_value(value).unwrap(), total)
    }

    #[test]
    fn an_answer_with_cgroup_v1() {
        let answer = json!({
            "read": "2026-01-02T03:04:05.123456789Z",
            "pids_stats": {"current": 3},
            "cpu_stats": {"cpu_usage": {"total_usage": 1_500_000_000u64}},
            "memory_stats": {"usage": 1000, "limit": 5000, "stats": {"total_inactive_file": 300, "inactive_file": 1}},
            "networks": {"eth0": {"rx_bytes": 1, "tx_bytes": 2}, "eth1": {"rx_bytes": 10, "tx_bytes": 20}}
        });
        let stats = stats(answer, Some(9000)).unwrap();
        assert_eq!((stats.memory_bytes, stats.memory_limit_bytes), (Some(700), Some(5000)));
        assert_eq!((stats.network_receive_bytes, stats.network_transmit_bytes), (Some(11), Some(22)));
        assert_eq!((stats.cpu_seconds, stats.processes), (Some(1.5), Some(3)));
    }

    #[test]
    fn an_answer_with_cgroup_v2_no_limit_and_the_hosts_network() {
        let answer = json!({
            "read": "2026-01-02T03:04:05Z", "pids_stats": {"current": 1, "limit": 18_446_744_073_709_551_615u64},
            "cpu_stats": {"cpu_usage": {"total_usage": 1}},
            "memory_stats": {"usage": 1000, "limit": 9000, "stats": {"inactive_file": 400}}
        });
        let stats = stats(answer, Some(9000)).unwrap();
        assert_eq!((stats.memory_bytes, stats.memory_limit_bytes), (Some(600), None));
        assert_eq!(stats.network_receive_bytes, None);
    }

    #[test]
    fn what_does_not_run_is_not_measured() {
        let stopped = json!({"read": "0001-01-01T00:00:00Z", "pids_stats": {}, "memory_stats": {},
                             "cpu_stats": {"cpu_usage": {"total_usage": 0}}});
        assert_eq!(stats(stopped, None), None);
        let stopped = json!({"read": "2026-01-02T03:04:05Z", "pids_stats": {}, "memory_stats": {}});
        assert_eq!(stats(stopped, None), None);
    }
}
