//! Reads both exposition formats, entry by entry, as Prometheus 3.5 does: what it takes is taken, what it refuses is
//! refused. Nothing is copied but what was escaped. [`crate::lint`] is the strict reader.

mod entry;
mod error;
mod input;
mod number;
mod openmetrics;
mod text;

pub use entry::{Entry, Exemplar, Series};
pub use error::{Fault, ParseError};

use zv_model::MetricKind;

use crate::Format;
use input::Input;

/// What a document may hold. Lengths are in bytes, as written; what is longer is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The length of an entry: a line, mostly.
    pub line: usize,
    /// The labels of a series or an exemplar, without the metric's name.
    pub labels: usize,
    /// The length of a metric's or a label's name.
    pub name: usize,
    /// The length of a label's value.
    pub value: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { line: 128 * 1024, labels: 256, name: 4096, value: 64 * 1024 }
    }
}

/// Hands out the entries of a document, one after the other.
#[derive(Debug)]
pub struct Parser<'a> {
    format: Format,
    input: Input<'a>,
    /// The kind that the last `# TYPE` named. Prometheus' own normalisation of `le` and `quantile` goes by it.
    kind: MetricKind,
    labels: Vec<(&'a str, &'a str)>,
    exemplar_labels: Vec<(&'a str, &'a str)>,
    end: Option<Result<(), ParseError>>,
}

impl<'a> Parser<'a> {
    /// Begins to read a document.
    pub fn new(format: Format, document: &'a [u8]) -> Self {
        Self::with_limits(format, document, Limits::default())
    }

    /// Begins to read a document of somebody who is trusted less, or more.
    pub fn with_limits(format: Format, document: &'a [u8], limits: Limits) -> Self {
        Self {
            format,
            input: Input::new(document, limits),
            kind: MetricKind::Unknown,
            labels: Vec::new(),
            exemplar_labels: Vec::new(),
            end: None,
        }
    }

    /// Returns the next entry; [`Entry::Eof`] at the end, and from then on. After an error nothing more can be read: the
    /// error comes again.
    // Not an iterator: an entry borrows the room in which its labels were gathered.
    pub fn next_entry(&mut self) -> Result<Entry<'a, '_>, ParseError> {
        if let Some(end) = &self.end {
            return end.clone().map(|()| Entry::Eof);
        }
        let read = match self.format {
            Format::Text => text::read(&mut self.input, &mut self.labels),
            Format::OpenMetrics => {
                openmetrics::read(&mut self.input, &mut self.labels, &mut self.exemplar_labels)
            }
        };
        let item = match read.and_then(|item| self.input.check_length().map(|()| item)) {
            Ok(item) => item,
            Err(fault) => {
                let error = self.input.error(fault);
                self.end = Some(Err(error.clone()));
                return Err(error);
            }
        };
        Ok(match item {
            Item::Help { family, text } => Entry::Help { family, text },
            Item::Type { family, kind } => {
                self.kind = kind;
                Entry::Type { family, kind }
            }
            Item::Unit { family, unit } => Entry::Unit { family, unit },
            Item::Comment(text) => Entry::Comment(text),
            Item::Eof => {
                self.end = Some(Ok(()));
                Entry::Eof
            }
            Item::Series(sample) => Entry::Series(Series {
                text: sample.text,
                name: sample.name,
                labels: &self.labels,
                kind: self.kind,
                value: sample.value,
                at: sample.at,
                exemplar: sample.exemplar.map(|(value, at)| Exemplar {
                    labels: &self.exemplar_labels,
                    value,
                    at,
                    input: &self.input,
                }),
                input: &self.input,
            }),
        })
    }

    /// Returns the line in which the last entry began, counted from 1. Counting takes a walk over what was read so far.
    pub fn line(&self) -> usize {
        self.input.line()
    }
}

/// What the readers of the two formats find; the labels are put where the parser keeps them.
enum Item<'a> {
    Series(Sample<'a>),
    Help { family: std::borrow::Cow<'a, str>, text: std::borrow::Cow<'a, str> },
    Type { family: std::borrow::Cow<'a, str>, kind: MetricKind },
    Unit { family: std::borrow::Cow<'a, str>, unit: &'a str },
    Comment(&'a str),
    Eof,
}

struct Sample<'a> {
    text: &'a str,
    /// As written: escapes stand in it where it was in quotes.
    name: &'a str,
    value: f64,
    at: Option<zv_model::Timestamp>,
    exemplar: Option<(f64, Option<zv_model::Timestamp>)>,
}

#[cfg(test)]
mod tests;
