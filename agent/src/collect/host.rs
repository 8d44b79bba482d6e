//! Measures the host, as node_exporter does: what the kernel counts of it, read from `/proc` and `/sys`.
//!
//! A measurement is short and never waits for a disk or a server: file systems are asked on a thread of their own.

mod disks;
mod fields;
mod filesystems;
mod identity;
mod mounts;
mod network;
mod pressure;
mod processors;
mod source;
mod usage;
mod view;

use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};

pub(crate) use disks::{Column, Disk};
pub(crate) use fields::Field;
pub(crate) use filesystems::{Answer, Volume};
pub(crate) use identity::{Identity, OS_LABELS};
pub(crate) use network::{Bond, Device, Link, RECEIVED, SENT};
pub(crate) use pressure::Pressure;
pub(crate) use processors::{Activity, MODES};
pub use view::Roots;

use fields::Names;
use filesystems::{FileSystems, Table};
use network::Links;
use source::Source;
use view::View;

/// What seldom changes is read again every so many measurements.
const LOOK_AGAIN: u32 = 60;

/// What a measurement reads first; it grows as it must and is used again.
const BUFFER_BYTES: usize = 16 << 10;

/// Measures one host. It holds its files open, and the thread that asks file systems.
#[derive(Debug)]
pub struct HostMeter {
    files: Files,
    links: Option<Links>,
    bonds: Option<PathBuf>,
    filesystems: FileSystems,
    names: Names,
    root: PathBuf,
    identity: Option<Arc<Identity>>,
    before: Option<Arc<Activity>>,
    round: u32,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Files {
    stat: Source,
    load: Source,
    memory: Source,
    paging: Source,
    disks: Source,
    network: Source,
    sockets: [Source; 2],
    protocols: [Source; 2],
    protocols6: Source,
    open_files: Source,
    entropy: [Source; 2],
    hung_tasks: Source,
    /// Absent where the kernel would tell of the agent's own network.
    conntrack: Option<[Source; 2]>,
    /// Of processors, I/O, memory and interrupts.
    pressure: [Source; 4],
}

/// What the host was seen to be at one moment. What could not be read is absent.
#[derive(Debug, Clone)]
pub struct HostMeasurement {
    pub(crate) at: DateTime<Utc>,
    pub(crate) activity: Option<Arc<Activity>>,
    /// Over one, five and fifteen minutes.
    pub(crate) load: Option<[f64; 3]>,
    pub(crate) memory: Option<Vec<Field>>,
    pub(crate) paging: Vec<Field>,
    pub(crate) disks: Option<Vec<Disk>>,
    pub(crate) network: Option<Vec<Device>>,
    pub(crate) bonds: Vec<Bond>,
    /// Sockets in use, and what the protocols counted.
    pub(crate) sockets: Vec<Field>,
    pub(crate) protocols: Vec<Field>,
    /// Open files, and how many there may be.
    pub(crate) open_files: [Option<u64>; 2],
    /// Bits there are, and how many there can be.
    pub(crate) entropy: [Option<u64>; 2],
    /// How many were found hung since the start.
    pub(crate) hung_tasks: Option<u64>,
    /// Connections that are tracked, and how many there may be.
    pub(crate) conntrack: [Option<u64>; 2],
    /// Of processors, I/O, memory and interrupts.
    pub(crate) pressure: [Option<Pressure>; 4],
    /// Absent until the first look at them is over.
    pub(crate) volumes: Option<Arc<[Volume]>>,
    pub(crate) identity: Option<Arc<Identity>>,
}

impl Files {
    fn of(view: &View) -> Self {
        let of = |path: &str| Source::new(view.proc.join(path));
        let first = |path: &str| Source::new(view.first.join(path));
        Self {
            stat: of("stat"),
            load: of("loadavg"),
            memory: of("meminfo"),
            paging: of("vmstat"),
            disks: of("diskstats"),
            network: first("net/dev"),
            sockets: [first("net/sockstat"), first("net/sockstat6")],
            protocols: [first("net/snmp"), first("net/netstat")],
            protocols6: first("net/snmp6"),
            open_files: of("sys/fs/file-nr"),
            entropy: [of("sys/kernel/random/entropy_avail"), of("sys/kernel/random/poolsize")],
            hung_tasks: of("sys/kernel/hung_task_detect_count"),
            conntrack: (!view.other_network)
                .then(|| ["count", "max"].map(|name| of(&format!("sys/net/netfilter/nf_conntrack_{name}")))),
            pressure: ["cpu", "io", "memory", "irq"].map(|name| of(&format!("pressure/{name}"))),
        }
    }
}

impl HostMeter {
    /// Finds out from where the host is seen. Reads little and starts nothing.
    pub fn new(roots: Roots) -> Self {
        let view = View::of(roots);
        let devices = view.shows_devices().then(|| view.sys.join("class/net"));
        let table = Table::new(view.first.join("mountinfo"), view.root.clone(), view.other_mounts);
        Self {
            files: Files::of(&view),
            links: devices.clone().map(Links::new),
            bonds: devices,
            filesystems: FileSystems::new(table),
            names: Names::default(),
            root: view.root,
            identity: None,
            before: None,
            round: 0,
            buffer: Vec::with_capacity(BUFFER_BYTES),
        }
    }

