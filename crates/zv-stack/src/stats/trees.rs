//! Measures processes with all that they started: one pass over the process table for all of them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::proc::{self, Process};
use super::{Cpu, Measurement, Memory, Round, Running, Tasks, read_bounded, ticks_to_seconds};
use crate::model::ReplicaId;

/// The trees of all running replicas.
#[derive(Debug)]
pub(super) struct Trees {
    root: PathBuf,
    table: Vec<Process>,
    clocks: HashMap<ReplicaId, Clock>,
}

/// Processor time that never goes back: what a process used is lost with it where nobody of its tree waits for it.
#[derive(Debug, Clone, Copy, Default)]
struct Clock {
    pid: u32,
    started: u64,
    user: Counter,
    system: Counter,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counter {
    last: u64,
    lost: u64,
}

impl Counter {
    /// Takes the ticks that the tree has now; returns those it has used in all.
    fn take(&mut self, now: u64) -> u64 {
        self.lost = self.lost.max(self.last.saturating_sub(now));
        self.last = now + self.lost;
        self.last
    }
}

impl Trees {
    /// Returns one that has read nothing yet; all paths are below `root`.
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), table: Vec::new(), clocks: HashMap::new() }
    }

    pub(super) fn measure(&mut self, running: &[Running], at: DateTime<Utc>) -> Round {
        proc::read_table(&self.root, &mut self.table);
        let members = members(&self.table, running);
        let swaps = has_swap(&self.root);
        let mut round = Round::default();
        for (replica, members) in running.iter().zip(&members) {
            match replica.pid.filter(|_| !members.is_empty()) {
                Some(pid) => {
                    let measurement = self.one(&replica.id, pid, members, swaps, at);
                    round.measured.push((replica.id.clone(), measurement));
                }
                None => round.unseen.push(replica.id.clone()),
            }
        }
        let seen = |id: &ReplicaId| running.iter().any(|replica| replica.id == *id);
        self.clocks.retain(|id, _| seen(id));
        round
    }

    /// Adds up the members of one tree. Memory is the sum of resident sets: pages that processes share count for each.
    fn one(
        &mut self,
        id: &ReplicaId,
        pid: u32,
        members: &[usize],
        swaps: bool,
        at: DateTime<Utc>,
    ) -> Measurement {
        let sum = |of: fn(&Process) -> u64| members.iter().map(|&at| of(&self.table[at])).sum::<u64>();
        let (user, system) = (sum(|process| process.user_ticks), sum(|process| process.system_ticks));
        let resident = sum(|process| process.resident_pages) * rustix::param::page_size() as u64;
        let threads = sum(|process| process.threads);
        let first = members.iter().map(|&at| &self.table[at]).find(|process| process.pid == pid);
        let started = first.map_or(0, |process| process.started);
        let clock = self.clocks.entry(id.clone()).or_default();
        if clock.pid != pid || clock.started != started && started != 0 {
            *clock = Clock { pid, started, ..Clock::default() };
        }
        let (user, system) = (clock.user.take(user), clock.system.take(system));
        let swapped = |&at: &usize| proc::swap_of(&self.root, self.table[at].pid);
        let swap = if swaps { members.iter().filter_map(swapped).sum() } else { 0 };
        Measurement {
            at,
            cpu: Cpu {
                usage_seconds: Some(ticks_to_seconds(user + system)),
                user_seconds: Some(ticks_to_seconds(user)),
                system_seconds: Some(ticks_to_seconds(system)),
                ..Cpu::default()
            },
            memory: Memory {
                working_set: Some(resident),
                rss: Some(resident),
                swap: Some(swap),
                ..Memory::default()
            },
            tasks: Tasks {
                processes: Some(members.len() as u64),
                threads: Some(threads),
                threads_limit: None,
            },
            ..Measurement::default()
        }
    }
}

/// Returns for each replica the places in the table of those that belong to it: its first process, the descendants of
/// that, the rest of its process group and their descendants, as far as they have not ended.
fn members(table: &[Process], running: &[Running]) -> Vec<Vec<usize>> {
    let roots: HashMap<u32, usize> =
        running.iter().enumerate().filter_map(|(number, replica)| Some((replica.pid?, number))).collect();
    let places: HashMap<u32, usize> =
        table.iter().enumerate().map(|(place, process)| (process.pid, place)).collect();
    let mut members = vec![Vec::new(); running.len()];
    for (place, process) in table.iter().enumerate().filter(|(_, process)| !process.ended) {
        let mut ancestor = process;
        // A table that is read while processes come and go may hold a circle.
        for _ in 0..table.len() {
            if let Some(&number) = roots.get(&ancestor.pid).or_else(|| roots.get(&ancestor.group)) {
                members[number].push(place);
                break;
            }
            match places.get(&ancestor.parent) {
                Some(&parent) => ancestor = &table[parent],
                None => break,
            }
        }
    }
    members
}

/// Says whether anything of this host's memory can be swapped.
fn has_swap(root: &Path) -> bool {
    read_bounded(&root.join("proc/swaps"), 64 * 1024).is_none_or(|text| text.lines().count() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32, parent: u32, group: u32) -> Process {
        Process { pid, parent, group, ..Process::default() }
    }

    fn running(pid: u32) -> Running {
        Running { id: ReplicaId::new(format!("local-{pid}")), pid: Some(pid) }
    }

    #[test]
    fn a_tree_is_descendants_and_group() {
        let table = [
            process(10, 1, 10),
            process(11, 10, 11),
            process(12, 11, 12),
            process(13, 1, 10),
            process(20, 1, 20),
            Process { ended: true, ..process(14, 10, 10) },
        ];
        assert_eq!(
            members(&table, &[running(10), running(20), running(30)]),
            [vec![0, 1, 2, 3], vec![4], vec![]]
        );
    }

    #[test]
    fn a_circle_ends() {
        let table = [process(10, 11, 10), process(11, 10, 11)];
        assert_eq!(members(&table, &[running(99)]), [Vec::<usize>::new()]);
    }

    #[test]
    fn processor_time_never_goes_back() {
        let mut counter = Counter::default();
        let told: Vec<u64> = [10, 30, 20, 25, 40, 5, 6].into_iter().map(|now| counter.take(now)).collect();
        assert_eq!(told, [10, 30, 30, 35, 50, 50, 51]);
    }

    #[test]
    fn this_process_can_be_measured() {
        let mut trees = Trees::new(Path::new("/"));
        let now = crate::clock::now();
        let round = trees.measure(&[running(std::process::id()), running(u32::MAX >> 1)], now);
        let [(_, measurement)] = &round.measured[..] else { panic!("{round:?}") };
        assert!(measurement.memory.rss.is_some_and(|bytes| bytes > 64 * 1024), "{measurement:?}");
        assert!(measurement.tasks.processes.is_some_and(|count| count >= 1));
        assert!(measurement.tasks.threads >= measurement.tasks.processes);
        assert_eq!((&measurement.network, &measurement.group), (&None, &None));
        assert_eq!(round.unseen, [running(u32::MAX >> 1).id]);
    }
}
