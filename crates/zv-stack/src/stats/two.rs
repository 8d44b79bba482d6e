//! The files of version 2: one folder with all there is.

use std::path::Path;
use std::sync::Arc;

use super::devices::Devices;
use super::files::{Desk, Failure, Habit, Source};
use super::{Cpu, Device, Memory, Pressure, Stall, Tasks, one, parse};

/// A container's folder.
#[derive(Debug)]
pub(super) struct Folder {
    cpu_stat: Source,
    cpu_max: Source,
    memory_current: Source,
    memory_stat: Source,
    memory_max: Source,
    swap_current: Source,
    swap_max: Source,
    memory_events: Source,
    io_stat: Source,
    pids_current: Source,
    pids_max: Source,
    processes: Source,
    pressures: [Source; 3],
}

impl Folder {
    pub(super) fn new(folder: &Arc<Path>) -> Self {
        let keep = |name| Source::new(folder, name, Habit::Keep);
        Self {
            cpu_stat: keep("cpu.stat"),
            cpu_max: keep("cpu.max"),
            memory_current: keep("memory.current"),
            memory_stat: keep("memory.stat"),
            memory_max: keep("memory.max"),
            swap_current: keep("memory.swap.current"),
            swap_max: keep("memory.swap.max"),
            memory_events: keep("memory.events"),
            io_stat: keep("io.stat"),
            pids_current: keep("pids.current"),
            pids_max: keep("pids.max"),
            processes: keep("cgroup.procs"),
            pressures: [keep("cpu.pressure"), keep("memory.pressure"), keep("io.pressure")],
        }
    }

    pub(super) fn sources(&mut self) -> impl Iterator<Item = &mut Source> {
        [
            &mut self.cpu_stat,
            &mut self.cpu_max,
            &mut self.memory_current,
            &mut self.memory_stat,
            &mut self.memory_max,
            &mut self.swap_current,
            &mut self.swap_max,
            &mut self.memory_events,
            &mut self.io_stat,
            &mut self.pids_current,
            &mut self.pids_max,
            &mut self.processes,
        ]
        .into_iter()
        .chain(&mut self.pressures)
    }

    pub(super) fn cpu(&mut self, desk: &mut Desk) -> Result<Cpu, Failure> {
        let mut cpu = Cpu::default();
        if let Some(text) = self.cpu_stat.read(desk)? {
            for (name, value) in parse::fields(text) {
                match name {
                    b"usage_usec" => cpu.usage_seconds = Some(parse::micros(value)),
                    b"user_usec" => cpu.user_seconds = Some(parse::micros(value)),
                    b"system_usec" => cpu.system_seconds = Some(parse::micros(value)),
                    b"nr_periods" => cpu.periods = Some(value),
                    b"nr_throttled" => cpu.throttled_periods = Some(value),
                    b"throttled_usec" => cpu.throttled_seconds = Some(parse::micros(value)),
                    _ => {}
                }
            }
        }
        let bound = self.cpu_max.read(desk)?.and_then(parse::quota);
        (cpu.quota_micros, cpu.period_micros) = bound.unzip();
        Ok(cpu)
    }

    pub(super) fn memory(&mut self, desk: &mut Desk) -> Result<Memory, Failure> {
        let usage = self.memory_current.read(desk)?.and_then(parse::number);
        let mut memory = Memory { usage, ..Memory::default() };
        if let Some(text) = self.memory_stat.read(desk)? {
            for (name, value) in parse::fields(text) {
                match name {
                    b"anon" => memory.rss = Some(value),
                    b"file" => memory.cache = Some(value),
                    b"file_mapped" => memory.mapped_file = Some(value),
                    b"inactive_file" => {
                        memory.working_set = memory.usage.map(|usage| usage.saturating_sub(value));
                    }
                    _ => {}
                }
            }
        }
        memory.limit = self.memory_max.read(desk)?.and_then(parse::limit);
        memory.swap = self.swap_current.read(desk)?.and_then(parse::number);
        memory.swap_limit = self.swap_max.read(desk)?.and_then(parse::limit);
        if let Some(text) = self.memory_events.read(desk)? {
            for (name, value) in parse::fields(text) {
                match name {
                    b"max" => memory.limit_hits = Some(value),
                    b"oom_kill" => memory.oom_kills = Some(value),
                    _ => {}
                }
            }
        }
        Ok(memory)
    }

    pub(super) fn io(
        &mut self,
        desk: &mut Desk,
        devices: &mut Devices,
    ) -> Result<Option<Vec<Device>>, Failure> {
        let Some(text) = self.io_stat.read(desk)? else { return Ok(None) };
        let mut all = Vec::new();
        for line in parse::lines(text) {
            for (numbers, name, count) in parse::io_counters(line) {
                match name {
                    b"rbytes" => devices.of(&mut all, numbers).read_bytes = count,
                    b"wbytes" => devices.of(&mut all, numbers).written_bytes = count,
                    b"rios" => devices.of(&mut all, numbers).reads = count,
                    b"wios" => devices.of(&mut all, numbers).writes = count,
                    _ => {}
                }
            }
        }
        Ok(Some(all))
    }

    pub(super) fn tasks(&mut self, desk: &mut Desk) -> Result<Tasks, Failure> {
        one::read_tasks(&mut self.pids_current, &mut self.pids_max, &mut self.processes, desk)
    }

    pub(super) fn pressure(&mut self, desk: &mut Desk) -> Result<Pressure, Failure> {
        let mut stalls: [Option<Stall>; 3] = [None; 3];
        for (stall, source) in stalls.iter_mut().zip(&mut self.pressures) {
            *stall = source.read(desk)?.and_then(parse::stall);
        }
        let [cpu, memory, io] = stalls;
        Ok(Pressure { cpu, memory, io })
    }
}
