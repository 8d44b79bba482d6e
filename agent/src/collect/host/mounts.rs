//! The mount table: which file systems there are, and which of them are worth measuring.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// One mounted file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    /// Unique for as long as it is mounted.
    pub(super) id: u64,
    /// As `stat` tells it of a file there.
    pub(super) number: (u32, u32),
    /// Where it is mounted, as the host sees it.
    pub(super) path: PathBuf,
    pub(crate) mountpoint: Box<str>,
    pub(crate) device: Box<str>,
    pub(crate) kind: Box<str>,
    pub(crate) readonly: bool,
}

impl Mount {
    /// Tells whether it is the same mount, whatever its options are now.
    pub(super) fn is(&self, other: &Mount) -> bool {
        self.id == other.id && self.path == other.path
    }
}

/// The kinds without space of their own, as node_exporter leaves them out; and those of a network: to ask a server that is
/// gone is to wait for ever.
const LEFT_OUT: [&str; 48] = [
    "9p",
    "afs",
    "autofs",
    "binfmt_misc",
    "bpf",
    "ceph",
    "cgroup",
    "cgroup2",
    "cifs",
    "coda",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "erofs",
    "fuse.ceph",
    "fuse.cephfs",
    "fuse.glusterfs",
    "fuse.gvfsd-fuse",
    "fuse.lxcfs",
    "fuse.portal",
    "fuse.rclone",
    "fuse.s3fs",
    "fuse.sshfs",
    "fusectl",
    "glusterfs",
    "hugetlbfs",
    "iso9660",
    "lustre",
    "mqueue",
    "ncpfs",
    "nfs",
    "nfs4",
    "nsfs",
    "overlay",
    "proc",
    "procfs",
    "pstore",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "smb3",
    "smbfs",
    "squashfs",
    "sysfs",
    "tracefs",
    "vboxsf",
    "zonefs",
];

/// Reads `/proc/PID/mountinfo`; of what is left out, nothing is kept. Mounts that would have the same labels come once.
pub(super) fn parse(text: &[u8]) -> Vec<Mount> {
    let mut mounts: Vec<Mount> = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        let Some(mount) = mount(line) else { continue };
        let same = |other: &Mount| {
            other.mountpoint == mount.mountpoint && other.device == mount.device && other.kind == mount.kind
        };
        // The later one lies over the earlier.
        match mounts.iter_mut().find(|other| same(other)) {
            Some(other) => *other = mount,
            None => mounts.push(mount),
        }
    }
    mounts
}

/// Returns the number of the mount at `/`: another process with the same one sees the same mounts.
pub(super) fn root_id(text: &[u8]) -> Option<u64> {
    let mut roots = text.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut words = line.split(|byte| *byte == b' ');
        let id = number(words.next()?)?;
        (words.nth(3)? == b"/").then_some(id)
    });
    roots.next_back()
}

/// Reads `36 35 98:0 /root /mountpoint rw,noatime master:1 - ext3 /dev/root rw,errors=continue`.
fn mount(line: &[u8]) -> Option<Mount> {
    let mut words = line.split(|byte| *byte == b' ');
    let id = number(words.next()?)?;
    let device_number = words.nth(1)?;
    let path = words.nth(1)?;
    let options = words.next()?;
    words.find(|word| *word == b"-")?;
    let kind = String::from_utf8_lossy(words.next()?);
    if LEFT_OUT.contains(&&*kind) || is_left_out(path) {
        return None;
    }
    let device = unescape(words.next()?);
    let of_all = words.next().unwrap_or_default();
    let colon = device_number.iter().position(|byte| *byte == b':')?;
    let path = unescape(path);
    Some(Mount {
        id,
        number: (number(&device_number[..colon])?, number(&device_number[colon + 1..])?),
        mountpoint: String::from_utf8_lossy(&path).into(),
        path: OsString::from_vec(path).into(),
        device: String::from_utf8_lossy(&device).into(),
        kind: kind.into(),
        readonly: is_readonly(options) || is_readonly(of_all),
    })
}

fn number<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn is_readonly(options: &[u8]) -> bool {
    options.split(|byte| *byte == b',').any(|option| option == b"ro")
}

/// Tells what node_exporter leaves out:
/// `^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)`.
fn is_left_out(path: &[u8]) -> bool {
    let with_all_below = [&b"/dev"[..], b"/proc", b"/sys"];
    let only_below = [&b"/run/credentials/"[..], b"/var/lib/docker/", b"/var/lib/containers/storage/"];
    let below = |rest: &[u8]| rest.is_empty() || rest[0] == b'/';
    with_all_below.iter().any(|prefix| path.strip_prefix(*prefix).is_some_and(below))
        || only_below.iter().any(|prefix| path.strip_prefix(*prefix).is_some_and(|rest| !rest.is_empty()))
}

/// The kernel writes space, tab, line end and backslash as `\040`.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let octal = after
            .get(..3)
            .filter(|digits| *first == b'\\' && digits.iter().all(|digit| (b'0'..=b'7').contains(digit)));
        match octal.and_then(|digits| {
            digits.iter().try_fold(0_u8, |sum, digit| sum.checked_mul(8)?.checked_add(digit - b'0'))
        }) {
            Some(byte) => {
                out.push(byte);
                rest = &after[3..];
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
28 27 0:25 / /mnt/with\\040space\\134 ro,nosuid - tmpfs tmpfs rw,size=4k
29 27 254:0 / / ro,relatime - ext4 /dev/vda rw,discard
30 27 0:40 / /data rw - nfs4 server:/data rw
31 27 0:41 / /var/lib/docker/overlay2/x/merged rw - tmpfs overlay rw
32 27 0:42 / /var/lib/docker rw - xfs /dev/vdb ro
33 27 0:43 / /developer rw master:1 propagate_from:2 - btrfs /dev/vdc rw
34 27 0:44 / /dev/shm rw - tmpfs tmpfs rw
35 27 broken
";

    #[test]
    fn what_is_worth_measuring() {
        let mounts = parse(TABLE);
        let seen: Vec<_> = mounts
            .iter()
            .map(|mount| (mount.id, &*mount.mountpoint, &*mount.device, &*mount.kind, mount.readonly))
            .collect();
        assert_eq!(
            seen,
            [
                (29, "/", "/dev/vda", "ext4", true),
                (28, "/mnt/with space\\", "tmpfs", "tmpfs", true),
                (32, "/var/lib/docker", "/dev/vdb", "xfs", true),
                (33, "/developer", "/dev/vdc", "btrfs", false),
            ]
        );
        assert_eq!(mounts[0].number, (254, 0));
        assert_eq!(root_id(TABLE), Some(29));
    }

    #[test]
    fn what_is_no_escape_stays() {
        assert_eq!(unescape(b"a\\b\\04\\777\\"), b"a\\b\\04\\777\\");
    }
}
