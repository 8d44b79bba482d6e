//! What probes say: times as people write them, and other people's words made harmless.

use std::time::Duration;

/// How much of what a server says is repeated.
const QUOTE_LIMIT: usize = 160;

/// Returns a time as `250ms`, `1.5s`, `90s`.
pub(crate) fn span(time: Duration) -> String {
    let millis = time.as_millis();
    match millis {
        0 => format!("{}µs", time.as_micros()),
        1..1000 => format!("{millis}ms"),
        _ if millis.is_multiple_of(1000) || millis >= 60_000 => format!("{}s", millis / 1000),
        _ => format!("{:.1}s", time.as_secs_f64()),
    }
}

/// Returns what somebody sent as one short line without control characters.
pub(crate) fn quote(bytes: &[u8]) -> String {
    // One character takes at most four bytes; what lies beyond is cut anyway.
    let head = &bytes[..bytes.len().min(QUOTE_LIMIT * 4)];
    let text = String::from_utf8_lossy(head);
    let mut line = String::new();
    let mut taken = 0;
    let mut was_space = true;
    for c in text.chars() {
        let c = if c.is_control() || c.is_whitespace() || is_direction(c) { ' ' } else { c };
        if c == ' ' && was_space {
            continue;
        }
        if taken == QUOTE_LIMIT {
            line.push('…');
            return line;
        }
        was_space = c == ' ';
        line.push(c);
        taken += 1;
    }
    line.truncate(line.trim_end().len());
    if bytes.len() > head.len() {
        line.push('…');
    }
    line
}

/// Returns text with its control characters made visible, cut to `limit` bytes. Lines stay lines.
pub(crate) fn visible(text: &str, limit: usize) -> String {
    let mut shown = String::with_capacity(text.len().min(limit));
    for c in text.chars() {
        if c == '\n' || !(c.is_control() || is_direction(c)) {
            shown.push(c);
        } else {
            shown.extend(c.escape_default());
        }
        if shown.len() > limit {
            break;
        }
    }
    cut(shown, limit)
}

/// Cuts text to `limit` bytes, the mark that it was cut among them.
pub(crate) fn cut(mut text: String, limit: usize) -> String {
    const MARK: char = '…';
    if text.len() > limit {
        text.truncate(text.floor_char_boundary(limit.saturating_sub(MARK.len_utf8())));
        text.push(MARK);
    }
    text
}

/// Characters that turn the direction of text around, with which a line can be made to read as another one.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns a byte count as `64 KiB`, `1 MiB`.
pub(crate) fn bytes(count: usize) -> String {
    match count {
        _ if count >= 1024 * 1024 && count.is_multiple_of(1024 * 1024) => {
            format!("{} MiB", count / 1024 / 1024)
        }
        _ if count >= 1024 && count.is_multiple_of(1024) => format!("{} KiB", count / 1024),
        _ => format!("{count} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_read_as_people_write_them() {
        for (millis, text) in [(250, "250ms"), (1500, "1.5s"), (5000, "5s"), (90_500, "90s")] {
            assert_eq!(span(Duration::from_millis(millis)), text);
        }
        assert_eq!(span(Duration::from_micros(40)), "40µs");
    }

    #[test]
    fn what_a_server_says_cannot_act_on_a_terminal() {
        assert_eq!(quote(b"\x1b[2Jred\r\n\r\n  line\0"), "[2Jred line");
        assert_eq!(quote("a\u{202e}b".as_bytes()), "a b");
        assert_eq!(bytes(64 * 1024), "64 KiB");
    }

    #[test]
    fn control_characters_are_shown_and_not_sent_on() {
        assert_eq!(visible("a\x1b[2J\r\n\tb\u{202e}", 100), "a\\u{1b}[2J\\r\n\\tb\\u{202e}");
        assert_eq!(visible("ääää", 6), "ä…");
        assert_eq!(cut("abc".into(), 3), "abc");
    }

    proptest! {
        #[test]
        fn a_quote_is_one_short_line(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let line = quote(&bytes);
            prop_assert!(line.chars().count() <= QUOTE_LIMIT + 1);
            prop_assert!(!line.chars().any(char::is_control));
        }
    }
}
