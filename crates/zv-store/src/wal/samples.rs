//! How the log codes samples: a sample that comes when it is expected, with the value it had, takes three bits.
//!
//! Values are coded against the value that their series had in the log before. So that a record that is lost does not take
//! all that follow with it, a value is written whole from time to time, and in each segment the first time.

use std::collections::HashMap;

use zv_model::{Sample, Timestamp};

use crate::bits::{BitReader, BitWriter};
use crate::bytes::{Bytes, put_number, put_signed};
use crate::chunk::times::{read_small, write_small};
use crate::chunk::whole::whole;

/// A value is written whole after so many that were not.
const WHOLE_AFTER: u8 = 32;
/// No record has more samples.
pub(crate) const MOST_SAMPLES: usize = 1 << 18;
/// What is in front of a value: the same, a difference of whole numbers, bits that changed, all of it.
const LEADING_BITS: u32 = 5;
const LENGTH_BITS: u32 = 6;

/// What the writer remembers of a series.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Chain {
    /// The log knows the labels of the series.
    pub(crate) is_defined: bool,
    /// The segment to which the rest belongs; the first is 1.
    segment: u32,
    bits: u64,
    left: u8,
}

/// A record that grows.
#[derive(Debug, Default)]
pub(crate) struct SamplesWriter {
    bits: BitWriter,
    count: usize,
    first: Timestamp,
    id: u64,
    at: Timestamp,
}

impl SamplesWriter {
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn len(&self) -> usize {
        self.bits.len()
    }

    /// Appends a sample to a record of this segment.
    pub(crate) fn push(&mut self, id: u64, chain: &mut Chain, segment: u32, sample: Sample) {
        if self.count == 0 {
            (self.first, self.at) = (sample.at, sample.at);
        }
        write_small(id.wrapping_sub(self.id.wrapping_add(1)).cast_signed(), &mut self.bits);
        write_small(sample.at.wrapping_sub(self.at), &mut self.bits);
        (self.id, self.at) = (id, sample.at);
        self.count += 1;
        let bits = sample.value.to_bits();
        if chain.segment != segment || chain.left == 0 {
            self.bits.write(0b111, 3);
            self.bits.write(bits, 64);
            (chain.segment, chain.left) = (segment, WHOLE_AFTER);
        } else {
            write_change(chain.bits, bits, &mut self.bits);
            chain.left -= 1;
        }
        chain.bits = bits;
    }

    /// Returns the record and begins another.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let done = std::mem::take(self);
        let mut out = Vec::with_capacity(done.bits.len() + 16);
        put_number(&mut out, done.count as u64);
        put_signed(&mut out, done.first);
        out.extend_from_slice(done.bits.bytes());
        out
    }
}

fn write_change(before: u64, now: u64, out: &mut BitWriter) {
    let change = before ^ now;
    if change == 0 {
        out.write(0, 1);
        return;
    }
    if let (Some(before), Some(now)) = (whole(f64::from_bits(before)), whole(f64::from_bits(now))) {
        out.write(0b10, 2);
        write_small(now - before, out);
        return;
    }
    let leading = change.leading_zeros().min((1 << LEADING_BITS) - 1);
    let trailing = change.trailing_zeros();
    let length = 64 - leading - trailing;
    out.write(0b110, 3);
    out.write(u64::from(leading), LEADING_BITS);
    out.write(u64::from(length - 1), LENGTH_BITS);
    out.write(change >> trailing, length);
}

/// What a reader remembers: the last value of each series in the segment.
#[derive(Debug, Default)]
pub(crate) struct Chains(HashMap<u64, u64>);

