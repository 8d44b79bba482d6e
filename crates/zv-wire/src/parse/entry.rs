//! What a document holds, as far as possible as it stands there.

use std::borrow::Cow;

use zv_model::labels::METRIC_NAME;
use zv_model::{Labels, LabelsBuilder, MetricKind, Timestamp};

use super::error::{Fault, ParseError, excerpt};
use super::input::Input;
use super::number::{self, go_float};

/// One entry of a document.
#[derive(Debug)]
pub enum Entry<'a, 'p> {
    Series(Series<'a, 'p>),
    Help {
        family: Cow<'a, str>,
        text: Cow<'a, str>,
    },
    Type {
        family: Cow<'a, str>,
        kind: MetricKind,
    },
    /// OpenMetrics only. The unit may be empty.
    Unit {
        family: Cow<'a, str>,
        unit: &'a str,
    },
    /// Any other line that begins with `#`, from there on; the text format only.
    Comment(&'a str),
    Eof,
}

/// A sample, and the series that it belongs to.
#[derive(Debug)]
pub struct Series<'a, 'p> {
    pub(super) text: &'a str,
    pub(super) name: &'a str,
    pub(super) labels: &'p [(&'a str, &'a str)],
    pub(super) kind: MetricKind,
    /// Any NaN is [`zv_model::NORMAL_NAN`].
    pub value: f64,
    /// The time, where the document tells one.
    pub at: Option<Timestamp>,
    /// OpenMetrics only.
    pub exemplar: Option<Exemplar<'a, 'p>>,
    pub(super) input: &'p Input<'a>,
}

impl<'a> Series<'a, '_> {
    /// Returns the series as it was written, up to its value. The same text means the same series, so that labels need
    /// be made only for texts that are new.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// Returns the metric's name.
    pub fn name(&self) -> Cow<'a, str> {
        unescape(self.name, true)
    }

    /// Returns the labels without the metric's name, in the order in which they were written. Bounds of histograms and
    /// summaries are in canonical form, as Prometheus stores them: `le="1"` is `le="1.0"`.
    pub fn pairs(&self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> {
        self.labels.iter().map(|(name, value)| {
            let (name, value) = (unescape(name, true), unescape(value, true));
            let is_bound = match self.kind {
                MetricKind::Histogram => name == "le",
                MetricKind::Summary => name == "quantile",
                _ => false,
            };
            let bound = if is_bound { number::read(&value).ok() } else { None };
            (name, bound.map_or(value, |bound| Cow::Owned(go_float(bound))))
        })
    }

    /// Returns the labels as [`Series::pairs`] does, but bounds as they were written.
    pub(crate) fn written_pairs(&self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> {
        self.labels.iter().map(|(name, value)| (unescape(name, true), unescape(value, true)))
    }

    /// Makes the series' labels; fails where a name is empty or comes twice.
    pub fn labels(&self) -> Result<Labels, ParseError> {
        let mut builder = LabelsBuilder::default();
        if self.name.is_empty() {
            return Err(self.input.error(Fault::NoName));
        }
        builder.set(METRIC_NAME, self.name().as_ref());
        for (place, (name, value)) in self.pairs().enumerate() {
            self.check_name(place, &name)?;
            builder.set(name.as_ref(), value.as_ref());
        }
        Ok(builder.finish())
    }

    fn check_name(&self, place: usize, name: &str) -> Result<(), ParseError> {
        // Few labels: a walk is as fast as a set.
        let before = self.labels[..place].iter().any(|(other, _)| unescape(other, true) == name);
        match name {
            "" => Err(self.input.error(Fault::UnnamedLabel)),
            _ if before || name == METRIC_NAME => Err(self.input.error(Fault::SecondLabel(excerpt(name)))),
            _ => Ok(()),
        }
    }
}

/// An example of what was counted: a trace, mostly.
#[derive(Debug)]
pub struct Exemplar<'a, 'p> {
    pub(super) labels: &'p [(&'a str, &'a str)],
    pub value: f64,
    pub at: Option<Timestamp>,
    pub(super) input: &'p Input<'a>,
}

impl<'a> Exemplar<'a, '_> {
    /// Returns the labels in the order in which they were written.
    pub fn pairs(&self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> {
        self.labels.iter().map(|(name, value)| (unescape(name, true), unescape(value, true)))
    }

    /// Makes the exemplar's labels; fails where a name is empty or comes twice.
    pub fn labels(&self) -> Result<Labels, ParseError> {
        let mut names: Vec<_> = self.pairs().map(|(name, _)| name).collect();
        names.sort_unstable();
        if names.first().is_some_and(|name| name.is_empty()) {
            return Err(self.input.error(Fault::UnnamedLabel));
        }
        if let Some(twice) = names.windows(2).find(|two| two[0] == two[1]) {
            return Err(self.input.error(Fault::SecondLabel(excerpt(&twice[0]))));
        }
        Ok(Labels::of(self.pairs()))
    }
}

/// Undoes `\\`, `\n` and, where quotes are escaped, `\"`. Any other backslash is one.
pub(super) fn unescape(text: &str, quotes: bool) -> Cow<'_, str> {
    let Some(first) = text.find('\\') else { return Cow::Borrowed(text) };
    let mut out = String::with_capacity(text.len());
    out.push_str(&text[..first]);
    let mut rest = text[first..].chars().peekable();
    while let Some(next) = rest.next() {
        let meant = match (next, rest.peek()) {
            ('\\', Some('\\')) => '\\',
            ('\\', Some('n')) => '\n',
            ('\\', Some('"')) if quotes => '"',
            _ => {
                out.push(next);
                continue;
            }
        };
        rest.next();
        out.push(meant);
    }
    Cow::Owned(out)
}
