//! Functions over the samples in a window of time that moves with the steps.

use zv_model::{Sample, TimeRange, Timestamp};

use super::rate::{self, Rate};
use super::select::{Ranged, Take};
use super::statistics;
use super::{ABSENT, Column, Evaluated, Evaluator, Grid, Series, column, still};
use crate::ast::{Call, Expr, ValueType};
use crate::error::QueryError;
use crate::function::Window;
use crate::span::Span;

/// The windows of an evaluation: each is open on the left, and as long as the others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Steps {
    pub(super) grid: Grid,
    pub(super) range: i64,
    pub(super) offset: i64,
    /// Where all windows end, whatever the step.
    pub(super) at: Option<Timestamp>,
}

impl Steps {
    /// Returns the window of a step: what is after its beginning, up to its end.
    #[inline]
    pub(super) fn window(&self, step: usize) -> TimeRange {
        let to = self.at.unwrap_or_else(|| self.grid.time(step)).saturating_sub(self.offset);
        TimeRange { from: to.saturating_sub(self.range), to }
    }

    /// Returns the times of all samples that are in any window.
    pub(super) fn whole(&self) -> TimeRange {
        let from = self.window(0).from.saturating_add(1);
        TimeRange { from, to: self.window(self.grid.count - 1).to }
    }

    /// Calls `visit` with each step's window and its place among the samples, where it has any.
    #[inline]
    pub(super) fn each(&self, samples: &[Sample], mut visit: impl FnMut(usize, TimeRange, usize, usize)) {
        let (mut low, mut high) = (0, 0);
        for step in 0..self.grid.count {
            let window = self.window(step);
            while high < samples.len() && samples[high].at <= window.to {
                high += 1;
            }
            while low < high && samples[low].at <= window.from {
                low += 1;
            }
            if low < high {
                visit(step, window, low, high);
            }
        }
    }
}

impl Evaluator<'_> {
    /// Evaluates a function over windows.
    pub(super) fn window_call(&mut self, call: &Call, window: Window, grid: Grid) -> Evaluated<Column> {
        let mut out: Vec<Series> = Vec::new();
        self.each_windowed(call, window, grid, &mut |evaluator, series| {
            evaluator.spend(grid.count, grid.count * 8)?;
            out.push(series);
            Ok(())
        })?;
        if !window.keeps_name() && !self.options.delayed_name_removal {
            column::refuse_duplicates(&out)?;
        }
        Ok(Column::Vector(out))
    }

    /// Hands out the results of a function over windows, one series after the other.
    pub(super) fn each_windowed(
        &mut self,
        call: &Call,
        window: Window,
        grid: Grid,
        take: Take<'_, '_, Self>,
    ) -> Evaluated<()> {
        let mut params = Vec::new();
        let mut ranged = None;
        for arg in &call.args {
            match arg.value_type() {
                ValueType::Matrix => ranged = Some(arg),
                _ => params.push(self.scalar(arg, grid)?),
            }
        }
        let Some(ranged) = ranged else { return Err(super::wrong_type("a range vector")) };
        let mut any = false;
        self.each_ranged(ranged, grid, |evaluator, steps, series| {
            let mut values = vec![ABSENT; grid.count];
            apply(window, series.samples, steps, &params, &mut values)?;
            // Of a subquery's names it is forgotten that they were to be dropped, as in Prometheus 3.5.
            let drop_name = !window.keeps_name();
            let labels = match drop_name && !evaluator.options.delayed_name_removal {
                true => column::without_name(series.labels),
                false => series.labels.clone(),
            };
            let result = Series { labels, drop_name, values };
            if result.is_empty() {
                return Ok(());
            }
            any = true;
            evaluator.note(window, ranged, &series);
            take(evaluator, result)
        })?;
        if window == Window::Quantile && any {
            for quantile in params[0].iter().filter(|quantile| !(0.0..=1.0).contains(*quantile)) {
                self.annotations.invalid_quantile(*quantile, still::place(call, 0));
            }
        }
        Ok(())
    }

    fn note(&mut self, window: Window, arg: &Expr, series: &Ranged<'_>) {
        if matches!(window, Window::Rate | Window::Increase) {
            // Prometheus has forgotten by then where a subquery stood.
            let span =
                if matches!(arg.inner(), Expr::Subquery(_)) { Span::default() } else { arg.inner().span() };
            self.annotations.possible_non_counter(series.labels.metric_name(), span);
        }
    }

    /// Evaluates `absent_over_time`.
    pub(super) fn absent_over_time(&mut self, arg: &Expr, grid: Grid) -> Evaluated<Column> {
        let mut values = vec![1.0; grid.count];
        self.each_ranged(arg, grid, |_, steps, series| {
            steps.each(series.samples, |step, _, _, _| values[step] = ABSENT);
            Ok(())
        })?;
        let selector = match arg.inner() {
            Expr::Matrix(matrix) => Some(&matrix.selector),
            _ => None,
        };
        let series = Series::new(super::label::of_absent(selector), values);
        Ok(Column::Vector(if series.is_empty() { Vec::new() } else { vec![series] }))
    }
}

