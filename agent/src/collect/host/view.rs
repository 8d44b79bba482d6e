//! From where the host is seen: the agent may run on it, or in a container with more or less of it in sight.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::mounts::root_id;

/// The folders in which the host's files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    /// The host's `/proc`.
    pub proc: PathBuf,
    /// The host's `/sys`.
    pub sys: PathBuf,
    /// The host's `/`.
    pub root: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self { proc: "/proc".into(), sys: "/sys".into(), root: "/".into() }
    }
}

impl Roots {
    /// Returns those of a host whose `/` is mounted at `prefix`, as in a container started with `-v /:/host:ro`.
    pub fn under(prefix: impl Into<PathBuf>) -> Self {
        let root = prefix.into();
        Self { proc: root.join("proc"), sys: root.join("sys"), root }
    }
}

/// Where each thing is read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct View {
    pub(super) proc: PathBuf,
    /// `/proc/1` where it can be read: the host's own mounts and network, also from within a container that shares its
    /// processes.
    pub(super) first: PathBuf,
    pub(super) sys: PathBuf,
    pub(super) root: PathBuf,
    /// The mounts are not those of this process.
    pub(super) other_mounts: bool,
    /// The network is not the one of this process: what the kernel tells of the reader's own is not the host's.
    pub(super) other_network: bool,
}

impl View {
    pub(super) fn of(roots: Roots) -> Self {
        let Roots { proc, sys, root } = roots;
        let first = [proc.join("1"), proc.join("self")];
        let readable = |process: &&PathBuf| fs::File::open(process.join("net/dev")).is_ok();
        let first = first.iter().find(readable).unwrap_or(&first[0]).clone();
        let own = proc.join("self");
        let other_network = differ(inode(&first), inode(&own));
        let other_mounts = differ(mounts(&first), mounts(&own));
        let mut view = Self { proc, first, sys, root, other_mounts, other_network };
        view.look_through_the_first_process();
        view
    }

    /// Where the host's processes are shared but not its files, they are seen through its first process, rights given.
    fn look_through_the_first_process(&mut self) {
        if self.root != Path::new("/") || !(self.other_mounts || self.other_network) {
            return;
        }
        let root = self.first.join("root");
        if fs::read_dir(&root).is_ok() {
            self.sys = root.join("sys");
            self.root = root;
            self.other_mounts = false;
        }
    }

    /// Tells whether `/sys` shows the devices of the host's network: it shows those of whoever mounted it.
    pub(super) fn shows_devices(&self) -> bool {
        !self.other_network || self.root != Path::new("/")
    }
}

/// Tells whether two things are known and not the same.
fn differ(one: Option<u64>, other: Option<u64>) -> bool {
    one.zip(other).is_some_and(|(one, other)| one != other)
}

/// Returns a number that processes share if and only if they share their network; it needs no rights.
fn inode(process: &Path) -> Option<u64> {
    fs::metadata(process.join("net/dev")).ok().map(|metadata| metadata.ino())
}

/// Returns a number that processes share if and only if they share their mounts.
fn mounts(process: &Path) -> Option<u64> {
    root_id(&fs::read(process.join("mountinfo")).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree with a first process and the agent's own.
    fn tree(first: Option<&str>, own: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, mounts: &str| {
            let process = folder.path().join("proc").join(name);
            fs::create_dir_all(process.join("net")).unwrap();
            fs::write(process.join("net/dev"), "").unwrap();
            fs::write(process.join("mountinfo"), mounts).unwrap();
        };
        if let Some(first) = first {
            write("1", first);
        }
        write("self", own);
        folder
    }

    #[test]
    fn the_first_process_is_preferred_where_it_can_be_read() {
        let folder = tree(Some("27 1 8:0 / / rw - ext4 d rw"), "27 1 8:0 / / rw - ext4 d rw");
        let view = View::of(Roots::under(folder.path()));
        assert_eq!((view.first.ends_with("1"), view.other_mounts, view.other_network), (true, false, true));
        assert!(view.shows_devices());

        let folder = tree(None, "27 1 8:0 / / rw - ext4 d rw");
        let view = View::of(Roots::under(folder.path()));
        assert_eq!(
            (view.first.ends_with("self"), view.other_mounts, view.other_network),
            (true, false, false)
        );
    }

    #[test]
    fn other_mounts_are_noticed() {
        let folder = tree(Some("27 1 8:0 / / rw - ext4 d rw"), "99 1 8:0 / / rw - ext4 d rw");
        assert!(View::of(Roots::under(folder.path())).other_mounts);
    }

    #[test]
    fn here_everything_is_its_own_or_seen_through_the_first_process() {
        let view = View::of(Roots::default());
        assert!(!view.other_mounts || view.root == Path::new("/"), "{view:?}");
    }
}
