//! Values by what changed of their bits since the value before. Most values repeat, or change in few bits.

use zv_model::Sample;

use super::times::Steady;
use super::{ChunkError, LONGEST, XOR};
use crate::bits::{BitReader, BitWriter};

/// The bits in which a window's place and its length are written.
const LEADING_BITS: u32 = 5;
const LENGTH_BITS: u32 = 6;
/// More zeros in front than fit into [`LEADING_BITS`] are not made use of.
const MOST_LEADING: u32 = 31;

/// A chunk that grows.
#[derive(Debug, Clone)]
pub struct XorWriter {
    bits: BitWriter,
    times: Steady,
    values: Values,
    count: u16,
}

impl Default for XorWriter {
    fn default() -> Self {
        // The code, and the count, which is written anew with each sample.
        let bits = BitWriter::after(vec![XOR, 0, 0]);
        Self { bits, times: Steady::default(), values: Values::default(), count: 0 }
    }
}

impl XorWriter {
    /// Appends a sample; the caller sees to it that times rise and that there are at most [`LONGEST`].
    pub fn push(&mut self, sample: Sample) {
        if self.count == 0 {
            self.times = Steady::begin(sample.at, &mut self.bits);
            self.values = Values::begin(sample.value, &mut self.bits);
        } else {
            self.times.push(sample.at, &mut self.bits);
            self.values.push(sample.value, &mut self.bits);
        }
        self.count += 1;
    }

    /// Returns how many samples there are.
    pub fn count(&self) -> usize {
        usize::from(self.count)
    }

    /// Returns the size so far, in bytes.
    pub fn len(&self) -> usize {
        self.bits.len()
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Appends the samples so far.
    pub fn read(&self, out: &mut Vec<Sample>) {
        let samples = samples(&self.bits.bytes()[3..], self.count());
        debug_assert!(samples.is_ok(), "what was written is read");
        out.extend(samples.unwrap_or_default());
    }

    /// Returns the chunk.
    pub fn into_bytes(self) -> Vec<u8> {
        let mut bytes = self.bits.into_bytes();
        bytes[1..3].copy_from_slice(&self.count.to_be_bytes());
        bytes
    }
}

/// Reads a chunk behind its code.
pub(super) fn read(bytes: &[u8], out: &mut Vec<Sample>) -> Result<(), ChunkError> {
    let [high, low, rest @ ..] = bytes else { return Err(ChunkError::CutOff) };
    let count = usize::from(u16::from_be_bytes([*high, *low]));
    if count > LONGEST {
        return Err(ChunkError::TooLong);
    }
    out.extend(samples(rest, count)?);
    Ok(())
}

fn samples(bytes: &[u8], count: usize) -> Result<Vec<Sample>, ChunkError> {
    let mut samples = Vec::with_capacity(count);
    let mut bits = BitReader::new(bytes);
    let mut state: Option<(Steady, Values)> = None;
    for _ in 0..count {
        let next = match &mut state {
            None => Steady::begun(&mut bits).and_then(|(times, at)| {
                let (values, value) = Values::begun(&mut bits)?;
                state = Some((times, values));
                Some(Sample { at, value })
            }),
            Some((times, values)) => {
                let at = times.next(&mut bits);
                at.and_then(|at| Some(Sample { at, value: values.next(&mut bits)? }))
            }
        };
        let next = next.ok_or(ChunkError::CutOff)?;
        if samples.last().is_some_and(|last: &Sample| last.at >= next.at) {
            return Err(ChunkError::Unsorted);
        }
        samples.push(next);
    }
    Ok(samples)
}

/// The value before, and the window of bits that changed last.
#[derive(Debug, Clone, Copy, Default)]
struct Values {
    last: u64,
    leading: u32,
    /// 0 until there was a window.
    length: u32,
}

impl Values {
    fn begin(first: f64, out: &mut BitWriter) -> Self {
        out.write(first.to_bits(), 64);
        Self { last: first.to_bits(), leading: 0, length: 0 }
    }

    fn begun(bits: &mut BitReader<'_>) -> Option<(Self, f64)> {
        let first = bits.read(64)?;
        Some((Self { last: first, leading: 0, length: 0 }, f64::from_bits(first)))
    }

    /// `0`: the same; `10`: changes within the window before; `11`: a new window.
    fn push(&mut self, value: f64, out: &mut BitWriter) {
        let change = value.to_bits() ^ self.last;
        self.last = value.to_bits();
        if change == 0 {
            out.write(0, 1);
            return;
        }
        let (leading, trailing) = (change.leading_zeros().min(MOST_LEADING), change.trailing_zeros());
        let old_trailing = 64 - self.leading - self.length;
        let fits = self.length > 0 && leading >= self.leading && trailing >= old_trailing;
        let length = 64 - leading - trailing;
        // A new window costs its description; a window that is much too wide costs more, time after time.
        if fits && self.length <= length + LEADING_BITS + LENGTH_BITS {
            out.write(0b10, 2);
            out.write(change >> old_trailing, self.length);
            return;
        }
        (self.leading, self.length) = (leading, length);
        out.write(0b11, 2);
        out.write(u64::from(leading), LEADING_BITS);
        // Never 0: 64 is written as 0.
        out.write(u64::from(length) & 63, LENGTH_BITS);
        out.write(change >> trailing, length);
    }

    fn next(&mut self, bits: &mut BitReader<'_>) -> Option<f64> {
        if bits.bit()? {
            if bits.bit()? {
                self.leading = bits.read(LEADING_BITS)? as u32;
                let length = bits.read(LENGTH_BITS)? as u32;
                self.length = if length == 0 { 64 } else { length };
            }
            let trailing = 64_u32.checked_sub(self.leading + self.length)?;
            self.last ^= bits.read(self.length)?.checked_shl(trailing).unwrap_or(0);
        }
        Some(f64::from_bits(self.last))
    }
}
