//! Answers range queries over lines of `SERIES VALUE SECONDS`, for comparisons with other implementations.
//!
//! `ask FILE < QUERIES`, a query a line: `START END STEP EXPRESSION` (seconds; STEP 0 asks at START). Answers are JSON.

use std::fmt::Write as _;
use std::io::BufRead as _;

use zv_model::TimeRange;
use zv_promql::memory::Memory;
use zv_promql::{Engine, Options, ParseOptions, Query, QueryError, Value, parse_labels};

fn main() {
    let path = std::env::args().nth(1).expect("a file");
    let mut memory = Memory::default();
    for line in std::fs::read_to_string(path).expect("a readable file").lines() {
        if line.starts_with('#') {
            continue;
        }
        let (rest, at) = line.rsplit_once(' ').expect("a time");
        let (series, value) = rest.rsplit_once(' ').expect("a value");
        let at: f64 = at.parse().expect("a time");
        memory.append(
            &parse_labels(series).expect("labels"),
            (at * 1000.0) as i64,
            value.parse().expect("a value"),
        );
    }
    let mut out = String::new();
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("a line");
        let mut parts = line.splitn(4, ' ');
        let mut number = || parts.next().and_then(|part| part.parse::<f64>().ok()).expect("a number");
        let (start, end, step) = (number(), number(), number());
        let text = parts.next().expect("an expression");
        out.clear();
        match ask(&memory, text, (start * 1000.0) as i64, (end * 1000.0) as i64, (step * 1000.0) as i64) {
            Ok(answer) => write(&answer, &mut out),
            Err(error) => drop(write!(out, "{{\"error\":{:?}}}", error.to_string())),
        }
        println!("{out}");
    }
}

fn ask(memory: &Memory, text: &str, from: i64, to: i64, step: i64) -> Result<zv_promql::Answer, QueryError> {
    let query = Query::parse(text, ParseOptions { experimental: true })?;
    let engine = Engine::new(memory, Options::default(), &|| None);
    if step == 0 { engine.instant(&query, from) } else { engine.range(&query, TimeRange { from, to }, step) }
}

fn write(answer: &zv_promql::Answer, out: &mut String) {
    let list = |remarks: &[zv_promql::Remark]| {
        let texts: Vec<String> = remarks.iter().map(|remark| quoted(&remark.to_string())).collect();
        texts.join(",")
    };
    let _ = write!(
        out,
        "{{\"warnings\":[{}],\"infos\":[{}],\"result\":[",
        list(&answer.warnings),
        list(&answer.infos)
    );
    match &answer.value {
        Value::Scalar(sample) => drop(write!(out, "[{{}},[[{},\"{}\"]]]", sample.at, sample.value)),
        Value::Text { text, .. } => drop(write!(out, "{}", quoted(text))),
        Value::Vector(elements) => {
            for (place, element) in elements.iter().enumerate() {
                let comma = if place > 0 { "," } else { "" };
                let _ = write!(
                    out,
                    "{comma}[{},[[{},\"{}\"]]]",
                    labels(&element.labels),
                    element.sample.at,
                    element.sample.value
                );
            }
        }
        Value::Matrix(series) => {
            for (place, series) in series.iter().enumerate() {
                let points: Vec<String> =
                    series.points.iter().map(|point| format!("[{},\"{}\"]", point.at, point.value)).collect();
                let comma = if place > 0 { "," } else { "" };
                let _ = write!(out, "{comma}[{},[{}]]", labels(&series.labels), points.join(","));
            }
        }
    }
    out.push_str("]}");
}

fn labels(labels: &zv_model::Labels) -> String {
    let pairs: Vec<String> =
        labels.iter().map(|label| format!("{}:{}", quoted(&label.name), quoted(&label.value))).collect();
    format!("{{{}}}", pairs.join(","))
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c < ' ' => drop(write!(out, "\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
