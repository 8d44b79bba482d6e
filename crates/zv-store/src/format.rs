//! What all files have in common: a header with a version, and frames with a checksum each.

use crate::bytes::Bytes;
use crate::crc::Crc;

/// The version of everything that is written. A reader refuses newer ones.
pub(crate) const VERSION: u16 = 1;
/// The bytes of a header.
pub(crate) const HEADER: usize = 16;
/// The bytes in front of a frame's payload.
pub(crate) const FRAME: usize = 14;
/// What a frame begins with, so that the next one is found behind a broken one.
const MARK: u8 = 0xa7;
/// A frame holds no more.
pub(crate) const MOST_PAYLOAD: usize = 16 << 20;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    Segment,
    Checkpoint,
    Data,
    Index,
    Meta,
}

impl FileKind {
    fn magic(self) -> &'static [u8; 8] {
        match self {
            FileKind::Segment => b"zv-wal\0\0",
            FileKind::Checkpoint => b"zv-ckpt\0",
            FileKind::Data => b"zv-data\0",
            FileKind::Index => b"zv-indx\0",
            FileKind::Meta => b"zv-meta\0",
        }
    }

    /// Returns the header of such a file.
    pub(crate) fn header(self) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(self.magic());
        header[8..10].copy_from_slice(&VERSION.to_le_bytes());
        let crc = crate::crc::crc32c(&header[..12]);
        header[12..].copy_from_slice(&crc.to_le_bytes());
        header
    }

    /// Says what a file's first bytes are.
    pub(crate) fn judge(self, bytes: &[u8]) -> Header {
        let Some(header) = bytes.get(..HEADER) else { return Header::Damaged };
        let crc = crate::crc::crc32c(&header[..12]);
        if header[..8] != *self.magic() || header[12..] != crc.to_le_bytes() {
            return Header::Damaged;
        }
        match u16::from_le_bytes([header[8], header[9]]) {
            VERSION => Header::Good,
            version => Header::Other(version),
        }
    }
}

/// What a file's first bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Header {
    Good,
    /// Written by another version, which says so under a checksum.
    Other(u16),
    /// What follows may be good: each frame has a checksum of its own.
    Damaged,
}

/// Appends a frame.
pub(crate) fn put_frame(out: &mut Vec<u8>, kind: u8, number: u32, payload: &[u8]) {
    let begin = out.len();
    out.push(MARK);
    out.push(kind);
    out.extend((payload.len() as u32).to_le_bytes());
    out.extend(number.to_le_bytes());
    let mut crc = Crc::default();
    crc.add(&out[begin..]);
    crc.add(payload);
    out.extend(crc.value().to_le_bytes());
    out.extend_from_slice(payload);
}

/// Something in a row of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    Frame {
        kind: u8,
        /// Rises by one with each frame of a file.
        number: u32,
        payload: &'a [u8],
        /// Where the frame begins.
        at: usize,
    },
    /// Bytes that are no frame, in front of one that is.
    Bad { bytes: usize },
    /// Bytes at the end that are no frame.
    Torn { at: usize, bytes: usize },
}

/// Goes through the frames of a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frames<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Frames<'a> {
    /// Begins at a place; the first frame of a file is behind its header.
    pub(crate) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at: at.min(bytes.len()) }
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Found<'a>;

    fn next(&mut self) -> Option<Found<'a>> {
        let begin = self.at;
        if begin == self.bytes.len() {
            return None;
        }
        if let Some((kind, number, payload)) = frame_at(self.bytes, begin) {
            self.at += FRAME + payload.len();
            return Some(Found::Frame { kind, number, payload, at: begin });
        }
        let is_frame = |at: &usize| self.bytes[*at] == MARK && frame_at(self.bytes, *at).is_some();
        let next = (begin + 1..self.bytes.len()).find(is_frame);
        self.at = next.unwrap_or(self.bytes.len());
        let bytes = self.at - begin;
        Some(if next.is_some() { Found::Bad { bytes } } else { Found::Torn { at: begin, bytes } })
    }
}

fn frame_at(bytes: &[u8], at: usize) -> Option<(u8, u32, &[u8])> {
    let bytes = &bytes[at..];
    let mut fields = Bytes::new(bytes);
    let (mark, kind, len) = (fields.byte()?, fields.byte()?, fields.u32()? as usize);
    let (number, crc) = (fields.u32()?, fields.u32()?);
    if mark != MARK || len > MOST_PAYLOAD {
        return None;
    }
    let payload = fields.take(len)?;
    let mut sum = Crc::default();
    sum.add(&bytes[..FRAME - 4]);
    sum.add(payload);
    (sum.value() == crc).then_some((kind, number, payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Vec<u8> {
        let mut bytes = Vec::new();
        for (number, payload) in [&b"one"[..], b"", b"three"].into_iter().enumerate() {
            put_frame(&mut bytes, 1, number as u32, payload);
        }
        bytes
    }

    #[test]
    fn frames_are_found() {
        let bytes = three();
        let found: Vec<Found<'_>> = Frames::new(&bytes, 0).collect();
        assert_eq!(found.len(), 3);
        assert_eq!(found[2], Found::Frame { kind: 1, number: 2, payload: b"three", at: 31 });
    }

    #[test]
    fn whatever_byte_is_wrong_the_other_frames_are_found() {
        let bytes = three();
        for place in 0..bytes.len() {
            let mut broken = bytes.clone();
            broken[place] ^= 0x55;
            let found: Vec<Found<'_>> = Frames::new(&broken, 0).collect();
            let good = found.iter().filter(|found| matches!(found, Found::Frame { .. })).count();
            assert_eq!((good, found.len()), (2, 3), "byte {place}");
        }
    }

    #[test]
    fn a_torn_end_is_told() {
        let bytes = three();
        for len in 32..bytes.len() {
            let last = Frames::new(&bytes[..len], 0).last();
            assert_eq!(last, Some(Found::Torn { at: 31, bytes: len - 31 }));
        }
    }

    #[test]
    fn headers_tell_damage_from_other_versions() {
        let good = FileKind::Segment.header();
        assert_eq!(FileKind::Segment.judge(&good), Header::Good);
        assert_eq!(FileKind::Data.judge(&good), Header::Damaged);
        assert_eq!(FileKind::Segment.judge(&good[..10]), Header::Damaged);
        let mut newer = good;
        newer[8] = 9;
        assert_eq!(FileKind::Segment.judge(&newer), Header::Damaged);
        let crc = crate::crc::crc32c(&newer[..12]);
        newer[12..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(FileKind::Segment.judge(&newer), Header::Other(9));
    }
}
