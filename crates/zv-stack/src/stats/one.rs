//! The files of version 1: a folder in each hierarchy.

use std::path::Path;
use std::sync::Arc;

use super::devices::Devices;
use super::files::{Desk, Failure, Habit, Source};
use super::{Cpu, Device, Memory, Tasks, parse};

/// Where a container's group is in each hierarchy that has it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Folders {
    pub cpu: Option<Arc<Path>>,
    pub cpuacct: Option<Arc<Path>>,
    pub memory: Option<Arc<Path>>,
    pub blkio: Option<Arc<Path>>,
    pub pids: Option<Arc<Path>>,
}

impl Folders {
    /// Each controller by its name.
    pub(super) fn named(&mut self) -> [(&'static str, &mut Option<Arc<Path>>); 5] {
        [
            ("cpuacct", &mut self.cpuacct),
            ("cpu", &mut self.cpu),
            ("memory", &mut self.memory),
            ("blkio", &mut self.blkio),
            ("pids", &mut self.pids),
        ]
    }
}

/// Processor time: two hierarchies, mostly mounted as one.
#[derive(Debug)]
pub(super) struct Processor {
    usage: Option<Source>,
    times: Option<Source>,
    throttling: Option<Source>,
    quota: Option<Source>,
    period: Option<Source>,
}

impl Processor {
    pub(super) fn new(folders: &Folders) -> Self {
        let source = |folder: &Option<Arc<Path>>, name| {
            folder.as_ref().map(|folder| Source::new(folder, name, Habit::Keep))
        };
        Self {
            usage: source(&folders.cpuacct, "cpuacct.usage"),
            times: source(&folders.cpuacct, "cpuacct.stat"),
            throttling: source(&folders.cpu, "cpu.stat"),
            quota: source(&folders.cpu, "cpu.cfs_quota_us"),
            period: source(&folders.cpu, "cpu.cfs_period_us"),
        }
    }

    pub(super) fn sources(&mut self) -> impl Iterator<Item = &mut Source> {
        let Self { usage, times, throttling, quota, period } = self;
        [usage, times, throttling, quota, period].into_iter().flatten()
    }

    pub(super) fn read(&mut self, desk: &mut Desk) -> Result<Cpu, Failure> {
        let mut cpu = Cpu::default();
        if let Some(text) = read(&mut self.usage, desk)? {
            cpu.usage_seconds = parse::number(text).map(parse::nanos);
        }
        if let Some(text) = read(&mut self.times, desk)? {
            for (name, ticks) in parse::fields(text) {
                match name {
                    b"user" => cpu.user_seconds = Some(super::ticks_to_seconds(ticks)),
                    b"system" => cpu.system_seconds = Some(super::ticks_to_seconds(ticks)),
                    _ => {}
                }
            }
        }
        if let Some(text) = read(&mut self.throttling, desk)? {
            for (name, value) in parse::fields(text) {
                match name {
                    b"nr_periods" => cpu.periods = Some(value),
                    b"nr_throttled" => cpu.throttled_periods = Some(value),
                    b"throttled_time" => cpu.throttled_seconds = Some(parse::nanos(value)),
                    _ => {}
                }
            }
        }
        // Without a bound the quota is -1, which is no number here.
        cpu.quota_micros = read(&mut self.quota, desk)?.and_then(parse::number);
        if cpu.quota_micros.is_some() {
            cpu.period_micros = read(&mut self.period, desk)?.and_then(parse::number);
        }
        Ok(cpu)
    }
}

fn read<'a>(source: &mut Option<Source>, desk: &'a mut Desk) -> Result<Option<&'a [u8]>, Failure> {
    match source {
        Some(source) => source.read(desk),
        None => Ok(None),
    }
}

/// Memory.
#[derive(Debug)]
pub(super) struct MemoryFiles {
    usage: Source,
    stat: Source,
    hits: Source,
    oom: Source,
}

impl MemoryFiles {
    pub(super) fn new(folder: &Arc<Path>) -> Self {
        let source = |name| Source::new(folder, name, Habit::Keep);
        Self {
            usage: source("memory.usage_in_bytes"),
            stat: source("memory.stat"),
            hits: source("memory.failcnt"),
            oom: source("memory.oom_control"),
        }
    }

    pub(super) fn sources(&mut self) -> [&mut Source; 4] {
        [&mut self.usage, &mut self.stat, &mut self.hits, &mut self.oom]
    }

