//! What is written of replicas that a test measured.

use zv_stack::stats::{Cpu, Memory, Pressure, Tasks};
use zv_wire::Format;

use super::*;
use crate::collect::usage::usage;

/// Returns a measurement with everything there is: one interface, one disk, every limit.
pub(crate) fn everything() -> Measurement {
    let flow = |bytes| Flow { bytes, packets: 2, errors: 3, dropped: 4 };
    let stall = Some(Stall { some_seconds: 0.25, full_seconds: Some(0.125) });
    Measurement {
        at: DateTime::from_timestamp_millis(1_700_000_000_500).unwrap(),
        group: Some("/system.slice/docker-abc.scope".into()),
        cpu: Cpu {
            usage_seconds: Some(3.5),
            user_seconds: Some(2.5),
            system_seconds: Some(1.0),
            periods: Some(100),
            throttled_periods: Some(10),
            throttled_seconds: Some(0.5),
            quota_micros: Some(50_000),
            period_micros: Some(100_000),
        },
        memory: Memory {
            usage: Some(1000),
            working_set: Some(900),
            rss: Some(800),
            cache: Some(200),
            mapped_file: Some(50),
            swap: Some(0),
            limit: Some(4096),
            swap_limit: Some(8192),
            limit_hits: Some(1),
            oom_kills: Some(0),
        },
        network: Some(vec![Interface { name: "eth0".into(), received: flow(100), transmitted: flow(200) }]),
        io: Some(vec![Device {
            name: "/dev/sda".into(),
            read_bytes: 10,
            written_bytes: 20,
            reads: 1,
            writes: 2,
        }]),
        tasks: Tasks { processes: Some(2), threads: Some(9), threads_limit: Some(64) },
        pressure: Pressure { cpu: stall, memory: stall, io: stall },
    }
}

fn subject(measurement: Measurement, asked: bool) -> Subject {
    let usage = usage(&measurement, None);
    Subject {
        labels: LabelText::of([("name", "shop-api-1"), ("project", "shop")]),
        started_at: DateTime::from_timestamp(1_600_000_000, 0),
        measured: Arc::new(Measured { pid: Some(7), asked, measurement, usage }),
    }
}

fn written(subject: Subject) -> String {
    let mut out = Exposition::new(Format::Text, 0);
    write(&mut out, &[subject]);
    out.finish()
}

fn samples(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with('#')).collect()
}

#[test]
fn one_with_everything_has_forty_series_by_cadvisors_names() {
    let text = written(subject(everything(), false));
    assert_eq!(samples(&text).len(), 40, "{text}");
    let labels = r#"name="shop-api-1",project="shop""#;
    for line in [
        r#"container_cpu_usage_seconds_total{LABELS,cpu="total"} 3.5"#,
        "container_cpu_cfs_throttled_seconds_total{LABELS} 0.5",
        "container_memory_working_set_bytes{LABELS} 900",
        "container_memory_swap{LABELS} 0",
        "container_spec_memory_limit_bytes{LABELS} 4096",
        r#"container_network_receive_bytes_total{LABELS,interface="eth0"} 100"#,
        r#"container_network_transmit_packets_dropped_total{LABELS,interface="eth0"} 4"#,
        r#"container_fs_writes_bytes_total{LABELS,device="/dev/sda"} 20"#,
        "container_threads_max{LABELS} 64",
        "container_start_time_seconds{LABELS} 1600000000",
        "container_last_seen{LABELS} 1700000000",
        "container_pressure_memory_stalled_seconds_total{LABELS} 0.125",
    ] {
        let line = line.replace("LABELS", labels);
        assert!(samples(&text).contains(&line.as_str()), "{line}: {text}");
    }
    for heading in [
        "# TYPE container_cpu_usage_seconds_total counter",
        "# TYPE container_memory_failcnt counter",
        "# TYPE container_memory_working_set_bytes gauge",
        "# TYPE container_last_seen gauge",
    ] {
        assert!(text.contains(heading), "{heading}: {text}");
    }
}

#[test]
fn what_is_not_known_is_not_written_and_no_limit_is_zero() {
    let nothing = written(subject(Measurement::default(), false));
    let names: Vec<&str> = samples(&nothing).iter().map(|line| line.split('{').next().unwrap()).collect();
    assert_eq!(names, ["container_start_time_seconds", "container_last_seen"]);
    let unlimited = Measurement {
        memory: Memory { limit: None, ..everything().memory },
        cpu: Cpu { quota_micros: None, ..everything().cpu },
        ..everything()
    };
    let text = written(subject(unlimited, false));
    assert!(
        text.contains(r#"container_spec_memory_limit_bytes{name="shop-api-1",project="shop"} 0"#),
        "{text}"
    );
    assert!(!text.contains("cfs") && !text.contains("spec_cpu"), "{text}");
}

#[test]
fn what_the_engine_told_carries_its_time() {
    let text = written(subject(everything(), true));
    assert!(samples(&text).iter().all(|line| line.ends_with(" 1700000000500")), "{text}");
    let now = written(subject(everything(), false));
    assert!(!now.contains(" 1700000000500"), "{now}");
}
