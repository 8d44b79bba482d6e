//! Text that is fit for a terminal: no character that acts, and a known width.
//!
//! Everything zv prints about a stack was written by somebody else: names, log lines, health check outputs. None of it
//! may move the cursor, change the title or colour what follows.

use std::borrow::Cow;

use unicode_width::UnicodeWidthStr;

/// What stands for a character that must not reach a terminal.
const REPLACEMENT: char = '\u{fffd}';

/// Returns the columns `text` takes on a terminal.
pub fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// Says whether a character acts on a terminal or reorders what surrounds it, instead of being shown.
pub fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Says whether a character changes how its neighbour is drawn, and thereby a width that was already measured.
fn alters(c: char) -> bool {
    matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e0fff}')
}

/// Returns `text` with every character that acts replaced by a visible one; tabs become spaces.
pub fn clean(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| acts(c) || alters(c)) {
        return Cow::Borrowed(text);
    }
    let cleaned = text.chars().filter(|c| !alters(*c)).map(|c| match c {
        '\t' => ' ',
        c if acts(c) => REPLACEMENT,
        c => c,
    });
    Cow::Owned(cleaned.collect())
}

/// Shortens `text` to at most `max` columns; what was cut off is marked by `…`.
pub fn fit(text: &str, max: usize) -> Cow<'_, str> {
    if width(text) <= max {
        return Cow::Borrowed(text);
    }
    if max == 0 {
        return Cow::Borrowed("");
    }
    Cow::Owned(format!("{}…", head(text, max - 1)))
}

/// Returns the longest beginning of `text` that takes at most `max` columns.
pub fn head(text: &str, max: usize) -> &str {
    let mut end = 0;
    for (at, c) in text.char_indices() {
        let next = at + c.len_utf8();
        // Characters may join into one another, so the whole beginning is measured.
        if width(&text[..next]) > max {
            break;
        }
        end = next;
    }
    &text[..end]
}

/// Breaks `text` at its spaces into lines of at most `max` columns; a longer word is broken anywhere.
pub fn wrap(text: &str, max: usize) -> Vec<String> {
    let max = max.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let mut word = word;
        if !line.is_empty() && width(&line) + 1 + width(word) > max {
            lines.push(std::mem::take(&mut line));
        }
        while line.is_empty() && width(word) > max {
            let beginning = head(word, max);
            // A character wider than the line still has to go somewhere.
            let cut = if beginning.is_empty() {
                word.chars().next().map_or(0, char::len_utf8)
            } else {
                beginning.len()
            };
            lines.push(word[..cut].to_owned());
            word = &word[cut..];
        }
        if word.is_empty() {
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// What becomes of the colours in a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colours {
    /// Kept: the line goes to a terminal that shows colours.
    Keep,
    Strip,
}

/// Makes a log line harmless on a terminal: escape sequences go, but for colours where they are kept, and so do other
/// characters that act. Tabs stay.
pub fn harmless(line: &str, colours: Colours) -> Cow<'_, str> {
    if !line.chars().any(|c| c != '\t' && acts(c)) {
        return Cow::Borrowed(line);
    }
    let mut out = String::with_capacity(line.len());
    let mut coloured = false;
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        if matches!(c, '\u{1b}' | '\u{80}'..='\u{9f}') {
            let sequence = escape_sequence(rest);
            if colours == Colours::Keep && is_colour(sequence) {
                out.push_str(sequence);
                coloured = true;
            }
            rest = &rest[sequence.len()..];
            continue;
        }
        if c == '\t' || !acts(c) {
            out.push(c);
        } else if c == '\r' && !rest[1..].trim_end_matches('\r').is_empty() {
            // A progress bar that rewrote its line: what it wrote stays apart.
            out.push(' ');
        }
        rest = &rest[c.len_utf8()..];
    }
    if coloured {
        out.push_str("\u{1b}[0m");
    }
    Cow::Owned(out)
}

/// Says whether an escape sequence sets colours and nothing else.
fn is_colour(sequence: &str) -> bool {
    sequence
        .strip_prefix("\u{1b}[")
        .and_then(|rest| rest.strip_suffix('m'))
        .is_some_and(|parameters| parameters.bytes().all(|b| b.is_ascii_digit() || b == b';' || b == b':'))
}

