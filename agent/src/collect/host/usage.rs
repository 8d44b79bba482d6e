//! What of a measurement is shown to people: rates since the one before, and one line for each disk.

use chrono::{DateTime, Utc};
use zv_api::{Filesystem, HostUsage};

use super::disks::{Column, Disk};
use super::filesystems::{Answer, Volume};
use super::network::{Device, outer};
use super::{HostMeasurement, ticks_per_second};

const SECTOR_BYTES: f64 = 512.0;

impl HostMeasurement {
    /// Returns what the host uses; rates are of the time since `before`, and absent without it or where a counter began
    /// anew.
    pub fn usage(&self, before: Option<&HostMeasurement>) -> HostUsage {
        let [load1, load5, load15] = match self.load {
            Some(load) => load.map(Some),
            None => [None; 3],
        };
        let total = self.memory("MemTotal");
        let swap_total = self.memory("SwapTotal");
        let before = before.and_then(|before| {
            let milliseconds = (self.at - before.at).num_milliseconds();
            (milliseconds > 0).then(|| (before, milliseconds as f64 / 1000.0))
        });
        let rate = |of: &dyn Fn(&HostMeasurement) -> Option<f64>| {
            let (before, seconds) = before?;
            of(before).map(|grown| grown / seconds)
        };
        let disk = |before: &HostMeasurement, column| {
            grown(bottom(self)?, bottom(before)?, |disk| &disk.device, |disk| disk.number(column))
                .map(|sectors| sectors * SECTOR_BYTES)
        };
        let network = |before: &HostMeasurement, bytes: fn(&Device) -> u64| {
            let (now, before) = (self.network.as_ref()?, before.network.as_ref()?);
            grown(outer(now), outer(before), |device| &device.name, |device| Some(bytes(device)))
        };
        HostUsage {
            at: self.at,
            cpu_cores: rate(&|before| self.processor_seconds(before)),
            cpus: self.activity.as_ref().map(|activity| activity.processors.len() as u32),
            load1,
            load5,
            load15,
            memory_bytes: total
                .zip(self.available())
                .map(|(total, available)| total.saturating_sub(available)),
            memory_total_bytes: total,
            swap_bytes: swap_total
                .zip(self.memory("SwapFree"))
                .map(|(total, free)| total.saturating_sub(free)),
            swap_total_bytes: swap_total,
            network_receive_bytes_per_second: rate(&|before| network(before, |device| device.received[0])),
            network_transmit_bytes_per_second: rate(&|before| network(before, |device| device.sent[0])),
            read_bytes_per_second: rate(&|before| disk(before, Column::SectorsRead)),
            written_bytes_per_second: rate(&|before| disk(before, Column::SectorsWritten)),
            filesystems: filesystems(self.volumes.as_deref().unwrap_or_default()),
            booted_at: self.booted_at(),
        }
    }

    /// Returns the kernel's version.
    pub fn kernel(&self) -> Option<String> {
        self.identity.as_ref().map(|identity| identity.release.to_string())
    }

    fn booted_at(&self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(self.activity.as_ref()?.booted_at?, 0)
    }

    /// Returns the seconds that processors worked since the measurement before.
    fn processor_seconds(&self, before: &HostMeasurement) -> Option<f64> {
        let (now, before) = (self.activity.as_ref()?, before.activity.as_ref()?);
        let now = now.processors.iter().map(|processor| (processor.number, processor.busy()));
        let before = before.processors.iter().map(|processor| (processor.number, processor.busy()));
        let ticks = grown(now, before, |(number, _)| number, |(_, busy)| Some(*busy))?;
        Some(ticks / ticks_per_second() as f64)
    }

    fn memory(&self, field: &str) -> Option<u64> {
        let is = |name: &str| {
            name.strip_prefix("node_memory_").and_then(|name| name.strip_suffix("_bytes")) == Some(field)
        };
        self.memory.as_ref()?.iter().find(|other| is(&other.name)).map(|field| field.value as u64)
    }

    /// Returns what programs can still have without swapping; kernels of old do not say it.
    fn available(&self) -> Option<u64> {
        self.memory("MemAvailable").or_else(|| {
            let cached = self.memory("Cached")?.saturating_sub(self.memory("Shmem").unwrap_or(0));
            Some(self.memory("MemFree")? + self.memory("Buffers").unwrap_or(0) + cached)
        })
    }
}

fn bottom(measurement: &HostMeasurement) -> Option<impl Iterator<Item = &Disk>> {
    Some(measurement.disks.as_ref()?.iter().filter(|disk| disk.is_bottom()))
}

/// Returns by how much a counter has grown over all that were there before and are now; nothing where one went down, or
/// where there is none.
fn grown<T, K: PartialEq>(
    now: impl Iterator<Item = T>,
    before: impl Iterator<Item = T>,
    key: impl Fn(&T) -> &K,
    count: impl Fn(&T) -> Option<u64>,
) -> Option<f64> {
    let before: Vec<T> = before.collect();
    let mut sum = None;
    for now in now {
        let Some(before) = before.iter().find(|before| key(before) == key(&now)) else { continue };
        let grown = count(&now)?.checked_sub(count(before)?)?;
        sum = Some(sum.unwrap_or(0.0) + grown as f64);
    }
    sum
}

/// Returns one line for each disk: at the shortest of the paths at which it is mounted. What lies in memory is no disk.
fn filesystems(volumes: &[Volume]) -> Vec<Filesystem> {
    let mut found: Vec<Filesystem> = Vec::new();
    for volume in volumes {
        let mount = &volume.mount;
        let Answer::Space(space) = volume.answer else { continue };
        if space.size_bytes == 0 || matches!(&*mount.kind, "tmpfs" | "ramfs") {
            continue;
        }
        let filesystem = Filesystem {
            mount: mount.mountpoint.to_string(),
            device: mount.device.to_string(),
            kind: mount.kind.to_string(),
            size_bytes: space.size_bytes,
            available_bytes: space.available_bytes,
        };
        match found
            .iter_mut()
            .find(|other| other.device == filesystem.device && other.kind == filesystem.kind)
        {
            Some(other) if other.mount.len() > filesystem.mount.len() => *other = filesystem,
            Some(_) => {}
            None => found.push(filesystem),
        }
    }
    found
}
