//! The thread: reads the mount table where it changed, and asks one file system after the other.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::super::mounts::{self, Mount};
use super::super::source::Source;
use super::{Answer, Ask, Shared, Space, Volume};

/// Where the mounts are listed, and below what they are seen from here.
#[derive(Debug)]
pub(crate) struct Table {
    source: Source,
    path: PathBuf,
    base: PathBuf,
    /// The list is of another mount namespace: what is at a path here may be something else there.
    foreign: bool,
    mounts: Option<Arc<[Arc<Mount>]>>,
    buffer: Vec<u8>,
}

impl Table {
    /// `foreign` is a list of another mount namespace than this process is in.
    pub(crate) fn new(path: PathBuf, base: PathBuf, foreign: bool) -> Self {
        Self { source: Source::new(path.clone()), path, base, foreign, mounts: None, buffer: Vec::new() }
    }

    /// Returns another one that has read nothing yet.
    pub(super) fn anew(&self) -> Self {
        Self::new(self.path.clone(), self.base.clone(), self.foreign)
    }

    /// Returns below which folder mounts must be shown to be what the list says.
    pub(super) fn visible_below(&self) -> Option<&Path> {
        self.foreign.then_some(&*self.base)
    }

    /// Returns the mounts worth asking, with their paths as they are seen from here.
    fn mounts(&mut self) -> Arc<[Arc<Mount>]> {
        if let Some(mounts) =
            self.mounts.as_ref().filter(|_| self.source.file().is_ok_and(|file| !has_changed(file)))
        {
            return Arc::clone(mounts);
        }
        let known = self.source.read(&mut self.buffer).is_some();
        let mut mounts = if known { mounts::parse(&self.buffer) } else { Vec::new() };
        for mount in &mut mounts {
            // `/` stays the folder itself.
            let below = mount.path.strip_prefix("/").unwrap_or(&mount.path);
            mount.path = self.base.join(below);
        }
        // The list of a host with many containers is long, and what is kept of it short.
        self.buffer = Vec::new();
        let mounts: Arc<[Arc<Mount>]> = mounts.into_iter().map(Arc::new).collect();
        self.mounts = known.then(|| Arc::clone(&mounts));
        mounts
    }
}

/// Tells whether something was mounted or unmounted since the file was read: the kernel says so by an urgent event.
fn has_changed(file: &File) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    // Where it cannot be told, it is read again.
    poll(&mut [PollFd::new(file, PollFlags::PRI)], Some(&now)).map_or(true, |events| events > 0)
}

/// Asks a file system for its room.
pub(super) fn ask(mount: &Mount) -> Answer {
    let Ok(room) = rustix::fs::statvfs(&mount.path) else { return Answer::Failed };
    let bytes = |blocks: u64| blocks.saturating_mul(room.f_frsize);
    Answer::Space(Space {
        size_bytes: bytes(room.f_blocks),
        free_bytes: bytes(room.f_bfree),
        available_bytes: bytes(room.f_bavail),
        files: room.f_files,
        files_free: room.f_ffree,
    })
}

/// Tells whether what is seen at the mount's path is that mount.
pub(super) fn is_same(base: &Path, mount: &Mount) -> bool {
    // Every subvolume of btrfs has a number of its own, which the list does not tell.
    rustix::fs::stat(&mount.path).is_ok_and(|stat| {
        let number = (rustix::fs::major(stat.st_dev), rustix::fs::minor(stat.st_dev));
        number == mount.number || (&*mount.kind == "btrfs" && base != Path::new("/"))
    })
}

/// Looks whenever it is wanted, until it is told to end or another has taken its place.
pub(super) fn work(shared: &Shared, epoch: u64, mut table: Table, ask: &Ask) {
    let mut told = false;
    while let Some(stuck) = next(shared, epoch) {
        let mounts = table.mounts();
        let mut volumes = Vec::with_capacity(mounts.len());
        for mount in mounts.iter() {
            let answer = if stuck.iter().any(|stuck| stuck.is(mount)) {
                Answer::Stuck
            } else {
                let Some(answer) = ask_one(shared, epoch, mount, ask) else { return };
                answer
            };
            volumes.push(Volume { mount: Arc::clone(mount), answer });
        }
        let hidden = |volume: &Volume| volume.answer == Answer::Hidden;
        if !volumes.is_empty() && volumes.iter().all(hidden) && !std::mem::replace(&mut told, true) {
            tracing::warn!(
                "the host's file systems cannot be seen from this container: mount the host's `/` into it, read-only"
            );
        }
        let mut state = shared.lock();
        if state.epoch != epoch {
            return;
        }
        if state.looked.as_ref().is_none_or(|(known, _)| **known != *volumes) {
            state.looked = Some((volumes.into(), Instant::now()));
        } else if let Some((_, at)) = &mut state.looked {
            *at = Instant::now();
        }
    }
}

/// Waits until a look is wanted; returns the mounts to leave out, or nothing where it is over.
fn next(shared: &Shared, epoch: u64) -> Option<Vec<Arc<Mount>>> {
    let mut state = shared.lock();
    loop {
        if state.epoch != epoch {
            return None;
        }
        if state.ended {
            state.idle = true;
            return None;
        }
        if std::mem::take(&mut state.wanted) {
            state.idle = false;
            return Some(state.stuck.clone());
        }
        state.idle = true;
        shared.changed.notify_all();
        state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
}

/// Asks one of them, and returns nothing where it took so long that another took over.
fn ask_one(shared: &Shared, epoch: u64, mount: &Arc<Mount>, ask: &Ask) -> Option<Answer> {
    {
        let mut state = shared.lock();
        if state.epoch != epoch || state.ended {
            return None;
        }
        state.asking = Some((Arc::clone(mount), Instant::now()));
    }
    let answer = ask(mount);
    let mut state = shared.lock();
    if state.epoch != epoch {
        // It answers again: the next look asks it.
        state.stuck.retain(|stuck| !stuck.is(mount));
        return None;
    }
    state.asking = None;
    if state.ended {
        // Somebody waits to join this thread; else nobody cares for a single answer.
        shared.changed.notify_all();
    }
    Some(answer)
}
