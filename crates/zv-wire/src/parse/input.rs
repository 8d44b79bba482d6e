//! The document while it is read: where the reader stands, and the small steps it takes.

use memchr::{memchr, memchr2};

use super::Limits;
use super::error::{Fault, ParseError, excerpt};

/// A class of bytes, as a set of bits.
const NAME: u8 = 1;
const NAME_START: u8 = 2;
const COLON: u8 = 4;

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let it = byte as u8;
        classes[byte] = match it {
            b'_' => NAME | NAME_START,
            b':' => COLON,
            _ if it.is_ascii_alphabetic() => NAME | NAME_START,
            _ if it.is_ascii_digit() => NAME,
            _ => 0,
        };
        byte += 1;
    }
    classes
};

/// A document. Only comments may hold what is not UTF-8, so it is read in runs that are.
#[derive(Debug)]
pub(super) struct Input<'a> {
    document: &'a [u8],
    pub(super) limits: Limits,
    /// The run that is being read, and where in the document it begins.
    run: &'a str,
    run_from: usize,
    at: usize,
    /// Where the last entry began, in the document.
    entry_from: usize,
}

impl<'a> Input<'a> {
    pub(super) fn new(document: &'a [u8], limits: Limits) -> Self {
        let mut input = Self { document, limits, run: "", run_from: 0, at: 0, entry_from: 0 };
        input.begin_run(0);
        input
    }

    fn begin_run(&mut self, from: usize) {
        let rest = &self.document[from..];
        let valid = std::str::from_utf8(rest).map_or_else(|error| error.valid_up_to(), str::len);
        // What is valid up to there is valid.
        self.run = std::str::from_utf8(&rest[..valid]).unwrap_or_default();
        (self.run_from, self.at) = (from, 0);
    }

    /// Says whether what is not UTF-8 follows this run.
    fn is_broken(&self) -> bool {
        self.run_from + self.run.len() < self.document.len()
    }

    pub(super) fn begin_entry(&mut self) {
        self.entry_from = self.run_from + self.at;
    }

    /// Returns the line in which the last entry began.
    pub(super) fn line(&self) -> usize {
        1 + self.document[..self.entry_from].iter().filter(|byte| **byte == b'\n').count()
    }

    pub(super) fn error(&self, fault: Fault) -> ParseError {
        // What could not be read to the end may be cut off only because what follows is not UTF-8.
        let at_end = self.is_broken() && self.at == self.run.len();
        let fault = if at_end && !fault.is_limit() { Fault::NotUtf8 } else { fault };
        ParseError { line: self.line(), fault }
    }

    pub(super) fn check_length(&self) -> Result<(), Fault> {
        let limit = self.limits.line;
        if self.run_from + self.at - self.entry_from > limit {
            return Err(Fault::TooLong { what: "the line", limit });
        }
        Ok(())
    }

    /// Says whether everything is read; fails where what is not UTF-8 is left.
    pub(super) fn ended(&self) -> Result<bool, Fault> {
        match (self.at == self.run.len(), self.is_broken()) {
            (true, true) => Err(Fault::NotUtf8),
            (is_end, _) => Ok(is_end),
        }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn since(&self, from: usize) -> &'a str {
        &self.run[from..self.at]
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.run.as_bytes().get(self.at).copied()
    }

    /// Steps over this byte if it comes next. Only for ASCII.
    pub(super) fn skip(&mut self, byte: u8) -> bool {
        let comes = self.peek() == Some(byte);
        self.at += usize::from(comes);
        comes
    }

    pub(super) fn comes(&self, text: &str) -> bool {
        self.run.as_bytes()[self.at..].starts_with(text.as_bytes())
    }

    pub(super) fn skip_text(&mut self, text: &str) -> bool {
        let comes = self.comes(text);
        self.at += if comes { text.len() } else { 0 };
        comes
    }

    pub(super) fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    pub(super) fn need(&mut self, byte: u8, expected: &'static str) -> Result<(), Fault> {
        if self.skip(byte) { Ok(()) } else { Err(self.expected(expected)) }
    }

    /// Says what should have come next.
    pub(super) fn expected(&self, expected: &'static str) -> Fault {
        let rest = &self.run[self.at..];
        let found = match rest.chars().next() {
            None => "the end".to_owned(),
            Some('\n') => "the end of the line".to_owned(),
            Some(_) => format!("`{}`", excerpt(rest.lines().next().unwrap_or_default())),
        };
        Fault::Expected { expected, found }
    }

