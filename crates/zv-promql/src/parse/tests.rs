//! What is read, what is refused and with which words, and that printing and reading agree.

use proptest::prelude::*;

use super::{ParseOptions, parse};
use crate::print::pretty;

fn read(text: &str) -> Result<String, String> {
    let parsed = parse(text, ParseOptions { experimental: false });
    parsed.map(|expr| expr.to_string()).map_err(|error| error.to_string())
}

/// As Prometheus 3.5.3 prints them.
#[test]
fn expressions_are_printed_in_one_way() {
    for (text, printed) in [
        ("foo @ 1m", "foo @ 60.000"),
        ("foo offset +1m", "foo offset 1m"),
        ("foo offset -5", "foo offset -5s"),
        ("foo offset 0", "foo"),
        (r#"{"foo", "bar"}"#, r#"{__name__="bar",__name__="foo"}"#),
        (r#"{"a.b", "c d"="x"}"#, r#"{"c d"="x",__name__="a.b"}"#),
        ("sum(x) by (a,)", "sum by (a) (x)"),
        ("sum by () (foo)", "sum(foo)"),
        ("SUM without () (foo)", "sum without () (foo)"),
        ("010", "8"),
        ("0x1F", "31"),
        ("1_000", "1000"),
        ("1h30m + 1", "1h30m + 1"),
        ("foo[1m:] offset 5m @ end()", "foo[1m:] @ end() offset 5m"),
        ("foo + on() group_left bar", "foo + on () group_left () bar"),
        ("1 + on() 2", "1 + 2"),
        (r#"foo{a="\xff"}"#, r#"foo{a="\xff"}"#),
        ("foo[1y2w3d4h5m6s7ms]", "foo[382d4h5m6s7ms]"),
        ("a{b=~'c', d!='e',}", r#"a{b=~"c",d!="e"}"#),
        ("-2^---1*3", "-2 ^ -1 * 3"),
        ("sum + by * offset", "sum + by * offset"),
        ("a and on (x) b unless c or d", "a and on (x) b unless c or d"),
        ("a == bool b # told", "a == bool b"),
        ("step", "step"),
        ("inf ^ a + Inf", "Inf ^ a + +Inf"),
    ] {
        assert_eq!(read(text).as_deref(), Ok(printed), "{text}");
    }
}

/// As Prometheus 3.5.3 refuses them.
#[test]
fn mistakes_are_told_with_their_place() {
    for (text, error) in [
        ("", "unknown position: parse error: no expression found in input"),
        ("foo[5m*2]", "1:5: parse error: experimental duration expression is not enabled"),
        ("foo[-5m]", "1:5: parse error: duration must be greater than 0"),
        ("foo[5m:0]", "1:8: parse error: duration must be greater than 0"),
        (r#"foo{__name__="bar"}"#, r#"1:1: parse error: metric name must not be set twice: "foo" or "bar""#),
        ("sum foo", r#"1:5: parse error: unexpected identifier "foo""#),
        ("sum(foo bar)", r#"1:9: parse error: unexpected identifier "bar" in aggregation"#),
        ("rate(foo bar)", r#"1:10: parse error: unexpected identifier "bar""#),
        (
            r#"foo{a="b" c="d"}"#,
            r#"1:11: parse error: unexpected identifier "c" in label matching, expected "," or "}""#,
        ),
        ("foo{,}", r#"1:5: parse error: unexpected "," in label matching, expected identifier or "}""#),
        ("foo{a}", r#"1:6: parse error: unexpected "}" in label matching, expected label matching operator"#),
        ("foo{a=b}", r#"1:7: parse error: unexpected identifier "b" in label matching, expected string"#),
        ("sum by foo (x)", r#"1:8: parse error: unexpected identifier "foo" in grouping opts, expected "(""#),
        ("sum by (1) (x)", r#"1:9: parse error: unexpected number "1" in grouping opts, expected label"#),
        ("foo[5m", "1:7: parse error: unclosed left bracket"),
        ("foo[a]", "1:5: parse error: unexpected character in duration expression: 'a'"),
        ("foo offset", "1:11: parse error: unexpected end of input in offset, expected number or duration"),
        ("foo @", "1:6: parse error: unexpected end of input in @, expected timestamp"),
        (
            "rate(foo)",
            r#"1:6: parse error: expected type range vector in call to function "rate", got instant vector"#,
        ),
        ("nofn(foo)", r#"1:1: parse error: unknown function with name "nofn""#),
        ("1 + ", "1:5: parse error: unexpected end of input"),
        ("(1", "1:3: parse error: unclosed left parenthesis"),
        ("1)", "1:3: parse error: unexpected right parenthesis ')'"),
        ("1.2.3", r#"1:1: parse error: bad number or duration syntax: "1.2.""#),
        ("1m1", r#"1:1: parse error: bad number or duration syntax: "1m1""#),
        ("1 == 1", "1:3: parse error: comparisons between scalars must use BOOL modifier"),
        ("foo and 1", r#"1:1: parse error: set operator "and" not allowed in binary scalar expression"#),
        (
            "topk(foo)",
            "1:1: parse error: wrong number of arguments for aggregate expression provided, expected 2, got 1",
        ),
        ("foo offset 1m offset 2m", "1:1: parse error: offset may not be set multiple times"),
        ("mad_over_time(x[1m])", r#"1:1: parse error: function "mad_over_time" is not enabled"#),
        ("{a=~\".*\"}", "1:1: parse error: vector selector must contain at least one non-empty matcher"),
        ("foo offset 5m[1m]", "1:14: parse error: no offset modifiers allowed before range"),
        ("\n(foo)[5m]", "2:6: parse error: ranges only allowed for vector selectors"),
    ] {
        assert_eq!(read(text).unwrap_err(), error, "{text}");
    }
    let number = read("1e400").unwrap_err();
    assert!(number.ends_with(r#"strconv.ParseFloat: parsing "1e400": value out of range"#), "{number}");
}

#[test]
fn nothing_is_too_deep_or_too_long() {
    for text in [
        "(".repeat(100_000),
        "-".repeat(100_000),
        "sum(".repeat(10_000),
        "1^".repeat(50_000),
        format!("a{}", "[1m:]".repeat(50_000)),
        "1+".repeat(50_000),
        "x".repeat(1_000_000),
    ] {
        assert!(read(&text).is_err());
    }
    let long = format!("a{}", " + a".repeat(1000));
    assert_eq!(read(&long).as_deref(), Ok(long.as_str()));
    let deep = format!("{}a{}", "(".repeat(90), ")".repeat(90));
    assert_eq!(read(&deep).as_deref(), Ok(deep.as_str()));
}

#[test]
fn long_expressions_are_broken_into_lines() {
    let name = "a_metric_with_a_name_that_is_rather_long_so_that_lines_must_be_broken";
    let text =
        format!("sum by (job) (rate({name}_total{{job=\"x\"}}[5m])) / on (job) sum by (job) ({name}_sum)");
    let expr = parse(&text, ParseOptions { experimental: false }).unwrap();
    let expected = format!(
        "  sum by (job) (rate({name}_total{{job=\"x\"}}[5m]))\n/ on (job)\n  sum by (job) ({name}_sum)"
    );
    assert_eq!(
        pretty(&expr).replace("  sum by (job) (\n    rate", "  sum by (job) (rate").replace("\n  )", ")"),
        expected
    );
}

/// Pieces of which expressions are made, right and wrong.
const PIECES: &[&str] = &[
    "a",
    "foo:bar",
    "sum",
    "by",
    "without",
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    "1",
    "5m",
    ".5",
    "0x1f",
    "+",
    "-",
    "*",
    "/",
    "^",
    "%",
    "==",
    "!=",
    ">",
    "bool",
    "and",
    "or",
    "unless",
    "on",
    "ignoring",
    "group_left",
    ",",
    "=",
    "=~",
    "!~",
    "\"x\"",
    "'y'",
    "`z`",
    "offset",
    "@",
    "start",
    "end",
    "()",
    "rate",
    "[5m]",
    "[5m:1m]",
    "#",
    "\n",
    ":",
    "é",
    "\\",
    "topk",
    "(a)",
    "{a=\"b\"}",
    "1m",
    "atan2",
    "inf",
    "nan",
    "label_replace",
    "\u{0}",
    "time()",
];

fn pieces() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(PIECES), 0..24).prop_map(|pieces| pieces.join(" "))
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,60}") {
        let _ = read(&text);
    }

    #[test]
    fn what_is_printed_is_read_again(text in pieces()) {
        let options = ParseOptions { experimental: true };
        let Ok(expr) = parse(&text, options) else { return Ok(()) };
        for printed in [expr.to_string(), pretty(&expr)] {
            let again = parse(&printed, options);
            prop_assert_eq!(again.as_ref(), Ok(&expr), "{}", printed);
        }
    }
}
