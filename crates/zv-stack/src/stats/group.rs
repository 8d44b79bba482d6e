//! One container's control groups: where they are, and what they say.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::devices::Devices;
use super::files::{Desk, Failure, Source};
use super::mounts::{Mount, Version, folder_in, memberships};
use super::{Cpu, Measurement, Memory, Tasks, one, two};

/// Where a container's groups are.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    /// The group's path as the host names it.
    name: Option<Arc<str>>,
    one: one::Folders,
    two: Option<Arc<Path>>,
}

impl Places {
    /// Finds them by what the first process' `/proc/PID/cgroup` says; absent where none of them can be seen.
    pub(super) fn of(mounts: &[Mount], membership: &str, id: &str) -> Option<Self> {
        let mut places = Self::default();
        for membership in memberships(membership, id) {
            for mount in mounts.iter().filter(|mount| membership.is_in(mount)) {
                let Some(folder) = folder_in(mount, membership.path).filter(|folder| folder.is_dir()) else {
                    continue;
                };
                let name = Some(membership.path).filter(|path| !path.contains(".."));
                places.take(mount, folder, name);
            }
        }
        places.name.is_some().then_some(places)
    }

    /// Takes a folder of a hierarchy into account; the first one counts.
    pub(super) fn take(&mut self, mount: &Mount, folder: PathBuf, name: Option<&str>) {
        let name = name.map(Arc::from).or_else(|| mount.group_of(&folder).map(Arc::from));
        let folder: Arc<Path> = folder.into();
        let mut is_of_use = false;
        for (controller, slot) in self.one.named() {
            if slot.is_none() && mount.has(controller) {
                *slot = Some(Arc::clone(&folder));
                is_of_use = true;
            }
        }
        if mount.version == Version::Two && self.two.is_none() {
            self.two = Some(folder);
            is_of_use = true;
        }
        if is_of_use && self.name.is_none() {
            self.name = name;
        }
    }
}

/// The files of one container. Each controller is in one version; the pressures are in version 2 even beside the first.
#[derive(Debug)]
pub(super) struct Group {
    name: Option<Arc<str>>,
    processor: Option<one::Processor>,
    memory: Option<one::MemoryFiles>,
    block: Option<one::Block>,
    tasks: Option<one::TaskFiles>,
    two: Option<two::Folder>,
}

impl Group {
    pub(super) fn new(places: &Places) -> Self {
        let one = &places.one;
        let has_processor = one.cpu.is_some() || one.cpuacct.is_some();
        Self {
            name: places.name.clone(),
            processor: has_processor.then(|| one::Processor::new(one)),
            memory: one.memory.as_ref().map(one::MemoryFiles::new),
            block: one.blkio.as_ref().map(one::Block::new),
            tasks: one.pids.as_ref().map(|folder| one::TaskFiles::new(folder, places.two.as_ref())),
            two: places.two.as_ref().map(two::Folder::new),
        }
    }

    /// Reads all but the network.
    pub(super) fn read(
        &mut self,
        at: DateTime<Utc>,
        desk: &mut Desk,
        devices: &mut Devices,
    ) -> Result<Measurement, Failure> {
        let two = &mut self.two;
        let cpu = match (&mut self.processor, &mut *two) {
            (Some(one), _) => one.read(desk)?,
            (None, Some(two)) => two.cpu(desk)?,
            (None, None) => Cpu::default(),
        };
        let memory = match (&mut self.memory, &mut *two) {
            (Some(one), _) => one.read(desk)?,
            (None, Some(two)) => two.memory(desk)?,
            (None, None) => Memory::default(),
        };
        let io = match (&mut self.block, &mut *two) {
            (Some(one), _) => one.read(desk, devices)?,
            (None, Some(two)) => two.io(desk, devices)?,
            (None, None) => None,
        };
        let tasks = match (&mut self.tasks, &mut *two) {
            (Some(one), _) => one.read(desk)?,
            (None, Some(two)) => two.tasks(desk)?,
            (None, None) => Tasks::default(),
        };
        let pressure = two.as_mut().map(|two| two.pressure(desk)).transpose()?.unwrap_or_default();
        if cpu == Cpu::default() && memory == Memory::default() && tasks == Tasks::default() {
            return Err(Failure::Gone);
        }
        Ok(Measurement { at, group: self.name.clone(), cpu, memory, network: None, io, tasks, pressure })
    }

    pub(super) fn open_files(&mut self) -> usize {
        self.sources().filter(|source| source.is_open()).count()
    }

    pub(super) fn close(&mut self) {
        self.sources().for_each(Source::close);
    }

    fn sources(&mut self) -> impl Iterator<Item = &mut Source> {
        let Self { name: _, processor, memory, block, tasks, two } = self;
        (processor.iter_mut().flat_map(one::Processor::sources))
            .chain(memory.iter_mut().flat_map(one::MemoryFiles::sources))
            .chain(block.iter_mut().flat_map(one::Block::sources))
            .chain(tasks.iter_mut().flat_map(one::TaskFiles::sources))
            .chain(two.iter_mut().flat_map(two::Folder::sources))
    }
}