    /// Reads up to a byte for which `stop` says so, or to the end. Stops only at ASCII.
    pub(super) fn until(&mut self, stop: impl Fn(u8) -> bool) -> &'a str {
        let from = self.at;
        let rest = &self.run.as_bytes()[from..];
        let length = rest.iter().position(|byte| byte.is_ascii() && stop(*byte)).unwrap_or(rest.len());
        self.at += length;
        self.since(from)
    }

    /// Reads to the end of the line, which stays, and returns what it says since `from`. The line may hold anything; it is
    /// returned as far as it is UTF-8.
    pub(super) fn comment(&mut self, from: usize) -> &'a str {
        self.until(|byte| byte == b'\n');
        let text = self.since(from);
        if self.at == self.run.len() && self.is_broken() {
            let from = self.run_from + self.at;
            let rest = &self.document[from..];
            let length = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
            self.begin_run(from + length);
        }
        text
    }

    fn plain(&mut self, first: u8, then: u8) -> Option<&'a str> {
        let bytes = self.run.as_bytes();
        let from = self.at;
        if CLASSES[usize::from(*bytes.get(from)?)] & first == 0 {
            return None;
        }
        let mut at = from + 1;
        while bytes.get(at).is_some_and(|byte| CLASSES[usize::from(*byte)] & then != 0) {
            at += 1;
        }
        self.at = at;
        Some(self.since(from))
    }

    /// Reads the name of a metric that stands in no quotes, if one comes next.
    pub(super) fn plain_metric_name(&mut self) -> Result<Option<&'a str>, Fault> {
        let name = self.plain(NAME_START | COLON, NAME | COLON);
        name.map(|name| self.bounded_name(name)).transpose()
    }

    /// Reads the name of a label that stands in no quotes, if one comes next.
    pub(super) fn plain_label_name(&mut self) -> Result<Option<&'a str>, Fault> {
        let name = self.plain(NAME_START, NAME);
        name.map(|name| self.bounded_name(name)).transpose()
    }

    /// Reads a name in quotes, if one comes next. Escapes stay in it.
    pub(super) fn quoted_name(&mut self, over_lines: bool) -> Result<Option<&'a str>, Fault> {
        if !self.skip(b'"') {
            return Ok(None);
        }
        let name = self.quoted_rest(over_lines)?;
        self.bounded_name(name).map(Some)
    }

    fn bounded_name(&self, name: &'a str) -> Result<&'a str, Fault> {
        let limit = self.limits.name;
        if name.len() > limit { Err(Fault::TooLong { what: "a name", limit }) } else { Ok(name) }
    }

    /// Reads the value of a label, in quotes. Escapes stay in it.
    pub(super) fn label_value(&mut self, over_lines: bool) -> Result<&'a str, Fault> {
        self.need(b'"', "a label's value in quotes")?;
        let value = self.quoted_rest(over_lines)?;
        let limit = self.limits.value;
        if value.len() > limit { Err(Fault::TooLong { what: "a label's value", limit }) } else { Ok(value) }
    }

    /// Reads what follows an opening quote, and the closing one.
    fn quoted_rest(&mut self, over_lines: bool) -> Result<&'a str, Fault> {
        let bytes = self.run.as_bytes();
        let from = self.at;
        let mut at = from;
        while let Some(found) = memchr2(b'"', b'\\', &bytes[at..]) {
            at += found;
            if bytes[at] == b'"' {
                let text = &self.run[from..at];
                if !over_lines && memchr(b'\n', text.as_bytes()).is_some() {
                    break;
                }
                self.at = at + 1;
                return Ok(text);
            }
            match bytes.get(at + 1) {
                None | Some(b'\n') => break,
                Some(_) => at += 2,
            }
        }
        self.at = bytes.len();
        Err(Fault::Expected { expected: "a closing quote", found: "none".to_owned() })
    }

    pub(super) fn push_label(
        &self,
        labels: &mut Vec<(&'a str, &'a str)>,
        name: &'a str,
        value: &'a str,
    ) -> Result<(), Fault> {
        let limit = self.limits.labels;
        if labels.len() >= limit {
            return Err(Fault::TooManyLabels { limit });
        }
        labels.push((name, value));
        Ok(())
    }
}
