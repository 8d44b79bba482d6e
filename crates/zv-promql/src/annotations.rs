//! What a query tells beside its result: warnings and infos, with Prometheus' texts.

use crate::print::number;
use crate::quote::quote;
use crate::span::{Span, line_and_column};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Warning,
    Info,
}

#[derive(Debug)]
struct Note {
    level: Level,
    text: String,
    span: Span,
}

/// The notes of one evaluation; each text once, with the place where it came up last.
#[derive(Debug, Default)]
pub(crate) struct Annotations {
    notes: Vec<Note>,
    /// What was told last of a metric: series of the same name come in a row.
    last_counter: Option<(String, usize)>,
}

impl Annotations {
    fn add(&mut self, level: Level, text: String, span: Span) {
        match self.notes.iter_mut().find(|note| note.text == text) {
            Some(note) => note.span = span,
            None => self.notes.push(Note { level, text, span }),
        }
    }

    pub(crate) fn invalid_quantile(&mut self, quantile: f64, span: Span) {
        let text = format!(
            "PromQL warning: quantile value should be between 0 and 1, got {}",
            short_number(quantile)
        );
        self.add(Level::Warning, text, span);
    }

    pub(crate) fn invalid_ratio(&mut self, ratio: f64, capped: f64, span: Span) {
        let (got, to) = (short_number(ratio), short_number(capped));
        let text =
            format!("PromQL warning: ratio value should be between -1 and 1, got {got}, capping to {to}");
        self.add(Level::Warning, text, span);
    }

    pub(crate) fn bad_bucket(&mut self, metric: &str, bound: &str, span: Span) {
        let bound = quote(bound);
        let text =
            format!("PromQL warning: bucket label \"le\" is missing or has a malformed value of {bound}");
        self.add(Level::Warning, format!("{text} for metric name {}", quote(metric)), span);
    }

    pub(crate) fn possible_non_counter(&mut self, metric: &str, span: Span) {
        if self.last_counter.as_ref().is_some_and(|(last, at)| last == metric && *at == span.start) {
            return;
        }
        self.last_counter = Some((metric.to_owned(), span.start));
        let is_counter =
            ["_total", "_sum", "_count", "_bucket"].iter().any(|suffix| metric.ends_with(suffix));
        if metric.is_empty() || is_counter {
            return;
        }
        let hint = "metric might not be a counter, name does not end in _total/_sum/_count/_bucket";
        self.add(Level::Info, format!("PromQL info: {hint}: {}", quote(metric)), span);
    }

    pub(crate) fn forced_monotonicity(&mut self, metric: &str, span: Span) {
        let link = "https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile";
        let text = format!(
            "PromQL info: input to histogram_quantile needed to be fixed for monotonicity (see {link})"
        );
        self.add(Level::Info, format!("{text} for metric name {}", quote(metric)), span);
    }

    /// Returns warnings and infos with their places in the text of the query.
    pub(crate) fn written(&self, query: &str) -> (Vec<Remark>, Vec<Remark>) {
        let of = |level: Level| {
            let notes = self.notes.iter().filter(|note| note.level == level);
            notes
                .map(|note| Remark {
                    text: note.text.clone(),
                    place: line_and_column(query, note.span.start),
                })
                .collect()
        };
        (of(Level::Warning), of(Level::Info))
    }
}

/// A warning or an info. Displayed as Prometheus does: `PromQL info: … (1:5)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    pub text: String,
    /// Line and column in the query, counted from one.
    pub place: String,
}

impl std::fmt::Display for Remark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.text, self.place)
    }
}

/// Writes a number as Go's `%g`.
pub(crate) fn short_number(value: f64) -> String {
    let magnitude = value.abs();
    if !value.is_finite() || value == 0.0 || (1e-4..1e6).contains(&magnitude) {
        return number(value);
    }
    let written = format!("{value:e}");
    let (digits, exponent) = written.split_once('e').unwrap_or((&written, "0"));
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    format!("{digits}e{sign}{exponent:0>2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, written) in [
            (1.5, "1.5"),
            (1e6, "1e+06"),
            (123_456.0, "123456"),
            (1e-5, "1e-05"),
            (f64::NAN, "NaN"),
            (-0.1, "-0.1"),
        ] {
            assert_eq!(short_number(value), written);
        }
    }

    #[test]
    fn a_text_is_told_once() {
        let mut annotations = Annotations::default();
        annotations.possible_non_counter("a", Span::new(0, 1));
        annotations.possible_non_counter("a_total", Span::new(0, 1));
        annotations.possible_non_counter("a", Span::new(4, 5));
        let (warnings, infos) = annotations.written("a + a");
        assert!(warnings.is_empty());
        assert_eq!(infos.len(), 1);
        assert!(infos[0].to_string().ends_with(r#": "a" (1:5)"#), "{}", infos[0]);
    }
}
