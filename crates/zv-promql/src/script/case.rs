//! The state of a script, and its cases.

use std::collections::BTreeSet;

use zv_model::{Labels, Matcher, TimeRange};

use super::Options;
use super::check::{Outcome, compare};
use super::classic::classic;
use super::read::{Eval, Load, When};
use super::sequence::Value;
use crate::ast::{At, Expr, ValueType};
use crate::engine::{Answer, Engine, Query};
use crate::error::QueryError;
use crate::function::{Window, Work};
use crate::memory::Memory;
use crate::parse::ParseOptions;
use crate::value;

const NATIVE: &str = "native histograms";
const EXPERIMENTAL: &str = "experimental syntax";
const STARTS: &str = "start timestamps";
const TYPES: &str = "labels of type and unit";

/// What came of a case that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Passed,
    PassedOnFloats,
    PassedAsClassic,
    Skipped(&'static str),
}

pub(super) struct State<'a> {
    options: &'a Options,
    memory: Memory,
    /// Series that have native histograms.
    native: BTreeSet<Labels>,
    has_starts: bool,
    /// Some series have labels that Prometheus treats as names are, if it is told to.
    has_types: bool,
}

impl<'a> State<'a> {
    pub(super) fn new(options: &'a Options) -> Self {
        Self {
            options,
            memory: Memory::default(),
            native: BTreeSet::new(),
            has_starts: false,
            has_types: false,
        }
    }

    pub(super) fn clear(&mut self) {
        self.memory.clear();
        self.native.clear();
        self.has_starts = false;
        self.has_types = false;
    }

    pub(super) fn load(&mut self, load: &Load) {
        self.has_starts |= load.has_starts;
        for (labels, values) in &load.series {
            self.has_types |= labels.iter().any(|label| matches!(&*label.name, "__type__" | "__unit__"));
            for (place, value) in (0..).zip(values) {
                match value {
                    Value::Float(value) => self.memory.append(labels, load.step * place, *value),
                    Value::Omitted => {}
                    Value::Histogram => drop(self.native.insert(labels.clone())),
                }
            }
            if load.with_native {
                self.native.extend(native_of(labels));
            }
        }
    }

    pub(super) fn eval(&self, eval: &Eval) -> Result<Verdict, String> {
        if self.has_starts {
            return Ok(Verdict::Skipped(STARTS));
        }
        let query = match Query::parse(&eval.expr, ParseOptions { experimental: true }) {
            Ok(query) => query,
            Err(_) if is_experimental(&eval.expr) => return Ok(Verdict::Skipped(EXPERIMENTAL)),
            Err(error) => return Err(error.to_string()),
        };
        if eval.wants_histogram() {
            return Ok(Verdict::Skipped(NATIVE));
        }
        match self.run(eval, &query) {
            Ok(()) => Ok(Verdict::Passed),
            // Most functions ignore native histograms and say so: where floats alone give the result, only that is missing.
            Err(_) if self.touches_native(query.expr()) => match self.run(&eval.without_remarks(), &query) {
                Ok(()) => Ok(Verdict::PassedOnFloats),
                Err(_) => Ok(self.as_classic(eval, &query)),
            },
            Err(_) if self.has_types => Ok(Verdict::Skipped(TYPES)),
            Err(message) => Err(message),
        }
    }

    fn as_classic(&self, eval: &Eval, query: &Query) -> Verdict {
        let Some(expr) = classic(query.expr()) else { return Verdict::Skipped(NATIVE) };
        let read = Query::parse(&expr.to_string(), ParseOptions { experimental: true });
        match read.map_err(|error| error.to_string()).and_then(|query| self.run(eval, &query)) {
            Ok(()) => Verdict::PassedAsClassic,
            Err(_) => Verdict::Skipped(NATIVE),
        }
    }

    fn run(&self, eval: &Eval, query: &Query) -> Result<(), String> {
        match eval.when {
            When::Range { from, to, step } => {
                let range = TimeRange { from, to };
                compare(eval, self.range(query, range, step), Outcome::Range, self.options.is_strict)
            }
            When::At(at) => self.instant(eval, query, at),
        }
    }

    /// Runs an instant query: as it is, with `@` at other times, and as the middle of a range query.
    fn instant(&self, eval: &Eval, query: &Query, at: i64) -> Result<(), String> {
        let at = eval.range_vector.map_or(at, |(_, to, _)| to);
        let outcome = Outcome::Instant;
        let strict = self.options.is_strict;
        compare(eval, self.at(query, at), outcome, strict)?;
        if let Some(fixed) = fixed(query.expr(), at) {
            let text = fixed.to_string();
            let query = Query::parse(&text, ParseOptions { experimental: true })
                .map_err(|error| format!("printed as `{text}`: {error}"))?;
            for other in [at.saturating_mul(-10), 0, at / 5, at, at.saturating_mul(10), 1000, -1000] {
                compare(eval, self.at(&query, other), outcome, strict)
                    .map_err(|message| format!("as `{text}` at {other} ms: {message}"))?;
            }
        }
        let is_matrix = matches!(query.expr().value_type(), ValueType::Matrix | ValueType::Text);
        if eval.fail.is_some() || eval.is_ordered || is_matrix || eval.range_vector.is_some() {
            return Ok(());
        }
        let range = TimeRange { from: at - 60_000, to: at + 60_000 };
        let middle = self.range(query, range, 60_000).map(|answer| middle(answer, query, at));
        compare(eval, middle, outcome, false).map_err(|message| format!("as a range query: {message}"))
    }

