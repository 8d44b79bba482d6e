//! Bits in a row: the most significant bit of a byte comes first.

/// Appends bits.
#[derive(Debug, Clone, Default)]
pub struct BitWriter {
    bytes: Vec<u8>,
    /// Bits of the last byte that are not yet used.
    free: u32,
}

impl BitWriter {
    /// Appends to bytes that are whole.
    pub fn after(bytes: Vec<u8>) -> Self {
        Self { bytes, free: 0 }
    }

    /// Appends the lowest `count` bits of `bits`, at most 64.
    pub fn write(&mut self, bits: u64, count: u32) {
        if count == 0 {
            return;
        }
        let bits = if count == 64 { bits } else { bits & ((1 << count) - 1) };
        // What fits into the last byte, then whole bytes at once.
        let taken = count.min(self.free);
        let left = count - taken;
        if let Some(last) = self.bytes.last_mut().filter(|_| taken > 0) {
            let part = bits.checked_shr(left).unwrap_or(0);
            // At most eight bits: the rest was masked away.
            *last |= (part << (self.free - taken)) as u8;
        }
        self.free -= taken;
        if left > 0 {
            let rest = (bits << (64 - left)).to_be_bytes();
            let whole = left.div_ceil(8);
            self.bytes.extend_from_slice(&rest[..whole as usize]);
            self.free = whole * 8 - left;
        }
    }

    /// Returns how many bytes there are, the last perhaps not full.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Returns the bytes; unused bits of the last are zero.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Gives the bytes away.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Reads bits.
#[derive(Debug, Clone, Copy)]
pub struct BitReader<'a> {
    bytes: &'a [u8],
    /// The next bit.
    at: usize,
}

impl<'a> BitReader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Returns the next bit; nothing at the end.
    pub fn bit(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    /// Returns the next `count` bits, at most 64; nothing where there are not so many.
    pub fn read(&mut self, count: u32) -> Option<u64> {
        let end = self.at + count as usize;
        if end > self.bytes.len() * 8 {
            return None;
        }
        let mut bits = 0_u64;
        while self.at < end {
            let free = 8 - self.at % 8;
            let taken = free.min(end - self.at);
            let byte = u64::from(self.bytes[self.at / 8]);
            let part = (byte >> (free - taken)) & ((1 << taken) - 1);
            bits = if taken == 64 { part } else { bits << taken | part };
            self.at += taken;
        }
        Some(bits)
    }
}

/// Maps numbers near zero to small ones without a sign: 0, -1, 1, -2, …
pub fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

/// The way back.
pub fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(parts in proptest::collection::vec((any::<u64>(), 0u32..=64), 0..50)) {
            let mut writer = BitWriter::default();
            for (bits, count) in &parts {
                writer.write(*bits, *count);
            }
            let total: u32 = parts.iter().map(|(_, count)| count).sum();
            prop_assert_eq!(writer.len(), total.div_ceil(8) as usize);
            let mut reader = BitReader::new(writer.bytes());
            for (bits, count) in parts {
                let mask = if count == 64 { u64::MAX } else { (1 << count) - 1 };
                prop_assert_eq!(reader.read(count), Some(bits & mask));
            }
            prop_assert!(reader.read(8).is_none());
        }

        #[test]
        fn zigzag_goes_both_ways(number: i64) {
            prop_assert_eq!(unzigzag(zigzag(number)), number);
        }
    }
}
