//! The newest samples, in memory: series by their labels, an index over them, limits. Written by one, read by many.

mod chunk_files;
mod hash;
mod index;
mod series;
mod shed;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use zv_model::{Labels, Sample, TimeRange, Timestamp};

pub(crate) use self::chunk_files::{CRC_BYTES, ChunkFiles, ChunkTable, Heap, read_chunk};
use self::hash::{AsIs, LabelHash};
pub(crate) use self::index::Index;
pub use self::series::Appended;
pub(crate) use self::series::{CHUNK_SAMPLES, Series};
use crate::counters::Counters;
use crate::error::AppendError;
use crate::options::{Limits, Rules};

/// Times further from 1970 than this are mistakes; within, arithmetic does not overflow.
const FURTHEST: Timestamp = 1 << 53;

/// Where samples come from, for example a target: a number that the caller chooses and that limits are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Source(pub u64);

/// A series as the one who appended to it knows it. When the series is removed it names nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SeriesRef {
    slot: u32,
    id: u64,
}

/// The writer's half.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) index: Arc<Index>,
    pub(crate) rules: Rules,
    pub(crate) chunks: ChunkFiles,
    limits: Limits,
    counters: Arc<Counters>,
    slots: Vec<Option<Arc<Series>>>,
    free: Vec<u32>,
    hash: LabelHash,
    by_hash: HashMap<u64, u32, BuildHasherDefault<AsIs>>,
    /// Series whose hash another one has.
    collided: HashMap<Labels, u32>,
    per_source: HashMap<Source, usize>,
    next_id: u64,
    /// Ranges of time that blocks hold, sorted: nothing is added there.
    covered: Vec<TimeRange>,
}

/// A sample was taken by this series.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) slot: u32,
    pub(crate) appended: Appended,
}

