//! Measures containers by their control groups. A reader of each stays from round to round.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use rustix::process::{Resource, getrlimit};

use super::devices::Devices;
use super::files::{Desk, Failure};
use super::group::{Group, Places};
use super::mounts::{Mount, memberships, parse_mounts};
use super::network::{self, Process};
use super::search::Search;
use super::{Interface, Measurement, Round, Running, read_bounded};
use crate::model::ReplicaId;

/// After running out of files none stays open for so many rounds.
const FRUGAL_ROUNDS: u32 = 60;
const MOUNTINFO_LIMIT: u64 = 8 * 1024 * 1024;

/// The readers of all running containers.
#[derive(Debug)]
pub(super) struct Groups {
    desk: Desk,
    devices: Devices,
    mounts: Vec<Mount>,
    search: Search,
    readers: HashMap<ReplicaId, Reader>,
    round: u64,
    frugal: u32,
}

/// Reads one container.
#[derive(Debug)]
struct Reader {
    pid: Option<u32>,
    group: Group,
    process: Option<Process>,
    /// Known once its process was seen.
    shares_host_network: Option<bool>,
    interfaces: Vec<Arc<str>>,
    /// The last round that asked for it.
    round: u64,
}

impl Groups {
    /// Returns one that has read nothing yet; all paths are below `root`.
    pub(super) fn new(root: &Path) -> Self {
        Self {
            desk: Desk::new(root),
            devices: Devices::new(root),
            mounts: Vec::new(),
            search: Search::default(),
            readers: HashMap::new(),
            round: 0,
            frugal: 0,
        }
    }

    pub(super) fn measure(&mut self, running: &[Running], at: DateTime<Utc>) -> Round {
        self.begin(running);
        let mut round = Round { measured: Vec::with_capacity(running.len()), unseen: Vec::new() };
        for replica in running {
            let mut measured = self.one(replica, at);
            if measured == Err(Failure::NoFile) {
                self.spare();
                measured = self.one(replica, at);
            }
            match measured {
                Ok(Some(measurement)) => round.measured.push((replica.id.clone(), measurement)),
                Ok(None) | Err(_) => {
                    self.readers.remove(&replica.id);
                    round.unseen.push(replica.id.clone());
                }
            }
        }
        round
    }

    /// Closes the files of those that do not run any more, or anew, and finds out how many may stay open.
    fn begin(&mut self, running: &[Running]) {
        if self.mounts.is_empty() {
            let file = self.desk.root.join("proc/self/mountinfo");
            let mountinfo = read_bounded(&file, MOUNTINFO_LIMIT).unwrap_or_default();
            self.mounts = parse_mounts(&mountinfo, &self.desk.root);
        }
        self.devices.begin();
        self.round += 1;
        for replica in running {
            if let Some(reader) = self.readers.get_mut(&replica.id)
                && reader.pid == replica.pid
            {
                reader.round = self.round;
            }
        }
        self.readers.retain(|_, reader| reader.round == self.round);
        let open: usize = self.readers.values_mut().map(Reader::open_files).sum();
        self.frugal = self.frugal.saturating_sub(1);
        // The other half is for everything else this process does.
        let most = getrlimit(Resource::Nofile)
            .current
            .map_or(usize::MAX, |limit| usize::try_from(limit / 2).unwrap_or(usize::MAX));
        self.desk.may_keep = if self.frugal > 0 { 0 } else { most.saturating_sub(open) };
    }

    /// Gives all files back: whatever else this process does may need them more.
    fn spare(&mut self) {
        if self.frugal == 0 {
            tracing::warn!(
                "too few files may be open to keep those of the containers; raise the limit (LimitNOFILE, ulimit -n)"
            );
        }
        self.frugal = FRUGAL_ROUNDS;
        self.desk.may_keep = 0;
        self.readers.values_mut().for_each(Reader::close);
    }

    fn one(&mut self, replica: &Running, at: DateTime<Utc>) -> Result<Option<Measurement>, Failure> {
        if !self.readers.contains_key(&replica.id) {
            let Some(reader) = self.find(replica, at)? else { return Ok(None) };
            self.readers.insert(replica.id.clone(), reader);
        }
        let Some(reader) = self.readers.get_mut(&replica.id) else { return Ok(None) };
        let mut measurement = reader.group.read(at, &mut self.desk, &mut self.devices)?;
        measurement.network = reader.network(&replica.id, &mut self.desk)?;
        Ok(Some(measurement))
    }

    fn find(&mut self, replica: &Running, at: DateTime<Utc>) -> Result<Option<Reader>, Failure> {
        let process = replica.pid.map(|pid| Process::find(pid, &self.desk)).transpose()?.flatten();
        let id = replica.id.as_str();
        let membership = match &process {
            Some(process) => membership(process, &mut self.desk)?,
            None => String::new(),
        };
        let places = Places::of(&self.mounts, &membership, id)
            .or_else(|| self.search.find(&replica.id, &self.mounts, at));
        Ok(places.map(|places| Reader {
            pid: replica.pid,
            group: Group::new(&places),
            // Found anew, and checked, when its network is read.
            process: None,
            shares_host_network: None,
            interfaces: Vec::new(),
            round: self.round,
        }))
    }

    /// Counts the files that are open now.
    #[cfg(test)]
    pub(super) fn open_files(&mut self) -> usize {
        self.readers.values_mut().map(Reader::open_files).sum()
    }

    /// Says that files are short.
    #[cfg(test)]
    pub(super) fn run_short(&mut self) {
        self.spare();
    }
}

fn membership(process: &Process, desk: &mut Desk) -> Result<String, Failure> {
    let text = process.read("cgroup", desk)?;
    Ok(text.map(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_default())
}

impl Reader {
    fn network(&mut self, id: &ReplicaId, desk: &mut Desk) -> Result<Option<Vec<Interface>>, Failure> {
        if self.shares_host_network == Some(true) {
            return Ok(None);
        }
        let (process, is_kept) = match (self.process.take(), self.pid) {
            (Some(process), _) => (process, true),
            (None, Some(pid)) => match own_process(pid, id, desk)? {
                Some(process) => (process, false),
                None => return Ok(None),
            },
            (None, None) => return Ok(None),
        };
        if self.shares_host_network.is_none() {
            self.shares_host_network = process.shares_host_network(desk);
        }
        if self.shares_host_network != Some(false) {
            return Ok(None);
        }
        let Some(text) = process.read("net/dev", desk)? else { return Ok(None) };
        let interfaces = network::interfaces(text, &mut self.interfaces);
        if is_kept {
            self.process = Some(process);
        } else if desk.may_keep > 0 {
            desk.may_keep -= 1;
            self.process = Some(process);
        }
        Ok(Some(interfaces))
    }

    fn open_files(&mut self) -> usize {
        self.group.open_files() + usize::from(self.process.is_some())
    }

    fn close(&mut self) {
        self.group.close();
        self.process = None;
    }
}

/// Finds the container's first process: another may have its number by now.
fn own_process(pid: u32, id: &ReplicaId, desk: &mut Desk) -> Result<Option<Process>, Failure> {
    let Some(process) = Process::find(pid, desk)? else { return Ok(None) };
    let is_own = memberships(&membership(&process, desk)?, id.as_str()).next().is_some();
    Ok(is_own.then_some(process))
}
