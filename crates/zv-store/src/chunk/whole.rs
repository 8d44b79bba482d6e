//! Whole numbers by the difference of their differences, as times are: a counter that rises evenly takes a bit for each
//! sample. Numbers with few decimals are whole ones, too, once they are multiplied by a power of ten.

use zv_model::Sample;

use super::times::Steady;
use super::{ChunkError, DECIMAL, LONGEST, WHOLE};
use crate::bits::{BitReader, BitWriter};

/// Beyond it not every whole number is a value of its own.
const LARGEST: f64 = 9_007_199_254_740_992.0;

/// Returns the number that a value is exactly; none for fractions, NaNs, what is too large, and the zero with a sign.
pub(crate) fn whole(value: f64) -> Option<i64> {
    let is_whole =
        value.abs() <= LARGEST && value.trunc() == value && value.to_bits() != (-0.0_f64).to_bits();
    is_whole.then_some(value as i64)
}

/// What values with so many decimals are multiplied by.
const POWERS: [f64; 7] = [1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6];

/// Returns the number that a value is when it is multiplied, if dividing gives every bit of it again.
fn scaled(value: f64, power: f64) -> Option<i64> {
    let number = whole((value * power).round())?;
    (unscaled(number, power).to_bits() == value.to_bits()).then_some(number)
}

fn unscaled(number: i64, power: f64) -> f64 {
    number as f64 / power
}

/// Codes samples whose values all have few decimals, or none.
pub(super) fn write(samples: &[Sample]) -> Option<Vec<u8>> {
    (0..POWERS.len()).find_map(|decimals| write_scaled(samples, decimals))
}

fn write_scaled(samples: &[Sample], decimals: usize) -> Option<Vec<u8>> {
    let (count, power) = (u16::try_from(samples.len()).ok()?, POWERS[decimals]);
    let mut bytes = vec![if decimals == 0 { WHOLE } else { DECIMAL }];
    bytes.extend(count.to_be_bytes());
    if decimals > 0 {
        bytes.push(decimals as u8);
    }
    let mut bits = BitWriter::after(bytes);
    let (first, rest) = samples.split_first()?;
    let mut times = Steady::begin(first.at, &mut bits);
    let mut values = Steady::begin(scaled(first.value, power)?, &mut bits);
    for sample in rest {
        times.push(sample.at, &mut bits);
        values.push(scaled(sample.value, power)?, &mut bits);
    }
    Some(bits.into_bytes())
}

/// Reads a chunk of whole numbers behind its code.
pub(super) fn read(bytes: &[u8], out: &mut Vec<Sample>) -> Result<(), ChunkError> {
    let [high, low, rest @ ..] = bytes else { return Err(ChunkError::CutOff) };
    read_scaled([*high, *low], rest, 1.0, out)
}

/// Reads a chunk of numbers with decimals behind its code.
pub(super) fn read_decimal(bytes: &[u8], out: &mut Vec<Sample>) -> Result<(), ChunkError> {
    let [high, low, decimals, rest @ ..] = bytes else { return Err(ChunkError::CutOff) };
    let power = POWERS.get(usize::from(*decimals)).ok_or(ChunkError::Decimals(*decimals))?;
    read_scaled([*high, *low], rest, *power, out)
}

fn read_scaled(count: [u8; 2], rest: &[u8], power: f64, out: &mut Vec<Sample>) -> Result<(), ChunkError> {
    let count = usize::from(u16::from_be_bytes(count));
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
        out.push(Sample { at, value: unscaled(value, power) });
    }
    Ok(())
}
