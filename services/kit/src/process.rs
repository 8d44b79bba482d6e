//! The `process_*` metrics, read from `/proc/self` when they are asked for.

use std::fs;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge};

/// The kernel's unit of time towards processes, 1/100 s on every architecture these services are built for.
const TICKS_PER_SECOND: f64 = 100.0;

/// Reads the process's own figures. What cannot be read is not exported, rather than exported as zero.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    cpu: Counter,
    gauges: Arc<[(Figure, Gauge)]>,
    descriptions: Arc<[Desc]>,
    /// Two scrapes at once must not both add what the counter lacks.
    advancing: Arc<Mutex<()>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Figure {
    Resident,
    Virtual,
    OpenFds,
    MaxFds,
    Threads,
    StartTime,
}

const GAUGES: [(Figure, &str, &str); 6] = [
    (Figure::Resident, "process_resident_memory_bytes", "Resident memory size in bytes."),
    (Figure::Virtual, "process_virtual_memory_bytes", "Virtual memory size in bytes."),
    (Figure::OpenFds, "process_open_fds", "Number of open file descriptors."),
    (Figure::MaxFds, "process_max_fds", "Maximum number of open file descriptors."),
    (Figure::Threads, "process_threads", "Number of threads."),
    (Figure::StartTime, "process_start_time_seconds", "Start time since the epoch in seconds."),
];

impl Process {
    pub(crate) fn new() -> Self {
        let valid = "names of the process's metrics are valid";
        let cpu =
            Counter::new("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.");
        let cpu = cpu.expect(valid);
        let gauges: Arc<[_]> = GAUGES
            .iter()
            .map(|(figure, name, help)| (*figure, Gauge::new(*name, *help).expect(valid)))
            .collect();
        let descriptions = cpu.desc().into_iter().chain(gauges.iter().flat_map(|(_, gauge)| gauge.desc()));
        let descriptions = descriptions.cloned().collect();
        Self { cpu, gauges, descriptions, advancing: Arc::default() }
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let _one_at_a_time = self.advancing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut families = Vec::with_capacity(GAUGES.len() + 1);
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let stat = Stat::parse(&read("/proc/self/stat"));
        if let Some(stat) = &stat {
            self.cpu.inc_by((stat.cpu_seconds - self.cpu.get()).max(0.0));
            families.append(&mut self.cpu.collect());
        }
        let status = read("/proc/self/status");
        for (figure, gauge) in &*self.gauges {
            let value = match figure {
                Figure::Resident => kibibytes(&status, "VmRSS:"),
                Figure::Virtual => kibibytes(&status, "VmSize:"),
                Figure::Threads => field(&status, "Threads:").and_then(|text| text.parse().ok()),
                Figure::OpenFds => open_fds(),
                Figure::MaxFds => max_fds(&read("/proc/self/limits")),
                Figure::StartTime => stat.as_ref().and_then(|stat| stat.started_at(&read("/proc/stat"))),
            };
            if let Some(value) = value {
                gauge.set(value);
                families.append(&mut gauge.collect());
            }
        }
        families
    }
}

/// What is used of `/proc/self/stat`.
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_seconds: f64,
    /// After boot.
    start_seconds: f64,
}

impl Stat {
    /// Parses the one line, whose second field is a name that may hold blanks and parentheses.
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        // `fields[0]` is the third field of the line.
        let ticks = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        Some(Self {
            cpu_seconds: (ticks(14)? + ticks(15)?) / TICKS_PER_SECOND,
            start_seconds: ticks(22)? / TICKS_PER_SECOND,
        })
    }

    fn started_at(&self, host: &str) -> Option<f64> {
        let boot: f64 = field(host, "btime")?.parse().ok()?;
        Some(boot + self.start_seconds)
    }
}

/// Returns the first word after `name` at a line's start.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_ascii_whitespace().next()
}

fn kibibytes(status: &str, name: &str) -> Option<f64> {
    field(status, name)?.parse::<f64>().ok().map(|kibibytes| kibibytes * 1024.0)
}

fn open_fds() -> Option<f64> {
    // The folder that is being read is open too.
    let open = fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1);
    u32::try_from(open).ok().map(f64::from)
}

fn max_fds(limits: &str) -> Option<f64> {
    match field(limits, "Max open files")? {
        "unlimited" => Some(f64::INFINITY),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_shifts_no_field() {
        let line = "7 (a) (b c) S 1 7 7 0 -1 4194304 90 0 0 0 250 50 0 0 20 0 4 0 1200 9 5 1 1";
        assert_eq!(Stat::parse(line), Some(Stat { cpu_seconds: 3.0, start_seconds: 12.0 }));
        assert_eq!(Stat::parse(line).unwrap().started_at("cpu 1\nbtime 1000\n"), Some(1012.0));
        assert_eq!(Stat::parse("7 (a) S 1"), None);
        assert_eq!(Stat::parse(""), None);
    }

    #[test]
    fn this_process_has_every_figure() {
        let families = Process::new().collect();
        let value = |name: &str| {
            let family = families.iter().find(|family| family.name() == name).unwrap();
            let metric = &family.get_metric()[0];
            if name.ends_with("_total") {
                metric.get_counter().get_value()
            } else {
                metric.get_gauge().get_value()
            }
        };
        assert_eq!(families.len(), 7);
        assert!(value("process_resident_memory_bytes") > 100_000.0);
        assert!(value("process_open_fds") >= 3.0);
        assert!(value("process_threads") >= 1.0);
        assert!(value("process_max_fds") > value("process_open_fds"));
        assert!(value("process_start_time_seconds") > 1.6e9);
    }
}
