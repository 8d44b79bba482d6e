//! What this process can see of the kernel's accounting, and of a container it is told of: for whoever wants to know why
//! something is not measured. Reads files of `/proc` and `/sys` alone, each up to a bound.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::model::ReplicaId;
use crate::stats::{Meters, Running, read_bounded};

/// A table of mounts on a host with thousands of containers.
const MOUNTS: u64 = 8 * 1024 * 1024;
const SMALL: u64 = 64 * 1024;

/// How control groups are mounted here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// None is mounted.
    Absent,
    One,
    Two,
    /// Version 1 counts, version 2 is mounted beside it.
    Both,
}

/// What the mounts of this process say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounts {
    pub layout: Layout,
    /// Where the memory of groups is counted: a folder of version 1's controller, or of version 2's tree.
    pub memory: Option<PathBuf>,
    /// `/proc` hides the processes of other users.
    pub hides_processes: bool,
    /// All mount points, with the type of what is mounted.
    pub points: Vec<(PathBuf, String)>,
}

impl Mounts {
    /// Reads the mounts of this process.
    pub fn read() -> Self {
        Self::parse(&read_bounded(Path::new("/proc/self/mountinfo"), MOUNTS).unwrap_or_default())
    }

    fn parse(mountinfo: &str) -> Self {
        let (mut one, mut two, mut memory_one) = (false, None, None);
        let (mut hides_processes, mut points) = (false, Vec::new());
        for line in mountinfo.lines() {
            let Some((place, kind)) = line.split_once(" - ") else { continue };
            let Some(point) = place.split(' ').nth(4).map(unescape) else { continue };
            let mut kind = kind.split(' ');
            let (Some(filesystem), options) = (kind.next(), kind.nth(1).unwrap_or_default()) else {
                continue;
            };
            let has = |name: &str| options.split(',').any(|option| option == name);
            match filesystem {
                "cgroup" if has("memory") => (one, memory_one) = (true, Some(point.clone())),
                // A tree that only names groups counts nothing.
                "cgroup" if !options.split(',').any(|option| option.starts_with("name=")) => one = true,
                "cgroup2" => two = two.or(Some(point.clone())),
                "proc" if point == Path::new("/proc") => {
                    hides_processes = options
                        .split(',')
                        .filter_map(|option| option.strip_prefix("hidepid="))
                        .any(|level| !matches!(level, "0" | "off"));
                }
                _ => {}
            }
            points.push((point, filesystem.to_owned()));
        }
        let layout = match (one, two.is_some()) {
            (false, false) => Layout::Absent,
            (true, false) => Layout::One,
            (false, true) => Layout::Two,
            (true, true) => Layout::Both,
        };
        Self { layout, memory: memory_one.or(two.filter(|_| !one)), hides_processes, points }
    }

    /// Returns the type of what is mounted at `path` itself.
    pub fn at(&self, path: &Path) -> Option<&str> {
        self.points.iter().rev().find(|(point, _)| point == path).map(|(_, kind)| kind.as_str())
    }

    /// Returns the mount point that `path` is below of.
    pub fn above(&self, path: &Path) -> Option<&Path> {
        let points = self.points.iter().map(|(point, _)| point.as_path());
        points.filter(|point| path.starts_with(point)).max_by_key(|point| point.components().count())
    }

    /// Says whether the group of a container is where engines usually put it, of which this process need not see the
    /// processes.
    pub fn shows_group_of(&self, id: &str) -> bool {
        let Some(top) = &self.memory else { return false };
        [
            format!("docker/{id}"),
            format!("system.slice/docker-{id}.scope"),
            format!("machine.slice/libpod-{id}.scope"),
        ]
        .iter()
        .any(|folder| top.join(folder).is_dir())
    }

    /// Says whether the kernel counts the memory of groups; absent where that cannot be told.
    pub fn counts_memory(&self) -> Option<bool> {
        match self.layout {
            Layout::Absent => None,
            Layout::One | Layout::Both => Some(self.memory.is_some()),
            Layout::Two => {
                let controllers = read_bounded(&self.memory.as_ref()?.join("cgroup.controllers"), SMALL)?;
                Some(controllers.split_whitespace().any(|name| name == "memory"))
            }
        }
    }

    /// Says whether the kernel counts swap, too; absent where that cannot be told.
    pub fn counts_swap(&self) -> Option<bool> {
        let folder = self.memory.as_ref().filter(|_| matches!(self.layout, Layout::One | Layout::Both))?;
        Some(folder.join("memory.memsw.usage_in_bytes").exists())
    }
}

/// Undoes the escapes of the table of mounts.
fn unescape(field: &str) -> PathBuf {
    PathBuf::from(
        field.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\"),
    )
}

/// Says whether this process has a tree of control groups of its own, in which others are not to be found.
pub fn has_own_group_namespace() -> bool {
    // Where a container shares the host's, its group has a path below the top.
    let own = fs::read_link("/proc/self/ns/cgroup").unwrap_or_default();
    let groups = read_bounded(Path::new("/proc/self/cgroup"), SMALL).unwrap_or_default();
    own != Path::new("cgroup:[4026531835]") && is_at_the_top(&groups)
}

fn is_at_the_top(groups: &str) -> bool {
    groups.lines().filter_map(|line| line.splitn(3, ':').nth(2)).all(|path| path == "/")
}

