//! The parts of a block's files that are read and written alike: what a series is, what the index says where.

use zv_model::Timestamp;

use crate::bytes::{Bytes, put_number, put_signed};
use crate::format::HEADER;

/// Frames of the data.
pub(super) const SYMBOLS: u8 = 1;
pub(super) const SERIES: u8 = 2;
pub(super) const CHUNKS: u8 = 3;
/// The frame of the meta file.
pub(super) const META: u8 = 1;

/// A series has no more labels or chunks than this, whatever a broken file says.
const MOST: usize = 1 << 20;

/// A series of a block: its labels by the numbers of their texts, and its chunks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// Pairs of name and value.
    pub(super) labels: Vec<(u32, u32)>,
    pub(super) chunks: Vec<ChunkAt>,
}

/// Where a chunk lies in the data. Its checksum is behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChunkAt {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    pub(super) at: u64,
    pub(super) len: u32,
}

impl Entry {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put_number(out, self.labels.len() as u64);
        for (name, value) in &self.labels {
            put_number(out, u64::from(*name));
            put_number(out, u64::from(*value));
        }
        put_number(out, self.chunks.len() as u64);
        // The first chunk's place; the others follow it.
        put_number(out, self.chunks.first().map_or(0, |chunk| chunk.at));
        let mut before = 0;
        for chunk in &self.chunks {
            put_signed(out, chunk.from.wrapping_sub(before));
            put_number(out, chunk.to.wrapping_sub(chunk.from).cast_unsigned());
            put_number(out, u64::from(chunk.len));
            before = chunk.to;
        }
    }

    pub(super) fn read(bytes: &mut Bytes<'_>) -> Option<Self> {
        let mut entry = Self::default();
        let count = bytes.small().filter(|count| *count <= MOST)?;
        for _ in 0..count {
            let (name, value) = (bytes.number()?, bytes.number()?);
            entry.labels.push((u32::try_from(name).ok()?, u32::try_from(value).ok()?));
        }
        let count = bytes.small().filter(|count| *count <= MOST)?;
        let mut at = bytes.number()?;
        let mut before: Timestamp = 0;
        for _ in 0..count {
            let from = before.wrapping_add(bytes.signed()?);
            let to = from.checked_add_unsigned(bytes.number()?)?;
            let len = u32::try_from(bytes.number()?).ok()?;
            entry.chunks.push(ChunkAt { from, to, at, len });
            at = at.checked_add(u64::from(len) + crate::head::CRC_BYTES as u64)?;
            before = to;
        }
        Some(entry)
    }
}

/// The end of an index: where each part begins. Every part ends where the next begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Parts {
    /// Places of the texts, four bytes each, and one more for the end.
    pub(super) symbol_places: u64,
    pub(super) symbols: u64,
    /// Places of the entries, four bytes each, and one more for the end.
    pub(super) series_places: u64,
    pub(super) series: u64,
    /// For each value the series that have it.
    pub(super) postings: u64,
    /// For each name and value where its postings are: [`VALUE`] bytes each, by the numbers of name and value.
    pub(super) values: u64,
    pub(super) end: u64,
}

/// The bytes of a value in the index: name, value, place of its postings, how many.
pub(super) const VALUE: usize = 16;
/// The bytes of [`Parts`] at the very end.
pub(super) const PARTS: usize = 7 * 8;

impl Parts {
    pub(super) fn bytes(&self) -> [u8; PARTS] {
        let mut out = [0; PARTS];
        for (place, number) in self.all().into_iter().enumerate() {
            out[place * 8..place * 8 + 8].copy_from_slice(&number.to_le_bytes());
        }
        out
    }

    /// Reads them; nothing where they do not rise.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut bytes = Bytes::new(bytes);
        let parts = Self {
            symbol_places: bytes.u64()?,
            symbols: bytes.u64()?,
            series_places: bytes.u64()?,
            series: bytes.u64()?,
            postings: bytes.u64()?,
            values: bytes.u64()?,
            end: bytes.u64()?,
        };
        let all = parts.all();
        let rises = all.is_sorted() && all[0] == HEADER as u64 && parts.symbols - parts.symbol_places >= 4;
        (rises && parts.series - parts.series_places >= 4).then_some(parts)
    }

    fn all(&self) -> [u64; 7] {
        [
            self.symbol_places,
            self.symbols,
            self.series_places,
            self.series,
            self.postings,
            self.values,
            self.end,
        ]
    }
}

/// What the meta file says of a block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) series: u64,
    pub(crate) chunks: u64,
    pub(crate) samples: u64,
    pub(super) data_bytes: u64,
    pub(super) index_bytes: u64,
    pub(super) index_crc: u32,
}

impl Meta {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let index_crc = u64::from(self.index_crc);
        for number in [self.series, self.chunks, self.samples, self.data_bytes, self.index_bytes, index_crc] {
            put_number(out, number);
        }
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut bytes = Bytes::new(bytes);
        Some(Self {
            series: bytes.number()?,
            chunks: bytes.number()?,
            samples: bytes.number()?,
            data_bytes: bytes.number()?,
            index_bytes: bytes.number()?,
            index_crc: u32::try_from(bytes.number()?).ok()?,
        })
    }
}
