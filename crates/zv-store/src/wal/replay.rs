//! Reads checkpoint and segments back into the head. What is broken is left out and counted; only a file of a newer version
//! stops it.

use std::collections::HashMap;
use std::path::Path;

use zv_model::Sample;

use super::record::{self, CHUNKS, END, REMOVED, SAMPLES, SERIES};
use super::samples::Chains;
use super::{CHECKPOINT, SEGMENT, number_of};
use crate::bytes::Bytes;
use crate::chunk;
use crate::error::{AppendError, StoreError};
use crate::files::{Files, read_part};
use crate::format::{FileKind, Found, Frames, HEADER, Header};
use crate::head::Head;
use crate::recovery::Recovery;

/// Fills an empty head. Returns the number that the next segment gets.
pub(crate) fn replay(
    files: &dyn Files,
    folder: &Path,
    head: &mut Head,
    recovery: &mut Recovery,
) -> Result<u32, StoreError> {
    let names = files.list(folder).map_err(StoreError::io("list", folder))?;
    let mut segments: Vec<u32> = names.iter().filter_map(|name| number_of(name, SEGMENT)).collect();
    let checkpoints = names.iter().filter_map(|name| number_of(name, CHECKPOINT));
    segments.sort_unstable();
    let checkpoint = checkpoints.max();
    let next = segments.last().copied().max(checkpoint).unwrap_or(0) + 1;
    let mut replay = Replay { head, recovery, slots: HashMap::new(), chains: Chains::default(), expected: 0 };
    if let Some(checkpoint) = checkpoint {
        let path = folder.join(format!("{CHECKPOINT}{checkpoint:010}"));
        replay.file(files, &path, FileKind::Checkpoint, false)?;
    }
    segments.retain(|segment| *segment >= checkpoint.unwrap_or(0));
    for segment in &segments {
        let path = folder.join(format!("{SEGMENT}{segment:010}"));
        let is_last = segments.last() == Some(segment);
        replay.file(files, &path, FileKind::Segment, is_last)?;
    }
    Ok(next)
}

struct Replay<'a> {
    head: &'a mut Head,
    recovery: &'a mut Recovery,
    slots: HashMap<u64, u32>,
    chains: Chains,
    /// The number of the next frame, if none is missing.
    expected: u32,
}

