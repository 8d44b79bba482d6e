//! As much of protocol buffers as remote write needs: numbers, texts, messages within messages.

/// Why bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    #[error("the message ends in the midst of a field")]
    Truncated,
    #[error("a number in the message has more than 64 bits")]
    Number,
    #[error("field {0} of the message is of a kind that does not belong there")]
    Kind(u64),
    #[error("a text in the message is not UTF-8")]
    NotUtf8,
}

/// Returns how many bytes a number takes.
pub(super) fn varint_len(value: u64) -> usize {
    // Seven bits a byte, one byte for zero.
    (70 - (value | 1).leading_zeros() as usize) / 7
}

/// Returns how many bytes a field takes whose content has this length. Fields have numbers below 16: one byte.
pub(super) fn field_len(content: usize) -> usize {
    1 + varint_len(content as u64) + content
}

pub(super) fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Begins a field that has a length: a text or a message.
pub(super) fn push_head(out: &mut Vec<u8>, field: u8, content: usize) {
    out.push(field << 3 | 2);
    push_varint(out, content as u64);
}

/// Writes a text; an empty one is left out, as the format wants it.
pub(super) fn push_text(out: &mut Vec<u8>, field: u8, text: &str) {
    if !text.is_empty() {
        push_head(out, field, text.len());
        out.extend_from_slice(text.as_bytes());
    }
}

pub(super) fn text_len(text: &str) -> usize {
    if text.is_empty() { 0 } else { field_len(text.len()) }
}

pub(super) fn push_number(out: &mut Vec<u8>, field: u8, value: u64) {
    if value != 0 {
        out.push(field << 3);
        push_varint(out, value);
    }
}

pub(super) fn number_len(value: u64) -> usize {
    if value == 0 { 0 } else { 1 + varint_len(value) }
}

/// Writes the bits of a float; only those of zero are left out: minus zero is a value, too.
pub(super) fn push_double(out: &mut Vec<u8>, field: u8, value: f64) {
    if value.to_bits() != 0 {
        out.push(field << 3 | 1);
        out.extend_from_slice(&value.to_bits().to_le_bytes());
    }
}

pub(super) fn double_len(value: f64) -> usize {
    if value.to_bits() == 0 { 0 } else { 9 }
}

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Content<'a> {
    Number(u64),
    Fixed(u64),
    Bytes(&'a [u8]),
    /// A kind that is in none of the messages.
    Other,
}

/// Hands out the fields of a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    /// Returns the number of the next field and what it holds.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Content<'a>)>, WireError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let content = match key & 7 {
            0 => Content::Number(self.varint()?),
            1 => Content::Fixed(u64::from_le_bytes(self.array()?)),
            2 => {
                let len = usize::try_from(self.varint()?).map_err(|_| WireError::Truncated)?;
                Content::Bytes(self.take(len)?)
            }
            5 => {
                self.array::<4>()?;
                Content::Other
            }
            _ => return Err(WireError::Kind(key >> 3)),
        };
        Ok(Some((key >> 3, content)))
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(WireError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        self.take(N)?.try_into().map_err(|_| WireError::Truncated)
    }

    fn varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0;
        for (place, byte) in self.0.iter().take(10).enumerate() {
            if place == 9 && *byte > 1 {
                return Err(WireError::Number);
            }
            value |= u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                self.0 = &self.0[place + 1..];
                return Ok(value);
            }
        }
        Err(if self.0.len() < 10 { WireError::Truncated } else { WireError::Number })
    }
}

impl<'a> Content<'a> {
    pub(super) fn bytes(self, field: u64) -> Result<&'a [u8], WireError> {
        if let Content::Bytes(bytes) = self { Ok(bytes) } else { Err(WireError::Kind(field)) }
    }

    pub(super) fn text(self, field: u64) -> Result<&'a str, WireError> {
        std::str::from_utf8(self.bytes(field)?).map_err(|_| WireError::NotUtf8)
    }

    pub(super) fn number(self, field: u64) -> Result<u64, WireError> {
        if let Content::Number(number) = self { Ok(number) } else { Err(WireError::Kind(field)) }
    }

    pub(super) fn double(self, field: u64) -> Result<f64, WireError> {
        if let Content::Fixed(bits) = self { Ok(f64::from_bits(bits)) } else { Err(WireError::Kind(field)) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back_and_take_what_was_said(value in prop_oneof![any::<u64>(), 0..300_u64]) {
            let mut out = Vec::new();
            push_varint(&mut out, value);
            prop_assert_eq!(out.len(), varint_len(value));
            prop_assert_eq!(Fields(&out).varint(), Ok(value));
            prop_assert_eq!(Fields(&out[..out.len() - 1]).varint(), Err(WireError::Truncated));
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        assert_eq!(Fields(&[0xff; 10]).varint(), Err(WireError::Number));
        assert_eq!(
            Fields(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]).varint(),
            Err(WireError::Number)
        );
        assert!(matches!(Fields(&[0x0b]).next(), Err(WireError::Kind(1))));
        assert!(matches!(Fields(&[0x0a, 5, 1]).next(), Err(WireError::Truncated)));
    }
}