    fn at(&self, query: &Query, at: i64) -> Result<Answer, QueryError> {
        Engine::new(&self.memory, self.options.engine.clone(), &|| None).instant(query, at)
    }

    fn range(&self, query: &Query, range: TimeRange, step: i64) -> Result<Answer, QueryError> {
        Engine::new(&self.memory, self.options.engine.clone(), &|| None).range(query, range, step)
    }

    /// Says whether an expression selects a series that has native histograms.
    fn touches_native(&self, expr: &Expr) -> bool {
        if self.native.is_empty() {
            return false;
        }
        let mut found = false;
        expr.each_part(&mut |part| {
            let matchers: &[Matcher] = match part {
                Expr::Vector(selector) => &selector.matchers,
                Expr::Matrix(matrix) => &matrix.selector.matchers,
                _ => return,
            };
            let is_wanted = |labels: &Labels| matchers.iter().all(|matcher| matcher.accepts_labels(labels));
            found |= self.native.iter().any(is_wanted);
        });
        found
    }
}

/// Returns the labels of the native histogram that a series of a classic one belongs to.
fn native_of(labels: &Labels) -> Option<Labels> {
    let name = labels.metric_name();
    let base = ["_bucket", "_count", "_sum"].iter().find_map(|suffix| name.strip_suffix(suffix))?.to_owned();
    let mut builder = labels.to_builder();
    builder.set(zv_model::labels::METRIC_NAME, base);
    builder.remove("le");
    Some(builder.finish())
}

/// Says whether an expression has syntax or functions that Prometheus hides behind switches.
fn is_experimental(expr: &str) -> bool {
    const WORDS: [&str; 17] = [
        "anchored",
        "smoothed",
        "fill(",
        "fill_left(",
        "fill_right(",
        "fill (",
        "fill_left (",
        "fill_right (",
        "info(",
        "step()",
        "range()",
        "histogram_quantiles(",
        "start()",
        "end()",
        "min_of(",
        "max_of(",
        "timeseries_gen(",
    ];
    WORDS.iter().any(|word| expr.contains(word)) || has_duration_arithmetic(expr)
}

fn has_duration_arithmetic(expr: &str) -> bool {
    const SIGNS: [&str; 3] =
        ["duration expression", "unexpected <op:", "in offset, expected number or duration"];
    match Query::parse(expr, ParseOptions { experimental: true }) {
        Ok(_) => false,
        Err(error) => SIGNS.iter().any(|sign| error.message.contains(sign)),
    }
}

/// Returns the value of a range query at one of its steps, as an instant query gives it.
fn middle(answer: Answer, query: &Query, at: i64) -> Answer {
    let value::Value::Matrix(series) = answer.value else { return answer };
    let elements = series.into_iter().filter_map(|series| {
        let sample = series.points.into_iter().find(|point| point.at == at)?;
        Some(value::VectorElement { labels: series.labels, sample })
    });
    let elements: Vec<_> = elements.collect();
    let value = match (query.expr().value_type(), elements.first()) {
        (ValueType::Scalar, Some(element)) => value::Value::Scalar(element.sample),
        _ => value::Value::Vector(elements),
    };
    Answer { value, ..answer }
}

/// Returns the expression with all its selectors fixed at a time; nothing where it depends on time all the same.
fn fixed(expr: &Expr, at: i64) -> Option<Expr> {
    let mut fixed = expr.clone();
    let mut depends = false;
    walk(&mut fixed, false, &mut |part, is_fixed| match part {
        Expr::Vector(selector) if !is_fixed => drop(selector.at.get_or_insert(At::Time(at))),
        Expr::Matrix(matrix) if !is_fixed => drop(matrix.selector.at.get_or_insert(At::Time(at))),
        Expr::Subquery(subquery) if !is_fixed => drop(subquery.at.get_or_insert(At::Time(at))),
        Expr::Call(call) => {
            let work = call.function.work;
            depends |= matches!(work, Work::Time | Work::Timestamp | Work::Date(_));
            depends |= matches!(work, Work::Window(Window::PredictLinear));
        }
        _ => {}
    });
    (!depends).then_some(fixed)
}

/// Visits all parts, the outer before the inner. What is in a subquery at a fixed time is fixed with it.
fn walk(expr: &mut Expr, is_fixed: bool, visit: &mut impl FnMut(&mut Expr, bool)) {
    visit(expr, is_fixed);
    match expr {
        Expr::Number(_) | Expr::Text(_) | Expr::Vector(_) | Expr::Matrix(_) => {}
        Expr::Subquery(subquery) => {
            let is_fixed = is_fixed || subquery.at.is_some();
            walk(&mut subquery.expr, is_fixed, visit);
        }
        Expr::Paren(paren) => walk(&mut paren.expr, is_fixed, visit),
        Expr::Unary(unary) => walk(&mut unary.expr, is_fixed, visit),
        Expr::Binary(binary) => {
            walk(&mut binary.left, is_fixed, visit);
            walk(&mut binary.right, is_fixed, visit);
        }
        Expr::Aggregate(aggregate) => {
            let parts = aggregate.param.iter_mut().chain([&mut aggregate.expr]);
            parts.for_each(|part| walk(part, is_fixed, visit));
        }
        Expr::Call(call) => call.args.iter_mut().for_each(|part| walk(part, is_fixed, visit)),
    }
}
