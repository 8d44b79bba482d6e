//! One series in memory: the chunk that grows, the samples that came late, and where its closed chunks lie.

use std::sync::{Mutex, MutexGuard};

use zv_model::{Labels, Sample, TimeRange, Timestamp};

use super::chunk_files::{ChunkFiles, ChunkTable, Place};
use crate::chunk::{self, XorWriter};
use crate::error::AppendError;
use crate::merge::{Body, Piece};
use crate::options::Rules;
use crate::sync::lock;
use crate::wal::Chain;

/// A chunk is closed with so many samples.
pub(crate) const CHUNK_SAMPLES: usize = 120;
/// Late samples become chunks of their own when there are so many.
const LATE_SAMPLES: usize = 64;

/// What became of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// It is the newest of its series.
    Newest,
    /// It is older than the newest, and was taken.
    Late,
    /// It was there already.
    Same,
    /// There was one with another value, which stays.
    Differs,
}

/// One series.
#[derive(Debug)]
pub(crate) struct Series {
    /// Never used again for another series.
    pub(crate) id: u64,
    pub(crate) slot: u32,
    pub(crate) source: u64,
    pub(crate) labels: Labels,
    state: Mutex<State>,
}

/// What of a series changes. Locked by the writer for each sample, by readers for the time of a copy.
#[derive(Debug, Default)]
pub(crate) struct State {
    open: XorWriter,
    /// The time of the first sample in `open`.
    open_from: Timestamp,
    /// The newest sample ever, also when its chunk is gone.
    newest: Option<Sample>,
    /// Sorted by time.
    late: Vec<Sample>,
    closed: Vec<Closed>,
    /// What the log's coding remembers of this series.
    pub(crate) chain: Chain,
}

/// A closed chunk.
#[derive(Debug, Clone, Copy)]
struct Closed {
    from: Timestamp,
    /// Milliseconds to the last sample: a chunk never leaves its window.
    span: u32,
    place: Place,
}

impl Closed {
    fn to(&self) -> Timestamp {
        self.from + i64::from(self.span)
    }
}

impl Series {
    pub(crate) fn new(id: u64, slot: u32, source: u64, labels: Labels) -> Self {
        Self { id, slot, source, labels, state: Mutex::default() }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Copies what there is in a range. Chunks whose file is gone are in a block by now.
    pub(crate) fn pieces(&self, range: TimeRange, table: &ChunkTable) -> Vec<Piece> {
        let (mut pieces, closed) = self.state().copied(range);
        for closed in closed {
            let Some(handle) = table.handle(closed.place.file) else { continue };
            let body = Body::Stored { handle, at: u64::from(closed.place.at), len: closed.place.len };
            pieces.push(Piece { from: closed.from, to: closed.to(), body });
        }
        pieces
    }
}

impl State {
    /// Takes a sample, or says why not.
    pub(crate) fn append(
        &mut self,
        sample: Sample,
        rules: &Rules,
        files: &mut ChunkFiles,
    ) -> Result<Appended, AppendError> {
        let Some(newest) = self.newest else {
            self.push(sample);
            return Ok(Appended::Newest);
        };
        if sample.at > newest.at {
            let is_full = self.open.count() >= CHUNK_SAMPLES;
            if is_full || rules.window_of(self.open_from) != rules.window_of(sample.at) {
                self.close(files)?;
            }
            self.push(sample);
            return Ok(Appended::Newest);
        }
        if sample.at == newest.at {
            return Ok(compared(newest, sample));
        }
        let oldest = newest.at.saturating_sub(rules.late);
        if sample.at < oldest {
            return Err(AppendError::TooOld { at: sample.at, oldest });
        }
        self.append_late(sample, rules, files)
    }

    fn append_late(
        &mut self,
        sample: Sample,
        rules: &Rules,
        files: &mut ChunkFiles,
    ) -> Result<Appended, AppendError> {
        if let Some(there) = self.find(sample.at, files) {
            return Ok(compared(there, sample));
        }
        if self.late.len() >= LATE_SAMPLES {
            self.close_late(rules, files)?;
        }
        let place = self.late.partition_point(|late| late.at < sample.at);
        self.late.insert(place, sample);
        Ok(Appended::Late)
    }

    fn push(&mut self, sample: Sample) {
        if self.open.is_empty() {
            self.open_from = sample.at;
        }
        self.open.push(sample);
        self.newest = Some(sample);
    }

    /// Closes the open chunk.
    fn close(&mut self, files: &mut ChunkFiles) -> Result<(), AppendError> {
        if self.open.is_empty() {
            return Ok(());
        }
        let mut samples = Vec::with_capacity(self.open.count());
        self.open.read(&mut samples);
        let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return Ok(()) };
        let place = files.put(&chunk::smaller(self.open.clone(), &samples))?;
        self.add_closed(first.at, last.at, place);
        self.open = XorWriter::default();
        Ok(())
    }

    fn close_late(&mut self, rules: &Rules, files: &mut ChunkFiles) -> Result<(), AppendError> {
        let late = std::mem::take(&mut self.late);
        let done = self.put_all(&late, rules, files);
        if done.is_err() {
            self.late = late;
        }
        done
    }

