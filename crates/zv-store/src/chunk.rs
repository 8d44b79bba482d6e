//! Samples of one series, packed. A chunk begins with a byte that says how it is coded, so that other codes can come later.
//!
//! - [`xor`]: times by the difference of their differences, values by what changed of their bits. It can grow sample by
//!   sample, and keeps every bit of every value, so that all NaNs stay what they were.
//! - [`whole`]: the same for values that are whole numbers, as most counters are, or have few decimals: differences of
//!   differences, too.
//!
//! A chunk grows as [`xor`]. When it is closed it may be coded again, as whatever is smaller.

pub(crate) mod times;
pub mod whole;
pub mod xor;

use zv_model::Sample;

pub use self::xor::XorWriter;

/// The byte in front of each code.
const XOR: u8 = 1;
const WHOLE: u8 = 2;
const DECIMAL: u8 = 3;
/// The samples a chunk holds at most: what a reader sets aside for one.
pub const LONGEST: usize = 512;
/// The bytes of a chunk at most: a sample takes no more than 20, however it changes.
pub const MOST_BYTES: usize = 16 + LONGEST * 20;

/// The bytes of a chunk are not what a chunk can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    #[error("a chunk without a byte")]
    Empty,
    #[error("a chunk in the unknown code {0}")]
    Code(u8),
    #[error("a chunk of numbers with {0} decimals")]
    Decimals(u8),
    #[error("a chunk ends in the middle of a sample")]
    CutOff,
    #[error("a chunk of more than {LONGEST} samples")]
    TooLong,
    #[error("a chunk whose times do not rise")]
    Unsorted,
}

/// Appends all samples of a chunk. What was read before a fault stays: the caller decides whether to use it.
pub fn read(bytes: &[u8], out: &mut Vec<Sample>) -> Result<(), ChunkError> {
    match bytes {
        [] => Err(ChunkError::Empty),
        [XOR, rest @ ..] => xor::read(rest, out),
        [WHOLE, rest @ ..] => whole::read(rest, out),
        [DECIMAL, rest @ ..] => whole::read_decimal(rest, out),
        [code, ..] => Err(ChunkError::Code(*code)),
    }
}

/// Returns how many samples a chunk says it has.
pub fn count(bytes: &[u8]) -> Option<usize> {
    let [XOR | WHOLE | DECIMAL, high, low, ..] = bytes else { return None };
    Some(usize::from(u16::from_be_bytes([*high, *low])))
}

/// Codes samples whose times rise as whatever is smallest. At most [`LONGEST`] are taken.
pub fn pack(samples: &[Sample]) -> Vec<u8> {
    let samples = &samples[..samples.len().min(LONGEST)];
    let mut xor = XorWriter::default();
    for sample in samples {
        xor.push(*sample);
    }
    smaller(xor, samples)
}

/// Closes a chunk that has these samples: it stays as it is, or is coded anew where that is smaller.
pub fn smaller(open: XorWriter, samples: &[Sample]) -> Vec<u8> {
    let xor = open.into_bytes();
    match whole::write(samples) {
        Some(whole) if whole.len() < xor.len() => whole,
        _ => xor,
    }
}

#[cfg(test)]
mod tests;