    /// Measures. It blocks for about half a millisecond, and for some more where file systems are slow.
    pub fn measure(&mut self, at: DateTime<Utc>) -> HostMeasurement {
        // What rates are made of comes first: `at` is their time.
        let activity = self.activity();
        let (network, bonds) = self.network();
        let disks = self.files.disks.read(&mut self.buffer).map(|text| disks::parse(&text));
        self.filesystems.look();
        if self.round.is_multiple_of(LOOK_AGAIN) {
            let identity = Identity::read(&self.root, &mut self.buffer);
            self.identity = Some(Arc::new(identity));
        }
        self.round = self.round.wrapping_add(1);
        let (files, buffer, names) = (&mut self.files, &mut self.buffer, &mut self.names);
        let mut sockets = Vec::new();
        let page_bytes = rustix::param::page_size() as u64;
        for file in &mut files.sockets {
            if let Some(text) = file.read(buffer) {
                names.sockets(&text, page_bytes, &mut sockets);
            }
        }
        let mut protocols = Vec::new();
        for file in &mut files.protocols {
            if let Some(text) = file.read(buffer) {
                names.protocols(&text, &mut protocols);
            }
        }
        if let Some(text) = files.protocols6.read(buffer) {
            names.protocols6(&text, &mut protocols);
        }
        let mut number = |file: &mut Source| file.read(buffer)?.trim().parse::<u64>().ok();
        let entropy = files.entropy.each_mut().map(&mut number);
        let hung_tasks = number(&mut files.hung_tasks);
        let conntrack = match &mut files.conntrack {
            Some(files) => files.each_mut().map(&mut number),
            None => [None; 2],
        };
        HostMeasurement {
            at,
            load: files.load.read(buffer).and_then(|text| processors::load(&text)),
            memory: files.memory.read(buffer).map(|text| names.memory(&text)),
            paging: files.paging.read(buffer).map(|text| names.paging(&text)).unwrap_or_default(),
            disks,
            network,
            bonds,
            sockets,
            protocols,
            open_files: files.open_files.read(buffer).map_or([None; 2], |text| open_files(&text)),
            entropy,
            hung_tasks,
            conntrack,
            pressure: files
                .pressure
                .each_mut()
                .map(|file| file.read(buffer).map(|text| Pressure::parse(&text))),
            activity,
            volumes: self.filesystems.volumes(),
            identity: self.identity.clone(),
        }
    }

    fn activity(&mut self) -> Option<Arc<Activity>> {
        let mut activity = Activity::parse(&self.files.stat.read(&mut self.buffer)?);
        if let Some(before) = &self.before {
            activity.after(before, ticks_per_second());
        }
        let activity = Arc::new(activity);
        self.before = Some(Arc::clone(&activity));
        Some(activity)
    }

    fn network(&mut self) -> (Option<Vec<Device>>, Vec<Bond>) {
        let devices = self.files.network.read(&mut self.buffer).map(|text| network::parse(&text));
        let Some(mut devices) = devices else { return (None, Vec::new()) };
        if let Some(links) = &mut self.links {
            links.describe(&mut devices, &mut self.buffer);
        }
        let bonds = self.bonds.as_ref().map(|folder| network::bonds(folder, &mut self.buffer));
        (Some(devices), bonds.unwrap_or_default())
    }
}

/// Reads `1008 0 2466183`.
fn open_files(text: &str) -> [Option<u64>; 2] {
    let mut numbers = text.split_ascii_whitespace().map(|number| number.parse().ok());
    let open = numbers.next().flatten();
    [open, numbers.nth(1).flatten()]
}

/// Returns in what parts of a second the kernel counts processors' time.
pub(crate) fn ticks_per_second() -> u64 {
    rustix::param::clock_ticks_per_second()
}

#[cfg(test)]
mod tests;
