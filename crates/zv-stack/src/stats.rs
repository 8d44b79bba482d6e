//! What one replica uses, measured once: a container by its control groups, a process by its tree in `/proc`.
//!
//! [`Meters`] measure all replicas of a runtime again and again. What is read is bounded; nobody is asked.

mod devices;
mod files;
mod group;
mod groups;
mod measurement;
mod meters;
mod mounts;
mod network;
mod one;
mod parse;
pub mod proc;
mod search;
mod trees;
mod two;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use chrono::{DateTime, Utc};
pub use measurement::{Cpu, Device, Flow, Interface, Measurement, Memory, Pressure, Stall, Tasks};
pub use meters::{Meters, Round, Running};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

/// One measurement. What could not be read is absent, never zero.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    pub at: DateTime<Utc>,
    /// Processor time since the replica started, in seconds.
    pub cpu_seconds: Option<f64>,
    /// Memory in use without the page cache that can be dropped, in bytes.
    pub memory_bytes: Option<u64>,
    /// The limit in bytes; absent where there is none.
    pub memory_limit_bytes: Option<u64>,
    pub network_receive_bytes: Option<u64>,
    pub network_transmit_bytes: Option<u64>,
    pub processes: Option<u32>,
}

/// Raises the number of files that this process may have open to what it is allowed, and returns it; absent where there is
/// no bound. Processes it starts from then on inherit it. Call it once, at the start.
pub fn raise_file_limit() -> std::io::Result<Option<u64>> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    }
    Ok(limit.maximum)
}

/// Turns the kernel's ticks into seconds.
fn ticks_to_seconds(ticks: u64) -> f64 {
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

/// Reads at most `limit` bytes of a small kernel file.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(limit).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Reads what may be a file of the kernel's, for the fuzz target.
#[cfg(any(test, fuzzing))]
pub(crate) fn check_counters(data: &[u8]) {
    const ID: &str = "4b10fdb69899c37ecd4eede2c08124ee5580cc62c6d4b2eda9071150b9241f46";
    let (mut names, text) = (Vec::new(), String::from_utf8_lossy(data));
    let found = network::interfaces(data, &mut names);
    assert!(found.len() <= data.len());
    assert!(parse::quota(data).is_none() || parse::words(data).count() >= 2);
    assert!(parse::limit(data) <= parse::number(data));
    let _ = (parse::stall(data), proc::parse_stat(data), parse::fields(data).count());
    let counted = parse::lines(data).flat_map(parse::io_counters).count() + parse::operations(data).count();
    assert!(counted <= data.len());
    let mounts = mounts::parse_mounts(&text, Path::new("/root"));
    for membership in mounts::memberships(&text, ID) {
        assert!(membership.path.contains(ID));
        for folder in mounts.iter().filter_map(|mount| mounts::folder_in(mount, membership.path)) {
            assert!(folder.starts_with("/root") && !folder.components().any(|part| part.as_os_str() == ".."));
        }
    }
}

#[cfg(test)]
mod tests;
