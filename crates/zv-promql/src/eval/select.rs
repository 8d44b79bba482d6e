//! Series from the source: their values at each step, or all samples of each in turn.

use zv_model::labels::METRIC_NAME;
use zv_model::{Labels, MatchOp, Sample, Samples, TimeRange, is_stale};

use super::still::is_still;
use super::window::Steps;
use super::{ABSENT, Evaluated, Evaluator, Grid, Series};
use crate::ast::{Call, Expr, VectorSelector};
use crate::error::QueryError;
use crate::function::Work;
use crate::value::WrittenSeries;

/// What is done with each series.
pub(super) type Take<'t, 'f, E> = &'t mut (dyn FnMut(&mut E, Series) -> Evaluated<()> + 'f);

/// One series of a range vector.
pub(super) struct Ranged<'s> {
    pub(super) labels: &'s Labels,
    pub(super) drop_name: bool,
    /// Without stale markers.
    pub(super) samples: &'s [Sample],
}

impl Evaluator<'_> {
    /// Returns the selected series with the value that counts at each step, or with the time that value is of.
    pub(super) fn select(
        &mut self,
        selector: &VectorSelector,
        grid: Grid,
        want_times: bool,
    ) -> Evaluated<Vec<Series>> {
        let mut out = Vec::new();
        self.each_selected(selector, grid, want_times, &mut |evaluator, series| {
            evaluator.spend(grid.count, grid.count * 8)?;
            out.push(series);
            Ok(())
        })?;
        Ok(out)
    }

    fn each_selected(
        &mut self,
        selector: &VectorSelector,
        grid: Grid,
        want_times: bool,
        take: Take<'_, '_, Self>,
    ) -> Evaluated<()> {
        let lookback = self.options.lookback;
        let steps = Steps { grid, range: lookback, offset: selector.offset, at: self.fixed(selector.at) };
        let mut samples = Vec::new();
        for mut series in self.source.select(steps.whole(), &selector.matchers)? {
            self.check()?;
            self.read(series.samples.as_mut(), &mut samples)?;
            let mut values = vec![ABSENT; grid.count];
            if fill(&samples, &steps, want_times, &mut values) {
                take(self, Series::new(series.labels, values))?;
            }
        }
        Ok(())
    }

    /// Hands out the series of an instant vector one after the other, without holding them all where that can be.
    pub(super) fn each_series(&mut self, expr: &Expr, grid: Grid, take: Take<'_, '_, Self>) -> Evaluated<()> {
        let is_once = grid.count > 1 && is_still(expr);
        match expr.inner() {
            Expr::Vector(selector) if !is_once => return self.each_selected(selector, grid, false, take),
            Expr::Call(call) if !is_once => {
                if let (Work::Window(window), true) = (call.function.work, has_one_name(call)) {
                    return self.each_windowed(call, window, grid, take);
                }
            }
            _ => {}
        }
        self.vector(expr, grid)?.into_iter().try_for_each(|series| take(self, series))
    }

    fn read(&self, from: &mut dyn Samples, into: &mut Vec<Sample>) -> Evaluated<()> {
        into.clear();
        while from.next_run(into)? {
            if into.len() > self.options.max_samples {
                let message = "query processing would load too many samples into memory in query execution";
                return Err(QueryError::Limit(message.to_owned()));
            }
        }
        Ok(())
    }

    /// Hands out the series of a range vector, one after the other.
    pub(super) fn each_ranged(
        &mut self,
        expr: &Expr,
        grid: Grid,
        mut take: impl FnMut(&mut Self, &Steps, Ranged<'_>) -> Evaluated<()>,
    ) -> Evaluated<()> {
        let matrix = match expr.inner() {
            Expr::Matrix(matrix) => matrix,
            Expr::Subquery(subquery) => return self.each_of_subquery(subquery, grid, take),
            _ => return Err(QueryError::execution("the expression is not a range vector")),
        };
        let selector = &matrix.selector;
        let at = self.fixed(selector.at);
        let steps = Steps { grid, range: matrix.range, offset: selector.offset, at };
        let mut samples = Vec::new();
        for mut series in self.source.select(steps.whole(), &selector.matchers)? {
            self.check()?;
            self.read(series.samples.as_mut(), &mut samples)?;
            samples.retain(|sample| !is_stale(sample.value));
            if !samples.is_empty() {
                let ranged = Ranged { labels: &series.labels, drop_name: false, samples: &samples };
                take(self, &steps, ranged)?;
            }
        }
        Ok(())
    }

    /// Evaluates a range vector at one time, for whoever asks for its samples.
    pub(crate) fn matrix(&mut self, expr: &Expr, grid: Grid) -> Evaluated<Vec<WrittenSeries>> {
        let mut out: Vec<WrittenSeries> = Vec::new();
        self.each_ranged(expr, grid, |evaluator, steps, ranged| {
            let TimeRange { from, to } = steps.window(0);
            let within = |sample: &&Sample| sample.at > from && sample.at <= to;
            let points: Vec<Sample> = ranged.samples.iter().filter(within).copied().collect();
            evaluator.spend(points.len(), points.len() * size_of::<Sample>())?;
            if !points.is_empty() {
                let labels = match ranged.drop_name {
                    true => super::column::without_name(ranged.labels),
                    false => ranged.labels.clone(),
                };
                out.push(WrittenSeries { labels, points });
            }
            Ok(())
        })?;
        out.sort_by(|a, b| a.labels.cmp(&b.labels));
        if out.windows(2).any(|pair| pair[0].labels == pair[1].labels) {
            return Err(super::column::duplicates());
        }
        Ok(out)
    }
}

/// Says whether all series of a window's range vector have the same name: without it, no two share their labels.
fn has_one_name(call: &Call) -> bool {
    let is_name = |selector: &VectorSelector| {
        selector.matchers.iter().any(|matcher| &*matcher.name == METRIC_NAME && matcher.op == MatchOp::Equal)
    };
    call.args.iter().any(|arg| matches!(arg.inner(), Expr::Matrix(matrix) if is_name(&matrix.selector)))
}

/// Writes the last sample of each window, where it is no stale marker. Says whether there was one.
fn fill(samples: &[Sample], steps: &Steps, want_times: bool, values: &mut [f64]) -> bool {
    let mut any = false;
    let mut next = 0;
    for (step, value) in values.iter_mut().enumerate() {
        let TimeRange { from, to } = steps.window(step);
        while next < samples.len() && samples[next].at <= to {
            next += 1;
        }
        let Some(last) = next.checked_sub(1).map(|at| samples[at]) else { continue };
        if last.at > from && !is_stale(last.value) {
            *value = if want_times { last.at as f64 / 1000.0 } else { last.value };
            any = true;
        }
    }
    any
}
