//! Quantiles and fractions of classic histograms: series that count what is at most `le`.

use std::collections::HashMap;

use zv_model::Labels;
use zv_model::labels::METRIC_NAME;

use super::{ABSENT, Column, Evaluated, Evaluator, Grid, Series, column, is_absent, still};
use crate::ast::Call;
use crate::span::Span;
use crate::value::almost_equal;

const BOUND: &str = "le";

#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// What it counts is at most this.
    bound: f64,
    count: f64,
}

/// The series of one histogram.
struct Histogram {
    labels: Labels,
    /// Bounds and places of the series, by bound.
    members: Vec<(f64, usize)>,
}

impl Evaluator<'_> {
    pub(super) fn histogram_quantile(&mut self, call: &Call, grid: Grid) -> Evaluated<Column> {
        let quantiles = self.scalar(&call.args[0], grid)?;
        let buckets = self.vector(&call.args[1], grid)?;
        for quantile in quantiles.iter().filter(|quantile| !(0.0..=1.0).contains(*quantile)) {
            self.annotations.invalid_quantile(*quantile, still::place(call, 0));
        }
        self.histograms(still::place(call, 1), &buckets, grid, |step, buckets| {
            quantile(quantiles[step], buckets)
        })
    }

    pub(super) fn histogram_fraction(&mut self, call: &Call, grid: Grid) -> Evaluated<Column> {
        let low = self.scalar(&call.args[0], grid)?;
        let high = self.scalar(&call.args[1], grid)?;
        let buckets = self.vector(&call.args[2], grid)?;
        self.histograms(still::place(call, 2), &buckets, grid, |step, buckets| {
            (fraction(low[step], high[step], buckets), false)
        })
    }

    /// Evaluates each histogram at each step; `of` also says whether counts had to be mended.
    fn histograms(
        &mut self,
        span: Span,
        series: &[Series],
        grid: Grid,
        of: impl Fn(usize, &mut Vec<Bucket>) -> (f64, bool),
    ) -> Evaluated<Column> {
        let histograms = self.grouped(span, series);
        let mut out = Vec::with_capacity(histograms.len());
        let mut buckets = Vec::new();
        for Histogram { labels, members } in histograms {
            self.check()?;
            let mut values = vec![ABSENT; grid.count];
            let mut is_mended = false;
            for (step, value) in values.iter_mut().enumerate() {
                buckets.clear();
                let all = members
                    .iter()
                    .map(|(bound, at)| Bucket { bound: *bound, count: series[*at].values[step] });
                buckets.extend(all.filter(|bucket| !is_absent(bucket.count)));
                if !buckets.is_empty() {
                    let (result, mended) = of(step, &mut buckets);
                    *value = result;
                    is_mended |= mended;
                }
            }
            if is_mended {
                self.annotations.forced_monotonicity(labels.metric_name(), span);
            }
            self.spend(grid.count, grid.count * 8)?;
            out.push(Series::new(labels, values));
        }
        if self.drop_names(&mut out) {
            out = column::merged(out)?;
        }
        Ok(Column::Vector(out))
    }

    /// Brings the series of each histogram together.
    fn grouped(&mut self, span: Span, series: &[Series]) -> Vec<Histogram> {
        let is_delayed = self.options.delayed_name_removal;
        let mut places: HashMap<Labels, usize> = HashMap::new();
        let mut out: Vec<Histogram> = Vec::new();
        for (at, series) in series.iter().enumerate() {
            let bound = series.labels.get(BOUND);
            let Ok(number) = bound.parse() else {
                self.annotations.bad_bucket(series.labels.metric_name(), bound, span);
                continue;
            };
            let keeps = |name: &str| name != BOUND && (is_delayed || name != METRIC_NAME);
            let labels = series.labels.filtered(|label| keeps(&label.name));
            let place = *places.entry(labels.clone()).or_insert(out.len());
            if place == out.len() {
                out.push(Histogram { labels, members: Vec::new() });
            }
            out[place].members.push((number, at));
        }
        for histogram in &mut out {
            histogram.members.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        out
    }
}

/// Returns the quantile within the buckets, which are in the order of their bounds, and whether they had to be mended.
fn quantile(quantile: f64, buckets: &mut Vec<Bucket>) -> (f64, bool) {
    if quantile.is_nan() {
        return (f64::NAN, false);
    }
    if quantile < 0.0 {
        return (f64::NEG_INFINITY, false);
    }
    if quantile > 1.0 {
        return (f64::INFINITY, false);
    }
    if buckets[buckets.len() - 1].bound != f64::INFINITY {
        return (f64::NAN, false);
    }
    join_equal(buckets);
    let is_mended = make_monotonic(buckets);
    let last = buckets.len() - 1;
    let all = buckets[last].count;
    if last == 0 || all == 0.0 {
        return (f64::NAN, is_mended && last > 0);
    }
    let mut rank = quantile * all;
    let found = buckets[..last]
        .partition_point(|bucket| bucket.count < rank || bucket.count.is_nan() || rank.is_nan());
    if found == last {
        return (buckets[last - 1].bound, is_mended);
    }
    let mut bucket = buckets[found];
    if found == 0 && bucket.bound <= 0.0 {
        return (bucket.bound, is_mended);
    }
    let mut start = 0.0;
    if found > 0 {
        let below = buckets[found - 1];
        start = below.bound;
        bucket.count -= below.count;
        rank -= below.count;
    }
    (start + (bucket.bound - start) * (rank / bucket.count), is_mended)
}

/// Returns the share of what is counted between two values.
fn fraction(low: f64, high: f64, buckets: &mut Vec<Bucket>) -> f64 {
    if buckets[buckets.len() - 1].bound != f64::INFINITY {
        return f64::NAN;
    }
    join_equal(buckets);
    let all = buckets[buckets.len() - 1].count;
    if all == 0.0 || low.is_nan() || high.is_nan() {
        return f64::NAN;
    }
    if low >= high {
        return 0.0;
    }
    (rank_of(high, all, buckets) - rank_of(low, all, buckets)) / all
}

/// Returns how much is counted up to a value, as if what is in a bucket were spread evenly.
fn rank_of(value: f64, all: f64, buckets: &[Bucket]) -> f64 {
    let (mut rank, mut below) = (0.0_f64, f64::NEG_INFINITY);
    for bucket in buckets {
        if below >= value {
            return rank.min(all);
        }
        if below < value && bucket.bound > value {
            let start = if below == f64::NEG_INFINITY && bucket.bound > 0.0 { 0.0 } else { below };
            let share = (value - start) / (bucket.bound - start);
            let interpolated = rank + (bucket.count - rank) * share;
            return if interpolated > all { all } else { interpolated };
        }
        rank = bucket.count;
        below = bucket.bound;
    }
    all
}

/// Joins buckets of the same bound.
fn join_equal(buckets: &mut Vec<Bucket>) {
    buckets.dedup_by(|next, kept| {
        let is_same = next.bound == kept.bound;
        if is_same {
            kept.count += next.count;
        }
        is_same
    });
}

/// Takes out decreases; says whether there were any that rounding does not explain.
fn make_monotonic(buckets: &mut [Bucket]) -> bool {
    const NEGLIGIBLE: f64 = 1e-12;
    let mut is_mended = false;
    let mut before = buckets[0].count;
    for bucket in &mut buckets[1..] {
        if bucket.count == before {
            continue;
        }
        if almost_equal(before, bucket.count, NEGLIGIBLE) {
            bucket.count = before;
        } else if bucket.count < before {
            bucket.count = before;
            is_mended = true;
        } else {
            before = bucket.count;
        }
    }
    is_mended
}
