//! What the kernel knows of this process, by the names that every Prometheus client uses.

use rustix::process::{Resource, getrlimit};
use zv_model::MetricKind;
use zv_wire::{Exposition, LabelText};

/// What `/proc` says of this process.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Process {
    cpu_seconds: f64,
    threads: f64,
    start_seconds_after_boot: f64,
    virtual_bytes: f64,
    resident_bytes: f64,
}

/// Writes the families `process_*`; what cannot be read is left out.
pub fn expose(out: &mut Exposition) {
    let none = LabelText::default();
    let mut write = |name: &str, kind, help: &str, value: Option<f64>| {
        if let Some(value) = value {
            out.family(name, kind, help).sample(&none, &[], value);
        }
    };
    let gauge = MetricKind::Gauge;
    let process = std::fs::read_to_string("/proc/self/stat").ok().and_then(|text| parse(&text));
    write(
        "process_cpu_seconds_total",
        MetricKind::Counter,
        "Processor time of the agent, in seconds.",
        process.map(|p| p.cpu_seconds),
    );
    write("process_threads", gauge, "Threads of the agent.", process.map(|p| p.threads));
    write(
        "process_start_time_seconds",
        gauge,
        "When the agent started, in seconds since 1970.",
        process.and_then(|p| Some(boot_time()? + p.start_seconds_after_boot)),
    );
    write(
        "process_virtual_memory_bytes",
        gauge,
        "Address space of the agent.",
        process.map(|p| p.virtual_bytes),
    );
    write(
        "process_resident_memory_bytes",
        gauge,
        "Memory of the agent that is in use.",
        process.map(|p| p.resident_bytes),
    );
    // The one that reads the folder is not counted.
    let open = std::fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count().saturating_sub(1));
    write("process_open_fds", gauge, "File descriptors of the agent.", open.map(|count| count as f64));
    let limit = getrlimit(Resource::Nofile).current;
    write(
        "process_max_fds",
        gauge,
        "File descriptors that the agent may have.",
        limit.map(|count| count as f64),
    );
}

/// Parses `/proc/PID/stat`; the name in parentheses may hold anything.
fn parse(text: &str) -> Option<Process> {
    let fields: Vec<&str> = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<f64>().ok();
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    Some(Process {
        cpu_seconds: (number(11)? + number(12)?) / ticks,
        threads: number(17)?,
        start_seconds_after_boot: number(19)? / ticks,
        virtual_bytes: number(20)?,
        resident_bytes: number(21)? * rustix::param::page_size() as f64,
    })
}

fn boot_time() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/stat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_misleads_nobody() {
        let text =
            "7 (a) b (c) S 1 7 7 0 -1 4194304 1 2 3 4 150 50 6 7 20 0 9 0 1000 8192 2 18446744073709551615";
        let process = parse(text).unwrap();
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        assert_eq!((process.cpu_seconds, process.threads), (200.0 / ticks, 9.0));
        assert_eq!((process.start_seconds_after_boot, process.virtual_bytes), (1000.0 / ticks, 8192.0));
        assert_eq!(parse("7 (a) S 1"), None);
    }
}
