//! Numbers that rise evenly, coded by how much less evenly than before: times, and counters.

use crate::bits::{BitReader, BitWriter, unzigzag, zigzag};

/// The lengths of a difference of differences and what announces each: `0`, `10`, `110`, `1110`, `1111`.
const LENGTHS: [u32; 5] = [0, 7, 13, 21, 64];

/// The last number and the last difference.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Steady {
    last: i64,
    step: i64,
}

impl Steady {
    /// Begins with a number, which is coded whole.
    pub(super) fn begin(first: i64, out: &mut BitWriter) -> Self {
        out.write(first.cast_unsigned(), 64);
        Self { last: first, step: 0 }
    }

    /// Reads the number that was begun with.
    pub(super) fn begun(bits: &mut BitReader<'_>) -> Option<(Self, i64)> {
        let first = bits.read(64)?.cast_signed();
        Some((Self { last: first, step: 0 }, first))
    }

    /// Codes the next number. Whatever the numbers are, they are read back: arithmetic wraps on both sides.
    pub(super) fn push(&mut self, next: i64, out: &mut BitWriter) {
        let step = next.wrapping_sub(self.last);
        write_small(step.wrapping_sub(self.step), out);
        (self.last, self.step) = (next, step);
    }

    /// Reads the next number.
    pub(super) fn next(&mut self, bits: &mut BitReader<'_>) -> Option<i64> {
        self.step = self.step.wrapping_add(read_small(bits)?);
        self.last = self.last.wrapping_add(self.step);
        Some(self.last)
    }
}

/// Writes a number that is near zero most of the time.
pub(crate) fn write_small(number: i64, out: &mut BitWriter) {
    let number = zigzag(number);
    let fits = |length: &u32| *length == 64 || number < 1 << length;
    let place = LENGTHS.iter().position(fits).unwrap_or(LENGTHS.len() - 1);
    // So many ones, and a zero unless it is the last.
    out.write(u64::MAX, place as u32);
    if place < LENGTHS.len() - 1 {
        out.write(0, 1);
    }
    out.write(number, LENGTHS[place]);
}

/// Reads it.
pub(crate) fn read_small(bits: &mut BitReader<'_>) -> Option<i64> {
    let mut place = 0;
    while place < LENGTHS.len() - 1 && bits.bit()? {
        place += 1;
    }
    Some(unzigzag(bits.read(LENGTHS[place])?))
}
