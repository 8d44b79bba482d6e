//! Quoted texts: read and written as Go does, because queries are written by people who learned them there.

use std::fmt::Write as _;

/// Bytes that are no UTF-8 stand as characters from here on, which are for private use, so that they are written as they came.
const RAW_BYTES: u32 = 0x10_ff00;

/// Says whether a character stands for a byte that is no UTF-8.
pub(crate) fn is_raw_byte(c: char) -> bool {
    u32::from(c) >= RAW_BYTES
}

/// Writes a text in double quotes.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c if is_raw_byte(c) => {
                let _ = write!(out, "\\x{:02x}", u32::from(c) - RAW_BYTES);
            }
            c if is_printable(c) => out.push(c),
            c => escape(c, &mut out),
        }
    }
    out.push('"');
    out
}

fn is_printable(c: char) -> bool {
    c == ' ' || c == '\'' || c.escape_debug().count() == 1
}

fn escape(c: char, out: &mut String) {
    let code = u32::from(c);
    // Writing to a text cannot fail.
    let _ = match code {
        0..0x80 => write!(out, "\\x{code:02x}"),
        0x80..0x1_0000 => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
}

/// Reads a quoted text, whose escapes the lexer has checked.
pub(crate) fn unquote(quoted: &str) -> String {
    let inner = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    if quoted.starts_with('`') || !inner.contains('\\') {
        return inner.to_owned();
    }
    let mut out = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        rest = unescape(&rest[at + 1..], &mut out);
    }
    out.extend_from_slice(rest.as_bytes());
    let mut text = String::with_capacity(out.len());
    for chunk in out.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().filter_map(|byte| char::from_u32(RAW_BYTES + u32::from(*byte))));
    }
    text
}

/// Reads what follows a backslash, returns what comes after it.
fn unescape<'a>(rest: &'a str, out: &mut Vec<u8>) -> &'a str {
    let Some(first) = rest.chars().next() else { return rest };
    let (digits, radix, from) = match first {
        'x' => (2, 16, 1),
        'u' => (4, 16, 1),
        'U' => (8, 16, 1),
        '0'..='7' => (3, 8, 0),
        _ => {
            let plain = match first {
                'a' => '\u{7}',
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'v' => '\u{b}',
                other => other,
            };
            out.extend_from_slice(plain.encode_utf8(&mut [0; 4]).as_bytes());
            return &rest[first.len_utf8()..];
        }
    };
    let code = rest.get(from..from + digits).and_then(|text| u32::from_str_radix(text, radix).ok());
    let code = code.unwrap_or(u32::MAX);
    match u8::try_from(code) {
        Ok(byte) if first != 'u' && first != 'U' => out.push(byte),
        _ => {
            let c = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    rest.get(from + digits..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_and_written() {
        for (quoted, text) in [
            (r#""a\n\t\"\\""#, "a\n\t\"\\"),
            (r#""\x01\u00e9\U0001f600""#, "\u{1}é😀"),
            (r"'it\'s'", "it's"),
            (r"`a\n`", r"a\n"),
            (r#""\101""#, "A"),
            (r#""a\xc5z""#, "a\u{10ffc5}z"),
        ] {
            assert_eq!(unquote(quoted), text, "{quoted}");
            assert_eq!(unquote(&quote(text)), text);
        }
        assert_eq!(quote(&unquote(r#""a\xc5z""#)), r#""a\xc5z""#);
        assert_eq!(quote("é\u{1}\u{a0}\n'"), r#""é\x01\u00a0\n'""#);
    }
}
