//! The names of block devices.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::parse::{self, Numbers};
use super::{Device, read_bounded};

/// A device may go, and another come under its numbers: names are looked up again after so many rounds.
const FORGET_AFTER: u32 = 360;

/// Names that were looked up once.
#[derive(Debug)]
pub(super) struct Devices {
    root: PathBuf,
    names: HashMap<Numbers, Arc<str>>,
    rounds: u32,
}

impl Devices {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), names: HashMap::new(), rounds: 0 }
    }

    /// Begins a round.
    pub(super) fn begin(&mut self) {
        self.rounds += 1;
        if self.rounds >= FORGET_AFTER {
            self.rounds = 0;
            self.names.clear();
        }
    }

    /// Returns the device's entry among those that were found so far.
    pub(super) fn of<'a>(&mut self, all: &'a mut Vec<Device>, numbers: Numbers) -> &'a mut Device {
        let name = self.name(numbers);
        let at = all.iter().position(|device| Arc::ptr_eq(&device.name, &name)).unwrap_or_else(|| {
            all.push(Device { name, read_bytes: 0, written_bytes: 0, reads: 0, writes: 0 });
            all.len() - 1
        });
        &mut all[at]
    }

    fn name(&mut self, numbers: Numbers) -> Arc<str> {
        let root = &self.root;
        Arc::clone(self.names.entry(numbers).or_insert_with(|| {
            let name = from_uevent(root, numbers).or_else(|| from_partitions(root, numbers));
            match name {
                Some(name) => format!("/dev/{name}").into(),
                None => format!("{}:{}", numbers.0, numbers.1).into(),
            }
        }))
    }
}

fn from_uevent(root: &Path, (major, minor): Numbers) -> Option<String> {
    let file = root.join(format!("sys/dev/block/{major}:{minor}/uevent"));
    let text = read_bounded(&file, 16 * 1024)?;
    text.lines().find_map(|line| line.strip_prefix("DEVNAME=")).map(str::to_owned)
}

fn from_partitions(root: &Path, numbers: Numbers) -> Option<String> {
    let text = read_bounded(&root.join("proc/partitions"), 1024 * 1024)?;
    partition(&text, numbers).map(str::to_owned)
}

fn partition(text: &str, (major, minor): Numbers) -> Option<&str> {
    text.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let mut number = || parse::number(words.next()?.as_bytes());
        let found = number()? == u64::from(major) && number()? == u64::from(minor) && number().is_some();
        words.next().filter(|_| found)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_either_place_or_are_numbers() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("sys/dev/block/8:0")).unwrap();
        std::fs::create_dir_all(root.path().join("proc")).unwrap();
        std::fs::write(root.path().join("sys/dev/block/8:0/uevent"), "MAJOR=8\nMINOR=0\nDEVNAME=sda\n")
            .unwrap();
        let partitions = "major minor  #blocks  name\n\n 254        0  268435456 vda\n";
        std::fs::write(root.path().join("proc/partitions"), partitions).unwrap();
        let (mut devices, mut all) = (Devices::new(root.path()), Vec::new());
        for numbers in [(8, 0), (254, 0), (9, 9), (8, 0)] {
            devices.of(&mut all, numbers).reads += 1;
        }
        let named: Vec<_> = all.iter().map(|device| (&*device.name, device.reads)).collect();
        assert_eq!(named, [("/dev/sda", 2), ("/dev/vda", 1), ("9:9", 1)]);
    }
}
