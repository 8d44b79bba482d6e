//! Watches the first process of each replica through a pidfd: its end is known at once, and without the engine.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;

use futures_util::StreamExt as _;
use futures_util::future::{AbortHandle, Abortable, BoxFuture};
use futures_util::stream::FuturesUnordered;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::model::ReplicaId;

type Ending = Abortable<BoxFuture<'static, (ReplicaId, u32)>>;

/// The processes that are watched.
#[derive(Default)]
pub(super) struct Pids {
    watched: HashMap<ReplicaId, Watched>,
    endings: FuturesUnordered<Ending>,
    /// The lack of file descriptors was reported.
    warned: bool,
}

struct Watched {
    pid: u32,
    /// Closes the pidfd.
    stop: AbortHandle,
}

impl Pids {
    /// Watches the first process of a replica in place of an earlier one. A process that cannot be seen from here, or
    /// is another's, is passed over: the engine's events tell of it.
    pub(super) fn watch(&mut self, id: &ReplicaId, pid: u32) {
        if self.watched.get(id).is_some_and(|watched| watched.pid == pid) {
            return;
        }
        self.forget(id);
        match open(id, pid) {
            Ok(Some(fd)) => {
                let (stop, registration) = AbortHandle::new_pair();
                let ended_id = id.clone();
                let ending: BoxFuture<'static, _> = Box::pin(async move {
                    if fd.readable().await.is_err() {
                        // Only the end of the runtime does that, and then nobody is told any more.
                        std::future::pending::<()>().await;
                    }
                    (ended_id, pid)
                });
                self.endings.push(Abortable::new(ending, registration));
                self.watched.insert(id.clone(), Watched { pid, stop });
            }
            Ok(None) => {}
            Err(error) => self.report(id, &error),
        }
    }

    /// Stops watching.
    pub(super) fn forget(&mut self, id: &ReplicaId) {
        if let Some(watched) = self.watched.remove(id) {
            watched.stop.abort();
        }
    }

    /// Stops watching all but those for which `keep` says yes.
    pub(super) fn retain(&mut self, keep: impl Fn(&ReplicaId) -> bool) {
        self.watched.retain(|id, watched| {
            let kept = keep(id);
            if !kept {
                watched.stop.abort();
            }
            kept
        });
    }

    /// Waits for a process to end; safe to drop at any time.
    pub(super) async fn ended(&mut self) -> (ReplicaId, u32) {
        loop {
            match self.endings.next().await {
                Some(Ok((id, pid))) => {
                    if self.watched.get(&id).is_some_and(|watched| watched.pid == pid) {
                        self.watched.remove(&id);
                        return (id, pid);
                    }
                }
                Some(Err(_aborted)) => {}
                None => std::future::pending().await,
            }
        }
    }

    fn report(&mut self, id: &ReplicaId, error: &io::Error) {
        let exhausted = matches!(
            rustix::io::Errno::from_io_error(error),
            Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE | rustix::io::Errno::NOMEM)
        );
        if exhausted && !std::mem::replace(&mut self.warned, true) {
            tracing::warn!(%error, "no file descriptor left to watch processes with: raise the limit of open files");
        } else {
            tracing::debug!(container.id = %id, %error, "cannot watch the first process");
        }
    }
}

/// Opens the process if it is there and belongs to the container.
fn open(id: &ReplicaId, pid: u32) -> io::Result<Option<AsyncFd<OwnedFd>>> {
    let Some(raw) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
    let fd = match pidfd_open(raw, PidfdFlags::NONBLOCK).or_else(|_| pidfd_open(raw, PidfdFlags::empty())) {
        Ok(fd) => fd,
        // It has ended already, or runs on another host.
        Err(rustix::io::Errno::SRCH) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    // Checked after opening: a number that was given to another process in between is noticed.
    match std::fs::read_to_string(format!("/proc/{pid}/cgroup")) {
        Ok(cgroup) if cgroup.contains(id.as_str()) => {}
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    }
    Ok(Some(register(fd)?))
}

#[expect(unsafe_code, reason = "tokio registers a descriptor with epoll only against the promise below")]
fn register(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: `OwnedFd` owns an open descriptor, and nothing replaces or closes it while `AsyncFd` holds it.
    Ok(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_outside_the_container_is_passed_over() {
        let mut pids = Pids::default();
        let id = ReplicaId::new("f".repeat(64));
        pids.watch(&id, std::process::id());
        assert!(pids.watched.is_empty());
        pids.watch(&id, u32::MAX);
        pids.watch(&id, 0);
        assert!(pids.watched.is_empty());
    }

    #[tokio::test]
    async fn the_end_of_a_watched_process_is_told_once() {
        let mut child =
            tokio::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let pid = child.id().unwrap();
        let cgroup = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        let id = ReplicaId::new(cgroup.lines().next().unwrap().to_owned());
        let mut pids = Pids::default();
        pids.watch(&id, pid);
        pids.watch(&id, pid);
        assert_eq!(pids.endings.len(), 1);
        drop(child.stdin.take());
        assert_eq!(pids.ended().await, (id.clone(), pid));
        assert!(pids.watched.is_empty());
        child.wait().await.unwrap();
    }
}
