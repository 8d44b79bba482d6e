//! Families with a sample for each device: disks, file systems, the network.

use zv_model::MetricKind::{Counter, Gauge};
use zv_wire::{Exposition, LabelText};

use crate::collect::host::{Answer, Bond, Column, Device, Disk, Link, RECEIVED, SENT, Volume};

/// How many of a column make one of the metric's unit.
const MILLISECONDS: f64 = 1000.0;
const SECTORS: f64 = 1.0 / 512.0;

/// A column of `/proc/diskstats`: name, help, and how many of it make one.
type DiskFamily = (Column, &'static str, &'static str, f64);

const DISKS: [DiskFamily; 17] = [
    (
        Column::Reads,
        "node_disk_reads_completed_total",
        "The total number of reads completed successfully.",
        1.0,
    ),
    (Column::ReadsMerged, "node_disk_reads_merged_total", "The total number of reads merged.", 1.0),
    (
        Column::SectorsRead,
        "node_disk_read_bytes_total",
        "The total number of bytes read successfully.",
        SECTORS,
    ),
    (
        Column::ReadTime,
        "node_disk_read_time_seconds_total",
        "The total number of seconds spent by all reads.",
        MILLISECONDS,
    ),
    (
        Column::Writes,
        "node_disk_writes_completed_total",
        "The total number of writes completed successfully.",
        1.0,
    ),
    (Column::WritesMerged, "node_disk_writes_merged_total", "The number of writes merged.", 1.0),
    (
        Column::SectorsWritten,
        "node_disk_written_bytes_total",
        "The total number of bytes written successfully.",
        SECTORS,
    ),
    (
        Column::WriteTime,
        "node_disk_write_time_seconds_total",
        "This is the total number of seconds spent by all writes.",
        MILLISECONDS,
    ),
    (Column::InFlight, "node_disk_io_now", "The number of I/Os currently in progress.", 1.0),
    (Column::Time, "node_disk_io_time_seconds_total", "Total seconds spent doing I/Os.", MILLISECONDS),
    (
        Column::WeightedTime,
        "node_disk_io_time_weighted_seconds_total",
        "The weighted # of seconds spent doing I/Os.",
        MILLISECONDS,
    ),
    (
        Column::Discards,
        "node_disk_discards_completed_total",
        "The total number of discards completed successfully.",
        1.0,
    ),
    (Column::DiscardsMerged, "node_disk_discards_merged_total", "The total number of discards merged.", 1.0),
    (
        Column::SectorsDiscarded,
        "node_disk_discarded_sectors_total",
        "The total number of sectors discarded successfully.",
        1.0,
    ),
    (
        Column::DiscardTime,
        "node_disk_discard_time_seconds_total",
        "This is the total number of seconds spent by all discards.",
        MILLISECONDS,
    ),
    (
        Column::Flushes,
        "node_disk_flush_requests_total",
        "The total number of flush requests completed successfully",
        1.0,
    ),
    (
        Column::FlushTime,
        "node_disk_flush_requests_time_seconds_total",
        "This is the total number of seconds spent by all flush requests.",
        MILLISECONDS,
    ),
];

pub(super) fn disks(out: &mut Exposition, disks: &[Disk]) {
    let labels: Vec<LabelText> =
        disks.iter().map(|disk| LabelText::of([("device", &*disk.device)])).collect();
    for (column, name, help, in_one) in DISKS {
        let kind = if column == Column::InFlight { Gauge } else { Counter };
        let mut family = out.family(name, kind, help);
        for (disk, labels) in disks.iter().zip(&labels) {
            if let Some(number) = disk.number(column) {
                family.sample(labels, &[], number as f64 / in_one);
            }
        }
    }
}

