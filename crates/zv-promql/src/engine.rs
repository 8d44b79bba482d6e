//! Asks queries: at one time, or at each step of a range.

use std::sync::Arc;

use zv_model::{Queryable, Sample, TimeRange, Timestamp};

use crate::annotations::Remark;
use crate::ast::{Expr, ValueType};
use crate::error::{ParseError, QueryError};
use crate::eval::{Column, Evaluator, Grid, Series, is_absent};
use crate::parse::{ParseOptions, parse};
use crate::value::{Value, VectorElement, WrittenSeries};

/// How expressions are evaluated, and what they may cost. Durations are milliseconds.
#[derive(Debug, Clone)]
pub struct Options {
    /// How far back the last sample of a series counts.
    pub lookback: i64,
    /// The step of subqueries that name none.
    pub subquery_step: i64,
    /// Names of metrics are dropped once, at the end, so that labels can still be made of them.
    pub delayed_name_removal: bool,
    /// Samples that may be in memory at once.
    pub max_samples: usize,
    /// Bytes of values that may be in memory at once.
    pub max_bytes: usize,
    /// Steps of a range query.
    pub max_steps: i64,
}

impl Default for Options {
    /// The defaults of Prometheus' server.
    fn default() -> Self {
        Self {
            lookback: 5 * 60_000,
            subquery_step: 60_000,
            delayed_name_removal: false,
            max_samples: 50_000_000,
            max_bytes: 1 << 30,
            max_steps: 11_000,
        }
    }
}

/// An expression and the text it was read from.
#[derive(Debug, Clone)]
pub struct Query {
    text: Arc<str>,
    expr: Expr,
}

impl Query {
    /// Reads an expression.
    pub fn parse(text: &str, options: ParseOptions) -> Result<Self, ParseError> {
        Ok(Self { expr: parse(text, options)?, text: text.into() })
    }

    /// Returns the text it was read from.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn expr(&self) -> &Expr {
        &self.expr
    }
}

/// Why an evaluation has to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    Timeout,
    Canceled,
}

/// The result of a query, and what is to be said about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub value: Value,
    pub warnings: Vec<Remark>,
    pub infos: Vec<Remark>,
}

/// Evaluates queries over one source of series.
pub struct Engine<'a> {
    source: &'a dyn Queryable,
    options: Options,
    stop: &'a dyn Fn() -> Option<Stop>,
}

impl std::fmt::Debug for Engine<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("options", &self.options).finish_non_exhaustive()
    }
}

impl<'a> Engine<'a> {
    /// `stop` is asked often, at least once per series: it should be cheap.
    pub fn new(source: &'a dyn Queryable, options: Options, stop: &'a dyn Fn() -> Option<Stop>) -> Self {
        Self { source, options, stop }
    }

    /// Evaluates at one time.
    pub fn instant(&self, query: &Query, at: Timestamp) -> Result<Answer, QueryError> {
        let grid = Grid { start: at, step: 1, count: 1 };
        let mut evaluator = self.evaluator(TimeRange { from: at, to: at });
        if query.expr.value_type() == ValueType::Matrix {
            let series = evaluator.matrix(query.expr.inner(), grid)?;
            return Ok(answer(&evaluator, query, Value::Matrix(series)));
        }
        let value = match evaluator.finished(&query.expr, grid)? {
            Column::Scalar(values) => Value::Scalar(Sample { at, value: values[0] }),
            Column::Text(text) => Value::Text { at, text },
            Column::Vector(series) => Value::Vector(elements(series, at)),
        };
        Ok(answer(&evaluator, query, value))
    }

    /// Evaluates at `range.from` and each `step` milliseconds later, up to `range.to`.
    pub fn range(&self, query: &Query, range: TimeRange, step: i64) -> Result<Answer, QueryError> {
        let value_type = query.expr.value_type();
        if !matches!(value_type, ValueType::Scalar | ValueType::Vector) {
            let message = format!(
                "invalid expression type \"{value_type}\" for range query, must be Scalar or instant Vector"
            );
            return Err(QueryError::BadData(message));
        }
        let grid = self.grid(range, step)?;
        let mut evaluator = self.evaluator(range);
        let mut series = match evaluator.finished(&query.expr, grid)? {
            Column::Scalar(values) => vec![Series::unnamed(values)],
            Column::Vector(series) => series,
            Column::Text(_) => Vec::new(),
        };
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        let written = series.into_iter().map(|series| written(series, grid));
        let matrix = written.filter(|series| !series.points.is_empty()).collect();
        Ok(answer(&evaluator, query, Value::Matrix(matrix)))
    }

    fn grid(&self, range: TimeRange, step: i64) -> Result<Grid, QueryError> {
        if step <= 0 {
            let message =
                "zero or negative query resolution step widths are not accepted. Try a positive integer";
            return Err(QueryError::BadData(message.to_owned()));
        }
        if range.to < range.from {
            return Err(QueryError::BadData("end timestamp must not be before start time".to_owned()));
        }
        let steps = (i128::from(range.to) - i128::from(range.from)) / i128::from(step);
        if steps > i128::from(self.options.max_steps) {
            let message = "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query \
                           resolution (?step=XX)";
            return Err(QueryError::BadData(message.replace("11,000", &thousands(self.options.max_steps))));
        }
        let count = usize::try_from(steps).unwrap_or(usize::MAX).saturating_add(1);
        Ok(Grid { start: range.from, step, count })
    }

    fn evaluator(&self, range: TimeRange) -> Evaluator<'_> {
        Evaluator::new(self.source, &self.options, self.stop, range)
    }
}

fn thousands(number: i64) -> String {
    match number {
        1000.. => format!("{},{:03}", thousands(number / 1000), number % 1000),
        _ => number.to_string(),
    }
}

fn answer(evaluator: &Evaluator<'_>, query: &Query, value: Value) -> Answer {
    let (warnings, infos) = evaluator.annotations.written(&query.text);
    Answer { value, warnings, infos }
}

fn elements(series: Vec<Series>, at: Timestamp) -> Vec<VectorElement> {
    let present = series.into_iter().filter(|series| !is_absent(series.values[0]));
    let element = |series: Series| VectorElement {
        sample: Sample { at, value: series.values[0] },
        labels: series.labels,
    };
    present.map(element).collect()
}

fn written(series: Series, grid: Grid) -> WrittenSeries {
    let values = series.values.iter().enumerate().filter(|(_, value)| !is_absent(**value));
    let points = values.map(|(step, value)| Sample { at: grid.time(step), value: *value }).collect();
    WrittenSeries { labels: series.labels, points }
}
