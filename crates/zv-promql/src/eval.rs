//! Evaluates an expression for all steps of a query at once.
//!
//! The result of a part is a value per step, or series with a value per step. A value that is not there is the mark of a
//! stale series, which no sample that is taken into account ever has. What does not change from step to step is evaluated
//! once.

mod aggregate;
mod binary;
mod call;
pub(crate) mod civil;
mod column;
mod histogram;
mod label;
mod matching;
mod pick;
mod rate;
mod select;
mod sort;
mod statistics;
mod still;
mod subquery;
mod window;

use zv_model::{Queryable, TimeRange, Timestamp};

use crate::annotations::Annotations;
use crate::ast::{At, Expr, Unary};
use crate::engine::{Options, Stop};
use crate::error::QueryError;
pub(crate) use column::{ABSENT, Column, Grid, Series, is_absent};

pub(crate) type Evaluated<T> = Result<T, QueryError>;

/// One evaluation of a query.
pub(crate) struct Evaluator<'a> {
    source: &'a dyn Queryable,
    options: &'a Options,
    stop: &'a dyn Fn() -> Option<Stop>,
    /// The times of the whole query, for `@ start()` and `@ end()`.
    query: TimeRange,
    pub(crate) annotations: Annotations,
    spent: Spent,
}

/// What is in memory.
#[derive(Debug, Clone, Copy, Default)]
struct Spent {
    samples: usize,
    bytes: usize,
}

impl<'a> Evaluator<'a> {
    pub(crate) fn new(
        source: &'a dyn Queryable,
        options: &'a Options,
        stop: &'a dyn Fn() -> Option<Stop>,
        query: TimeRange,
    ) -> Self {
        Self { source, options, stop, query, annotations: Annotations::default(), spent: Spent::default() }
    }

    /// Evaluates a whole query: names whose removal was put off are dropped now.
    pub(crate) fn finished(&mut self, expr: &Expr, grid: Grid) -> Evaluated<Column> {
        let mut column = self.eval(expr, grid)?;
        if let (Column::Vector(series), true) = (&mut column, self.options.delayed_name_removal) {
            for series in series.iter_mut().filter(|series| series.drop_name) {
                series.labels = column::without_name(&series.labels);
            }
            *series = column::merged(std::mem::take(series))?;
        }
        Ok(column)
    }

    /// Evaluates a part of the query.
    pub(crate) fn eval(&mut self, expr: &Expr, grid: Grid) -> Evaluated<Column> {
        self.check()?;
        let before = self.spent;
        let column = match grid.count > 1 && still::is_still(expr) {
            true => self.node(expr, grid.first())?.repeated(grid.count),
            false => self.node(expr, grid)?,
        };
        // What the parts held is gone by now.
        self.spent = before;
        let (samples, bytes) = column.cost();
        self.spend(samples, bytes)?;
        Ok(column)
    }

    fn node(&mut self, expr: &Expr, grid: Grid) -> Evaluated<Column> {
        match expr {
            Expr::Number(number) => Ok(Column::Scalar(vec![number.value; grid.count])),
            Expr::Text(text) => Ok(Column::Text(text.value.clone())),
            Expr::Vector(selector) => Ok(Column::Vector(self.select(selector, grid, false)?)),
            Expr::Matrix(_) | Expr::Subquery(_) => {
                // The checks of the parser let no range vector stand where its values are wanted.
                Err(QueryError::execution("a range vector cannot be evaluated by itself"))
            }
            Expr::Paren(paren) => self.eval(&paren.expr, grid),
            Expr::Unary(unary) => self.unary(unary, grid),
            Expr::Binary(binary) => self.chain(binary, grid),
            Expr::Aggregate(aggregate) => self.aggregate(aggregate, grid),
            Expr::Call(call) => self.call(call, grid),
        }
    }

    /// Evaluates an instant vector.
    pub(crate) fn vector(&mut self, expr: &Expr, grid: Grid) -> Evaluated<Vec<Series>> {
        match self.eval(expr, grid)? {
            Column::Vector(series) => Ok(series),
            Column::Scalar(_) | Column::Text(_) => Err(wrong_type("an instant vector")),
        }
    }

    /// Evaluates a scalar.
    pub(crate) fn scalar(&mut self, expr: &Expr, grid: Grid) -> Evaluated<Vec<f64>> {
        match self.eval(expr, grid)? {
            Column::Scalar(values) => Ok(values),
            Column::Vector(_) | Column::Text(_) => Err(wrong_type("a scalar")),
        }
    }

    fn unary(&mut self, unary: &Unary, grid: Grid) -> Evaluated<Column> {
        let mut column = self.eval(&unary.expr, grid)?;
        if !unary.is_minus {
            return Ok(column);
        }
        match &mut column {
            Column::Scalar(values) => values.iter_mut().for_each(|value| *value = -*value),
            Column::Vector(series) => {
                for series in series.iter_mut() {
                    series.map(|value| -value);
                }
                if self.drop_names(series) {
                    column::refuse_duplicates(series)?;
                }
            }
            Column::Text(_) => return Err(wrong_type("a number")),
        }
        Ok(column)
    }

    /// Drops the names of metrics, or marks them to be dropped. Says whether two series may now have the same labels.
    pub(crate) fn drop_names(&self, series: &mut [Series]) -> bool {
        if self.options.delayed_name_removal {
            series.iter_mut().for_each(|series| series.drop_name = true);
            return false;
        }
        let mut names = series.iter().map(|series| series.labels.metric_name());
        let first = names.next();
        let are_mixed = names.any(|name| Some(name) != first);
        for series in series.iter_mut() {
            series.labels = column::without_name(&series.labels);
            series.drop_name = true;
        }
        are_mixed
    }

    /// Deals with series that may have come to share their labels.
    pub(crate) fn relabelled(&self, series: Vec<Series>) -> Evaluated<Vec<Series>> {
        if self.options.delayed_name_removal {
            return column::merged(series);
        }
        column::refuse_duplicates(&series)?;
        Ok(series)
    }

    /// Returns the time that `@` means.
    pub(crate) fn fixed(&self, at: Option<At>) -> Option<Timestamp> {
        at.map(|at| match at {
            At::Time(time) => time,
            At::Start => self.query.from,
            At::End => self.query.to,
        })
    }

    /// Fails where somebody wants the evaluation to stop.
    pub(crate) fn check(&self) -> Evaluated<()> {
        match (self.stop)() {
            None => Ok(()),
            Some(Stop::Timeout) => Err(QueryError::Timeout),
            Some(Stop::Canceled) => Err(QueryError::Canceled),
        }
    }

    /// Counts what comes into memory; fails where it is too much.
    pub(crate) fn spend(&mut self, samples: usize, bytes: usize) -> Evaluated<()> {
        self.spent.samples = self.spent.samples.saturating_add(samples);
        self.spent.bytes = self.spent.bytes.saturating_add(bytes);
        if self.spent.samples > self.options.max_samples {
            let message = "query processing would load too many samples into memory in query execution";
            return Err(QueryError::Limit(message.to_owned()));
        }
        if self.spent.bytes > self.options.max_bytes {
            let allowed = self.options.max_bytes;
            let message = format!(
                "the query needs more memory than allowed ({allowed} bytes): ask for fewer series, a shorter range or a longer step"
            );
            return Err(QueryError::Limit(message));
        }
        Ok(())
    }
}

fn wrong_type(wanted: &str) -> QueryError {
    QueryError::execution(format!("the expression is not {wanted}"))
}
