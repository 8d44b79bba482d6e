//! Compares what a query gave with what a script expects.

use std::collections::BTreeMap;

use zv_model::{Labels, Sample, pattern};

use super::read::{Eval, Wanted, When};
use super::sequence::Value as Expected;
use crate::annotations::Remark;
use crate::engine::Answer;
use crate::error::QueryError;
use crate::value::{Value, almost_equal};

/// Values may differ by so much, relative to their size.
const EPSILON: f64 = 1e-6;

/// What kind of query gave the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Instant,
    Range,
}

/// Fails, with a sentence, where the result is not the expected one.
pub(super) fn compare(
    eval: &Eval,
    result: Result<Answer, QueryError>,
    outcome: Outcome,
    is_strict: bool,
) -> Result<(), String> {
    let answer = match (result, &eval.fail) {
        (Err(error), Some(wanted)) => return expect_failure(wanted, &error.to_string()),
        (Err(error), None) => return Err(error.to_string()),
        (Ok(_), Some(_)) => return Err("the query should fail, but it has a result".to_owned()),
        (Ok(answer), None) => answer,
    };
    remarks("warning", &eval.warn, eval.no_warn, &answer.warnings)?;
    remarks("info", &eval.info, eval.no_info, &answer.infos)?;
    if is_strict && !eval.says_annotations && !eval.is_ordered {
        for (wanted, got) in [(&eval.warn, &answer.warnings), (&eval.info, &answer.infos)] {
            if let (true, Some(remark)) = (wanted.is_empty(), got.first()) {
                return Err(format!("nothing should be said, but it is: {remark}"));
            }
        }
    }
    match &answer.value {
        Value::Scalar(sample) => {
            let expected = eval.scalar.ok_or_else(|| format!("the result is the scalar {}", sample.value))?;
            same(expected, sample.value, "the scalar")
        }
        Value::Text { text, .. } => match &eval.text {
            Some(expected) if **expected == **text => Ok(()),
            Some(expected) => Err(format!("the text should be {expected:?}, and is {text:?}")),
            None => Err(format!("the result is the text {text:?}")),
        },
        Value::Vector(_) | Value::Matrix(_) if eval.scalar.is_some() => {
            Err("the result should be a scalar, and is a vector".to_owned())
        }
        Value::Vector(elements) => {
            let got = elements.iter().map(|element| (&element.labels, vec![element.sample]));
            series(eval, &got.collect::<Vec<_>>(), &|expected| match expected.first() {
                // An instant result has the time of the query, whatever that is.
                Some(Expected::Float(value)) => vec![Sample { at: at_of(elements), value: *value }],
                _ => Vec::new(),
            })
        }
        Value::Matrix(matrix) => {
            let (from, step) = match (eval.range_vector, eval.when) {
                (Some((from, _, step)), _) | (None, When::Range { from, step, .. }) => (from, step),
                (None, When::At(_)) => return Err("the result is a range vector".to_owned()),
            };
            debug_assert!(outcome == Outcome::Range || eval.range_vector.is_some());
            let got = matrix.iter().map(|series| (&series.labels, series.points.clone()));
            series(eval, &got.collect::<Vec<_>>(), &|expected| {
                let floats = (0..).zip(expected).filter_map(|(place, value)| match value {
                    Expected::Float(value) => Some(Sample { at: from + step * place, value: *value }),
                    Expected::Omitted | Expected::Histogram => None,
                });
                floats.collect()
            })
        }
    }
}

fn at_of(elements: &[crate::value::VectorElement]) -> i64 {
    elements.first().map_or(0, |element| element.sample.at)
}

fn same(expected: f64, got: f64, what: &str) -> Result<(), String> {
    if almost_equal(expected, got, EPSILON) {
        return Ok(());
    }
    Err(format!("{what} should be {expected}, and is {got}"))
}

fn series(
    eval: &Eval,
    got: &[(&Labels, Vec<Sample>)],
    samples: &dyn Fn(&[Expected]) -> Vec<Sample>,
) -> Result<(), String> {
    let expected: BTreeMap<&Labels, (usize, Vec<Sample>)> = eval
        .series
        .iter()
        .enumerate()
        .map(|(place, (labels, values))| (labels, (place, samples(values))))
        .collect();
    let mut seen = 0;
    for (place, (labels, points)) in got.iter().enumerate() {
        let Some((expected_place, expected)) = expected.get(labels) else {
            return Err(format!("{labels:?} should not be there: {}", list(points)));
        };
        seen += 1;
        if eval.is_ordered && place != *expected_place {
            let (should, is) = (expected_place + 1, place + 1);
            return Err(format!("{labels:?} should be at place {should}, and is at {is}"));
        }
        if expected.len() != points.len() {
            return Err(format!("{labels:?} should have {}, and has {}", list(expected), list(points)));
        }
        for (expected, got) in expected.iter().zip(points) {
            let what = format!("{labels:?} at {} ms", got.at);
            if expected.at != got.at {
                return Err(format!("{what}: the time should be {}", expected.at));
            }
            same(expected.value, got.value, &what)?;
        }
    }
    if seen < expected.len() {
        let missing = expected.keys().find(|labels| !got.iter().any(|(got, _)| *got == **labels));
        return Err(format!("{:?} is missing", missing.map(|labels| (*labels).clone()).unwrap_or_default()));
    }
    Ok(())
}

fn list(samples: &[Sample]) -> String {
    let texts: Vec<String> = samples.iter().map(|sample| format!("{}@{}", sample.value, sample.at)).collect();
    format!("[{}]", texts.join(" "))
}

fn fits(wanted: &Wanted, text: &str) -> Result<bool, String> {
    match wanted {
        Wanted::Anything => Ok(true),
        Wanted::Message(message) => Ok(message == text),
        Wanted::Pattern(pattern) => {
            let regex = pattern::compile(pattern).map_err(|error| format!("`{pattern}`: {error}"))?;
            Ok(regex.is_match(text))
        }
    }
}

fn expect_failure(wanted: &Wanted, error: &str) -> Result<(), String> {
    if fits(wanted, error)? {
        Ok(())
    } else {
        Err(format!("it fails for another reason than {wanted:?}: {error}"))
    }
}

/// Each expected remark must be there, and each that is there be expected, where any is.
fn remarks(kind: &str, wanted: &[Wanted], are_refused: bool, got: &[Remark]) -> Result<(), String> {
    if let (true, Some(remark)) = (are_refused, got.first()) {
        return Err(format!("there should be no {kind}: {remark}"));
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let texts = || got.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    for wanted in wanted {
        let mut any = false;
        for remark in got {
            any |= fits(wanted, &remark.text)?;
        }
        if !any {
            return Err(format!("the {kind} {wanted:?} is missing; there is: {}", texts()));
        }
    }
    for remark in got {
        let mut any = false;
        for wanted in wanted {
            any |= fits(wanted, &remark.text)?;
        }
        if !any {
            return Err(format!("the {kind} is not expected: {remark}"));
        }
    }
    Ok(())
}
