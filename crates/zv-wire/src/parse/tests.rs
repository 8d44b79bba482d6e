//! Both formats, mistakes with their line, limits, and that what is written is read again.

use proptest::prelude::*;
use zv_model::{Labels, is_stale};

use super::*;
use crate::{Exposition, LabelText};

/// Writes down what a document says, an entry a line.
fn told(format: Format, document: &[u8], limits: Limits) -> Result<String, String> {
    let mut parser = Parser::with_limits(format, document, limits);
    let mut out = String::new();
    loop {
        let line = match parser.next_entry().map_err(|error| error.to_string())? {
            Entry::Eof => return Ok(out),
            Entry::Help { family, text } => format!("help {family} {text:?}"),
            Entry::Type { family, kind } => format!("type {family} {kind}"),
            Entry::Unit { family, unit } => format!("unit {family} {unit}"),
            Entry::Comment(text) => format!("comment {text}"),
            Entry::Series(series) => {
                let labels = series.labels().map_err(|error| error.to_string())?;
                let mut line = format!("{labels:?} {}", series.value);
                if let Some(at) = series.at {
                    line += &format!(" at {at}");
                }
                if let Some(exemplar) = &series.exemplar {
                    let labels = exemplar.labels().map_err(|error| error.to_string())?;
                    line += &format!(" exemplar {labels:?} {} {:?}", exemplar.value, exemplar.at);
                }
                line
            }
        };
        out += &line;
        out.push('\n');
    }
}

#[test]
fn the_text_format_is_read() {
    let document = b"# HELP a An \\\"a\\\".\\n\\\\ \\z\n# TYPE a counter\n#comment \xff\n\n\ta {b = \"c\\n\\\"\\\\\\z\" , d=\"\",} 1e3 1500\n\
        # TYPE \"h h\" histogram\n{\"h h_bucket\",le=\"1\"} +Inf\nplain{}-1";
    assert_eq!(
        told(Format::Text, document, Limits::default()).unwrap(),
        r#"help a "An \\\"a\\\".\n\\ \\z"
type a counter
comment #comment 
{__name__="a", b="c\n\"\\\\z"} 1000 at 1500
type h h histogram
{__name__="h h_bucket", le="1.0"} inf
{__name__="plain"} -1
"#
    );
}

#[test]
fn openmetrics_is_read() {
    let document = b"# HELP a_s An \\\"a\\\".\n# TYPE a_s counter\n# UNIT a_s s\na_s_total{b=\"c # {\"} 1 1.5 # {id=\"7\"} 0.5 1.0015\n\
        a_s_created 1.1 # {} 2\n# TYPE s summary\ns{quantile=\"0.50\"} NaN -1.001\n# EOF";
    assert_eq!(
        told(Format::OpenMetrics, document, Limits::default()).unwrap(),
        r#"help a_s "An \"a\"."
type a_s counter
unit a_s s
{__name__="a_s_total", b="c # {"} 1 at 1500 exemplar {id="7"} 0.5 Some(1002)
{__name__="a_s_created"} 1.1 exemplar {} 2 None
type s summary
{__name__="s", quantile="0.5"} NaN at -1001
"#
    );
}

#[test]
fn mistakes_are_told_with_their_line() {
    for (format, document, expected) in [
        (Format::Text, "a 1\n\nb\n", "line 3: expected a value, found the end of the line"),
        (Format::Text, "a{b=\"c} 1", "line 1: expected a closing quote, found none"),
        (Format::Text, "a{b=\"c\",b=\"d\"} 1", "line 1: label `b` stands there twice"),
        (Format::Text, "{\"a\",\"b\"} 1", "line 1: the metric's name stands there twice"),
        (Format::Text, "{a=\"b\"} 1", "line 1: a series without a metric's name"),
        (Format::Text, "a 1z", "line 1: `1z` is no number"),
        (Format::Text, "a 1 2 3\n", "line 1: expected the end of the line, found `3`"),
        (Format::Text, "a 1 99999999999999999999", "line 1: `99999999999999999999` is no time"),
        (Format::Text, "# TYPE a meh", "line 1: `meh` is no type of metric"),
        (Format::OpenMetrics, "a 1\n", "line 2: the document does not end with `# EOF`"),
        (Format::OpenMetrics, "a 1\n# EOF\n\n", "line 2: something follows `# EOF`"),
        (Format::OpenMetrics, "a 1 Inf\n# EOF", "line 1: `Inf` is no time"),
        (Format::OpenMetrics, "# UNIT a s\n# EOF", "line 1: unit `s` is not how `a` ends"),
        (
            Format::OpenMetrics,
            "a 1\n\n# EOF",
            "line 2: expected a metric's name, `# HELP`, `# TYPE`, `# UNIT` or \
            `# EOF`, found the end of the line",
        ),
    ] {
        let told = told(format, document.as_bytes(), Limits::default());
        assert_eq!(told.unwrap_err(), expected);
    }
    for document in [&b"a 1\nb{c=\"\xff\"} 1"[..], b"a 1\n\xff 1\n", b"a 1\n# HELP a \xff\n", b"a 1\nb\xff"] {
        assert_eq!(told(Format::Text, document, Limits::default()).unwrap_err(), "line 2: not UTF-8");
    }
}

