//! Probes on a schedule: those of the configuration, and those that labels of replicas ask for.
//!
//! [`Probes`] is the handle that everybody reads; one task, [`run`], owns the schedule. A probe is known by its content:
//! whatever is the same after a reload or a change of the stack keeps its judge, its history and its counters. Nothing
//! here writes to disk or asks the runtime, so that neither can hold up a probe; a target that hangs holds up nobody but
//! itself.

mod board;
mod history;
mod once;
mod runner;
#[cfg(test)]
mod tests;
mod wanted;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, watch};
use zv_api::Host;
use zv_probe::{Prober, Trust};

pub(crate) use self::board::{Seen, VERDICTS};
pub(crate) use self::history::phases;
pub use self::once::{Asked, Found, Refused};
pub use self::runner::run;
pub(crate) use self::wanted::{LabelledReplica, Owner};

use self::board::Board;
use crate::config;

/// The results that come with each probe of a list.
const LISTED: usize = 10;
/// Probes that somebody asked for by `/probe` at once.
const ONCE_AT_ONCE: usize = 32;

/// A handle to all probes of the agent. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Probes {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    host: Host,
    prober: Arc<Prober>,
    /// Locked for the time of a copy, never across an await; never while another lock is waited for.
    board: Mutex<Board>,
    configured: watch::Sender<Vec<Arc<config::Probe>>>,
    once: Semaphore,
}

impl Probes {
    /// Returns a handle without probes.
    pub fn new(host: Host) -> Self {
        let prober = Arc::new(Prober::new(Arc::new(Trust::system())));
        let inner = Inner {
            host,
            prober,
            board: Mutex::default(),
            configured: watch::Sender::new(Vec::new()),
            once: Semaphore::new(ONCE_AT_ONCE),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Takes the probes of a configuration. Those that did not change go on as they were.
    pub fn configure(&self, probes: Vec<Arc<config::Probe>>) {
        self.inner.configured.send_replace(probes);
    }

    /// Returns all probes with their last results.
    pub fn list(&self) -> zv_api::Probes {
        zv_api::Probes { host: self.inner.host.clone(), probes: self.board().views(LISTED) }
    }

    /// Returns one probe with all results that are kept.
    pub fn one(&self, id: &str) -> Option<zv_api::Probe> {
        self.board().view(id, usize::MAX)
    }

    /// Returns all probes with the last result of each.
    pub(crate) fn latest(&self) -> Vec<zv_api::Probe> {
        self.board().views(1)
    }

    /// Reads what is known of each probe, in the order of their names.
    pub(crate) fn read<T>(&self, mut read: impl FnMut(&Seen<'_>) -> T) -> Vec<T> {
        self.board().seen().map(|seen| read(&seen)).collect()
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        // Nothing that holds the lock can leave the board half changed in a way that matters more than going on.
        self.inner.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
