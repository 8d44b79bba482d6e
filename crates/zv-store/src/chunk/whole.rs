//! Whole numbers by the difference of their differences, as times are: a counter that rises evenly takes a bit for each
//! sample.

use zv_model::Sample;

use super::times::Steady;
use super::{ChunkError, LONGEST, WHOLE};
use crate::bits::{BitReader, BitWriter};

/// Beyond it not every whole number is a value of its own.
const LARGEST: f64 = 9_007_199_254_740_992.0;

/// Returns the number that a value is exactly; none for fractions, NaNs, what is too large, and the zero with a sign.
pub(crate) fn whole(value: f64) -> Option<i64> {
    let is_whole =
        value.abs() <= LARGEST && value.trunc() == value && value.to_bits() != (-0.0_f64).to_bits();
    is_whole.then_some(value as i64)
}

/// Codes samples whose values are all whole numbers.
pub(super) fn write(samples: &[Sample]) -> Option<Vec<u8>> {
    let count = u16::try_from(samples.len()).ok()?;
    let mut bytes = vec![WHOLE];
    bytes.extend(count.to_be_bytes());
    let mut bits = BitWriter::after(bytes);
    let (first, rest) = samples.split_first()?;
    let mut times = Steady::begin(first.at, &mut bits);
    let mut values = Steady::begin(whole(first.value)?, &mut bits);
    for sample in rest {
        times.push(sample.at, &mut bits);
        values.push(whole(sample.value)?, &mut bits);
    }
    Some(bits.into_bytes())
}

/// Reads a chunk behind its code.
pub(super) fn read(bytes: &[u8], out: &mut Vec<Sample>) -> Result<(), ChunkError> {
    let [high, low, rest @ ..] = bytes else { return Err(ChunkError::CutOff) };
    let count = usize::from(u16::from_be_bytes([*high, *low]));
    if count > LONGEST {
        return Err(ChunkError::TooLong);
    }
    let mut bits = BitReader::new(rest);
    let mut state: Option<(Steady, Steady)> = None;
    let before = out.len();
    for _ in 0..count {
        let next = match &mut state {
            None => Steady::begun(&mut bits).and_then(|(times, at)| {
                let (values, value) = Steady::begun(&mut bits)?;
                state = Some((times, values));
                Some((at, value))
            }),
            Some((times, values)) => times.next(&mut bits).zip(values.next(&mut bits)),
        };
        let (at, value) = next.ok_or(ChunkError::CutOff)?;
        if out[before..].last().is_some_and(|last| last.at >= at) {
            return Err(ChunkError::Unsorted);
        }
        out.push(Sample { at, value: value as f64 });
    }
    Ok(())
}
