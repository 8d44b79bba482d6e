//! Measures file systems on a thread of their own: a server or a disk that is gone makes `statvfs` wait for ever, and
//! nothing else here may wait with it.
//!
//! A look at all of them is asked for and its result taken when it is there. A mount that does not answer in time is
//! marked, and left out until it answers; its thread is replaced. How many threads may be lost that way is bounded.

mod worker;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use super::mounts::Mount;
pub(super) use worker::Table;

/// How long a file system may take before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a measurement waits for a look it asked for, where nothing is late: they take microseconds.
const BRIEFLY: Duration = Duration::from_millis(5);

/// What is known of the others is not shown for longer than this, where no thread is left to look.
const TOO_OLD: Duration = Duration::from_secs(60);

/// The threads that may wait for ever.
const MOST_STUCK: usize = 8;

const STACK_BYTES: usize = 128 << 10;

/// The room in a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Space {
    pub(crate) size_bytes: u64,
    pub(crate) free_bytes: u64,
    pub(crate) available_bytes: u64,
    pub(crate) files: u64,
    pub(crate) files_free: u64,
}

/// What a file system says when it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Space(Space),
    /// It refused.
    Failed,
    /// It does not answer.
    Stuck,
    /// It is not to be seen from here.
    Hidden,
}

/// A file system, and what it said last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Volume {
    pub(crate) mount: Arc<Mount>,
    pub(crate) answer: Answer,
}

/// Asks one file system; it may never return.
type Ask = Arc<dyn Fn(&Mount) -> Answer + Send + Sync>;

/// All of them, and the thread that looks at them.
pub(super) struct FileSystems {
    shared: Arc<Shared>,
    table: Table,
    ask: Ask,
    patience: Duration,
    worker: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for FileSystems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileSystems").field("table", &self.table).finish_non_exhaustive()
    }
}

/// What both sides see. Held for moments only, never while a file system is asked.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Which thread is the one that looks; those before it are lost, or about to find out.
    epoch: u64,
    /// It waits, or has ended.
    idle: bool,
    wanted: bool,
    ended: bool,
    asking: Option<(Arc<Mount>, Instant)>,
    stuck: Vec<Arc<Mount>>,
    looked: Option<(Arc<[Volume]>, Instant)>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that holds it can leave it half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Returns the mount that has been asked for too long.
    fn late(&self, patience: Duration) -> Option<&Arc<Mount>> {
        self.asking.as_ref().filter(|(_, since)| since.elapsed() > patience).map(|(mount, _)| mount)
    }
}

impl FileSystems {
    pub(super) fn new(table: Table) -> Self {
        Self::with(table, Arc::new(worker::ask), PATIENCE)
    }

    fn with(table: Table, ask: Ask, patience: Duration) -> Self {
        let ask: Ask = match table.visible_below() {
            None => ask,
            Some(base) => {
                let base = base.to_owned();
                Arc::new(move |mount| if worker::is_same(&base, mount) { ask(mount) } else { Answer::Hidden })
            }
        };
        Self { shared: Arc::default(), table, ask, patience, worker: None }
    }

    /// Asks for a look at all of them, and does not wait for it.
    pub(super) fn look(&mut self) {
        self.give_up_the_late();
        self.notice_a_panic();
        if self.worker.is_none() {
            self.start();
        }
        self.shared.lock().wanted = true;
        self.shared.changed.notify_all();
    }

    /// Returns what is known: of the look that was asked for, where it ends within moments, else of the one before.
    /// Absent before the first.
    pub(super) fn volumes(&self) -> Option<Arc<[Volume]>> {
        let begun = Instant::now();
        let mut state = self.shared.lock();
        while state.wanted || !state.idle {
            let left = BRIEFLY.saturating_sub(begun.elapsed());
            let late = state.asking.as_ref().is_some_and(|(_, since)| since.elapsed() > BRIEFLY);
            if left.is_zero() || late || self.worker.is_none() {
                break;
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let late = state.late(self.patience);
        let (known, at) = state.looked.as_ref()?;
        let is_stuck = |mount: &Mount| state.stuck.iter().chain(late).any(|stuck| stuck.is(mount));
        let too_old = late.is_some() && at.elapsed() > TOO_OLD;
        let wrong = |volume: &Volume| is_stuck(&volume.mount) != (volume.answer == Answer::Stuck);
        if !too_old && !known.iter().any(wrong) {
            return Some(Arc::clone(known));
        }
        let volumes = known.iter().filter(|volume| !too_old || is_stuck(&volume.mount)).map(|volume| {
            let answer = match (is_stuck(&volume.mount), volume.answer) {
                (true, _) => Answer::Stuck,
                // It answered meanwhile, but what is not known yet.
                (false, Answer::Stuck) => Answer::Hidden,
                (false, answer) => answer,
            };
            Volume { mount: Arc::clone(&volume.mount), answer }
        });
        Some(volumes.collect())
    }

    /// Leaves a thread that has waited too long to itself, where not too many are lost already.
    fn give_up_the_late(&mut self) {
        let mut state = self.shared.lock();
        let Some(mount) = state.late(self.patience).cloned() else { return };
        if state.stuck.len() >= MOST_STUCK {
            return;
        }
        tracing::warn!(
            mountpoint = %mount.mountpoint,
            device = %mount.device,
            "a file system does not answer: it is left out until it does; see whether its disk or server is there"
        );
        if state.looked.is_none() {
            let volume = Volume { mount: Arc::clone(&mount), answer: Answer::Stuck };
            state.looked = Some(([volume].into(), Instant::now()));
        }
        state.stuck.push(mount);
        state.asking = None;
        state.epoch += 1;
        self.worker = None;
    }

    /// Makes room for another thread where one broke.
    fn notice_a_panic(&mut self) {
        if let Some(worker) = self.worker.take_if(|worker| worker.is_finished()) {
            if worker.join().is_err() {
                tracing::error!("the thread that measures file systems panicked; another one is started");
            }
            self.shared.lock().asking = None;
        }
    }

    fn start(&mut self) {
        let epoch = {
            let mut state = self.shared.lock();
            state.idle = false;
            state.epoch
        };
        let (shared, table, ask) = (Arc::clone(&self.shared), self.table.anew(), Arc::clone(&self.ask));
        let worker = Builder::new().name("zv-filesystems".to_owned()).stack_size(STACK_BYTES);
        match worker.spawn(move || worker::work(&shared, epoch, table, &ask)) {
            Ok(worker) => self.worker = Some(worker),
            Err(error) => {
                tracing::warn!(%error, "cannot start a thread that measures file systems; it is tried again");
            }
        }
    }
}

impl Drop for FileSystems {
    /// Ends the thread and joins it; one that waits for a file system is left to end by itself.
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.ended = true;
        self.shared.changed.notify_all();
        let asks = |state: &mut State| state.asking.is_some();
        let waited = self.shared.changed.wait_timeout_while(state, BRIEFLY, asks);
        state = waited.unwrap_or_else(PoisonError::into_inner).0;
        if state.asking.is_some() {
            return;
        }
        drop(state);
        if let Some(worker) = self.worker.take()
            && worker.join().is_err()
        {
            tracing::error!("the thread that measures file systems panicked");
        }
    }
}

#[cfg(test)]
mod tests;
