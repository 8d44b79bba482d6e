//! What each replica uses, by cAdvisor's names, types and units.
//!
//! With a network interface, a disk and every limit there is, a replica has 40 series. What a replica has none of, or what
//! cannot be read, has no series; the one exception is cAdvisor's: a memory limit of 0 means that there is none.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use zv_model::{MetricKind, Timestamp};
use zv_stack::stats::{Device, Flow, Interface, Measurement, Stall};
use zv_stack::{LOOSE_STACK, ReplicaView};
use zv_wire::{Exposition, LabelText};

use crate::collect::{Latest, Measured};
use crate::stacks::Stacks;

/// A replica that is measured, with its labels written once.
#[derive(Debug)]
pub struct Subject {
    pub labels: LabelText,
    pub started_at: Option<DateTime<Utc>>,
    pub measured: Arc<Measured>,
}

/// Writes the families `container_*` of what runs.
pub fn expose(out: &mut Exposition, stacks: &Stacks) {
    let latest = stacks.collected().latest();
    let subjects: Vec<Subject> =
        stacks.with_model(|model| model.replicas().filter_map(|view| Subject::new(&view, &latest)).collect());
    write(out, &subjects);
}

impl Subject {
    fn new(view: &ReplicaView<'_>, latest: &Latest) -> Option<Self> {
        let seen = view.seen;
        let measured = latest.replicas.get(&seen.id)?;
        if !seen.state.is_up() || measured.pid != view.pid {
            return None;
        }
        // Where its control group cannot be seen, the id alone tells it from others.
        let group = measured.measurement.group.as_deref().unwrap_or(seen.id.as_str());
        let labels = LabelText::of([
            ("id", group),
            ("image", seen.image.as_str()),
            ("name", seen.name.as_str()),
            ("project", project(&seen.key.stack)),
            ("service", &seen.key.service),
            ("replica", &seen.number.to_string()),
        ]);
        Some(Self { labels, started_at: view.started_at, measured: Arc::clone(measured) })
    }

    /// Returns when it was measured, where that is not now.
    fn at(&self) -> Option<Timestamp> {
        self.measured.asked.then(|| self.measured.measurement.at.timestamp_millis())
    }
}

/// Returns the project as labels tell it: replicas without one have none.
pub(super) fn project(stack: &str) -> &str {
    if stack == LOOSE_STACK { "" } else { stack }
}

/// Writes these replicas, family by family.
pub fn write(out: &mut Exposition, subjects: &[Subject]) {
    let mut page = Page { out, subjects };
    page.cpu();
    page.memory();
    page.limits();
    page.network();
    page.disks();
    page.tasks();
    page.pressure();
}

struct Page<'a> {
    out: &'a mut Exposition,
    subjects: &'a [Subject],
}

const COUNTER: MetricKind = MetricKind::Counter;
const GAUGE: MetricKind = MetricKind::Gauge;

