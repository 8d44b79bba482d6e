//! Answers of engines, with both versions of control groups.

use serde_json::json;

use super::*;

fn measured(value: serde_json::Value, total: Option<u64>) -> Option<Measurement> {
    read(&serde_json::from_value(value).unwrap(), total)
}

#[test]
fn an_answer_with_cgroup_v1() {
    let answer = json!({
        "read": "2026-01-02T03:04:05.123456789Z",
        "pids_stats": {"current": 3, "limit": 50},
        "cpu_stats": {
            "cpu_usage": {"total_usage": 1_500_000_000u64, "usage_in_usermode": 1_000_000_000u64,
                          "usage_in_kernelmode": 500_000_000u64, "percpu_usage": [1, 2]},
            "throttling_data": {"periods": 9, "throttled_periods": 2, "throttled_time": 250_000_000u64}
        },
        "memory_stats": {"usage": 1000, "limit": 5000, "failcnt": 4, "stats": {
            "total_inactive_file": 300, "inactive_file": 1, "total_rss": 600, "rss": 2, "total_cache": 400,
            "total_mapped_file": 50, "total_swap": 7, "hierarchical_memsw_limit": 9_223_372_036_854_771_712u64}},
        "blkio_stats": {
            "io_service_bytes_recursive": [{"major": 254, "minor": 0, "op": "Read", "value": 4096},
                                           {"major": 254, "minor": 0, "op": "Write", "value": 8192},
                                           {"major": 254, "minor": 0, "op": "Total", "value": 12288}],
            "io_serviced_recursive": [{"major": 254, "minor": 0, "op": "Read", "value": 1}]},
        "networks": {"eth0": {"rx_bytes": 1, "rx_packets": 3, "tx_bytes": 2, "tx_dropped": 5},
                     "eth1": {"rx_bytes": 10, "tx_bytes": 20}}
    });
    let measured = measured(answer, Some(9000)).unwrap();
    let cpu = measured.cpu;
    assert_eq!((cpu.usage_seconds, cpu.user_seconds, cpu.system_seconds), (Some(1.5), Some(1.0), Some(0.5)));
    assert_eq!((cpu.periods, cpu.throttled_periods, cpu.throttled_seconds), (Some(9), Some(2), Some(0.25)));
    let expected = Memory {
        usage: Some(1000),
        working_set: Some(700),
        rss: Some(600),
        cache: Some(400),
        mapped_file: Some(50),
        swap: Some(7),
        limit: Some(5000),
        swap_limit: None,
        limit_hits: Some(4),
        oom_kills: None,
    };
    assert_eq!(measured.memory, expected);
    let device = Device { name: "254:0".into(), read_bytes: 4096, written_bytes: 8192, reads: 1, writes: 0 };
    assert_eq!(measured.io, Some(vec![device]));
    let tasks = Tasks { processes: None, threads: Some(3), threads_limit: Some(50) };
    assert_eq!(measured.tasks, tasks);
    let network = measured.network.as_ref().unwrap();
    assert_eq!(
        (&*network[0].name, network[0].received.packets, network[0].transmitted.dropped),
        ("eth0", 3, 5)
    );
    let stats = measured.stats();
    assert_eq!((stats.network_receive_bytes, stats.network_transmit_bytes), (Some(11), Some(22)));
    assert_eq!((stats.memory_bytes, stats.processes), (Some(700), Some(3)));
}

#[test]
fn an_answer_with_cgroup_v2_no_limit_and_the_hosts_network() {
    let answer = json!({
        "read": "2026-01-02T03:04:05Z", "pids_stats": {"current": 1, "limit": 18_446_744_073_709_551_615u64},
        "cpu_stats": {"cpu_usage": {"total_usage": 1}},
        "memory_stats": {"usage": 1000, "limit": 9000,
                         "stats": {"inactive_file": 400, "anon": 500, "file": 450, "file_mapped": 20}},
        "blkio_stats": {"io_service_bytes_recursive": [{"major": 8, "minor": 0, "op": "write", "value": 5}],
                        "io_serviced_recursive": null}
    });
    let measured = measured(answer, Some(9000)).unwrap();
    let memory = measured.memory;
    assert_eq!((memory.working_set, memory.limit, memory.swap), (Some(600), None, None));
    assert_eq!((memory.rss, memory.cache, memory.mapped_file), (Some(500), Some(450), Some(20)));
    assert_eq!((&measured.network, measured.tasks.threads_limit), (&None, None));
    assert_eq!(measured.io.unwrap()[0].written_bytes, 5);
    assert_eq!((measured.cpu.periods, measured.cpu.user_seconds), (None, None));
}

#[test]
fn what_does_not_run_is_not_measured() {
    let stopped = json!({"read": "0001-01-01T00:00:00Z", "pids_stats": {}, "memory_stats": {},
                         "cpu_stats": {"cpu_usage": {"total_usage": 0}}});
    assert_eq!(measured(stopped, None), None);
    let stopped = json!({"read": "2026-01-02T03:04:05Z", "pids_stats": {}, "memory_stats": {}});
    assert_eq!(measured(stopped, None), None);
}
