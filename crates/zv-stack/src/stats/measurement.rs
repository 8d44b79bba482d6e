//! All that is measured of one replica at one moment. Absent is what could not be read, or what there is none of: never
//! zero instead.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::Stats;

/// One measurement. Counters run since the replica started.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Measurement {
    pub at: DateTime<Utc>,
    /// The control group's path, as the host names it: `/docker/ID`, `/system.slice/docker-ID.scope`.
    pub group: Option<Arc<str>>,
    pub cpu: Cpu,
    pub memory: Memory,
    /// Without the loopback. Absent for a replica on the host's own network; empty for one that is in none.
    pub network: Option<Vec<Interface>>,
    pub io: Option<Vec<Device>>,
    pub tasks: Tasks,
    pub pressure: Pressure,
}

/// Processor time.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Cpu {
    pub usage_seconds: Option<f64>,
    pub user_seconds: Option<f64>,
    pub system_seconds: Option<f64>,
    /// The periods in which a quota was enforced, and those in which it was used up.
    pub periods: Option<u64>,
    pub throttled_periods: Option<u64>,
    pub throttled_seconds: Option<f64>,
    /// The quota in microseconds for each period; both absent where there is none.
    pub quota_micros: Option<u64>,
    pub period_micros: Option<u64>,
}

/// Memory, in bytes where nothing else is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Memory {
    pub usage: Option<u64>,
    /// Without the page cache that can be dropped.
    pub working_set: Option<u64>,
    /// Anonymous memory, as cAdvisor counts `rss`.
    pub rss: Option<u64>,
    pub cache: Option<u64>,
    pub mapped_file: Option<u64>,
    pub swap: Option<u64>,
    /// Absent where there is no limit.
    pub limit: Option<u64>,
    /// As the group has it: of memory and swap together in version 1, of swap alone in version 2. Absent where there is
    /// none.
    pub swap_limit: Option<u64>,
    /// How often the limit was hit, in times.
    pub limit_hits: Option<u64>,
    /// Processes the kernel killed for want of memory.
    pub oom_kills: Option<u64>,
}

/// One network interface, by the name it has inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    pub name: Arc<str>,
    pub received: Flow,
    pub transmitted: Flow,
}

/// What went one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flow {
    pub bytes: u64,
    pub packets: u64,
    pub errors: u64,
    pub dropped: u64,
}

/// One block device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// `/dev/sda`; `8:0` where its name cannot be found.
    pub name: Arc<str>,
    pub read_bytes: u64,
    pub written_bytes: u64,
    pub reads: u64,
    pub writes: u64,
}

/// Processes and threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tasks {
    pub processes: Option<u64>,
    pub threads: Option<u64>,
    /// Absent where there is no limit.
    pub threads_limit: Option<u64>,
}

/// Time in which something waited, where the kernel tells.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Pressure {
    pub cpu: Option<Stall>,
    pub memory: Option<Stall>,
    pub io: Option<Stall>,
}

/// Seconds in which some tasks waited, and in which all did.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Stall {
    pub some_seconds: f64,
    pub full_seconds: Option<f64>,
}

impl Measurement {
    /// Returns the short form that death records keep.
    pub fn stats(&self) -> Stats {
        // One that is in no network has received nothing, and not zero bytes.
        let network = self.network.as_ref().filter(|all| !all.is_empty());
        let sum = |of: fn(&Interface) -> u64| network.map(|all| all.iter().map(of).sum());
        Stats {
            at: self.at,
            cpu_seconds: self.cpu.usage_seconds,
            memory_bytes: self.memory.working_set,
            memory_limit_bytes: self.memory.limit,
            network_receive_bytes: sum(|interface| interface.received.bytes),
            network_transmit_bytes: sum(|interface| interface.transmitted.bytes),
            processes: self
                .tasks
                .processes
                .or(self.tasks.threads)
                .and_then(|count| u32::try_from(count).ok()),
        }
    }
}
