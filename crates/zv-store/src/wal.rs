//! The log: what was appended, written with each commit so that it survives the process, and synced by another thread so
//! that it survives the machine.

mod checkpoint;
mod follow;
pub(crate) mod record;
mod replay;
mod samples;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use zv_model::Sample;

pub(crate) use self::checkpoint::{Checkpoint, write_checkpoint};
use self::follow::Trail;
pub use self::follow::{Batch, Cursor, Follower};
#[cfg(any(test, fuzzing))]
pub(crate) use self::replay::fuzz_segment;
pub(crate) use self::replay::replay;
pub(crate) use self::samples::Chain;
use self::samples::{MOST_SAMPLES, SamplesWriter};
use crate::bytes::put_number;
use crate::counters::Counters;
use crate::error::StoreError;
use crate::files::{Files, Handle};
use crate::format::{FileKind, HEADER, put_frame};
use crate::head::{Series, Source};
use crate::sync::lock;

/// A record that has grown so large is written before the commit.
const RECORD_BYTES: usize = 512 << 10;
/// So much of the log is kept for those who follow and are late; what is older is lost to them.
const KEPT_BYTES: u64 = 256 << 20;
const SEGMENT: &str = "segment-";
const CHECKPOINT: &str = "checkpoint-";

/// The one who writes the log.
#[derive(Debug)]
pub(crate) struct Wal {
    files: Arc<dyn Files>,
    folder: PathBuf,
    counters: Arc<Counters>,
    segment_bytes: u64,
    dirty: Arc<Dirty>,
    trail: Arc<Trail>,
    /// Series that are gone, and the segment in which they went: somebody who follows may still meet their samples.
    gone: Vec<(u32, Arc<Series>)>,
    /// Segments that are kept for those who follow, at most.
    most_kept: u32,
    /// None while the disk does not take anything.
    current: Option<Current>,
    next_segment: u32,
    series: Vec<u8>,
    samples: SamplesWriter,
    removed: Vec<u8>,
}

#[derive(Debug)]
struct Current {
    segment: u32,
    handle: Arc<dyn Handle>,
    at: u64,
    /// The number of the next frame.
    number: u32,
}

/// What was written and is not yet synced.
#[derive(Debug, Default)]
struct Dirty {
    handles: Mutex<Vec<Arc<dyn Handle>>>,
    folder: Mutex<bool>,
}

/// Waits until the log is on the disk: for a thread of its own, every second.
#[derive(Debug, Clone)]
pub struct Syncer {
    files: Arc<dyn Files>,
    folder: Option<PathBuf>,
    dirty: Arc<Dirty>,
    counters: Arc<Counters>,
}

impl Syncer {
    /// Returns once everything is on the disk that was committed before the call. What could not be synced is tried again
    /// with the next call.
    pub fn sync(&self) -> io::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let handles = std::mem::take(&mut *lock(&self.dirty.handles));
        let is_new = std::mem::take(&mut *lock(&self.dirty.folder));
        let mut result = if is_new { self.files.sync_dir(folder) } else { Ok(()) };
        if result.is_err() {
            *lock(&self.dirty.folder) = true;
        }
        for handle in handles {
            if let Err(error) = handle.sync() {
                lock(&self.dirty.handles).push(handle);
                result = Err(error);
            }
        }
        if result.is_err() {
            self.counters.disk_errors.one();
        }
        result
    }

    /// Returns one for a store that has no disk.
    pub(crate) fn idle(files: Arc<dyn Files>, counters: Arc<Counters>) -> Self {
        Self { files, folder: None, dirty: Arc::default(), counters }
    }
}

impl Wal {
    /// Returns the log of a folder, in which segments from this number on are not there yet. It begins with
    /// [`Wal::begin`].
    pub(crate) fn new(
        files: Arc<dyn Files>,
        folder: PathBuf,
        counters: Arc<Counters>,
        segment_bytes: u64,
        next_segment: u32,
    ) -> Self {
        Self {
            files,
            folder,
            counters,
            segment_bytes,
            dirty: Arc::default(),
            trail: Arc::default(),
            gone: Vec::new(),
            most_kept: u32::try_from(KEPT_BYTES / segment_bytes.max(1)).unwrap_or(u32::MAX).max(2),
            current: None,
            next_segment,
            series: Vec::new(),
            samples: SamplesWriter::default(),
            removed: Vec::new(),
        }
    }

    pub(crate) fn syncer(&self) -> Syncer {
        Syncer {
            files: Arc::clone(&self.files),
            folder: Some(self.folder.clone()),
            dirty: Arc::clone(&self.dirty),
            counters: Arc::clone(&self.counters),
        }
    }

    /// Says whether the disk takes what is written.
    pub(crate) fn is_writing(&self) -> bool {
        self.current.is_some()
    }

    /// Begins a new segment and returns its number.
    pub(crate) fn begin(&mut self) -> io::Result<u32> {
        self.current = None;
        let segment = self.next_segment;
        // Never the same number twice: what is left of one that failed stays apart.
        self.next_segment += 1;
        let handle = self.files.create(&self.folder.join(format!("{SEGMENT}{segment:010}")))?;
        handle.write_all_at(&FileKind::Segment.header(), 0)?;
        *lock(&self.dirty.folder) = true;
        lock(&self.dirty.handles).push(Arc::clone(&handle));
        *lock(&self.trail.end) = Cursor { segment, offset: HEADER as u64 };
        self.current = Some(Current { segment, handle, at: HEADER as u64, number: 0 });
        Ok(segment)
    }

