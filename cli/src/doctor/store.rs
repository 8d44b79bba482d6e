//! The store: whether the agent's folder can be written, has room, and outlives the agent; and the token in it.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, StatVfsMountFlags, access, statvfs};
use rustix::io::Errno;
use zv_agent::config::Config;

use super::finding::{Area, Finding, Findings, Level};
use super::here::{GROUP, Here};
use crate::words;

/// Files that are counted; nobody has more here.
const COUNTED: usize = 100_000;
/// Less room than this is worth a word, and less than that a problem.
const ROOM: (u64, u64) = (1 << 30, 64 << 20);

/// Looks at the store; blocks as long as its disk does.
pub(super) fn look(config: &Config, here: &Here) -> Vec<Finding> {
    let mut findings = Findings::of(Area::Store);
    let path = &config.store.path;
    let (is_there, nearest) = nearest(path);
    folder(path, is_there, &nearest, here, &mut findings);
    room(&nearest, &mut findings);
    if is_there {
        let (files, bytes) = size(path);
        let files = if files == 1 { "1 file".to_owned() } else { format!("{files} files") };
        findings.ok("kept", format!("{files}, {}", words::bytes(bytes)));
    }
    if here.contained && here.mounts.above(path).is_none_or(|point| point == Path::new("/")) {
        findings.note(
            "volume",
            format!(
                "{} is inside the container and goes with it: death records, wishes, token",
                path.display()
            ),
            format!("run the container with `-v zv-data:{}`", path.display()),
        );
    }
    token(config, here, &mut findings);
    findings.all
}

/// Returns the folder itself where it is there, else the nearest one above it that is.
fn nearest(path: &Path) -> (bool, PathBuf) {
    let mut above = path.ancestors().filter(|folder| folder.exists());
    let nearest = above.next().unwrap_or(Path::new("/")).to_owned();
    (nearest == path, nearest)
}

fn folder(path: &Path, is_there: bool, nearest: &Path, here: &Here, findings: &mut Findings) {
    let shown = path.display();
    if !nearest.is_dir() {
        let found = format!("{} is in the way: it is no folder", nearest.display());
        findings.problem("folder", found, "set `store.path` or ZV_STORE to a folder");
        return;
    }
    // The rights as the kernel sees them, without leaving anything behind.
    match access(nearest, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) if is_there => findings.ok("folder", format!("{shown}, can be written")),
        Ok(()) => findings.ok("folder", format!("{shown} is made on the first start")),
        Err(Errno::ROFS) => findings.problem(
            "folder",
            format!("{shown} is on a read-only file system: nothing is remembered"),
            here.fitting(
                format!("run the container with `-v zv-data:{shown}`"),
                "mount it writable, or set `store.path`",
            ),
        ),
        Err(error) => {
            let owner = fs::metadata(nearest).map(|found| here.names.user(found.uid())).unwrap_or_default();
            // It is the agent that must write, not whoever asks.
            let level = if here.uid == 0 { Level::Problem } else { Level::Note };
            let found = format!(
                "{} cannot be written by {}: {error} (it is {owner}'s)",
                nearest.display(),
                here.user
            );
            let advice = format!("run the agent as {owner}, `sudo chown` the folder, or set `store.path`");
            findings.at(level, "folder", found, advice);
        }
    }
}

fn room(folder: &Path, findings: &mut Findings) {
    let Ok(system) = statvfs(folder) else { return };
    if system.f_flag.contains(StatVfsMountFlags::RDONLY) {
        // Told above.
        return;
    }
    let free = system.f_bavail.saturating_mul(system.f_frsize);
    let found = format!("{} free at {}", words::bytes(free), folder.display());
    let advice = "make room there, or set `store.path` to a larger disk";
    if free < ROOM.1 {
        findings.problem("room", found, advice);
    } else if free < ROOM.0 {
        findings.note("room", found, advice);
    } else {
        findings.ok("room", found);
    }
}

/// Adds up what is below a folder; what cannot be read is left out.
fn size(folder: &Path) -> (usize, u64) {
    let (mut files, mut bytes, mut folders) = (0, 0, vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(found) = entry.metadata() else { continue };
            if found.is_dir() {
                folders.push(entry.path());
            } else if files < COUNTED {
                files += 1;
                bytes += found.len();
            }
        }
    }
    (files, bytes)
}

/// Looks at the rights of the token's file, never into it.
fn token(config: &Config, here: &Here, findings: &mut Findings) {
    if config.api.token.is_some() && linked_variable(config) {
        findings.ok("token", "given as ZV_TOKEN");
        return;
    }
    let file = &config.api.token_file;
    let shown = file.display();
    match fs::metadata(file) {
        Ok(found) if found.permissions().mode() & 0o007 != 0 => {
            let found = format!("{shown} is open to everybody, and the agent refuses it");
            findings.problem("token", found, format!("`sudo chmod o= {shown}`"));
        }
        Ok(found) => {
            let group = here.names.group(found.gid());
            let in_group = found.permissions().mode() & 0o040 != 0 && group.as_deref() == Some(GROUP);
            match here.names.gid(GROUP) {
                Some(_) if !in_group => findings.note(
                    "token",
                    format!("{shown} cannot be read by the group `{GROUP}`"),
                    format!("`sudo chgrp {GROUP} {shown} && sudo chmod 0640 {shown}`"),
                ),
                _ => findings.ok("token", format!("{shown}, for {}", whom(group.as_deref(), in_group))),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            findings.ok("token", format!("{shown} is made on the first start"));
        }
        Err(error) => findings.note("token", format!("{shown}: {error}"), "`sudo zv doctor` sees it"),
    }
}

fn whom(group: Option<&str>, in_group: bool) -> String {
    match group {
        Some(group) if in_group => format!("its owner and the group `{group}`"),
        _ => "its owner".to_owned(),
    }
}

/// Says whether the token came with the environment, which leaves its file without a meaning.
fn linked_variable(config: &Config) -> bool {
    matches!(config.place("ZV_TOKEN"), zv_agent::config::Place::Variable(_))
}

#[cfg(test)]
mod tests {
    use super::super::here::tests::here;
    use super::*;

    fn of(check: impl FnOnce(&mut Findings)) -> Vec<Finding> {
        let mut findings = Findings::of(Area::Store);
        check(&mut findings);
        findings.all
    }

    #[test]
    fn a_folder_to_be_made_is_fine_and_a_file_in_the_way_is_not() {
        let folder_ = tempfile::tempdir().unwrap();
        let path = folder_.path().join("a/b");
        let (is_there, above) = nearest(&path);
        assert!(!is_there && above == folder_.path());
        let found = of(|findings| folder(&path, is_there, &above, &here(false, 0), findings));
        assert!(found[0].found.ends_with("is made on the first start"), "{found:?}");
        fs::write(folder_.path().join("a"), "").unwrap();
        let (is_there, above) = nearest(&path);
        let found = of(|findings| folder(&path, is_there, &above, &here(false, 0), findings));
        assert_eq!(found[0].status, Level::Problem);
        let read_only =
            of(|findings| folder(Path::new("/proc/1"), true, Path::new("/proc/1"), &here(true, 0), findings));
        assert!(!read_only.is_empty());
    }

    #[test]
    fn what_is_kept_is_added_up() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("deaths")).unwrap();
        fs::write(folder.path().join("deaths/a"), "12345").unwrap();
        fs::write(folder.path().join("b"), "123").unwrap();
        assert_eq!(size(folder.path()), (2, 8));
        assert_eq!(size(Path::new("/no/such")), (0, 0));
    }
}