#[test]
fn limits_hold() {
    let limits = Limits { line: 40, labels: 2, name: 8, value: 8 };
    for (document, expected) in [
        ("a{b=\"c\",d=\"e\",f=\"g\"} 1", "line 1: more than 2 labels"),
        ("a{b23456789=\"c\"} 1", "line 1: a name is longer than 8 bytes"),
        ("{\"a.3456789\"} 1", "line 1: a name is longer than 8 bytes"),
        ("a{b=\"c23456789\"} 1", "line 1: a label's value is longer than 8 bytes"),
        ("# HELP a 012345678901234567890123456789012345678901", "line 1: the line is longer than 40 bytes"),
    ] {
        let document = format!("{document}\n# EOF\n");
        for format in [Format::Text, Format::OpenMetrics] {
            let told = told(format, document.as_bytes(), limits);
            assert_eq!(told.unwrap_err(), expected);
        }
    }
    let mut parser = Parser::with_limits(Format::Text, b"a{b=\"c23456789\"} 1", limits);
    assert!(parser.next_entry().unwrap_err().fault.is_limit());
    assert!(parser.next_entry().unwrap_err().fault.is_limit(), "an error stays");
}

#[test]
fn the_text_of_a_series_is_its_key() {
    for (format, document) in
        [(Format::Text, "  a{b=\"} 1\"} 1 2\na 1"), (Format::OpenMetrics, "a{b=\"} 1\"} 1 2\na 1\n# EOF")]
    {
        let mut parser = Parser::new(format, document.as_bytes());
        let mut keys = Vec::new();
        while let Ok(Entry::Series(series)) = parser.next_entry() {
            keys.push(series.text());
        }
        assert_eq!(keys, ["a{b=\"} 1\"}", "a"]);
    }
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z_][a-z0-9_]{0,6}", "\\PC{1,5}", "[a-z\\\\\"\n{},=# ]{1,5}"]
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        any::<i32>().prop_map(f64::from),
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(-0.0)
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        metric in name(),
        help in "[a-z\\\\\"\n# ]{0,8}",
        labels in prop::collection::btree_map(name(), "[a-z\\\\\"\n{},=# é]{0,8}", 0..5),
        more in "[a-z\\\\\"\n]{0,4}",
        value in value(),
        at in prop::option::of(-4_000_000_000_000..4_000_000_000_000_i64),
        open in any::<bool>(),
    ) {
        let (format, at) = if open { (Format::OpenMetrics, at) } else { (Format::Text, at.map(i64::abs)) };
        let text = LabelText::of(labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let mut out = Exposition::new(format, 0);
        let mut family = out.family(&metric, MetricKind::Gauge, &help);
        match at {
            Some(at) => family.sample_at(&text, &[("more_of_it", &more)], value, at),
            None => family.sample(&text, &[("more_of_it", &more)], value),
        }
        let document = out.finish();

        let mut parser = Parser::new(format, document.as_bytes());
        let Ok(Entry::Help { family, text }) = parser.next_entry() else { panic!("{document}") };
        prop_assert_eq!((&*family, &*text), (metric.as_str(), help.as_str()));
        let Ok(Entry::Type { family, kind }) = parser.next_entry() else { panic!("{document}") };
        prop_assert_eq!((&*family, kind), (metric.as_str(), MetricKind::Gauge));
        let mut expected = Labels::of(&labels).to_builder();
        expected.set("more_of_it", more.as_str());
        expected.set("__name__", metric.as_str());
        let Ok(Entry::Series(series)) = parser.next_entry() else { panic!("{document}") };
        prop_assert_eq!(series.labels().unwrap(), expected.finish());
        let expected = if value.is_nan() { zv_model::NORMAL_NAN } else { value };
        prop_assert_eq!(series.value.to_bits(), expected.to_bits());
        prop_assert!(!is_stale(series.value));
        prop_assert_eq!(series.at, at);
        prop_assert!(matches!(parser.next_entry(), Ok(Entry::Eof)), "{}", document);
    }

    #[test]
    fn whatever_comes_ends(document in "[ab_:{}\",= \t\n#1e.+\\\\-]{0,60}", cut in any::<u8>()) {
        let mut bytes = document.into_bytes();
        let place = usize::from(cut) % (bytes.len() + 1);
        bytes.insert(place, cut);
        for format in [Format::Text, Format::OpenMetrics] {
            told(format, &bytes, Limits::default()).ok();
        }
    }
}