impl Head {
    pub(crate) fn new(
        index: Arc<Index>,
        chunks: ChunkFiles,
        rules: Rules,
        limits: Limits,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            index,
            rules,
            chunks,
            limits,
            counters,
            slots: Vec::new(),
            free: Vec::new(),
            hash: LabelHash::default(),
            by_hash: HashMap::default(),
            collided: HashMap::new(),
            per_source: HashMap::new(),
            next_id: 1,
            covered: Vec::new(),
        }
    }

    /// Appends by labels.
    pub(crate) fn append(
        &mut self,
        source: Source,
        labels: &Labels,
        sample: Sample,
    ) -> Result<Taken, AppendError> {
        let hash = self.hash.of(labels);
        if let Some(slot) = self.find(hash, labels) {
            let appended = self.append_to(slot, sample)?;
            return Ok(Taken { slot, appended });
        }
        // First everything that can refuse: a series that is made stays.
        self.check_time(sample.at)?;
        self.check_labels(labels)?;
        self.check_counts(source)?;
        let labels = self.index.shared(labels);
        let slot = self.create(None, source, labels, hash);
        let appended = self.append_to(slot, sample)?;
        Ok(Taken { slot, appended })
    }

    /// Appends to the series of a place.
    pub(crate) fn append_to(&mut self, slot: u32, sample: Sample) -> Result<Appended, AppendError> {
        self.check_time(sample.at)?;
        let series = self.slots[slot as usize].as_ref().ok_or(AppendError::UnknownSeries)?;
        series.state().append(sample, &self.rules, &mut self.chunks)
    }

    /// Returns the place of a series that is still there.
    pub(crate) fn slot_of(&self, series: SeriesRef) -> Option<u32> {
        let found = self.slots.get(series.slot as usize)?.as_ref()?;
        (found.id == series.id).then_some(series.slot)
    }

    pub(crate) fn ref_of(&self, slot: u32) -> Option<SeriesRef> {
        self.series(slot).map(|series| SeriesRef { slot, id: series.id })
    }

    pub(crate) fn series(&self, slot: u32) -> Option<&Arc<Series>> {
        self.slots.get(slot as usize)?.as_ref()
    }

    pub(crate) fn all_series(&self) -> impl Iterator<Item = &Arc<Series>> {
        self.slots.iter().flatten()
    }

    /// Takes over a series from the log: under the number it had, and without limits, for it was within them.
    pub(crate) fn restore(&mut self, id: u64, source: Source, labels: &Labels) -> u32 {
        self.next_id = self.next_id.max(id.saturating_add(1));
        let hash = self.hash.of(labels);
        if let Some(slot) = self.find(hash, labels) {
            return slot;
        }
        let labels = self.index.shared(labels);
        self.create(Some(id), source, labels, hash)
    }

    /// Takes over a chunk from a checkpoint, and its samples.
    pub(crate) fn restore_chunk(
        &mut self,
        slot: u32,
        chunk: &[u8],
        samples: &[Sample],
    ) -> Result<(), AppendError> {
        let Some(series) = &self.slots[slot as usize] else { return Ok(()) };
        series.state().restore((chunk, samples), &self.rules, &mut self.chunks)
    }

    /// Returns the number that no series has had.
    pub(crate) fn next_id(&self) -> u64 {
        self.next_id
    }

    /// Sees to it that numbers up to this one are not given again.
    pub(crate) fn skip_ids(&mut self, next: u64) {
        self.next_id = self.next_id.max(next);
    }

    fn find(&self, hash: u64, labels: &Labels) -> Option<u32> {
        let slot = *self.by_hash.get(&hash)?;
        let series = self.slots[slot as usize].as_ref()?;
        if series.labels == *labels { Some(slot) } else { self.collided.get(labels).copied() }
    }

    fn create(&mut self, id: Option<u64>, source: Source, labels: Labels, hash: u64) -> u32 {
        let id = id.unwrap_or(self.next_id);
        self.next_id = self.next_id.max(id + 1);
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() as u32 - 1
        });
        match self.by_hash.entry(hash) {
            Entry::Vacant(entry) => drop(entry.insert(slot)),
            Entry::Occupied(_) => drop(self.collided.insert(labels.clone(), slot)),
        }
        let series = Arc::new(Series::new(id, slot, source.0, labels));
        self.slots[slot as usize] = Some(Arc::clone(&series));
        self.index.insert(series);
        *self.per_source.entry(source).or_default() += 1;
        self.counters.series_created.one();
        self.count_series();
        slot
    }

    fn count_series(&self) {
        self.counters.series.set((self.slots.len() - self.free.len()) as u64);
    }

    fn check_time(&self, at: Timestamp) -> Result<(), AppendError> {
        if !(-FURTHEST..=FURTHEST).contains(&at) {
            return Err(AppendError::TimeOutOfRange { at });
        }
        // Nearly always newer than everything that is in blocks.
        match self.covered.last() {
            Some(last) if at <= last.to => {
                let place = self.covered.partition_point(|range| range.to < at);
                let range = self.covered[place];
                if range.from <= at {
                    return Err(AppendError::TooOld { at, oldest: range.to + 1 });
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn check_labels(&self, labels: &Labels) -> Result<(), AppendError> {
        let limits = &self.limits;
        if labels.is_empty() {
            return Err(AppendError::NoLabels);
        }
        if labels.len() > limits.labels {
            return Err(AppendError::TooManyLabels { count: labels.len(), limit: limits.labels });
        }
        for label in labels {
            for (text, limit) in [(&label.name, limits.name_bytes), (&label.value, limits.value_bytes)] {
                if text.len() > limit {
                    let name = label.name.chars().take(64).collect();
                    return Err(AppendError::LabelTooLong { name, bytes: text.len(), limit });
                }
            }
        }
        Ok(())
    }

    fn check_counts(&self, source: Source) -> Result<(), AppendError> {
        let limits = &self.limits;
        if self.slots.len() - self.free.len() >= limits.series {
            return Err(AppendError::TooManySeries { limit: limits.series });
        }
        if self.per_source.get(&source).is_some_and(|count| *count >= limits.series_per_source) {
            return Err(AppendError::TooManySeriesOfSource { limit: limits.series_per_source });
        }
        Ok(())
    }
}
