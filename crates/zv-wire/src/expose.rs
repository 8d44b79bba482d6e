//! Writes metric families as text 0.0.4 or as OpenMetrics 1.0, into one buffer, label by label as little as can be.

use std::fmt::Write;

use zv_model::labels::{is_plain_label_name, is_plain_metric_name};
use zv_model::{MetricKind, Timestamp};

/// Which of the two formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// The text format, version 0.0.4.
    Text,
    /// OpenMetrics, version 1.0.
    OpenMetrics,
}

impl Format {
    /// Returns the `Content-Type` of an answer.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Labels written once and used for many samples: `name="web",image="nginx"`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LabelText(String);

impl LabelText {
    /// Writes the pairs down; those with an empty value are left out, as they mean nothing.
    pub fn of<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut text = String::new();
        for (name, value) in pairs {
            push_label(&mut text, name, value);
        }
        Self(text)
    }
}

/// The answer to one scrape, while it is written.
#[derive(Debug)]
pub struct Exposition {
    format: Format,
    out: String,
}

impl Exposition {
    /// Begins an answer; `expected` bytes are set aside.
    pub fn new(format: Format, expected: usize) -> Self {
        Self { format, out: String::with_capacity(expected) }
    }

    /// Begins a family. `name` is that of its samples: `requests_total` for a counter. Nothing is written for a family
    /// without a sample. A family comes once, with all its samples.
    pub fn family<'a>(&'a mut self, name: &'a str, kind: MetricKind, help: &'a str) -> Family<'a> {
        Family { exposition: self, name, kind, help, begun: false, is_plain: is_plain_metric_name(name) }
    }

    /// Ends the answer.
    pub fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }
}

/// One family, while it is written.
#[derive(Debug)]
pub struct Family<'a> {
    exposition: &'a mut Exposition,
    name: &'a str,
    kind: MetricKind,
    help: &'a str,
    begun: bool,
    /// Whether the name needs no quotes.
    is_plain: bool,
}

impl Family<'_> {
    /// Writes a sample of now.
    pub fn sample(&mut self, labels: &LabelText, more: &[(&str, &str)], value: f64) {
        self.line("", labels, more, value, None);
    }

    /// Writes a sample of an earlier time. The text format has no word for times before 1970: such a sample is left out, as
    /// Prometheus would refuse the whole answer over it.
    pub fn sample_at(&mut self, labels: &LabelText, more: &[(&str, &str)], value: f64, at: Timestamp) {
        self.line("", labels, more, value, Some(at));
    }

    /// Writes a sample whose name has a suffix: `_bucket`, `_sum`, `_count`.
    pub fn part(&mut self, suffix: &str, labels: &LabelText, more: &[(&str, &str)], value: f64) {
        self.line(suffix, labels, more, value, None);
    }

    fn line(
        &mut self,
        suffix: &str,
        labels: &LabelText,
        more: &[(&str, &str)],
        value: f64,
        at: Option<Timestamp>,
    ) {
        let format = self.exposition.format;
        if format == Format::Text && at.is_some_and(|at| at < 0) {
            return;
        }
        self.begin();
        let out = &mut self.exposition.out;
        if self.is_plain {
            out.push_str(self.name);
            out.push_str(suffix);
            out.push('{');
        } else {
            out.push_str("{\"");
            push_escaped(out, self.name, true);
            out.push_str(suffix);
            out.push('"');
        }
        let before = out.len();
        if !self.is_plain && !labels.0.is_empty() {
            out.push(',');
        }
        out.push_str(&labels.0);
        for (name, value) in more.iter().filter(|(_, value)| !value.is_empty()) {
            if !out.ends_with('{') {
                out.push(',');
            }
            push_bare(out, name, value);
        }
        if self.is_plain && out.len() == before {
            out.pop();
        } else {
            out.push('}');
        }
        out.push(' ');
        push_number(out, value);
        if let Some(at) = at {
            push_time(out, format, at);
        }
        out.push('\n');
    }

    /// Writes what comes before the first sample.
    fn begin(&mut self) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        let format = self.exposition.format;
        let (name, kind) = heading(format, self.name, self.kind);
        let out = &mut self.exposition.out;
        out.push_str("# HELP ");
        push_name(out, name, self.is_plain);
        out.push(' ');
        push_escaped(out, self.help, format == Format::OpenMetrics);
        out.push_str("\n# TYPE ");
        push_name(out, name, self.is_plain);
        out.push(' ');
        out.push_str(kind);
        out.push('\n');
    }
}

fn push_name(out: &mut String, name: &str, is_plain: bool) {
    if is_plain {
        out.push_str(name);
    } else {
        out.push('"');
        push_escaped(out, name, true);
        out.push('"');
    }
}

/// Returns how a format calls a family. OpenMetrics names a counter without `_total` and knows no other counters; the text
/// format has no word for the newer kinds.
fn heading(format: Format, name: &str, kind: MetricKind) -> (&str, &'static str) {
    match (format, kind) {
        (Format::OpenMetrics, MetricKind::Counter) => match name.strip_suffix("_total") {
            Some(stem) => (stem, "counter"),
            None => (name, "unknown"),
        },
        (Format::OpenMetrics, MetricKind::Info) => match name.strip_suffix("_info") {
            Some(stem) => (stem, "info"),
            None => (name, "gauge"),
        },
        (Format::OpenMetrics, kind) => (name, kind.word()),
        (Format::Text, MetricKind::Info | MetricKind::StateSet) => (name, "gauge"),
        (Format::Text, MetricKind::GaugeHistogram) => (name, "histogram"),
        (Format::Text, MetricKind::Unknown) => (name, "untyped"),
        (Format::Text, kind) => (name, kind.word()),
    }
}