    pub(crate) fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// Takes nothing more until [`Wal::begin`].
    pub(crate) fn give_up(&mut self) {
        self.current = None;
    }

    /// Takes a sample, and with the first one its series.
    pub(crate) fn add(&mut self, series: &Series, sample: Sample) {
        let Some(current) = &self.current else {
            self.counters.unlogged.one();
            return;
        };
        let chain = &mut series.state().chain;
        if !chain.is_defined {
            chain.is_defined = true;
            record::put_series(&mut self.series, series.id, Source(series.source), &series.labels);
        }
        self.samples.push(series.id, chain, current.segment, sample);
        let is_large = self.samples.len() > RECORD_BYTES || self.series.len() > RECORD_BYTES;
        if is_large || self.samples.count() >= MOST_SAMPLES {
            self.write();
        }
    }

    /// Takes the end of a series.
    pub(crate) fn add_removed(&mut self, series: &Arc<Series>) {
        put_number(&mut self.removed, series.id);
        if !lock(&self.trail.needed).is_empty() {
            self.gone.push((self.next_segment, Arc::clone(series)));
        }
    }

    /// Returns the series that are gone and that somebody who follows may still meet.
    pub(crate) fn gone(&mut self) -> impl Iterator<Item = &Arc<Series>> {
        let needed = self.needed(self.next_segment);
        self.gone.retain(|(segment, _)| *segment >= needed);
        self.gone.iter().map(|(_, series)| series)
    }

    /// Returns what reads the log behind the writer, from a place on or from its end.
    pub(crate) fn follow(&self, name: &str, from: Option<Cursor>) -> Result<Follower, StoreError> {
        let (files, folder) = (Arc::clone(&self.files), self.folder.clone());
        Follower::new(files, folder, name, Arc::clone(&self.trail), from)
    }

    /// Forgets somebody who followed: nothing is kept for it any more.
    pub(crate) fn unfollow(&self, name: &str) {
        lock(&self.trail.needed).remove(name);
    }

    /// Returns the oldest segment that is needed where this one would be.
    fn needed(&self, segment: u32) -> u32 {
        let followed = lock(&self.trail.needed).values().copied().min().unwrap_or(segment);
        followed.max(segment.saturating_sub(self.most_kept)).min(segment)
    }

    /// Writes what was taken. Where that fails nothing more is taken until [`Wal::begin`].
    pub(crate) fn commit(&mut self) {
        self.write();
        if self.current.as_ref().is_some_and(|current| current.at >= self.segment_bytes)
            && let Err(error) = self.begin()
        {
            self.failed(&error, 0);
        }
    }

    fn write(&mut self) {
        let count = self.samples.count();
        let Some(current) = &mut self.current else {
            self.series.clear();
            self.removed.clear();
            return;
        };
        let samples = if count > 0 { self.samples.take() } else { Vec::new() };
        let mut out = Vec::with_capacity(self.series.len() + samples.len() + self.removed.len() + 64);
        // What is gone was written before; a series with the same labels may come after it.
        let parts =
            [(record::REMOVED, &self.removed), (record::SERIES, &self.series), (record::SAMPLES, &samples)];
        for (kind, payload) in parts {
            if !payload.is_empty() {
                put_frame(&mut out, kind, current.number, payload);
                current.number += 1;
            }
        }
        self.series.clear();
        self.removed.clear();
        self.series.shrink_to(RECORD_BYTES / 8);
        if out.is_empty() {
            return;
        }
        match current.handle.write_all_at(&out, current.at) {
            Ok(()) => {
                current.at += out.len() as u64;
                *lock(&self.trail.end) = Cursor { segment: current.segment, offset: current.at };
                self.counters.wal_bytes.add(out.len() as u64);
                let mut handles = lock(&self.dirty.handles);
                if handles.last().is_none_or(|last| !Arc::ptr_eq(last, &current.handle)) {
                    handles.push(Arc::clone(&current.handle));
                }
            }
            Err(error) => {
                // What was written of it would be cut when it is read, too.
                let _ = current.handle.cut(current.at);
                self.failed(&error, count);
            }
        }
    }

    fn failed(&mut self, _: &io::Error, samples: usize) {
        self.current = None;
        self.counters.disk_errors.one();
        self.counters.unlogged.add(samples as u64);
    }

    /// Removes what a checkpoint stands for: older ones, and the segments before it that nobody who follows needs.
    pub(crate) fn remove_before(&self, segment: u32) -> io::Result<()> {
        let needed = self.needed(segment);
        for name in self.files.list(&self.folder)? {
            let is_old = number_of(&name, SEGMENT).is_some_and(|number| number < needed)
                || number_of(&name, CHECKPOINT).is_some_and(|number| number < segment);
            if is_old {
                self.files.remove(&self.folder.join(name))?;
            }
        }
        Ok(())
    }
}

/// Returns the number in a file's name.
fn number_of(name: &str, prefix: &str) -> Option<u32> {
    name.strip_prefix(prefix)?.parse().ok()
}
