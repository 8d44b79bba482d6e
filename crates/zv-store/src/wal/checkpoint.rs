//! A checkpoint: all of the head as it was before a segment began, so that the segments before it can go.

use std::io;
use std::path::Path;
use std::sync::Arc;

use zv_model::{TimeRange, Timestamp};

use super::record::{self, CHUNKS, END, SERIES};
use super::{CHECKPOINT, RECORD_BYTES};
use crate::bytes::put_number;
use crate::chunk;
use crate::counters::Counters;
use crate::files::{Files, Handle};
use crate::format::{FileKind, put_frame};
use crate::head::{ChunkTable, Head, Series, Source, read_chunk};
use crate::merge::Body;

/// Writes frames to a file that is new.
struct Writer {
    handle: Arc<dyn Handle>,
    at: u64,
    number: u32,
    out: Vec<u8>,
}

impl Writer {
    fn put(&mut self, kind: u8, payload: &mut Vec<u8>) -> io::Result<()> {
        if payload.is_empty() {
            return Ok(());
        }
        self.out.clear();
        put_frame(&mut self.out, kind, self.number, payload);
        self.handle.write_all_at(&self.out, self.at)?;
        self.at += self.out.len() as u64;
        self.number += 1;
        payload.clear();
        Ok(())
    }
}

/// What goes into a checkpoint.
#[derive(Debug)]
pub(crate) struct Checkpoint<'a> {
    /// It stands for all segments before this one.
    pub(crate) segment: u32,
    pub(crate) head: &'a Head,
    pub(crate) chunks: &'a ChunkTable,
    /// Series that are gone and whose samples may still be met in older segments.
    pub(crate) gone: &'a [Arc<Series>],
}

/// Writes a checkpoint. It is there complete, or not at all.
pub(crate) fn write_checkpoint(
    files: &dyn Files,
    folder: &Path,
    what: &Checkpoint<'_>,
    counters: &Counters,
) -> io::Result<()> {
    let path = folder.join(format!("{CHECKPOINT}{:010}", what.segment));
    let unfinished = folder.join("checkpoint.tmp");
    files.remove(&unfinished)?;
    let handle = files.create(&unfinished)?;
    let mut out = Writer { handle, at: 0, number: 0, out: FileKind::Checkpoint.header().to_vec() };
    out.handle.write_all_at(&out.out, 0)?;
    out.at = out.out.len() as u64;
    let (mut series_record, mut chunk_record) = (Vec::new(), Vec::new());
    for series in what.gone {
        record::put_series(&mut series_record, series.id, Source(series.source), &series.labels);
    }
    for series in what.head.all_series() {
        record::put_series(&mut series_record, series.id, Source(series.source), &series.labels);
        for piece in series.pieces(TimeRange { from: Timestamp::MIN, to: Timestamp::MAX }, what.chunks) {
            put_piece(&mut chunk_record, series.id, piece.body, counters)?;
        }
        if series_record.len() + chunk_record.len() > RECORD_BYTES {
            out.put(SERIES, &mut series_record)?;
            out.put(CHUNKS, &mut chunk_record)?;
        }
    }
    out.put(SERIES, &mut series_record)?;
    out.put(CHUNKS, &mut chunk_record)?;
    let mut end = Vec::new();
    put_number(&mut end, what.head.next_id());
    out.put(END, &mut end)?;
    out.handle.sync()?;
    files.rename(&unfinished, &path)?;
    files.sync_dir(folder)
}

fn put_piece(out: &mut Vec<u8>, id: u64, body: Body, counters: &Counters) -> io::Result<()> {
    match body {
        Body::Stored { handle, at, len } => match read_chunk(&*handle, at, len)? {
            Some(bytes) => record::put_chunk(out, id, &bytes),
            None => counters.chunks_lost.one(),
        },
        Body::Open(open) => record::put_chunk(out, id, &open.into_bytes()),
        Body::Loose(samples) => record::put_chunk(out, id, &chunk::pack(&samples)),
    }
    Ok(())
}
