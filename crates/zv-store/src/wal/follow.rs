//! Reads the log behind the writer, as somebody does who sends samples on: from a place that is kept across restarts.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use zv_model::{Labels, Sample};

use super::record::{self, SAMPLES, SERIES};
use super::samples::Chains;
use super::{CHECKPOINT, SEGMENT, number_of};
use crate::error::StoreError;
use crate::files::{Files, read_part};
use crate::format::{Found, Frames, HEADER};
use crate::sync::lock;

/// A place in the log. Whoever follows keeps it where it likes, and comes back with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Cursor {
    pub segment: u32,
    /// Bytes from the beginning of the segment.
    pub offset: u64,
}

/// What the writer and those who follow tell each other.
#[derive(Debug, Default)]
pub(super) struct Trail {
    /// How far the log is written.
    pub(super) end: Mutex<Cursor>,
    /// The segment that each who follows still needs, by its name.
    pub(super) needed: Mutex<HashMap<String, u32>>,
}

/// Samples that were committed together, in the order in which they came.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    pub samples: Vec<(Labels, Sample)>,
    /// Where to go on once these are done with.
    pub cursor: Cursor,
    /// Samples that mean nothing without records that are lost.
    pub lost: u64,
}

/// Reads the log from a place on.
#[derive(Debug)]
pub struct Follower {
    files: Arc<dyn Files>,
    folder: PathBuf,
    name: String,
    trail: Arc<Trail>,
    series: HashMap<u64, Labels>,
    chains: Chains,
    /// The number of the next frame, if none is missing.
    expected: u32,
    cursor: Cursor,
    ready: VecDeque<Batch>,
}

impl Follower {
    pub(super) fn new(
        files: Arc<dyn Files>,
        folder: PathBuf,
        name: &str,
        trail: Arc<Trail>,
        from: Option<Cursor>,
    ) -> Result<Self, StoreError> {
        let end = *lock(&trail.end);
        let cursor = from.filter(|cursor| *cursor <= end).unwrap_or(end);
        lock(&trail.needed).insert(name.to_owned(), cursor.segment);
        let mut follower = Self {
            files,
            folder,
            name: name.to_owned(),
            trail,
            series: HashMap::new(),
            chains: Chains::default(),
            expected: 0,
            cursor,
            ready: VecDeque::new(),
        };
        follower.learn().map_err(StoreError::io("read the log in", &follower.folder))?;
        Ok(follower)
    }

    /// Returns the next batch; nothing where there is none yet.
    pub fn next_batch(&mut self) -> Result<Option<Batch>, StoreError> {
        let read = StoreError::io("read the log in", self.folder.clone());
        while self.ready.is_empty() {
            let end = *lock(&self.trail.end);
            if self.cursor >= end {
                return Ok(None);
            }
            if let Err(error) = self.advance(end) {
                return Err(read(error));
            }
        }
        Ok(self.ready.pop_front())
    }

    /// Says that everything before this place is done with: segments before it may be removed.
    pub fn done(&mut self, cursor: Cursor) {
        lock(&self.trail.needed).insert(self.name.clone(), cursor.segment);
    }

    /// Reads what there is of the current segment, or goes to the next.
    fn advance(&mut self, end: Cursor) -> io::Result<()> {
        let path = self.folder.join(format!("{SEGMENT}{:010}", self.cursor.segment));
        let bytes = match self.files.open(&path, false) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            file => {
                let is_last = self.cursor.segment == end.segment;
                let limit = if is_last { end.offset.saturating_sub(self.cursor.offset) } else { u64::MAX };
                read_part(&*file?, self.cursor.offset, usize::try_from(limit).unwrap_or(usize::MAX))?
            }
        };
        let begin = self.cursor.offset;
        self.take(&bytes, begin, false);
        self.cursor.offset += bytes.len() as u64;
        if self.cursor.segment < end.segment {
            self.cursor = Cursor { segment: self.cursor.segment + 1, offset: HEADER as u64 };
            self.chains.clear();
            self.expected = 0;
        }
        Ok(())
    }

    /// Reads checkpoint and segments up to the cursor for the labels of series and their last values.
    fn learn(&mut self) -> io::Result<()> {
        for name in self.files.list(&self.folder)? {
            let segment = number_of(&name, SEGMENT);
            let is_checkpoint = number_of(&name, CHECKPOINT).is_some();
            if !is_checkpoint && segment.is_none_or(|segment| segment > self.cursor.segment) {
                continue;
            }
            let file = self.files.open(&self.folder.join(&name), false)?;
            let is_current = segment == Some(self.cursor.segment);
            let limit = if is_current { self.cursor.offset } else { u64::MAX };
            let bytes = read_part(&*file, 0, usize::try_from(limit).unwrap_or(usize::MAX))?;
            self.chains.clear();
            self.expected = 0;
            self.take(bytes.get(HEADER..).unwrap_or_default(), HEADER as u64, true);
        }
        Ok(())
    }

    /// Goes through frames; only to learn from them, or to hand out their samples.
    fn take(&mut self, bytes: &[u8], begin: u64, only_learn: bool) {
        for found in Frames::new(bytes, 0) {
            let Found::Frame { kind, number, payload, at } = found else { continue };
            if number != self.expected {
                self.chains.clear();
            }
            self.expected = number.wrapping_add(1);
            let offset = begin + (at + crate::format::FRAME + payload.len()) as u64;
            let Self { series, chains, .. } = self;
            match kind {
                SERIES => {
                    let _ = record::read_series(payload, |id, _, labels| drop(series.insert(id, labels)));
                }
                SAMPLES => {
                    let mut batch =
                        Batch { cursor: Cursor { segment: self.cursor.segment, offset }, ..Batch::default() };
                    let read = chains.read(payload, |id, at, value| match (series.get(&id), value) {
                        (Some(labels), Some(value)) => {
                            batch.samples.push((labels.clone(), Sample { at, value }));
                        }
                        _ => batch.lost += 1,
                    });
                    if read.is_none() {
                        chains.clear();
                    }
                    if !only_learn {
                        self.ready.push_back(batch);
                    }
                }
                _ => {}
            }
        }
    }
}