/// Writes the function's value for each step.
fn apply(
    window: Window,
    samples: &[Sample],
    steps: &Steps,
    params: &[Vec<f64>],
    out: &mut [f64],
) -> Evaluated<()> {
    let mut scratch = Vec::new();
    match window {
        Window::Rate => rate::extrapolated(Rate::PerSecond, samples, steps, out),
        Window::Increase => rate::extrapolated(Rate::Increase, samples, steps, out),
        Window::Delta => rate::extrapolated(Rate::Delta, samples, steps, out),
        Window::Irate => some(samples, steps, out, |_, of| rate::last_two(of, true)),
        Window::Idelta => some(samples, steps, out, |_, of| rate::last_two(of, false)),
        Window::Sum => every(samples, steps, out, statistics::sum),
        Window::Avg => every(samples, steps, out, statistics::mean),
        Window::Count => every(samples, steps, out, |of| of.len() as f64),
        Window::Min => every(samples, steps, out, |of| extreme(of, |new, old| new < old).value),
        Window::Max => every(samples, steps, out, |of| extreme(of, |new, old| new > old).value),
        Window::TimeOfMin => every(samples, steps, out, |of| seconds(extreme(of, |new, old| new <= old))),
        Window::TimeOfMax => every(samples, steps, out, |of| seconds(extreme(of, |new, old| new >= old))),
        Window::First => every(samples, steps, out, |of| of[0].value),
        Window::TimeOfFirst => every(samples, steps, out, |of| seconds(of[0])),
        Window::Last => every(samples, steps, out, |of| of[of.len() - 1].value),
        Window::TimeOfLast => every(samples, steps, out, |of| seconds(of[of.len() - 1])),
        Window::Present => every(samples, steps, out, |_| 1.0),
        Window::Stddev => every(samples, steps, out, |of| statistics::variance(of).sqrt()),
        Window::Stdvar => every(samples, steps, out, statistics::variance),
        Window::Changes => every(samples, steps, out, |of| {
            count_pairs(of, |old, new| new != old && !(new.is_nan() && old.is_nan()))
        }),
        Window::Resets => every(samples, steps, out, |of| count_pairs(of, |old, new| new < old)),
        Window::Quantile => some(samples, steps, out, |step, of| {
            scratch.clear();
            scratch.extend(of.iter().map(|sample| sample.value));
            Some(statistics::quantile(params[0][step], &mut scratch))
        }),
        Window::MedianDeviation => every(samples, steps, out, |of| {
            scratch.clear();
            scratch.extend(of.iter().map(|sample| sample.value));
            let median = statistics::quantile(0.5, &mut scratch);
            scratch.iter_mut().for_each(|value| *value = (*value - median).abs());
            statistics::quantile(0.5, &mut scratch)
        }),
        Window::Deriv => {
            some(samples, steps, out, |_, of| {
                (of.len() > 1).then(|| statistics::regression(of, of[0].at).slope)
            });
        }
        Window::PredictLinear => some(samples, steps, out, |step, of| {
            let line = (of.len() > 1).then(|| statistics::regression(of, steps.grid.time(step)))?;
            Some(line.slope * params[0][step] + line.intercept)
        }),
        Window::Smoothing => smoothing(samples, steps, params, out)?,
    }
    Ok(())
}

/// Writes what `of` makes of each window.
#[inline]
fn every(samples: &[Sample], steps: &Steps, out: &mut [f64], mut of: impl FnMut(&[Sample]) -> f64) {
    steps.each(samples, |step, _, low, high| out[step] = of(&samples[low..high]));
}

/// Writes what `of` makes of each window, where it makes anything.
#[inline]
fn some(
    samples: &[Sample],
    steps: &Steps,
    out: &mut [f64],
    mut of: impl FnMut(usize, &[Sample]) -> Option<f64>,
) {
    steps.each(samples, |step, _, low, high| {
        if let Some(value) = of(step, &samples[low..high]) {
            out[step] = value;
        }
    });
}

fn seconds(sample: Sample) -> f64 {
    sample.at as f64 / 1000.0
}

#[inline]
fn extreme(samples: &[Sample], is_better: impl Fn(f64, f64) -> bool) -> Sample {
    let mut best = samples[0];
    for sample in samples {
        if is_better(sample.value, best.value) || best.value.is_nan() {
            best = *sample;
        }
    }
    best
}

#[inline]
fn count_pairs(samples: &[Sample], counts: impl Fn(f64, f64) -> bool) -> f64 {
    samples.windows(2).filter(|pair| counts(pair[0].value, pair[1].value)).count() as f64
}

/// Double exponential smoothing: the second value smooths the trend.
fn smoothing(samples: &[Sample], steps: &Steps, params: &[Vec<f64>], out: &mut [f64]) -> Evaluated<()> {
    let mut wrong = None;
    some(samples, steps, out, |step, of| {
        let (level, trend) = (params[0][step], params[1][step]);
        for (name, factor) in [("smoothing", level), ("trend", trend)] {
            if factor <= 0.0 || factor >= 1.0 {
                let letter = if name == "trend" { "tf" } else { "sf" };
                let message = format!("invalid {name} factor. Expected: 0 < {letter} < 1, got: {factor:.6}");
                wrong.get_or_insert(QueryError::Execution(message));
                return None;
            }
        }
        if of.len() < 2 {
            return None;
        }
        let (mut before, mut smoothed) = (0.0, of[0].value);
        let mut slope = of[1].value - of[0].value;
        for (place, sample) in of.iter().enumerate().skip(1) {
            if place > 1 {
                slope = trend * (smoothed - before) + (1.0 - trend) * slope;
            }
            let next = level * sample.value + (1.0 - level) * (smoothed + slope);
            (before, smoothed) = (smoothed, next);
        }
        Some(smoothed)
    });
    wrong.map_or(Ok(()), Err)
}