/// Returns the escape sequence `text` starts with; an unfinished one reaches to the end.
fn escape_sequence(text: &str) -> &str {
    let mut chars = text.char_indices();
    let introducer = match chars.next() {
        Some((_, '\u{1b}')) => chars.next().map(|(_, c)| c),
        // The same introducers as one character: C1 controls.
        Some((_, c1 @ '\u{80}'..='\u{9f}')) => char::from_u32(u32::from(c1) - 0x40),
        _ => None,
    };
    let after = chars.as_str();
    let consumed = text.len() - after.len();
    let length = match introducer {
        Some('[') => after.find(|c: char| ('\u{40}'..='\u{7e}').contains(&c)).map(|at| at + 1),
        // Strings for the terminal (title, clipboard, images): up to the bell or the string terminator.
        Some(']' | 'P' | 'X' | '^' | '_') => string_end(after),
        // Two characters and a final one: character sets and the like.
        Some(' '..='/') => after.find(|c: char| ('\u{30}'..='\u{7e}').contains(&c)).map(|at| at + 1),
        _ => Some(0),
    };
    &text[..consumed + length.unwrap_or(after.len())]
}

/// Returns the length of a terminal's string with its terminator.
fn string_end(text: &str) -> Option<usize> {
    let bell =
        text.find(['\u{7}', '\u{9c}']).map(|at| (at, text[at..].chars().next().map_or(1, char::len_utf8)));
    let terminator = text.find("\u{1b}\\").map(|at| (at, 2));
    [bell, terminator].into_iter().flatten().min().map(|(at, length)| at + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_act_on_a_terminal() {
        for (name, expected) in [
            ("orders", "orders"),
            ("or\u{1b}[2Jders", "or\u{fffd}[2Jders"),
            ("a\nb\tc", "a\u{fffd}b c"),
            ("\u{202e}evil", "\u{fffd}evil"),
            ("\u{9b}31mred", "\u{fffd}31mred"),
        ] {
            assert_eq!(clean(name), expected);
        }
    }

    #[test]
    fn shortening_counts_columns_and_not_characters() {
        for (text, max, expected) in [
            ("orders", 6, "orders"),
            ("orders", 4, "ord…"),
            ("日本語", 4, "日…"),
            ("日本語", 1, "…"),
            ("x", 0, ""),
        ] {
            assert_eq!(fit(text, max), expected, "{text} in {max}");
        }
    }

    #[test]
    fn wrapping_breaks_at_spaces_and_within_words_that_are_too_long() {
        assert_eq!(wrap("it ended by itself", 8), ["it ended", "by", "itself"]);
        assert_eq!(wrap("a abcdefgh b", 3), ["a", "abc", "def", "gh", "b"]);
        assert_eq!(wrap("日本", 1), ["日", "本"]);
        assert!(wrap("", 10).is_empty());
    }

    #[test]
    fn log_lines_lose_what_acts_and_keep_colours_where_they_are_shown() {
        let red = "\u{1b}[31mred\u{1b}[0m";
        assert_eq!(harmless(red, Colours::Strip), "red");
        assert_eq!(harmless(red, Colours::Keep), format!("{red}\u{1b}[0m"));
        for (line, expected) in [
            ("plain\tline", "plain\tline"),
            ("\u{1b}[2J\u{1b}[Hcleared", "cleared"),
            ("\u{1b}]0;title\u{7}after", "after"),
            ("\u{1b}]52;c;Zm9v\u{1b}\\after", "after"),
            ("\u{1b}Pq#0\u{1b}\\after", "after"),
            ("\u{9d}0;title\u{9c}after", "after"),
            ("\u{1b}(0after", "after"),
            ("\u{1b}c reset", " reset"),
            ("unfinished \u{1b}[3", "unfinished "),
            ("unfinished \u{1b}", "unfinished "),
            ("10%\r20%\r", "10% 20%"),
            ("bell\u{7} back\u{8}space", "bell backspace"),
            ("\u{1b}[?25l\u{1b}[38;5;1mx", "x"),
        ] {
            assert_eq!(harmless(line, Colours::Strip), expected, "{line:?}");
        }
    }
}