impl Replay<'_> {
    fn file(
        &mut self,
        files: &dyn Files,
        path: &Path,
        kind: FileKind,
        is_last: bool,
    ) -> Result<(), StoreError> {
        let file = files.open(path, false).map_err(StoreError::io("open", path))?;
        let bytes = read_part(&*file, 0, usize::MAX).map_err(StoreError::io("read", path))?;
        match kind.judge(&bytes) {
            Header::Good => {}
            Header::Other(version) => return Err(StoreError::Version { path: path.to_owned(), version }),
            // The process went down between making the file and writing to it.
            Header::Damaged if kind == FileKind::Segment && bytes.len() < HEADER => {
                self.recovery.torn_bytes += bytes.len() as u64;
            }
            Header::Damaged => self.recovery.damaged_headers += 1,
        }
        self.chains.clear();
        self.expected = 0;
        let mut is_whole = false;
        for found in Frames::new(&bytes, HEADER) {
            match found {
                Found::Frame { kind, number, payload, .. } => {
                    is_whole = kind == END;
                    self.frame(kind, number, payload);
                }
                Found::Bad { bytes } => {
                    self.recovery.bad_records += 1;
                    self.recovery.bad_bytes += bytes as u64;
                }
                Found::Torn { at, bytes } => {
                    self.recovery.torn_bytes += bytes as u64;
                    if is_last {
                        cut(files, path, at, self.recovery);
                    }
                }
            }
        }
        if kind == FileKind::Checkpoint && !is_whole {
            self.recovery.bad_records += 1;
        }
        Ok(())
    }

    fn frame(&mut self, kind: u8, number: u32, payload: &[u8]) {
        if number != self.expected {
            // What is missing may have changed any value that others build upon.
            self.chains.clear();
        }
        self.expected = number.wrapping_add(1);
        let understood = match kind {
            SERIES => self.series(payload),
            SAMPLES => self.samples(payload),
            CHUNKS => self.chunks(payload),
            REMOVED => self.removed(payload),
            END => Bytes::new(payload).number().map(|next| self.head.skip_ids(next)),
            _ => None,
        };
        if understood.is_none() {
            self.recovery.bad_records += 1;
            self.recovery.bad_bytes += payload.len() as u64;
            self.chains.clear();
        }
    }

    fn series(&mut self, payload: &[u8]) -> Option<()> {
        record::read_series(payload, |id, source, labels| {
            let slot = self.head.restore(id, source, &labels);
            if let Some(series) = self.head.series(slot) {
                series.state().chain.is_defined = true;
            }
            self.slots.insert(id, slot);
        })
    }

    fn samples(&mut self, payload: &[u8]) -> Option<()> {
        let Self { head, recovery, slots, chains, .. } = self;
        chains.read(payload, |id, at, value| match (slots.get(&id), value) {
            (Some(slot), Some(value)) => match head.append_to(*slot, Sample { at, value }) {
                Ok(_) => recovery.samples += 1,
                // A block has it, or it was refused then as now.
                Err(AppendError::TooOld { .. }) => recovery.in_blocks += 1,
                Err(_) => recovery.lost_samples += 1,
            },
            _ => recovery.lost_samples += 1,
        })
    }

    fn chunks(&mut self, payload: &[u8]) -> Option<()> {
        let Self { head, recovery, slots, .. } = self;
        record::read_chunks(payload, |id, bytes| {
            let mut samples = Vec::new();
            let is_good = chunk::read(bytes, &mut samples).is_ok();
            let Some(slot) = slots.get(&id).filter(|_| is_good) else {
                recovery.lost_samples += samples.len() as u64;
                recovery.bad_records += u64::from(!is_good);
                return;
            };
            match head.restore_chunk(*slot, bytes, &samples) {
                Ok(()) => recovery.samples += samples.len() as u64,
                Err(_) => recovery.lost_samples += samples.len() as u64,
            }
        })
    }

    fn removed(&mut self, payload: &[u8]) -> Option<()> {
        record::read_ids(payload, |id| {
            let series = self.slots.remove(&id).and_then(|slot| self.head.series(slot).cloned());
            if let Some(series) = series {
                self.head.remove(&series);
            }
        })
    }
}

/// Cuts what was not written whole, so that nobody meets it again.
fn cut(files: &dyn Files, path: &Path, at: usize, recovery: &mut Recovery) {
    let done = files.open(path, true).and_then(|file| file.cut(at as u64));
    if done.is_err() {
        recovery.disk_errors += 1;
    }
}

/// Reads frames without their headers: a byte for the kind, one for the number, two for the length, and so many bytes.
/// Returns the windows that the head then has, and how many samples it took.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz_segment(data: &[u8], rules: &crate::options::Rules) -> (Vec<zv_model::TimeRange>, u64) {
    use std::sync::Arc;

    use crate::head::{ChunkFiles, Index};

    let (counters, files) = (Arc::default(), Arc::new(crate::files::Disk));
    let chunks = ChunkFiles::new(Arc::default(), Arc::clone(&counters), files, None, 1 << 20);
    let mut head = Head::new(Arc::<Index>::default(), chunks, *rules, crate::Limits::default(), counters);
    let mut recovery = Recovery::default();
    let (slots, chains) = (HashMap::new(), Chains::default());
    let mut replay = Replay { head: &mut head, recovery: &mut recovery, slots, chains, expected: 0 };
    let mut bytes = Bytes::new(data);
    while let (Some(kind), Some(number), Some(len)) = (bytes.byte(), bytes.byte(), bytes.take(2)) {
        let len = usize::from(u16::from_le_bytes([len[0], len[1]])).min(bytes.rest().len());
        let payload = bytes.take(len).unwrap_or_default();
        replay.frame(kind, u32::from(number), payload);
    }
    (head.windows(), recovery.samples)
}
