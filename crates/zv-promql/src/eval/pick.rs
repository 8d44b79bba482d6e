//! Aggregations that look at all values of a group together: quantiles, the largest, some, and counts of equal values.

use std::collections::HashMap;

use zv_model::{Labels, LabelsBuilder};

use super::aggregate::Groups;
use super::matching::Counting;
use super::sort::ascending_nan_last;
use super::{ABSENT, Column, Evaluated, Evaluator, Grid, Series, is_absent, statistics};
use crate::annotations::short_number;
use crate::ast::{Aggregate, AggregateOp, Expr};
use crate::error::QueryError;
use crate::print::number;

impl Evaluator<'_> {
    /// Returns the quantile of each group's values.
    pub(super) fn quantile(
        &mut self,
        aggregate: &Aggregate,
        param: &[f64],
        series: &[Series],
        groups: &Groups,
        grid: Grid,
    ) -> Evaluated<Vec<Series>> {
        let span = aggregate.param.as_ref().map(|param| param.inner().span()).unwrap_or_default();
        let (least, most) = extremes(param);
        if param.iter().any(|quantile| quantile.is_nan()) {
            self.annotations.invalid_quantile(f64::NAN, span);
        }
        if most > 1.0 {
            self.annotations.invalid_quantile(most, span);
        }
        if least < 0.0 {
            self.annotations.invalid_quantile(least, span);
        }
        let mut values = Vec::new();
        let counting = Counting::of(!aggregate.is_without, &aggregate.labels);
        let mut results = Vec::with_capacity(groups.first.len());
        for members in groups.members() {
            self.check()?;
            let at = |step: usize| {
                values.clear();
                let all = members.iter().map(|member| series[*member].values[step]);
                values.extend(all.filter(|value| !is_absent(*value)));
                if values.is_empty() { ABSENT } else { statistics::quantile(param[step], &mut values) }
            };
            let mut result =
                Series::new(counting.labels(&series[members[0]].labels), (0..grid.count).map(at).collect());
            result.drop_name = members.iter().any(|member| series[*member].drop_name);
            results.push(result);
        }
        Ok(results)
    }

    /// Keeps some elements of each group.
    pub(super) fn pick(
        &mut self,
        aggregate: &Aggregate,
        param: &[f64],
        mut series: Vec<Series>,
        groups: &Groups,
        grid: Grid,
    ) -> Evaluated<Vec<Series>> {
        let span = aggregate.param.as_ref().map(|param| param.inner().span()).unwrap_or_default();
        if aggregate.op == AggregateOp::LimitRatio {
            let (least, most) = extremes(param);
            if most > 1.0 {
                self.annotations.invalid_ratio(most, 1.0, span);
            }
            if least < -1.0 {
                self.annotations.invalid_ratio(least, -1.0, span);
            }
            limit_ratio(&mut series, param)?;
            series.retain(|series| !series.is_empty());
            return Ok(series);
        }
        if param.iter().any(|k| k.is_nan()) {
            return Err(QueryError::execution("Parameter value is NaN"));
        }
        if extremes(param).1 < 1.0 {
            return Ok(Vec::new());
        }
        let mut order = Vec::with_capacity(series.len());
        let mut found = Vec::new();
        for members in groups.members() {
            self.check()?;
            for (step, k) in param.iter().enumerate().take(grid.count) {
                let wanted = whole(*k)?;
                found.clear();
                found.extend(
                    members.iter().copied().filter(|member| !is_absent(series[*member].values[step])),
                );
                let kept = first_of(aggregate.op, &mut found, &series, step, wanted);
                if grid.is_instant() {
                    order.extend_from_slice(&found[..kept]);
                }
                found[kept..].iter().for_each(|member| series[*member].values[step] = ABSENT);
            }
        }
        if grid.is_instant() {
            return Ok(order.into_iter().map(|at| series[at].clone()).collect());
        }
        series.retain(|series| !series.is_empty());
        Ok(series)
    }

    /// Counts how often each value is there.
    pub(super) fn count_values(
        &mut self,
        aggregate: &Aggregate,
        param: &Expr,
        grid: Grid,
    ) -> Evaluated<Column> {
        let Column::Text(label) = self.eval(param, grid)? else { return Err(super::wrong_type("a string")) };
        if !super::label::is_name(&label) {
            return Err(QueryError::execution(format!("invalid label name {}", crate::quote::quote(&label))));
        }
        let series = self.vector(&aggregate.expr, grid)?;
        let counting = Counting::of(!aggregate.is_without, &aggregate.labels);
        let is_taken_out = aggregate.is_without && aggregate.labels.contains(&label);
        let mut places: HashMap<Labels, usize> = HashMap::new();
        let mut known: HashMap<(usize, u64), usize> = HashMap::new();
        let mut out: Vec<Series> = Vec::new();
        for (at, series) in series.iter().enumerate() {
            self.check()?;
            for (step, value) in series.values.iter().enumerate().filter(|(_, value)| !is_absent(**value)) {
                let place = match known.get(&(at, value.to_bits())) {
                    Some(place) => *place,
                    None => {
                        let mut builder: LabelsBuilder = counting.labels(&series.labels).to_builder();
                        if !is_taken_out {
                            builder.set(label.clone(), number(*value));
                        }
                        let labels = builder.finish();
                        let place = *places.entry(labels.clone()).or_insert(out.len());
                        if place == out.len() {
                            self.spend(grid.count, grid.count * 8)?;
                            out.push(Series::new(labels, vec![ABSENT; grid.count]));
                        }
                        known.insert((at, value.to_bits()), place);
                        place
                    }
                };
                let count = &mut out[place].values[step];
                *count = if is_absent(*count) { 1.0 } else { *count + 1.0 };
            }
        }
        Ok(Column::Vector(out))
    }
}

