//! The host's metrics, by node_exporter's names, so that rules and dashboards made for it fit. Without `node_timex_*`, and
//! without the families of hardware that few hosts have.

mod devices;

use zv_model::MetricKind::{Counter, Gauge, Unknown};
use zv_wire::{Exposition, LabelText};

use crate::collect::host::{
    Activity, Field, HostMeasurement, Identity, MODES, OS_LABELS, Pressure, ticks_per_second,
};

const MICROSECONDS: f64 = 1e6;

/// Writes all that is known of the host.
pub fn expose(out: &mut Exposition, host: &HostMeasurement) {
    if let Some(activity) = &host.activity {
        processors(out, activity);
        kernel(out, activity);
    }
    if let Some(load) = host.load {
        let names = [
            ("node_load1", "1m load average."),
            ("node_load5", "5m load average."),
            ("node_load15", "15m load average."),
        ];
        for ((name, help), load) in names.into_iter().zip(load) {
            one(out, name, help, load);
        }
    }
    fields(out, host.memory.as_deref().unwrap_or_default(), "Memory, as /proc/meminfo tells it.", true);
    fields(out, &host.paging, "Paging, as /proc/vmstat tells it.", false);
    fields(out, &host.sockets, "Sockets, as /proc/net/sockstat tells it.", true);
    fields(out, &host.protocols, "A protocol's count, as /proc/net/snmp and netstat tell it.", false);
    pressure(out, &host.pressure);
    if let Some(hung) = host.hung_tasks {
        let help = "Total number of tasks that have been detected as hung since the system booted.";
        let mut family = out.family("node_kernel_hung_tasks_total", Counter, help);
        family.sample(&LabelText::default(), &[], hung as f64);
    }
    limits(out, host);
    devices::disks(out, host.disks.as_deref().unwrap_or_default());
    devices::filesystems(out, host.volumes.as_deref().unwrap_or_default());
    devices::network(out, host.network.as_deref().unwrap_or_default());
    devices::bonds(out, &host.bonds);
    if let Some(identity) = &host.identity {
        self::identity(out, identity);
    }
    let now = host.at.timestamp_micros() as f64 / MICROSECONDS;
    one(out, "node_time_seconds", "System time in seconds since epoch (1970).", now);
}

/// Writes a gauge without labels.
fn one(out: &mut Exposition, name: &str, help: &str, value: f64) {
    out.family(name, Gauge, help).sample(&LabelText::default(), &[], value);
}

/// Writes families that the kernel's own fields name.
fn fields(out: &mut Exposition, fields: &[Field], help: &str, gauges: bool) {
    let kind = if gauges { Gauge } else { Unknown };
    for field in fields {
        out.family(&field.name, kind, help).sample(&LabelText::default(), &[], field.value);
    }
}

fn processors(out: &mut Exposition, activity: &Activity) {
    let per_second = ticks_per_second() as f64;
    let labels: Vec<LabelText> = activity
        .processors
        .iter()
        .map(|processor| LabelText::of([("cpu", &*processor.number.to_string())]))
        .collect();
    let processors = || activity.processors.iter().zip(&labels);
    let help = "Seconds the CPUs spent in guests (VMs) for each mode.";
    let mut family = out.family("node_cpu_guest_seconds_total", Counter, help);
    for (processor, labels) in processors() {
        for (mode, ticks) in ["user", "nice"].into_iter().zip(processor.guest) {
            family.sample(labels, &[("mode", mode)], ticks as f64 / per_second);
        }
    }
    let mut family = out.family("node_cpu_seconds_total", Counter, "Seconds the CPUs spent in each mode.");
    for (processor, labels) in processors() {
        for (mode, ticks) in MODES.into_iter().zip(processor.ticks) {
            family.sample(labels, &[("mode", mode)], ticks as f64 / per_second);
        }
    }
}