impl Page<'_> {
    /// Writes a family with at most one sample of each replica.
    fn one(&mut self, name: &str, kind: MetricKind, help: &str, of: impl Fn(&Measurement) -> Option<f64>) {
        self.with(name, kind, help, &[], |subject| of(&subject.measured.measurement));
    }

    fn count(&mut self, name: &str, kind: MetricKind, help: &str, of: impl Fn(&Measurement) -> Option<u64>) {
        self.one(name, kind, help, |measurement| of(measurement).map(|count| count as f64));
    }

    fn with(
        &mut self,
        name: &str,
        kind: MetricKind,
        help: &str,
        more: &[(&str, &str)],
        of: impl Fn(&Subject) -> Option<f64>,
    ) {
        let mut family = self.out.family(name, kind, help);
        for subject in self.subjects {
            let Some(value) = of(subject) else { continue };
            match subject.at() {
                Some(at) => family.sample_at(&subject.labels, more, value, at),
                None => family.sample(&subject.labels, more, value),
            }
        }
    }

    /// Writes a counter with a sample for each part of a replica, which `label` names.
    fn each<T>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        parts: impl Fn(&Measurement) -> Option<&[T]>,
        of: impl Fn(&T) -> (&str, u64),
    ) {
        let mut family = self.out.family(name, COUNTER, help);
        for subject in self.subjects {
            for part in parts(&subject.measured.measurement).unwrap_or_default() {
                let (part, value) = of(part);
                match subject.at() {
                    Some(at) => family.sample_at(&subject.labels, &[(label, part)], value as f64, at),
                    None => family.sample(&subject.labels, &[(label, part)], value as f64),
                }
            }
        }
    }

    fn cpu(&mut self) {
        self.one(
            "container_cpu_user_seconds_total",
            COUNTER,
            "Cumulative user cpu time consumed in seconds.",
            |m| m.cpu.user_seconds,
        );
        self.one(
            "container_cpu_system_seconds_total",
            COUNTER,
            "Cumulative system cpu time consumed in seconds.",
            |m| m.cpu.system_seconds,
        );
        self.with(
            "container_cpu_usage_seconds_total",
            COUNTER,
            "Cumulative cpu time consumed in seconds.",
            &[("cpu", "total")],
            |subject| subject.measured.measurement.cpu.usage_seconds,
        );
        // Without a quota there are no periods to speak of.
        let quota = |m: &Measurement| m.cpu.quota_micros;
        self.count(
            "container_cpu_cfs_periods_total",
            COUNTER,
            "Number of elapsed enforcement period intervals.",
            |m| quota(m).and(m.cpu.periods),
        );
        self.count(
            "container_cpu_cfs_throttled_periods_total",
            COUNTER,
            "Number of throttled period intervals.",
            |m| quota(m).and(m.cpu.throttled_periods),
        );
        self.one(
            "container_cpu_cfs_throttled_seconds_total",
            COUNTER,
            "Total time duration the container has been throttled.",
            |m| quota(m).and(m.cpu.throttled_seconds),
        );
    }

    fn memory(&mut self) {
        self.count(
            "container_memory_usage_bytes",
            GAUGE,
            "Current memory usage in bytes, including all memory regardless of when it was accessed.",
            |m| m.memory.usage,
        );
        self.count("container_memory_working_set_bytes", GAUGE, "Current working set in bytes.", |m| {
            m.memory.working_set
        });
        self.count("container_memory_rss", GAUGE, "Size of RSS in bytes.", |m| m.memory.rss);
        self.count("container_memory_cache", GAUGE, "Number of bytes of page cache memory.", |m| {
            m.memory.cache
        });
        self.count("container_memory_mapped_file", GAUGE, "Size of memory mapped files in bytes.", |m| {
            m.memory.mapped_file
        });
        self.count("container_memory_swap", GAUGE, "Container swap usage in bytes.", |m| m.memory.swap);
        self.count("container_memory_failcnt", COUNTER, "Number of memory usage hits limits.", |m| {
            m.memory.limit_hits
        });
        self.count("container_oom_events_total", COUNTER, "Count of out of memory events.", |m| {
            m.memory.oom_kills
        });
    }

    fn limits(&mut self) {
        let limit = |m: &Measurement| m.memory.limit.or_else(|| m.memory.usage.map(|_| 0));
        self.count("container_spec_memory_limit_bytes", GAUGE, "Memory limit for the container.", limit);
        self.count("container_spec_cpu_quota", GAUGE, "CPU quota of the container.", |m| m.cpu.quota_micros);
        self.count("container_spec_cpu_period", GAUGE, "CPU period of the container.", |m| {
            m.cpu.quota_micros.and(m.cpu.period_micros)
        });
        self.with(
            "container_start_time_seconds",
            GAUGE,
            "Start time of the container since unix epoch in seconds.",
            &[],
            |subject| subject.started_at.map(seconds),
        );
        self.one("container_last_seen", GAUGE, "Last time a container was seen by the exporter.", |m| {
            Some(m.at.timestamp() as f64)
        });
    }

    fn network(&mut self) {
        type Way = (&'static str, &'static str, fn(&Interface) -> &Flow);
        let ways: [Way; 2] = [
            ("receive", "received", |interface| &interface.received),
            ("transmit", "transmitted", |interface| &interface.transmitted),
        ];
        type Count = (&'static str, &'static str, fn(&Flow) -> u64);
        let counts: [Count; 4] = [
            ("bytes", "Cumulative count of bytes", |flow| flow.bytes),
            ("packets", "Cumulative count of packets", |flow| flow.packets),
            ("packets_dropped", "Cumulative count of packets dropped while being", |flow| flow.dropped),
            ("errors", "Cumulative count of errors encountered while being", |flow| flow.errors),
        ];
        for (way, done, flow) in ways {
            for (what, words, count) in counts {
                let name = format!("container_network_{way}_{what}_total");
                self.each(
                    &name,
                    &format!("{words} {done}."),
                    "interface",
                    |m| m.network.as_deref(),
                    |interface| (&interface.name, count(flow(interface))),
                );
            }
        }
    }

    fn disks(&mut self) {
        type Count = (&'static str, &'static str, fn(&Device) -> u64);
        let counts: [Count; 4] = [
            ("container_fs_reads_bytes_total", "Cumulative count of bytes read.", |disk| disk.read_bytes),
            ("container_fs_writes_bytes_total", "Cumulative count of bytes written.", |disk| {
                disk.written_bytes
            }),
            ("container_fs_reads_total", "Cumulative count of reads completed.", |disk| disk.reads),
            ("container_fs_writes_total", "Cumulative count of writes completed.", |disk| disk.writes),
        ];
        for (name, help, count) in counts {
            self.each(name, help, "device", |m| m.io.as_deref(), |disk| (&disk.name, count(disk)));
        }
    }

    fn tasks(&mut self) {
        self.count("container_processes", GAUGE, "Number of processes running inside the container.", |m| {
            m.tasks.processes
        });
        self.count("container_threads", GAUGE, "Number of threads running inside the container.", |m| {
            m.tasks.threads
        });
        self.count(
            "container_threads_max",
            GAUGE,
            "Maximum number of threads allowed inside the container.",
            |m| m.tasks.threads_limit,
        );
    }

    fn pressure(&mut self) {
        type What = (&'static str, fn(&Measurement) -> Option<Stall>);
        let all: [What; 3] =
            [("cpu", |m| m.pressure.cpu), ("memory", |m| m.pressure.memory), ("io", |m| m.pressure.io)];
        for (what, stall) in all {
            self.one(
                &format!("container_pressure_{what}_waiting_seconds_total"),
                COUNTER,
                &format!("Total time in which some tasks of the container waited for {what}, in seconds."),
                |m| stall(m).map(|stall| stall.some_seconds),
            );
            self.one(
                &format!("container_pressure_{what}_stalled_seconds_total"),
                COUNTER,
                &format!(
                    "Total time in which no task of the container could go on for want of {what}, in seconds."
                ),
                |m| stall(m)?.full_seconds,
            );
        }
    }
}

/// Returns seconds since 1970, with their fraction.
pub(super) fn seconds(at: DateTime<Utc>) -> f64 {
    at.timestamp_millis() as f64 / 1000.0
}

#[cfg(test)]
pub(crate) mod tests;
