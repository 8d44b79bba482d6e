//! The samples of one series out of many pieces: chunks in files, the chunk that grows, samples that came late.

use std::collections::VecDeque;
use std::sync::Arc;

use zv_model::{Sample, Samples, SelectError, TimeRange, Timestamp};

use crate::chunk::{self, XorWriter};
use crate::counters::Counters;
use crate::files::Handle;
use crate::head::read_chunk;

/// Samples of one series between two times, packed or not.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    pub(crate) body: Body,
}

#[derive(Debug)]
pub(crate) enum Body {
    Stored { handle: Arc<dyn Handle>, at: u64, len: u32 },
    Open(Box<XorWriter>),
    Loose(Vec<Sample>),
}

impl Body {
    /// Appends the samples. What cannot be understood is counted and left out.
    pub(crate) fn read(&self, counters: &Counters, out: &mut Vec<Sample>) -> Result<(), SelectError> {
        match self {
            Body::Open(open) => open.read(out),
            Body::Loose(samples) => out.extend_from_slice(samples),
            Body::Stored { handle, at, len } => {
                let bytes = read_chunk(&**handle, *at, *len).map_err(|cause| SelectError::Unreadable {
                    reason: "a chunk".to_owned(),
                    cause: Some(Arc::new(cause)),
                })?;
                if bytes.is_none_or(|bytes| chunk::read(&bytes, out).is_err()) {
                    counters.chunks_lost.one();
                }
            }
        }
        Ok(())
    }
}

/// Hands out the samples of all pieces, oldest first, each time once.
#[derive(Debug)]
pub(crate) struct Merged {
    /// Sorted by their first time.
    pieces: VecDeque<Piece>,
    range: TimeRange,
    counters: Arc<Counters>,
}

impl Merged {
    pub(crate) fn new(mut pieces: Vec<Piece>, range: TimeRange, counters: Arc<Counters>) -> Self {
        pieces.sort_by_key(|piece| piece.from);
        Self { pieces: pieces.into(), range, counters }
    }

    /// Takes the pieces that overlap the first one, directly or through others.
    fn next_group(&mut self) -> Option<Vec<Piece>> {
        let first = self.pieces.pop_front()?;
        let mut to = first.to;
        let mut group = vec![first];
        while let Some(next) = self.pieces.pop_front_if(|next| next.from <= to) {
            to = to.max(next.to);
            group.push(next);
        }
        Some(group)
    }
}

impl Samples for Merged {
    fn next_run(&mut self, out: &mut Vec<Sample>) -> Result<bool, SelectError> {
        let before = out.len();
        while out.len() == before {
            let Some(group) = self.next_group() else { return Ok(false) };
            if let [piece] = &*group
                && self.range.from <= piece.from
                && piece.to <= self.range.to
            {
                piece.body.read(&self.counters, out)?;
                continue;
            }
            let mut samples = Vec::new();
            for piece in &group {
                piece.body.read(&self.counters, &mut samples)?;
            }
            samples.sort_by_key(|sample| sample.at);
            samples.dedup_by_key(|sample| sample.at);
            let wanted = |sample: &Sample| (self.range.from..=self.range.to).contains(&sample.at);
            out.extend(samples.into_iter().filter(wanted));
        }
        Ok(true)
    }
}