pub(super) fn filesystems(out: &mut Exposition, volumes: &[Volume]) {
    let volumes: Vec<(&Volume, LabelText)> = volumes
        .iter()
        .filter(|volume| volume.answer != Answer::Hidden)
        .map(|volume| {
            let mount = &volume.mount;
            let labels =
                [("device", &*mount.device), ("fstype", &mount.kind), ("mountpoint", &mount.mountpoint)];
            (volume, LabelText::of(labels))
        })
        .collect();
    let mut each = |name: &str, help: &str, value: &dyn Fn(&Volume) -> Option<f64>| {
        let mut family = out.family(name, Gauge, help);
        for (volume, labels) in &volumes {
            if let Some(value) = value(volume) {
                family.sample(labels, &[], value);
            }
        }
    };
    let help = "Whether an error occurred while getting statistics for the given device.";
    each("node_filesystem_device_error", help, &|volume| {
        Some(if matches!(volume.answer, Answer::Space(_)) { 0.0 } else { 1.0 })
    });
    each("node_filesystem_readonly", "Filesystem read-only status.", &|volume| {
        Some(f64::from(u8::from(volume.mount.readonly)))
    });
    let help = "Filesystem space available to non-root users in bytes.";
    let space = |volume: &Volume| match volume.answer {
        Answer::Space(space) => Some(space),
        Answer::Failed | Answer::Stuck | Answer::Hidden => None,
    };
    each("node_filesystem_avail_bytes", help, &|volume| Some(space(volume)?.available_bytes as f64));
    let help = "Filesystem free space in bytes.";
    each("node_filesystem_free_bytes", help, &|volume| Some(space(volume)?.free_bytes as f64));
    let help = "Filesystem size in bytes.";
    each("node_filesystem_size_bytes", help, &|volume| Some(space(volume)?.size_bytes as f64));
    let help = "Filesystem total file nodes.";
    each("node_filesystem_files", help, &|volume| Some(space(volume)?.files as f64));
    let help = "Filesystem total free file nodes.";
    each("node_filesystem_files_free", help, &|volume| Some(space(volume)?.files_free as f64));
}

pub(super) fn network(out: &mut Exposition, devices: &[Device]) {
    let labels: Vec<LabelText> =
        devices.iter().map(|device| LabelText::of([("device", &*device.name)])).collect();
    type Direction = (&'static str, [&'static str; 8], fn(&Device) -> &[u64; 8]);
    let directions: [Direction; 2] =
        [("receive", RECEIVED, |device| &device.received), ("transmit", SENT, |device| &device.sent)];
    for (direction, columns, numbers) in directions {
        for (at, column) in columns.into_iter().enumerate() {
            let name = format!("node_network_{direction}_{column}_total");
            let help = format!("Network device statistic {direction}_{column}.");
            let mut family = out.family(&name, Counter, &help);
            for (device, labels) in devices.iter().zip(&labels) {
                family.sample(labels, &[], numbers(device)[at] as f64);
            }
        }
    }
    links(out, devices, &labels);
}

fn links(out: &mut Exposition, devices: &[Device], labels: &[LabelText]) {
    let links = || {
        let devices = devices.iter().zip(labels);
        devices.filter_map(|(device, labels)| Some((device.link.as_ref()?, labels)))
    };
    let help = "Value is 1 if operstate is 'up', 0 otherwise.";
    let mut family = out.family("node_network_up", Gauge, help);
    for (link, labels) in links() {
        family.sample(labels, &[], f64::from(u8::from(&*link.state == "up")));
    }
    let help = "Non-numeric data from /sys/class/net/<iface>, value is always 1.";
    let mut family = out.family("node_network_info", Gauge, help);
    for (link, labels) in links() {
        let wanted = match link.enabled {
            Some(true) => "up",
            Some(false) => "down",
            None => "unknown",
        };
        let more = [
            ("address", &*link.address),
            ("adminstate", wanted),
            ("broadcast", &link.broadcast),
            ("duplex", &link.duplex),
            ("ifalias", &link.alias),
            ("operstate", &link.state),
        ];
        family.sample(labels, &more, 1.0);
    }
    let mut family = out.family("node_network_carrier_changes_total", Counter, "Times the carrier changed.");
    for (link, labels) in links() {
        if let Some(changes) = link.carrier_changes {
            family.sample(labels, &[], changes as f64);
        }
    }
    let mut each = |name: &str, help: &str, value: &dyn Fn(&Link) -> Option<f64>| {
        let mut family = out.family(name, Gauge, help);
        for (link, labels) in links() {
            if let Some(value) = value(link) {
                family.sample(labels, &[], value);
            }
        }
    };
    each("node_network_carrier", "Whether there is a carrier.", &|link| {
        link.carrier.map(|it| f64::from(u8::from(it)))
    });
    each("node_network_mtu_bytes", "The largest packet, in bytes.", &|link| Some(link.mtu_bytes? as f64));
    let help = "Bytes per second, where the device has a speed.";
    each("node_network_speed_bytes", help, &|link| Some(link.speed? as f64 * 1e6 / 8.0));
}

pub(super) fn bonds(out: &mut Exposition, bonds: &[Bond]) {
    type Count = fn(&Bond) -> u32;
    let families: [(&str, &str, Count); 2] = [
        ("node_bonding_slaves", "Number of configured slaves per bonding interface.", |bond| bond.members),
        ("node_bonding_active", "Number of active slaves per bonding interface.", |bond| bond.active),
    ];
    for (name, help, count) in families {
        let mut family = out.family(name, Gauge, help);
        for bond in bonds {
            family.sample(&LabelText::of([("master", &*bond.name)]), &[], f64::from(count(bond)));
        }
    }
}
