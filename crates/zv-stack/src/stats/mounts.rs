//! Where control groups are mounted, and which folder stands for the group that a process is in.

use std::path::{Path, PathBuf};

/// One mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    pub version: Version,
    /// The group that the mount shows as its top.
    pub root: String,
    pub point: PathBuf,
    /// The controllers of a version 1 hierarchy.
    controllers: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    One,
    Two,
}

impl Mount {
    /// Says whether this hierarchy has the controller; version 2 is asked by no name.
    pub(super) fn has(&self, controller: &str) -> bool {
        self.version == Version::One && self.controllers.iter().any(|name| name == controller)
    }

    /// Returns the name of a folder of this hierarchy, as the host says it.
    pub(super) fn group_of(&self, folder: &Path) -> Option<String> {
        let below = folder.strip_prefix(&self.point).ok()?.to_str()?;
        let root = self.root.trim_end_matches('/');
        // A top that lies above the own namespace has no name here; what is below it has.
        let root = if root.contains("..") { "" } else { root };
        Some(format!("{root}/{below}"))
    }
}

/// Parses the control groups out of `/proc/self/mountinfo`; every path is put below `at`.
pub(super) fn parse_mounts(mountinfo: &str, at: &Path) -> Vec<Mount> {
    mountinfo.lines().filter_map(|line| parse_mount(line, at)).collect()
}

fn parse_mount(line: &str, at: &Path) -> Option<Mount> {
    let (place, kind) = line.split_once(" - ")?;
    let mut kind = kind.split(' ');
    let version = match kind.next()? {
        "cgroup" => Version::One,
        "cgroup2" => Version::Two,
        _ => return None,
    };
    let options = kind.nth(1).unwrap_or_default();
    let mut place = place.split(' ').skip(3);
    let (root, point) = (unescape(place.next()?), unescape(place.next()?));
    let controllers =
        if version == Version::One { options.split(',').map(str::to_owned).collect() } else { Vec::new() };
    Some(Mount { version, root, point: at.join(point.trim_start_matches('/')), controllers })
}

/// Spaces and the like stand as `\040`.
fn unescape(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.get(..3).and_then(|octal| u8::from_str_radix(octal, 8).ok()).filter(u8::is_ascii) {
            Some(byte) => {
                plain.push(char::from(byte));
                plain.push_str(&part[3..]);
            }
            None => {
                plain.push('\\');
                plain.push_str(part);
            }
        }
    }
    plain
}

/// One line of `/proc/PID/cgroup`: `4:memory:/docker/…` or `0::/system.slice/…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Membership<'a> {
    version: Version,
    controllers: &'a str,
    /// Cut behind the part that carries the container's id: inside, a process may be in a group further down.
    pub path: &'a str,
}

/// Parses the lines of `/proc/PID/cgroup` that name the container's own group.
pub(super) fn memberships<'a>(text: &'a str, id: &'a str) -> impl Iterator<Item = Membership<'a>> + Clone {
    text.lines().filter_map(move |line| {
        let mut parts = line.splitn(3, ':');
        let (number, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let version = if number == "0" && controllers.is_empty() { Version::Two } else { Version::One };
        Some(Membership { version, controllers, path: cut_behind(path, id)? })
    })
}

impl Membership<'_> {
    /// Says whether it is a membership in this hierarchy.
    pub(super) fn is_in(&self, mount: &Mount) -> bool {
        self.version == mount.version
            && (mount.version == Version::Two || self.controllers.split(',').any(|name| mount.has(name)))
    }
}

/// Cuts a path behind the last part that carries the id.
fn cut_behind<'a>(path: &'a str, id: &str) -> Option<&'a str> {
    let mut end = path.len();
    loop {
        let kept = &path[..end];
        let start = kept.rfind('/').map_or(0, |at| at + 1);
        if id_in(&kept[start..]) == Some(id) {
            return Some(kept);
        }
        end = start.checked_sub(1)?;
    }
}

/// Returns the container's id in the name of a group's folder: `ID`, `docker-ID.scope`, `libpod-ID.scope`.
pub(super) fn id_in(name: &str) -> Option<&str> {
    let name = name.strip_suffix(".scope").unwrap_or(name);
    let (kind, id) = name.rsplit_once(['-', ':']).unwrap_or(("", name));
    // A monitor is in a group of its own that carries the id of what it monitors.
    let is_id = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_id && !kind.ends_with("conmon")).then_some(id)
}

/// Returns the folder of the group `path` below a mount; none for the top, and for what lies outside of the mount.
pub(super) fn folder_in(mount: &Mount, path: &str) -> Option<PathBuf> {
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

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4b10fdb69899c37ecd4eede2c08124ee5580cc62c6d4b2eda9071150b9241f46";
    const OUTER: &str = "0000000000000000000000000000000000000000000000000000000000000001";

    fn mount(line: &str) -> Mount {
        parse_mount(line, Path::new("/")).expect("a mount of control groups")
    }

    #[test]
    fn a_group_carries_the_id_in_several_ways() {
        for name in [ID.to_owned(), format!("docker-{ID}.scope"), format!("libpod-{ID}.scope")] {
            assert_eq!(id_in(&name), Some(ID), "{name}");
        }
        for name in [format!("libpod-conmon-{ID}.scope"), ID[1..].to_owned(), "docker".to_owned()] {
            assert_eq!(id_in(&name), None, "{name}");
        }
    }

    #[test]
    fn what_runs_further_down_belongs_to_the_container() {
        let text =
            format!("0::/system.slice/docker-{ID}.scope/init.scope\n4:memory:/docker/{OUTER}/docker/{ID}\n");
        let paths: Vec<_> = memberships(&text, ID).map(|membership| membership.path).collect();
        assert_eq!(
            paths,
            [format!("/system.slice/docker-{ID}.scope"), format!("/docker/{OUTER}/docker/{ID}")]
        );
        assert_eq!(memberships(&text, OUTER).count(), 1);
        assert_eq!(memberships("0::/\nnonsense\n", ID).count(), 0);
    }

    #[test]
    fn a_mount_inside_a_container_shows_its_own_group_as_the_top() {
        let inside = mount("34 30 0:31 /docker/outer /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory");
        let folder = folder_in(&inside, "/docker/outer/inner").expect("it is below");
        assert_eq!(folder, Path::new("/sys/fs/cgroup/memory/inner"));
        assert_eq!(inside.group_of(&folder).as_deref(), Some("/docker/outer/inner"));
        assert_eq!(folder_in(&inside, "/docker/outermost/inner"), None);
        assert_eq!(folder_in(&inside, "/docker/outer"), None);
    }

    #[test]
    fn a_namespace_shows_what_is_above_it_by_dots() {
        let above = mount("34 30 0:31 /.. /host/cgroup ro - cgroup2 cgroup2 rw");
        let folder = folder_in(&above, "/../x").expect("it is below");
        assert_eq!(folder, Path::new("/host/cgroup/x"));
        assert_eq!(above.group_of(&folder).as_deref(), Some("/x"));
        let own = mount("34 30 0:31 / /sys/fs/cgroup ro - cgroup2 cgroup2 rw");
        assert_eq!(folder_in(&own, "/../x"), None);
        assert_eq!(folder_in(&own, "/"), None);
    }

    #[test]
    fn a_mount_point_may_hold_spaces() {
        let mount = mount(r"34 30 0:31 / /mnt/with\040space\134 ro - cgroup2 cgroup2 rw");
        assert_eq!(mount.point, Path::new(r"/mnt/with space\"));
        assert!(parse_mount("34 30 0:31 / /proc rw - proc proc rw", Path::new("/")).is_none());
    }
}
