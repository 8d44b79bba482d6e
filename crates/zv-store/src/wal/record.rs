//! The kinds of records, and the one that tells a series' labels.

use zv_model::Labels;

use crate::bytes::{Bytes, put_number, put_text};
use crate::head::Source;

/// Series and their labels.
pub(crate) const SERIES: u8 = 1;
/// Samples.
pub(crate) const SAMPLES: u8 = 2;
/// Series that are gone.
pub(crate) const REMOVED: u8 = 3;
/// Chunks of the head, in a checkpoint.
pub(crate) const CHUNKS: u8 = 4;
/// The end of a checkpoint: it is whole. Holds the number that the next series gets.
pub(crate) const END: u8 = 5;

/// Appends a series.
pub(crate) fn put_series(out: &mut Vec<u8>, id: u64, source: Source, labels: &Labels) {
    put_number(out, id);
    put_number(out, source.0);
    put_number(out, labels.len() as u64);
    for label in labels {
        put_text(out, &label.name);
        put_text(out, &label.value);
    }
}

/// Hands every series of a record to `each`. Returns nothing where the record is none.
pub(crate) fn read_series(record: &[u8], mut each: impl FnMut(u64, Source, Labels)) -> Option<()> {
    let mut bytes = Bytes::new(record);
    while !bytes.is_empty() {
        let (id, source, count) = (bytes.number()?, Source(bytes.number()?), bytes.number()?);
        let mut pairs = Vec::new();
        for _ in 0..count {
            pairs.push((bytes.text()?, bytes.text()?));
        }
        each(id, source, Labels::of(pairs));
    }
    Some(())
}

/// Appends a chunk of a series.
pub(crate) fn put_chunk(out: &mut Vec<u8>, id: u64, chunk: &[u8]) {
    put_number(out, id);
    put_number(out, chunk.len() as u64);
    out.extend_from_slice(chunk);
}

/// Hands every chunk of a record to `each`.
pub(crate) fn read_chunks(record: &[u8], mut each: impl FnMut(u64, &[u8])) -> Option<()> {
    let mut bytes = Bytes::new(record);
    while !bytes.is_empty() {
        let (id, len) = (bytes.number()?, bytes.small()?);
        each(id, bytes.take(len)?);
    }
    Some(())
}

/// Hands every number of a record to `each`.
pub(crate) fn read_ids(record: &[u8], mut each: impl FnMut(u64)) -> Option<()> {
    let mut bytes = Bytes::new(record);
    while !bytes.is_empty() {
        each(bytes.number()?);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn series_go_both_ways(all in proptest::collection::vec(
            (any::<u64>(), any::<u64>(), proptest::collection::btree_map("[a-z]{1,9}", "\\PC{1,9}", 0..5)), 0..9)) {
            let mut record = Vec::new();
            let all: Vec<_> = all.into_iter().map(|(id, source, pairs)| (id, Source(source), Labels::of(pairs))).collect();
            for (id, source, labels) in &all {
                put_series(&mut record, *id, *source, labels);
            }
            let mut read = Vec::new();
            prop_assert!(read_series(&record, |id, source, labels| read.push((id, source, labels))).is_some());
            prop_assert_eq!(read, all);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_series(&bytes, |_, _, _| {});
            let _ = read_chunks(&bytes, |_, _| {});
            let _ = read_ids(&bytes, |_| {});
        }
    }
}
