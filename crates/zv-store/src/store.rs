//! The store as its one writer has it.

mod keep;
mod open;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use zv_model::{Labels, Sample};

use crate::error::{AppendError, StoreError};
use crate::files::{Files, Handle};
use crate::head::{Appended, Head, SeriesRef, Source};
use crate::options::{Limits, Options, Rules};
use crate::reader::{Reader, Shared};
use crate::wal::{Cursor, Follower, Syncer, Wal};

/// Whether what is committed survives the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It is in the log.
    Durable,
    /// The disk takes nothing: samples are in memory only, until [`Store::maintain`] finds that it does again.
    MemoryOnly,
}

/// The writer's half of a store. Samples can be read as soon as they are appended; they survive the process once they are
/// committed, and the machine once they are synced.
pub struct Store {
    shared: Arc<Shared>,
    head: Head,
    disk: Option<DiskHalf>,
    rules: Rules,
    limits: Limits,
    keep_bytes: u64,
    /// Samples since the last commit.
    uncommitted: usize,
    tally: Tally,
}

/// What a store on a disk has beyond one in memory.
#[derive(Debug)]
struct DiskHalf {
    files: Arc<dyn Files>,
    folder: PathBuf,
    wal: Wal,
    /// The log's bytes, ever written, when the last checkpoint was made.
    checkpoint_at: u64,
    /// Held as long as the store is open. None where the disk did not take it.
    _lock: Option<Arc<dyn Handle>>,
}

/// Counts that are handed on with each commit: a shared counter for each sample would cost as much as the sample.
#[derive(Debug, Default)]
struct Tally {
    samples: u64,
    late: u64,
    same: u64,
    differing: u64,
    too_old: u64,
    over_limit: u64,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folder = self.disk.as_ref().map(|disk| &disk.folder);
        f.debug_struct("Store").field("folder", &folder).finish_non_exhaustive()
    }
}

impl Store {
    /// Returns a store without a disk.
    pub fn in_memory(options: &Options) -> Self {
        Self::assemble(options, Arc::new(crate::files::Disk), None)
    }

    /// Returns the other half, for queries. It can be cloned and used by many.
    pub fn reader(&self) -> Reader {
        Reader { shared: Arc::clone(&self.shared) }
    }

    /// Returns what syncs the log, for a thread of its own.
    pub fn syncer(&self) -> Syncer {
        match &self.disk {
            Some(disk) => disk.wal.syncer(),
            None => Syncer::idle(Arc::new(crate::files::Disk), Arc::clone(&self.shared.counters)),
        }
    }

    /// Appends a sample to the series of these labels, which is made if it is not there. The reference that is returned
    /// appends to it faster.
    pub fn append(
        &mut self,
        source: Source,
        labels: &Labels,
        sample: Sample,
    ) -> Result<(SeriesRef, Appended), AppendError> {
        let taken = self.room().and_then(|()| self.head.append(source, labels, sample));
        let result = taken.and_then(|taken| {
            let series = self.head.ref_of(taken.slot).ok_or(AppendError::UnknownSeries)?;
            self.log(taken.slot, taken.appended, sample);
            Ok((series, taken.appended))
        });
        self.tally.count(result.as_ref().map(|(_, appended)| *appended));
        result
    }

    /// Appends a sample to a series. Fails where the series is gone: then it is made again by [`Store::append`].
    pub fn append_to(&mut self, series: SeriesRef, sample: Sample) -> Result<Appended, AppendError> {
        let result = self.room().and_then(|()| {
            let slot = self.head.slot_of(series).ok_or(AppendError::UnknownSeries)?;
            let appended = self.head.append_to(slot, sample)?;
            self.log(slot, appended, sample);
            Ok(appended)
        });
        self.tally.count(result.as_ref().copied());
        result
    }

    /// Writes what was appended to the log, so that it survives the process.
    pub fn commit(&mut self) -> Condition {
        self.uncommitted = 0;
        self.tally.hand_on(&self.shared.counters);
        if let Some(disk) = &mut self.disk {
            disk.wal.commit();
        }
        self.condition()
    }

    /// Says whether what is committed survives the process. A store that has no disk is as durable as it was meant to be.
    pub fn condition(&self) -> Condition {
        let is_writing = self.disk.as_ref().is_none_or(|disk| disk.wal.is_writing());
        self.shared.counters.memory_only.set(u64::from(!is_writing));
        if is_writing { Condition::Durable } else { Condition::MemoryOnly }
    }

    /// Removes a series and its samples in memory; those in blocks stay until their time has come.
    pub fn remove(&mut self, series: SeriesRef) -> bool {
        let slot = self.head.slot_of(series);
        let Some(series) = slot.and_then(|slot| self.head.series(slot).cloned()) else { return false };
        if let Some(disk) = &mut self.disk {
            // What was appended to it comes first.
            disk.wal.commit();
            disk.wal.add_removed(&series);
        }
        self.head.remove(&series);
        true
    }

    /// Returns what reads the log behind the writer, from a place on or from its end; nothing for a store without a disk.
    /// Segments are kept for it under its name: it is asked for again right after a store was opened, before
    /// [`Store::maintain`].
    pub fn follow(&self, name: &str, from: Option<Cursor>) -> Result<Option<Follower>, StoreError> {
        self.disk.as_ref().map(|disk| disk.wal.follow(name, from)).transpose()
    }

    /// Keeps nothing any more for somebody who followed.
    pub fn unfollow(&self, name: &str) {
        if let Some(disk) = &self.disk {
            disk.wal.unfollow(name);
        }
    }

    fn room(&mut self) -> Result<(), AppendError> {
        let limit = self.limits.samples_per_commit;
        if self.uncommitted >= limit {
            return Err(AppendError::TooManySamples { limit });
        }
        self.uncommitted += 1;
        Ok(())
    }

    fn log(&mut self, slot: u32, appended: Appended, sample: Sample) {
        if matches!(appended, Appended::Newest | Appended::Late)
            && let (Some(disk), Some(series)) = (&mut self.disk, self.head.series(slot))
        {
            disk.wal.add(series, sample);
        }
    }
}

impl Tally {
    fn count(&mut self, result: Result<Appended, &AppendError>) {
        match result {
            Ok(Appended::Newest) => self.samples += 1,
            Ok(Appended::Late) => {
                self.samples += 1;
                self.late += 1;
            }
            Ok(Appended::Same) => self.same += 1,
            Ok(Appended::Differs) => self.differing += 1,
            Err(AppendError::TooOld { .. } | AppendError::TimeOutOfRange { .. }) => self.too_old += 1,
            Err(AppendError::UnknownSeries) => {}
            Err(_) => self.over_limit += 1,
        }
    }

    fn hand_on(&mut self, counters: &crate::counters::Counters) {
        let tally = std::mem::take(self);
        counters.samples.add(tally.samples);
        counters.late.add(tally.late);
        counters.same.add(tally.same);
        counters.differing.add(tally.differing);
        counters.too_old.add(tally.too_old);
        counters.over_limit.add(tally.over_limit);
    }
}