/// Writes one pair, a comma before it where it is not the first; nothing where the value is empty.
fn push_label(out: &mut String, name: &str, value: &str) {
    if value.is_empty() {
        return;
    }
    if !out.is_empty() {
        out.push(',');
    }
    push_bare(out, name, value);
}

fn push_bare(out: &mut String, name: &str, value: &str) {
    push_name(out, name, is_plain_label_name(name));
    out.push_str("=\"");
    push_escaped(out, value, true);
    out.push('"');
}

fn push_escaped(out: &mut String, text: &str, quotes: bool) {
    let mut rest = text;
    while let Some(at) = rest.find(['\\', '\n', '"']) {
        out.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            _ if quotes => out.push_str("\\\""),
            _ => out.push('"'),
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
}

/// Writes a number as Go's scrapers read it.
fn push_number(out: &mut String, value: f64) {
    // Writing to a string cannot fail.
    let _ = if value.is_nan() {
        out.write_str("NaN")
    } else if value.is_infinite() {
        out.write_str(if value > 0.0 { "+Inf" } else { "-Inf" })
    } else if value != 0.0 && !(1e-5..1e17).contains(&value.abs()) {
        write!(out, "{value:e}")
    } else {
        write!(out, "{value}")
    };
}

fn push_time(out: &mut String, format: Format, at: Timestamp) {
    let _ = match format {
        Format::Text => write!(out, " {at}"),
        Format::OpenMetrics => {
            let sign = if at < 0 { "-" } else { "" };
            let at = at.unsigned_abs();
            write!(out, " {sign}{}.{:03}", at / 1000, at % 1000)
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(format: Format) -> String {
        let mut out = Exposition::new(format, 0);
        let web = LabelText::of([("name", "we\"b\n\\"), ("image", "")]);
        let mut family = out.family("requests_total", MetricKind::Counter, "Requests \"served\".\n");
        family.sample(&web, &[("code", "200")], 3.0);
        family.sample_at(&LabelText::default(), &[], 0.1, -1500);
        family.sample_at(&LabelText::default(), &[], 0.2, 1500);
        out.family("nothing", MetricKind::Gauge, "Nothing.");
        let mut sizes = out.family("size_bytes", MetricKind::Histogram, "Sizes.");
        sizes.part("_bucket", &web, &[("le", "+Inf")], f64::INFINITY);
        out.family("failcnt", MetricKind::Counter, "Failures.").sample(&web, &[], f64::NAN);
        out.family("build_info", MetricKind::Info, "Build.").sample(
            &LabelText::default(),
            &[("v", "1")],
            1.0,
        );
        out.finish()
    }

    #[test]
    fn the_text_format() {
        assert_eq!(
            example(Format::Text),
            r#"# HELP requests_total Requests "served".\n
# TYPE requests_total counter
requests_total{name="we\"b\n\\",code="200"} 3
requests_total 0.2 1500
# HELP size_bytes Sizes.
# TYPE size_bytes histogram
size_bytes_bucket{name="we\"b\n\\",le="+Inf"} +Inf
# HELP failcnt Failures.
# TYPE failcnt counter
failcnt{name="we\"b\n\\"} NaN
# HELP build_info Build.
# TYPE build_info gauge
build_info{v="1"} 1
"#
        );
    }

    #[test]
    fn names_that_are_not_plain_stand_in_quotes() {
        let mut out = Exposition::new(Format::Text, 0);
        let place = LabelText::of([("http.route", "/a")]);
        let mut family = out.family("http.requests", MetricKind::Counter, "");
        family.sample(&place, &[("le", "1"), ("none", "")], 1.0);
        family.sample(&LabelText::default(), &[], -0.0);
        family.part("_sum", &LabelText::default(), &[("none", ""), ("a", "b")], 1e-7);
        assert_eq!(
            out.finish(),
            r#"# HELP "http.requests" 
# TYPE "http.requests" counter
{"http.requests","http.route"="/a",le="1"} 1
{"http.requests"} -0
{"http.requests_sum",a="b"} 1e-7
"#
        );
    }

    #[test]
    fn openmetrics() {
        assert_eq!(
            example(Format::OpenMetrics),
            r#"# HELP requests Requests \"served\".\n
# TYPE requests counter
requests_total{name="we\"b\n\\",code="200"} 3
requests_total 0.1 -1.500
requests_total 0.2 1.500
# HELP size_bytes Sizes.
# TYPE size_bytes histogram
size_bytes_bucket{name="we\"b\n\\",le="+Inf"} +Inf
# HELP failcnt Failures.
# TYPE failcnt unknown
failcnt{name="we\"b\n\\"} NaN
# HELP build Build.
# TYPE build info
build_info{v="1"} 1
# EOF
"#
        );
    }
}
