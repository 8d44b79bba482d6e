//! Where the doctor stands: in a container or not, as which user, with which groups. Advice depends on it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use zv_stack::visibility::Mounts;

use super::finding::{Area, Finding, Findings};

/// The group whose members may use the agent's socket and token.
pub(super) const GROUP: &str = "zv";

/// The namespaces that the kernel begins with have fixed numbers.
const FIRST_UTS: &str = "uts:[4026531838]";
const FIRST_IPC: &str = "ipc:[4026531839]";

/// What is known of this process' place.
#[derive(Debug, Clone)]
pub(super) struct Here {
    pub(super) contained: bool,
    pub(super) uid: u32,
    pub(super) user: String,
    /// The groups this process has, which may be fewer than the user's.
    pub(super) groups: BTreeSet<u32>,
    pub(super) mounts: Mounts,
    pub(super) names: Names,
}

impl Here {
    /// Looks around.
    pub(super) fn look() -> Self {
        let names = Names::read();
        let uid = rustix::process::geteuid().as_raw();
        let mut groups: BTreeSet<u32> = rustix::process::getgroups()
            .unwrap_or_default()
            .into_iter()
            .map(rustix::process::Gid::as_raw)
            .collect();
        groups.insert(rustix::process::getegid().as_raw());
        Self { contained: is_contained(), uid, user: names.user(uid), groups, mounts: Mounts::read(), names }
    }

    /// Returns the one of two pieces of advice that fits.
    pub(super) fn fitting(&self, contained: impl Into<String>, bare: impl Into<String>) -> String {
        if self.contained { contained.into() } else { bare.into() }
    }

    /// Returns how this user gets into a group: what to type, or the option of a container.
    pub(super) fn joining(&self, gid: u32) -> String {
        let group = self.names.group(gid);
        if self.contained {
            return format!("run the container with `--group-add {gid}`, or as root");
        }
        let name = group.clone().unwrap_or_else(|| gid.to_string());
        if group.is_some_and(|group| self.names.is_member(&self.user, &group)) {
            return format!("`{}` is in the group `{name}` since its last login: log in again", self.user);
        }
        format!("`sudo usermod -aG {name} {}`, then log in again", self.user)
    }
}

fn is_contained() -> bool {
    let signs = ["/.dockerenv", "/run/.containerenv", "/var/run/secrets/kubernetes.io"];
    let namespace = |name: &str| fs::read_link(format!("/proc/self/ns/{name}")).unwrap_or_default();
    // A machine whose disk was made from an image has such a file, too, and the kernel's first namespaces.
    let is_first = namespace("uts") == Path::new(FIRST_UTS) && namespace("ipc") == Path::new(FIRST_IPC);
    !is_first && signs.iter().any(|sign| Path::new(sign).exists())
}

/// The system's users and groups. Read directly: a static binary has no name service.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    passwd: String,
    group: String,
}

impl Names {
    fn read() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        Self { passwd: read("/etc/passwd"), group: read("/etc/group") }
    }

    /// Returns the name of a user, or the number where there is no name.
    pub(super) fn user(&self, uid: u32) -> String {
        let found = name_of(&self.passwd, uid);
        found.unwrap_or_else(|| if uid == 0 { "root".to_owned() } else { format!("user {uid}") })
    }

    /// Returns the name of a group.
    pub(super) fn group(&self, gid: u32) -> Option<String> {
        name_of(&self.group, gid)
    }

    /// Returns the number of a group.
    pub(super) fn gid(&self, name: &str) -> Option<u32> {
        let line = self.group.lines().find(|line| line.split(':').next() == Some(name))?;
        line.split(':').nth(2)?.parse().ok()
    }

    fn is_member(&self, user: &str, group: &str) -> bool {
        let line = self.group.lines().find(|line| line.split(':').next() == Some(group));
        let members = line.and_then(|line| line.split(':').nth(3)).unwrap_or_default();
        members.split(',').any(|member| member == user)
    }
}

fn name_of(table: &str, number: u32) -> Option<String> {
    let line = table
        .lines()
        .find(|line| line.split(':').nth(2).and_then(|field| field.parse().ok()) == Some(number))?;
    line.split(':').next().map(str::to_owned)
}

/// Says what differs where the agent runs as somebody else.
pub(super) fn judge(here: &Here, agents_uid: Option<u32>) -> Vec<Finding> {
    let mut findings = Findings::of(Area::Agent);
    if let Some(uid) = agents_uid.filter(|uid| *uid != here.uid) {
        let (own, agent) = (&here.user, here.names.user(uid));
        let how =
            if uid == 0 { "`sudo zv doctor`".to_owned() } else { format!("`sudo -u '#{uid}' zv doctor`") };
        findings.note(
            "user",
            format!("it runs as {agent}: {own}, who looks here, may see more or less"),
            format!("{how} sees what it sees"),
        );
    }
    findings.all
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::finding::Level;
    use super::*;

    pub(crate) fn here(contained: bool, uid: u32) -> Here {
        let names = Names {
            passwd: "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n".into(),
            group: "root:x:0:\ndocker:x:999:bob\nzv:x:990:ann\n".into(),
        };
        Here { contained, uid, user: names.user(uid), groups: [uid].into(), mounts: Mounts::read(), names }
    }

    #[test]
    fn joining_a_group_fits_the_place() {
        assert_eq!(here(false, 1000).joining(999), "`sudo usermod -aG docker ann`, then log in again");
        assert!(here(false, 1000).joining(990).ends_with("log in again"));
        assert!(here(false, 1000).joining(990).starts_with("`ann` is in the group `zv`"));
        assert_eq!(here(true, 1000).joining(999), "run the container with `--group-add 999`, or as root");
        assert_eq!(here(false, 1000).joining(77), "`sudo usermod -aG 77 ann`, then log in again");
    }

    #[test]
    fn another_user_than_the_agents_is_told() {
        assert!(judge(&here(false, 1000), None).is_empty());
        assert!(judge(&here(false, 1000), Some(1000)).is_empty());
        assert_eq!(judge(&here(false, 1000), Some(0))[0].status, Level::Note);
        assert!(judge(&here(false, 0), Some(1000))[0].advice.as_ref().unwrap().contains("'#1000'"));
        assert_eq!(here(false, 42).user, "user 42");
    }
}