fn extremes(values: &[f64]) -> (f64, f64) {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    (least, values.iter().copied().fold(f64::NEG_INFINITY, f64::max))
}

/// Returns how many are wanted.
fn whole(k: f64) -> Evaluated<usize> {
    // 2^63, as Prometheus compares.
    if k.abs() > 9_223_372_036_854_775_807.0 {
        return Err(QueryError::Execution(format!("Scalar value {} overflows int64", short_number(k))));
    }
    Ok(k.max(0.0) as usize)
}

/// Brings those that are wanted to the front, and returns how many they are.
fn first_of(op: AggregateOp, found: &mut [usize], series: &[Series], step: usize, wanted: usize) -> usize {
    let kept = wanted.min(found.len());
    if kept == 0 || op == AggregateOp::Limitk {
        return kept;
    }
    let is_top = op == AggregateOp::Topk;
    let order = |a: &usize, b: &usize| {
        let (x, y) = (series[*a].values[step], series[*b].values[step]);
        // NaN is the last to be taken; among equals the first series wins.
        let (x, y) = if is_top { (-x, -y) } else { (x, y) };
        ascending_nan_last(x, y).then(a.cmp(b))
    };
    if kept < found.len() {
        found.select_nth_unstable_by(kept - 1, order);
    }
    found[..kept].sort_unstable_by(order);
    kept
}

/// Keeps the series whose hash is in a part of all hashes, so that the same ones stay whoever asks.
fn limit_ratio(series: &mut [Series], param: &[f64]) -> Evaluated<()> {
    if param.iter().any(|ratio| ratio.is_nan()) {
        return Err(QueryError::execution("Ratio value is NaN"));
    }
    for series in series {
        let place = series.labels.fingerprint() as f64 / u64::MAX as f64;
        for (value, ratio) in series.values.iter_mut().zip(param) {
            let ratio = ratio.clamp(-1.0, 1.0);
            let is_kept = if ratio >= 0.0 { place < ratio } else { place >= 1.0 + ratio };
            if !is_kept {
                *value = ABSENT;
            }
        }
    }
    Ok(())
}