impl Chains {
    /// Forgets everything: a segment begins, or a record is missing.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Hands every sample of a record to `each`; where the value before is not known, without its value. Returns nothing
    /// where the record is none.
    pub(crate) fn read(
        &mut self,
        record: &[u8],
        mut each: impl FnMut(u64, Timestamp, Option<f64>),
    ) -> Option<()> {
        let mut bytes = Bytes::new(record);
        let (count, mut at) = (bytes.small()?, bytes.signed()?);
        if count > MOST_SAMPLES {
            return None;
        }
        let mut bits = BitReader::new(bytes.rest());
        let mut id = 0_u64;
        for _ in 0..count {
            id = id.wrapping_add(1).wrapping_add(read_small(&mut bits)?.cast_unsigned());
            at = at.wrapping_add(read_small(&mut bits)?);
            let before = self.0.get(&id).copied();
            match read_change(before, &mut bits)? {
                Some(value) => {
                    self.0.insert(id, value);
                    each(id, at, Some(f64::from_bits(value)));
                }
                None => each(id, at, None),
            }
        }
        Some(())
    }
}

/// Returns the value, or that it cannot be known; nothing where the bits end.
fn read_change(before: Option<u64>, bits: &mut BitReader<'_>) -> Option<Option<u64>> {
    if !bits.bit()? {
        return Some(before);
    }
    if !bits.bit()? {
        let change = read_small(bits)?;
        let value = before.map(|before| {
            let number = whole(f64::from_bits(before)).unwrap_or_default().wrapping_add(change);
            (number as f64).to_bits()
        });
        return Some(value);
    }
    if bits.bit()? {
        return Some(Some(bits.read(64)?));
    }
    let leading = bits.read(LEADING_BITS)? as u32;
    let length = bits.read(LENGTH_BITS)? as u32 + 1;
    let trailing = 64_u32.checked_sub(leading + length)?;
    let change = bits.read(length)? << trailing;
    Some(before.map(|before| before ^ change))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(chains: &mut Chains, record: &[u8]) -> Vec<(u64, i64, Option<u64>)> {
        let mut out = Vec::new();
        let is_whole =
            chains.read(record, |id, at, value| out.push((id, at, value.map(f64::to_bits)))).is_some();
        assert!(is_whole);
        out
    }

    #[test]
    fn a_steady_sample_takes_three_bits() {
        let mut chains = vec![Chain::default(); 100];
        let mut writer = SamplesWriter::default();
        for round in 0..2 {
            for (id, chain) in chains.iter_mut().enumerate() {
                writer.push(id as u64 + 7, chain, 1, Sample { at: 1000 * round, value: 0.5 });
            }
            let len = writer.take().len();
            assert!(round == 0 || len <= 100 * 3 / 8 + 8, "{len} bytes for 100 samples");
        }
    }

    #[test]
    fn without_the_record_before_a_value_is_unknown_until_it_comes_whole() {
        let (mut chain, mut writer) = (Chain::default(), SamplesWriter::default());
        let mut records = (0..80).map(|round| {
            writer.push(1, &mut chain, 1, Sample { at: round, value: round as f64 });
            writer.take()
        });
        assert!(records.next().is_some(), "and it is lost");
        let mut chains = Chains::default();
        let values: Vec<Option<u64>> =
            records.flat_map(|record| all(&mut chains, &record)).map(|(_, _, value)| value).collect();
        let unknown = values.iter().take_while(|value| value.is_none()).count();
        assert!(unknown <= usize::from(WHOLE_AFTER) && values[unknown..].iter().all(Option::is_some));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(samples in proptest::collection::vec((0_u64..5, any::<i64>(), prop_oneof![
            (-9_i64..9).prop_map(|number| (number as f64).to_bits()), any::<u64>()]), 0..300)) {
            let mut chains = [Chain::default(); 5];
            let (mut writer, mut reader) = (SamplesWriter::default(), Chains::default());
            for part in samples.chunks(50) {
                for (id, at, bits) in part {
                    let sample = Sample { at: *at, value: f64::from_bits(*bits) };
                    writer.push(*id, &mut chains[*id as usize], 1, sample);
                }
                let expected: Vec<_> = part.iter().map(|(id, at, bits)| (*id, *at, Some(*bits))).collect();
                prop_assert_eq!(all(&mut reader, &writer.take()), expected);
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Chains::default().read(&bytes, |_, _, _| {});
        }
    }
}
