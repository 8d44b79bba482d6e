//! Control groups, version 1, version 2 and both at once: where a process' group is mounted, and what it used.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::read_bounded;

/// A version 1 limit above this is the kernel's way to write that there is none.
const NO_LIMIT: u64 = 1 << 60;
const SMALL: u64 = 64 * 1024;

/// One mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    version: Version,
    /// The group that the mount shows as its top.
    root: String,
    point: PathBuf,
    /// The controllers of a version 1 hierarchy.
    controllers: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// What a group used; what could not be read is absent.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Usage {
    pub cpu_seconds: Option<f64>,
    pub memory_bytes: Option<u64>,
    pub memory_limit_bytes: Option<u64>,
    pub processes: Option<u32>,
}

/// Measures the groups of one process. The topmost group is the host itself and is not taken for the process'.
pub fn usage_of(pid: u32) -> Option<Usage> {
    static MOUNTS: OnceLock<Vec<Mount>> = OnceLock::new();
    let mounts = MOUNTS.get_or_init(|| {
        let mountinfo = read_bounded(Path::new("/proc/self/mountinfo"), 8 * 1024 * 1024);
        parse_mounts(&mountinfo.unwrap_or_default())
    });
    let membership = read_bounded(Path::new(&format!("/proc/{pid}/cgroup")), SMALL)?;
    let read = |folder: &Path, file: &str| read_bounded(&folder.join(file), SMALL);
    Some(measure(mounts, &membership, &read))
}

/// Measures with `read` in place of the file system.
fn measure(mounts: &[Mount], membership: &str, read: &dyn Fn(&Path, &str) -> Option<String>) -> Usage {
    let mut usage = Usage::default();
    if let Some((version, folder)) = locate(mounts, membership, "cpuacct", "cpu.stat", read) {
        usage.cpu_seconds = match version {
            Version::One => {
                read(&folder, "cpuacct.usage").and_then(|text| number(&text)).map(|ns| ns as f64 / 1e9)
            }
            Version::Two => read(&folder, "cpu.stat")
                .and_then(|text| field(&text, "usage_usec"))
                .map(|us| us as f64 / 1e6),
        };
    }
    if let Some((version, folder)) = locate(mounts, membership, "memory", "memory.current", read) {
        let (current, inactive, limit) = match version {
            Version::One => ("memory.usage_in_bytes", "total_inactive_file", "memory.limit_in_bytes"),
            Version::Two => ("memory.current", "inactive_file", "memory.max"),
        };
        let droppable = read(&folder, "memory.stat").and_then(|text| field(&text, inactive)).unwrap_or(0);
        let current = read(&folder, current).and_then(|text| number(&text));
        usage.memory_bytes = current.map(|bytes| bytes.saturating_sub(droppable));
        usage.memory_limit_bytes =
            read(&folder, limit).and_then(|text| number(&text)).filter(|&bytes| bytes < NO_LIMIT);
    }
    if let Some((_, folder)) = locate(mounts, membership, "pids", "pids.current", read) {
        let count = read(&folder, "pids.current").and_then(|text| number(&text));
        usage.processes = count.and_then(|count| u32::try_from(count).ok());
    }
    usage
}

/// Finds the folder that accounts for a controller: version 1 where it is mounted there, else version 2 where the
/// group's folder has the file.
fn locate(
    mounts: &[Mount],
    membership: &str,
    controller: &str,
    file: &str,
    read: &dyn Fn(&Path, &str) -> Option<String>,
) -> Option<(Version, PathBuf)> {
    let of =
        |version| membership.lines().filter_map(parse_membership).filter(move |group| group.0 == version);
    let named = |names: &str| names.split(',').any(|name| name == controller);
    let old = mounts.iter().filter(|mount| mount.controllers.iter().any(|name| name == controller));
    for mount in old {
        if let Some((_, _, path)) = of(Version::One).find(|(_, names, _)| named(names)) {
            return folder_in(mount, path).map(|folder| (Version::One, folder));
        }
    }
    let mount = mounts.iter().find(|mount| mount.version == Version::Two)?;
    let (_, _, path) = of(Version::Two).next()?;
    let folder = folder_in(mount, path)?;
    read(&folder, file).map(|_| (Version::Two, folder))
}

/// Parses one line of `/proc/PID/cgroup`: `4:memory:/docker/…` or `0::/system.slice/…`.
fn parse_membership(line: &str) -> Option<(Version, &str, &str)> {
    let mut parts = line.splitn(3, ':');
    let (number, names, path) = (parts.next()?, parts.next()?, parts.next()?);
    let version = if number == "0" && names.is_empty() { Version::Two } else { Version::One };
    Some((version, names, path))
}

/// Returns the folder of the group `path` below a mount; none for the top, and for what lies outside of the mount.
fn folder_in(mount: &Mount, path: &str) -> Option<PathBuf> {
    let root = mount.root.trim_end_matches('/');
    let below = path.strip_prefix(root)?;
    if below.trim_matches('/').is_empty()
        || !below.starts_with('/')
        || below.split('/').any(|part| part == "..")
    {
        return None;
    }
    Some(mount.point.join(below.trim_start_matches('/')))
}

/// Parses the control groups out of `/proc/self/mountinfo`.
fn parse_mounts(mountinfo: &str) -> Vec<Mount> {
    mountinfo.lines().filter_map(parse_mount).collect()
}

fn parse_mount(line: &str) -> Option<Mount> {
    let (place, kind) = line.split_once(" - ")?;
    let mut kind = kind.split(' ');
    let version = match kind.next()? {
        "cgroup" => Version::One,
        "cgroup2" => Version::Two,
        _ => return None,
    };
    let options = kind.nth(1).unwrap_or_default();
    let mut place = place.split(' ').skip(3);
    let (root, point) = (place.next()?.to_owned(), PathBuf::from(place.next()?));
    let controllers =
        if version == Version::One { options.split(',').map(str::to_owned).collect() } else { Vec::new() };
    Some(Mount { version, root, point, controllers })
}

fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// Returns the number behind `name` in a file of `NAME NUMBER` lines.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).and_then(number)
}

#[cfg(test)]
mod tests;