    /// The limits stand in `memory.stat`, as they hold for the group: one of a group above it counts too.
    pub(super) fn read(&mut self, desk: &mut Desk) -> Result<Memory, Failure> {
        let mut memory =
            Memory { usage: self.usage.read(desk)?.and_then(parse::number), ..Memory::default() };
        if let Some(text) = self.stat.read(desk)? {
            for (name, value) in parse::fields(text) {
                match name {
                    b"total_cache" => memory.cache = Some(value),
                    b"total_rss" => memory.rss = Some(value),
                    b"total_mapped_file" => memory.mapped_file = Some(value),
                    b"total_swap" => memory.swap = Some(value),
                    b"total_inactive_file" => {
                        memory.working_set = memory.usage.map(|usage| usage.saturating_sub(value));
                    }
                    b"hierarchical_memory_limit" => memory.limit = parse::bound(value),
                    b"hierarchical_memsw_limit" => memory.swap_limit = parse::bound(value),
                    _ => {}
                }
            }
        }
        memory.limit_hits = self.hits.read(desk)?.and_then(parse::number);
        if let Some(text) = self.oom.read(desk)? {
            memory.oom_kills =
                parse::fields(text).find(|(name, _)| *name == b"oom_kill").map(|field| field.1);
        }
        Ok(memory)
    }
}

/// Input and output of block devices.
#[derive(Debug)]
pub(super) struct Block {
    bytes: [Source; 2],
    operations: [Source; 2],
}

impl Block {
    pub(super) fn new(folder: &Arc<Path>) -> Self {
        let source = |name| Source::new(folder, name, Habit::Keep);
        // Older kernels count for the group alone.
        Self {
            bytes: [
                source("blkio.throttle.io_service_bytes_recursive"),
                source("blkio.throttle.io_service_bytes"),
            ],
            operations: [
                source("blkio.throttle.io_serviced_recursive"),
                source("blkio.throttle.io_serviced"),
            ],
        }
    }

    pub(super) fn sources(&mut self) -> impl Iterator<Item = &mut Source> {
        self.bytes.iter_mut().chain(&mut self.operations)
    }

    pub(super) fn read(
        &mut self,
        desk: &mut Desk,
        devices: &mut Devices,
    ) -> Result<Option<Vec<Device>>, Failure> {
        let mut all = None;
        for (sources, is_bytes) in [(&mut self.bytes, true), (&mut self.operations, false)] {
            for source in sources {
                let Some(text) = source.read(desk)? else { continue };
                let all = all.get_or_insert_with(Vec::new);
                for (numbers, operation, count) in parse::operations(text) {
                    match (operation, is_bytes) {
                        (b"Read", true) => devices.of(all, numbers).read_bytes = count,
                        (b"Write", true) => devices.of(all, numbers).written_bytes = count,
                        (b"Read", false) => devices.of(all, numbers).reads = count,
                        (b"Write", false) => devices.of(all, numbers).writes = count,
                        _ => {}
                    }
                }
                break;
            }
        }
        Ok(all)
    }
}

/// Processes and threads.
#[derive(Debug)]
pub(super) struct TaskFiles {
    current: Source,
    max: Source,
    processes: Source,
}

impl TaskFiles {
    /// `two` is the same group in the hierarchy of version 2, where there is one beside.
    pub(super) fn new(folder: &Arc<Path>, two: Option<&Arc<Path>>) -> Self {
        // Version 1 makes the list up when the file is opened, and one that stays open may show an old one.
        let processes = match two {
            Some(two) => Source::new(two, "cgroup.procs", Habit::Keep),
            None => Source::new(folder, "cgroup.procs", Habit::Reopen),
        };
        Self {
            current: Source::new(folder, "pids.current", Habit::Keep),
            max: Source::new(folder, "pids.max", Habit::Keep),
            processes,
        }
    }

    pub(super) fn sources(&mut self) -> [&mut Source; 3] {
        [&mut self.current, &mut self.max, &mut self.processes]
    }

    pub(super) fn read(&mut self, desk: &mut Desk) -> Result<Tasks, Failure> {
        read_tasks(&mut self.current, &mut self.max, &mut self.processes, desk)
    }
}

/// Reads the tasks of either version.
pub(super) fn read_tasks(
    current: &mut Source,
    max: &mut Source,
    processes: &mut Source,
    desk: &mut Desk,
) -> Result<Tasks, Failure> {
    let threads = current.read(desk)?.and_then(parse::number);
    let threads_limit = max.read(desk)?.and_then(parse::number);
    let room = desk.buffer.len();
    // A list that does not fit was not counted to its end, and where it is empty all are in groups further down.
    let list = processes.read(desk)?.filter(|list| !list.is_empty() && list.len() < room);
    let processes = list.map(|list| parse::lines(list).count() as u64);
    Ok(Tasks { processes, threads, threads_limit })
}