fn kernel(out: &mut Exposition, activity: &Activity) {
    let families = [
        (
            "node_context_switches_total",
            Counter,
            "Total number of context switches.",
            activity.context_switches,
        ),
        ("node_forks_total", Counter, "Total number of forks.", activity.forks),
        ("node_intr_total", Counter, "Total number of interrupts serviced.", activity.interrupts),
        ("node_procs_running", Gauge, "Number of processes in runnable state.", activity.running),
        (
            "node_procs_blocked",
            Gauge,
            "Number of processes blocked waiting for I/O to complete.",
            activity.blocked,
        ),
    ];
    for (name, kind, help, value) in families {
        if let Some(value) = value {
            out.family(name, kind, help).sample(&LabelText::default(), &[], value as f64);
        }
    }
    if let Some(at) = activity.booted_at {
        one(out, "node_boot_time_seconds", "Node boot time, in unixtime.", at as f64);
    }
}

fn pressure(out: &mut Exposition, [cpu, io, memory, interrupts]: &[Option<Pressure>; 4]) {
    // The whole host never stands still for want of processors: the kernel says nought.
    let families = [
        (
            "node_pressure_cpu_waiting_seconds_total",
            "Total time in seconds that processes have waited for CPU time",
            cpu.and_then(|pressure| pressure.some),
        ),
        (
            "node_pressure_io_waiting_seconds_total",
            "Total time in seconds that processes have waited due to IO congestion",
            io.and_then(|pressure| pressure.some),
        ),
        (
            "node_pressure_io_stalled_seconds_total",
            "Total time in seconds no process could make progress due to IO congestion",
            io.and_then(|pressure| pressure.full),
        ),
        (
            "node_pressure_memory_waiting_seconds_total",
            "Total time in seconds that processes have waited for memory",
            memory.and_then(|pressure| pressure.some),
        ),
        (
            "node_pressure_memory_stalled_seconds_total",
            "Total time in seconds no process could make progress due to memory congestion",
            memory.and_then(|pressure| pressure.full),
        ),
        (
            "node_pressure_irq_stalled_seconds_total",
            "Total time in seconds no process could make progress due to IRQ congestion",
            interrupts.and_then(|pressure| pressure.full),
        ),
    ];
    for (name, help, microseconds) in families {
        if let Some(microseconds) = microseconds {
            let seconds = microseconds as f64 / MICROSECONDS;
            out.family(name, Counter, help).sample(&LabelText::default(), &[], seconds);
        }
    }
}

fn limits(out: &mut Exposition, host: &HostMeasurement) {
    let families = [
        ("node_filefd_allocated", "File descriptor statistics: allocated.", host.open_files[0]),
        ("node_filefd_maximum", "File descriptor statistics: maximum.", host.open_files[1]),
        ("node_entropy_available_bits", "Bits of available entropy.", host.entropy[0]),
        ("node_entropy_pool_size_bits", "Bits of entropy pool.", host.entropy[1]),
        (
            "node_nf_conntrack_entries",
            "Number of currently allocated flow entries for connection tracking.",
            host.conntrack[0],
        ),
        ("node_nf_conntrack_entries_limit", "Maximum size of connection tracking table.", host.conntrack[1]),
    ];
    for (name, help, value) in families {
        if let Some(value) = value {
            one(out, name, help, value as f64);
        }
    }
}

fn identity(out: &mut Exposition, identity: &Identity) {
    let labels = LabelText::of([
        ("domainname", &*identity.domainname),
        ("machine", &identity.machine),
        ("nodename", &identity.nodename),
        ("release", &identity.release),
        ("sysname", &identity.sysname),
        ("version", &identity.version),
    ]);
    let help = "Labeled system information as provided by the uname system call.";
    out.family("node_uname_info", Gauge, help).sample(&labels, &[], 1.0);
    let Some(os) = &identity.os else { return };
    let labels = LabelText::of(OS_LABELS.into_iter().zip(os.texts.iter().map(|text| &**text)));
    let help = "What os-release says of the system; the value is always 1.";
    out.family("node_os_info", Gauge, help).sample(&labels, &[], 1.0);
    if let Some(version) = os.version() {
        let help = "Metric containing the major.minor part of the OS version.";
        out.family("node_os_version", Gauge, help).sample(&LabelText::of(os.system()), &[], version);
    }
}
