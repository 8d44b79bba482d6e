//! Regular expressions as Prometheus' users write them: RE2's, in Go's reading. The engine is the `regex` crate, which reads
//! some things otherwise; those are rewritten before it sees them.

use std::iter::Peekable;
use std::str::Chars;

use regex::{Regex, RegexBuilder};

/// A longer pattern is a mistake, or an attack.
const LONGEST: usize = 64 * 1024;
/// The bytes that a compiled pattern may take.
const SIZE_LIMIT: usize = 4 * 1024 * 1024;

/// Why a pattern is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PatternError(String);

/// Compiles a pattern that may match anywhere.
pub fn compile(pattern: &str) -> Result<Regex, PatternError> {
    if pattern.len() > LONGEST {
        return Err(PatternError("a regular expression may have 64 KiB at most".to_owned()));
    }
    build(&translate(pattern))
}

/// Compiles a pattern that must match the whole text; a dot matches line ends, too.
pub fn compile_whole(pattern: &str) -> Result<Regex, PatternError> {
    // Checked alone first: parentheses that do not fit must not be mended by those around it.
    compile(pattern)?;
    build(&format!("^(?s:{})$", translate(pattern)))
}

fn build(pattern: &str) -> Result<Regex, PatternError> {
    let built = RegexBuilder::new(pattern).size_limit(SIZE_LIMIT).octal(true).build();
    built.map_err(|error| {
        // The last line says what is wrong; those above draw the pattern.
        let text = error.to_string();
        let last = text.lines().last().unwrap_or_default().trim();
        PatternError(last.strip_prefix("error: ").unwrap_or(last).to_owned())
    })
}

/// Rewrites what the two read differently: classes of Perl are ASCII's, a bracket in a class is itself, `\Q…\E` quotes.
fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern.chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            '\\' => escape(&mut rest, &mut out, false),
            '[' => class(&mut rest, &mut out),
            _ => out.push(next),
        }
    }
    out
}

/// Rewrites what follows a backslash.
fn escape(rest: &mut Peekable<Chars<'_>>, out: &mut String, in_class: bool) {
    let Some(next) = rest.next() else {
        out.push('\\');
        return;
    };
    let perl = match next {
        'd' => "0-9",
        'w' => "0-9A-Za-z_",
        's' => "\\t\\n\\f\\r ",
        'D' => "^0-9",
        'W' => "^0-9A-Za-z_",
        'S' => "^\\t\\n\\f\\r ",
        'b' | 'B' if !in_class => {
            out.push_str("(?-u:\\");
            out.push(next);
            out.push(')');
            return;
        }
        'Q' if !in_class => return quoted(rest, out),
        _ => {
            out.push('\\');
            out.push(next);
            return;
        }
    };
    out.push('[');
    out.push_str(perl);
    out.push(']');
}

fn quoted(rest: &mut Peekable<Chars<'_>>, out: &mut String) {
    let mut text = String::new();
    while let Some(next) = rest.next() {
        if next == '\\' && rest.peek() == Some(&'E') {
            rest.next();
            break;
        }
        text.push(next);
    }
    out.push_str(&regex::escape(&text));
}

/// Rewrites a class, whose opening bracket has been read.
fn class(rest: &mut Peekable<Chars<'_>>, out: &mut String) {
    out.push('[');
    if rest.peek() == Some(&'^') {
        out.extend(rest.next());
    }
    if rest.peek() == Some(&']') {
        rest.next();
        out.push_str("\\]");
    }
    while let Some(next) = rest.next() {
        match next {
            ']' => {
                out.push(']');
                return;
            }
            '\\' => escape(rest, out, true),
            '[' if rest.peek() == Some(&':') => {
                out.push('[');
                for named in rest.by_ref() {
                    out.push(named);
                    if named == ']' {
                        break;
                    }
                }
            }
            // Two of these are a set operation for the one, and two characters for the other.
            '[' | '&' | '~' => {
                out.push('\\');
                out.push(next);
            }
            '-' if rest.peek() == Some(&'-') => out.push_str("\\-"),
            _ => out.push(next),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_text_must_match() {
        for (pattern, text, expected) in [
            ("a|b", "b", true),
            ("a|b", "bc", false),
            ("a.*c", "a\nc", true),
            ("", "", true),
            ("", "a", false),
            (r"\d+", "12", true),
            (r"\d+", "١", false),
            (r"\w+", "é", false),
            (r"[^\d]", "é", true),
            (r"[\D]", "5", false),
            (r"\s", "\u{b}", false),
            (r"[[]", "[", true),
            (r"[a&&b]", "&", true),
            (r"[[:alpha:]]+", "ab", true),
            (r"\Qa.b\E+", "a.bb", true),
            (r"\Qa.b", "axb", false),
            (r"[]a]", "]", true),
            ("(?i)ab", "AB", true),
            (r"\x41\101", "AA", true),
        ] {
            let compiled = compile_whole(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
            assert_eq!(compiled.is_match(text), expected, "{pattern} on {text:?}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for pattern in ["(", ")(", "*", "[", "(?=a)", r"\", "a{1000}{1000}{1000}", &"x".repeat(LONGEST + 1)] {
            assert!(compile_whole(pattern).is_err(), "{}", &pattern[..pattern.len().min(40)]);
        }
    }
}