/// Says whether this process sees the host's process table; a host that is a container itself is not told as one.
pub fn shares_process_table() -> bool {
    // The kernel's first namespace has a fixed number.
    fs::read_link("/proc/self/ns/pid").is_ok_and(|namespace| namespace == Path::new("pid:[4026531836]"))
}

/// Says whether the kernel tells how long things waited.
pub fn tells_pressure() -> bool {
    // A kernel in which it is switched off has the files and refuses to read them.
    fs::read("/proc/pressure/cpu").is_ok()
}

/// Whether a container's first process can be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    Seen,
    /// It is the container of this process, of which its own tree of groups does not show the name.
    Own,
    /// There is no process with its number.
    Absent,
    /// The process with its number is another.
    Another,
    /// It is there, and this user may not look at it.
    Hidden,
}

/// Whether the end of a process can be waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    Possible,
    /// The kernel cannot: it is older than 5.3.
    Unknown,
    /// The kernel may not: a filter of system calls forbids it.
    Forbidden,
    /// The process is not there.
    Gone,
}

/// What can be seen of one container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visible {
    pub process: Sight,
    pub cpu: bool,
    pub memory: bool,
    pub network: bool,
    pub waiting: Waiting,
}

/// Looks at the container `id` whose first process is `pid`, as the agent would.
pub fn of_container(id: &str, pid: u32, at: DateTime<Utc>) -> Visible {
    let running = Running { id: ReplicaId::new(id), pid: Some(pid) };
    let measured = Meters::of_groups().round(&[running], at).measured.pop().map(|(_, measured)| measured);
    let network = read_bounded(&of_process(pid, "net/dev"), SMALL).is_some();
    // Last, so that one which ended meanwhile is not taken for one that cannot be measured.
    let process = sight(id, pid);
    Visible {
        process,
        cpu: measured.as_ref().is_some_and(|measured| measured.cpu.usage_seconds.is_some()),
        memory: measured
            .as_ref()
            .is_some_and(|measured| measured.memory.working_set.or(measured.memory.usage).is_some()),
        network: network && process == Sight::Seen,
        waiting: waiting(pid),
    }
}

fn of_process(pid: u32, file: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{file}"))
}

fn sight(id: &str, pid: u32) -> Sight {
    match fs::read_to_string(of_process(pid, "cgroup")) {
        Ok(groups) if groups.contains(id) => Sight::Seen,
        Ok(groups) if has_own_group_namespace() && is_at_the_top(&groups) => Sight::Own,
        Ok(_) => Sight::Another,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Sight::Hidden,
        Err(_) => Sight::Absent,
    }
}

fn waiting(pid: u32) -> Waiting {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Waiting::Gone };
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(_) => Waiting::Possible,
        Err(Errno::NOSYS) => Waiting::Unknown,
        Err(Errno::PERM | Errno::ACCESS) => Waiting::Forbidden,
        Err(_) => Waiting::Gone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
";

    #[test]
    fn the_four_layouts_are_told_apart() {
        let layout = |text: &str| Mounts::parse(text).layout;
        let two = "30 23 0:26 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(layout("22 28 0:20 / /sys rw - sysfs sysfs rw\n"), Layout::Absent);
        assert_eq!(layout(ONE), Layout::One);
        assert_eq!(layout(two), Layout::Two);
        assert_eq!(layout(&format!("{ONE}{two}")), Layout::Both);
        let only_names = "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n";
        assert_eq!(layout(&format!("{only_names}{two}")), Layout::Two);
        assert_eq!(Mounts::parse(ONE).memory.as_deref(), Some(Path::new("/sys/fs/cgroup/memory")));
        assert_eq!(Mounts::parse(ONE).counts_memory(), Some(true));
        let without = ONE.replace("rw,memory", "rw,freezer");
        assert_eq!(Mounts::parse(&without).counts_memory(), Some(false));
    }

    #[test]
    fn mounts_are_found_by_path() {
        let mounts = Mounts::parse(
            "1 0 8:1 / / rw - overlay overlay rw\n\
             2 1 8:1 /x /var/lib/zv rw - ext4 /dev/sda1 rw\n\
             3 1 8:1 / /a\\040b rw - ext4 /dev/sda1 rw\n\
             4 1 0:5 / /proc rw - proc proc rw,hidepid=invisible\n",
        );
        assert_eq!(mounts.above(Path::new("/var/lib/zv/deaths")), Some(Path::new("/var/lib/zv")));
        assert_eq!(mounts.above(Path::new("/var/lib/zvx")), Some(Path::new("/")));
        assert_eq!(mounts.at(Path::new("/a b")), Some("ext4"));
        assert!(mounts.hides_processes);
        assert!(!Mounts::parse("4 1 0:5 / /proc rw - proc proc rw,hidepid=0\n").hides_processes);
    }

    #[test]
    fn this_host_is_read_without_a_fault() {
        let mounts = Mounts::read();
        assert!(mounts.points.iter().any(|(point, _)| point == Path::new("/proc")), "{mounts:?}");
        let gone = of_container("0123456789abcdef", u32::MAX >> 1, crate::clock::now());
        assert_eq!((gone.process, gone.waiting), (Sight::Absent, Waiting::Gone));
        let other = of_container("0123456789abcdef", std::process::id(), crate::clock::now());
        assert_eq!((other.process, other.cpu), (Sight::Another, false));
    }
}
