//! Finds the groups of containers by name, where their processes cannot be seen or do not say where they are: in a
//! namespace of control groups, in a container that sees the host's groups and not its processes.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};

use super::group::Places;
use super::mounts::{Mount, Version, id_in};
use crate::model::ReplicaId;

/// One search looks into so many folders at most, and so deep.
const FOLDERS: usize = 20_000;
const DEPTH: usize = 12;
/// What was not found is looked for again after this time.
const AGAIN_AFTER: TimeDelta = TimeDelta::seconds(60);
/// The controllers that are of use.
const CONTROLLERS: [&str; 5] = ["cpuacct", "cpu", "memory", "blkio", "pids"];

/// What the last search found.
#[derive(Debug, Default)]
pub(super) struct Search {
    /// By container: the hierarchy, as the mounts number it, and the folder.
    found: HashMap<Box<str>, Vec<(usize, PathBuf)>>,
    in_vain: HashSet<ReplicaId>,
    last: Option<DateTime<Utc>>,
}

impl Search {
    /// Returns where a container's groups are. Searches at most once in a round, and rarely for what is not there.
    pub(super) fn find(&mut self, id: &ReplicaId, mounts: &[Mount], at: DateTime<Utc>) -> Option<Places> {
        if let Some(places) = self.known(id, mounts) {
            return Some(places);
        }
        let is_due = self.last.is_none_or(|last| (at - last).abs() >= AGAIN_AFTER);
        if self.last == Some(at) || !is_due && self.in_vain.contains(id) {
            self.in_vain.insert(id.clone());
            return None;
        }
        if is_due {
            self.in_vain.clear();
        }
        self.last = Some(at);
        self.found = walk(mounts);
        let places = self.known(id, mounts);
        if places.is_none() {
            self.in_vain.insert(id.clone());
        }
        places
    }

    fn known(&mut self, id: &ReplicaId, mounts: &[Mount]) -> Option<Places> {
        let folders = self.found.get(id.as_str())?;
        if !folders.iter().all(|(_, folder)| folder.is_dir()) {
            self.found.remove(id.as_str());
            return None;
        }
        let mut places = Places::default();
        for (mount, folder) in folders {
            places.take(mounts.get(*mount)?, folder.clone(), None);
        }
        Some(places)
    }
}

/// Looks through all hierarchies for folders that carry a container's id.
fn walk(mounts: &[Mount]) -> HashMap<Box<str>, Vec<(usize, PathBuf)>> {
    let mut found: HashMap<Box<str>, Vec<(usize, PathBuf)>> = HashMap::new();
    let mut left = FOLDERS;
    for (number, mount) in mounts.iter().enumerate() {
        let is_of_use = mount.version == Version::Two || CONTROLLERS.iter().any(|name| mount.has(name));
        if !is_of_use {
            continue;
        }
        visit(&mount.point, &mut left, &mut |id, folder| {
            found.entry(id.into()).or_default().push((number, folder));
        });
    }
    if left == 0 {
        tracing::debug!(folders = FOLDERS, "the search for containers' groups was cut short");
    }
    found
}

fn visit(top: &Path, left: &mut usize, found: &mut dyn FnMut(&str, PathBuf)) {
    let mut waiting = vec![(top.to_owned(), 0)];
    while let Some((folder, depth)) = waiting.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            if *left == 0 {
                return;
            }
            *left -= 1;
            if let Some(id) = entry.file_name().to_str().and_then(id_in) {
                found(id, entry.path());
            }
            if depth < DEPTH {
                waiting.push((entry.path(), depth + 1));
            }
        }
    }
}
