//! Makes one block of several, so that a query over days opens few.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zv_model::{Labels, TimeRange};

use super::{Block, BlockName, BlockWriter};
use crate::counters::Counters;
use crate::error::StoreError;
use crate::files::Files;
use crate::merge::Piece;
use crate::options::Rules;
use crate::repack::repack;

/// A block of the next level covers so many of the level before.
const FACTOR: i64 = 4;
const LEVELS: u32 = 3;
/// More than this is not merged: it would take long and gain little.
const MOST_BYTES: u64 = 256 << 20;

/// Returns the blocks that are to become one, and its name.
pub(crate) fn plan(
    blocks: &[Arc<Block>],
    rules: &Rules,
    newest: i64,
) -> Option<(BlockName, Vec<Arc<Block>>)> {
    let mut span = rules.window;
    for level in 1..LEVELS + 1 {
        span = span.saturating_mul(FACTOR);
        // Retention removes whole blocks: they must not keep much more than they should.
        if span > rules.keep_for / 8 {
            return None;
        }
        let bucket = |block: &Arc<Block>| block.name.from.div_euclid(span);
        for group in blocks.chunk_by(|a, b| bucket(a) == bucket(b)) {
            let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
            let end = (bucket(first) + 1).saturating_mul(span);
            let is_complete = end <= newest && group.iter().all(|block| block.name.to < end);
            let bytes: u64 = group.iter().map(|block| block.bytes()).sum();
            if group.len() > 1 && is_complete && bytes <= MOST_BYTES {
                let highest = group.iter().map(|block| block.name.level).max().unwrap_or(level);
                let name =
                    BlockName { from: first.name.from, to: last.name.to, level: (highest + 1).max(level) };
                return Some((name, group.to_vec()));
            }
        }
    }
    None
}

/// Writes the block that several become. Returns its folder.
pub(crate) fn compact(
    files: &dyn Files,
    folder: &Path,
    name: BlockName,
    blocks: &[Arc<Block>],
    counters: &Arc<Counters>,
) -> Result<PathBuf, StoreError> {
    let unreadable = |error| StoreError::io("read blocks of", folder)(std::io::Error::other(error));
    let all = TimeRange { from: i64::MIN, to: i64::MAX };
    let mut series: Vec<(Labels, Vec<Piece>)> = Vec::new();
    for block in blocks {
        block.select(all, &[], &mut series).map_err(unreadable)?;
    }
    series.sort_by(|a, b| a.0.cmp(&b.0));
    let texts = series.iter().flat_map(|(labels, _)| labels.iter());
    let symbols: BTreeSet<Arc<str>> =
        texts.flat_map(|label| [Arc::clone(&label.name), Arc::clone(&label.value)]).collect();
    let write = StoreError::io("write a block in", folder);
    let written = (|| {
        let mut writer = BlockWriter::new(files, folder, symbols)?;
        let mut series = series.into_iter().peekable();
        while let Some((labels, mut pieces)) = series.next() {
            while let Some((_, more)) = series.next_if(|(other, _)| *other == labels) {
                pieces.extend(more);
            }
            let chunks = repack(pieces, all, counters).map_err(std::io::Error::other)?;
            writer.add(&labels, &chunks)?;
        }
        writer.finish(name)
    })();
    written.map_err(write)
}