    /// Puts sorted samples into chunks, none of which reaches over the border of a window.
    fn put_all(
        &mut self,
        samples: &[Sample],
        rules: &Rules,
        files: &mut ChunkFiles,
    ) -> Result<(), AppendError> {
        let mut rest = samples;
        while let Some(first) = rest.first() {
            let border = rules.window_of(first.at) + rules.window;
            let count = rest.partition_point(|sample| sample.at < border).min(CHUNK_SAMPLES);
            self.put(&rest[..count], files)?;
            rest = &rest[count..];
        }
        Ok(())
    }

    fn put(&mut self, samples: &[Sample], files: &mut ChunkFiles) -> Result<(), AppendError> {
        let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return Ok(()) };
        let place = files.put(&chunk::pack(samples))?;
        self.add_closed(first.at, last.at, place);
        Ok(())
    }

    fn add_closed(&mut self, from: Timestamp, to: Timestamp, place: Place) {
        // Windows are so short that this always fits.
        let span = u32::try_from(to - from).unwrap_or(u32::MAX);
        self.closed.push(Closed { from, span, place });
    }

    /// Takes over a chunk from a checkpoint, and its samples. Windows may have been others then.
    pub(crate) fn restore(
        &mut self,
        (chunk, samples): (&[u8], &[Sample]),
        rules: &Rules,
        files: &mut ChunkFiles,
    ) -> Result<(), AppendError> {
        let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return Ok(()) };
        if rules.window_of(first.at) == rules.window_of(last.at) {
            let place = files.put(chunk)?;
            self.add_closed(first.at, last.at, place);
        } else {
            self.put_all(samples, rules, files)?;
        }
        if self.newest.is_none_or(|newest| newest.at < last.at) {
            self.newest = Some(*last);
        }
        Ok(())
    }

    /// Returns the sample at a time.
    fn find(&self, at: Timestamp, files: &ChunkFiles) -> Option<Sample> {
        if let Ok(place) = self.late.binary_search_by_key(&at, |late| late.at) {
            return Some(self.late[place]);
        }
        let mut samples = Vec::new();
        if !self.open.is_empty() && at >= self.open_from {
            self.open.read(&mut samples);
        }
        for closed in self.closed.iter().filter(|closed| (closed.from..=closed.to()).contains(&at)) {
            // A chunk that cannot be read holds nothing that the sample could contradict.
            if let Ok(Some(bytes)) = files.get(closed.place) {
                let _ = chunk::read(&bytes, &mut samples);
            }
        }
        samples.into_iter().find(|sample| sample.at == at)
    }

    fn copied(&self, range: TimeRange) -> (Vec<Piece>, Vec<Closed>) {
        let overlaps = |from: Timestamp, to: Timestamp| from <= range.to && to >= range.from;
        let closed =
            self.closed.iter().filter(|closed| overlaps(closed.from, closed.to())).copied().collect();
        let mut pieces = Vec::new();
        if let Some(newest) = self.newest
            && !self.open.is_empty()
            && overlaps(self.open_from, newest.at)
        {
            let body = Body::Open(Box::new(self.open.clone()));
            pieces.push(Piece { from: self.open_from, to: newest.at, body });
        }
        if let (Some(first), Some(last)) = (self.late.first(), self.late.last())
            && overlaps(first.at, last.at)
        {
            pieces.push(Piece { from: first.at, to: last.at, body: Body::Loose(self.late.clone()) });
        }
        (pieces, closed)
    }

    /// Appends where the windows of all samples begin.
    pub(crate) fn windows(&self, rules: &Rules, out: &mut Vec<Timestamp>) {
        out.extend(self.closed.iter().map(|closed| rules.window_of(closed.from)));
        if !self.open.is_empty() {
            out.push(rules.window_of(self.open_from));
        }
        out.extend(self.late.iter().map(|late| rules.window_of(late.at)));
        out.dedup();
    }

    /// Forgets the samples of a range, whose borders are borders of windows.
    pub(crate) fn forget(&mut self, range: TimeRange, files: &ChunkFiles) {
        let within = |at: Timestamp| (range.from..=range.to).contains(&at);
        self.closed.retain(|closed| {
            let stays = !within(closed.from);
            if !stays {
                files.release(closed.place.file);
            }
            stays
        });
        self.closed.shrink_to(self.closed.len() * 2);
        self.late.retain(|late| !within(late.at));
        if self.late.is_empty() {
            self.late = Vec::new();
        }
        if !self.open.is_empty() && within(self.open_from) {
            self.open = XorWriter::default();
        }
    }

    /// Forgets everything, for a series that is removed.
    pub(crate) fn clear(&mut self, files: &ChunkFiles) {
        self.forget(TimeRange { from: Timestamp::MIN, to: Timestamp::MAX }, files);
    }

    /// Says whether there is no sample.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.late.is_empty() && self.closed.is_empty()
    }

    pub(crate) fn newest(&self) -> Option<Sample> {
        self.newest
    }
}

fn compared(there: Sample, new: Sample) -> Appended {
    if there.value.to_bits() == new.value.to_bits() { Appended::Same } else { Appended::Differs }
}
