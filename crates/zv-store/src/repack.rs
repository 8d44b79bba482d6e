//! Makes the chunks of a block out of pieces: whole ones are copied, what overlaps or is short is packed anew.

use zv_model::{Sample, Samples, SelectError, TimeRange, Timestamp};

use crate::chunk;
use crate::counters::Counters;
use crate::head::{CHUNK_SAMPLES, read_chunk};
use crate::merge::{Body, Merged, Piece};

/// A chunk with so many samples is copied as it is.
const ENOUGH: usize = CHUNK_SAMPLES / 2;

/// A chunk in its bytes.
#[derive(Debug)]
pub(crate) struct Packed {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    pub(crate) count: usize,
    pub(crate) bytes: Vec<u8>,
}

/// Returns the chunks of one series, oldest first, none overlapping another.
pub(crate) fn repack(
    mut pieces: Vec<Piece>,
    range: TimeRange,
    counters: &std::sync::Arc<Counters>,
) -> Result<Vec<Packed>, SelectError> {
    pieces.sort_by_key(|piece| piece.from);
    let (mut chunks, mut loose) = (Vec::new(), Vec::new());
    let mut pieces = pieces.into_iter().peekable();
    while let Some(piece) = pieces.next() {
        let mut to = piece.to;
        let mut group = vec![piece];
        while let Some(next) = pieces.next_if(|next| next.from <= to) {
            to = to.max(next.to);
            group.push(next);
        }
        if let Some(copied) = copied(&group, range)? {
            pack_all(&mut loose, 1, &mut chunks);
            chunks.push(copied);
            continue;
        }
        let mut merged = Merged::new(group, range, std::sync::Arc::clone(counters));
        while merged.next_run(&mut loose)? {}
        pack_all(&mut loose, CHUNK_SAMPLES, &mut chunks);
    }
    pack_all(&mut loose, 1, &mut chunks);
    Ok(chunks)
}

/// Returns the chunk of a piece that needs nothing but to be copied.
fn copied(group: &[Piece], range: TimeRange) -> Result<Option<Packed>, SelectError> {
    let [Piece { from, to, body: Body::Stored { handle, at, len } }] = group else { return Ok(None) };
    if *from < range.from || *to > range.to {
        return Ok(None);
    }
    let bytes = read_chunk(&**handle, *at, *len).map_err(|cause| SelectError::Unreadable {
        reason: "a chunk".to_owned(),
        cause: Some(std::sync::Arc::new(cause)),
    })?;
    let packed = bytes.and_then(|bytes| {
        let count = chunk::count(&bytes)?;
        (count >= ENOUGH).then_some(Packed { from: *from, to: *to, count, bytes })
    });
    Ok(packed)
}

/// Packs samples as long as there are so many.
fn pack_all(samples: &mut Vec<Sample>, at_least: usize, out: &mut Vec<Packed>) {
    let mut rest = &samples[..];
    while rest.len() >= at_least
        && let (Some(first), Some(last)) = (rest.first(), rest[..rest.len().min(CHUNK_SAMPLES)].last())
    {
        let (now, later) = rest.split_at(rest.len().min(CHUNK_SAMPLES));
        out.push(Packed { from: first.at, to: last.at, count: now.len(), bytes: chunk::pack(now) });
        rest = later;
    }
    let left = rest.len();
    samples.drain(..samples.len() - left);
}
