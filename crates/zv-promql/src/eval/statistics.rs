//! Sums, means, quantiles and lines, in the precision of Prometheus.

use zv_model::{Sample, Timestamp};

/// A sum that keeps what single additions lose (Kahan and Neumaier).
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Kahan {
    pub(super) sum: f64,
    pub(super) lost: f64,
}

impl Kahan {
    #[inline]
    pub(super) fn plus(self, value: f64) -> Self {
        let sum = self.sum + value;
        let lost = match () {
            () if sum.is_infinite() => 0.0,
            () if self.sum.abs() >= value.abs() => self.lost + ((self.sum - sum) + value),
            () => self.lost + ((value - sum) + self.sum),
        };
        Self { sum, lost }
    }

    #[inline]
    pub(super) fn total(self) -> f64 {
        if self.sum.is_infinite() { self.sum } else { self.sum + self.lost }
    }
}

pub(super) fn sum(samples: &[Sample]) -> f64 {
    samples.iter().fold(Kahan::default(), |sum, sample| sum.plus(sample.value)).total()
}

/// A mean that goes on where the sum of the values is too large.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mean {
    count: f64,
    /// The sum; once that is too large, the mean.
    value: Kahan,
    is_running: bool,
}

impl Mean {
    #[inline]
    pub(super) fn plus(&mut self, value: f64) {
        self.count += 1.0;
        if self.count == 1.0 {
            self.value.sum = value;
            return;
        }
        if !self.is_running {
            let sum = self.value.plus(value);
            if !sum.sum.is_infinite() {
                self.value = sum;
                return;
            }
            self.is_running = true;
            let before = self.count - 1.0;
            self.value = Kahan { sum: self.value.sum / before, lost: self.value.lost / before };
        }
        let share = (self.count - 1.0) / self.count;
        let shrunk = Kahan { sum: share * self.value.sum, lost: share * self.value.lost };
        self.value = shrunk.plus(value / self.count);
    }

    pub(super) fn total(&self) -> f64 {
        if self.is_running {
            return self.value.sum + self.value.lost;
        }
        self.value.sum / self.count + self.value.lost / self.count
    }
}

pub(super) fn mean(samples: &[Sample]) -> f64 {
    let mut mean = Mean::default();
    samples.iter().for_each(|sample| mean.plus(sample.value));
    mean.total()
}

pub(super) fn variance(samples: &[Sample]) -> f64 {
    let (mut count, mut mean, mut squares) = (0.0, Kahan::default(), Kahan::default());
    for sample in samples {
        count += 1.0;
        let delta = sample.value - (mean.sum + mean.lost);
        mean = mean.plus(delta / count);
        squares = squares.plus(delta * (sample.value - (mean.sum + mean.lost)));
    }
    (squares.sum + squares.lost) / count
}

/// Returns the quantile between the two nearest values; sorts them.
pub(super) fn quantile(quantile: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || quantile.is_nan() {
        return f64::NAN;
    }
    if quantile < 0.0 {
        return f64::NEG_INFINITY;
    }
    if quantile > 1.0 {
        return f64::INFINITY;
    }
    values.sort_unstable_by(|a, b| ascending(*a, *b));
    let last = (values.len() - 1) as f64;
    let rank = quantile * last;
    let below = rank.floor().max(0.0);
    let above = (below + 1.0).min(last);
    let weight = rank - rank.floor();
    values[below as usize] * (1.0 - weight) + values[above as usize] * weight
}

/// Orders values upwards, NaN first.
pub(super) fn ascending(a: f64, b: f64) -> std::cmp::Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()))
}

/// A line through samples.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    /// Per second.
    pub(super) slope: f64,
    /// The value at the time asked for.
    pub(super) intercept: f64,
}

/// Returns the line that fits best (least squares).
pub(super) fn regression(samples: &[Sample], at: Timestamp) -> Line {
    let first = samples[0].value;
    let (mut x_sum, mut y_sum, mut xy_sum, mut xx_sum) =
        (Kahan::default(), Kahan::default(), Kahan::default(), Kahan::default());
    let mut is_flat = true;
    for sample in samples {
        is_flat &= sample.value == first;
        let x = (sample.at - at) as f64 / 1000.0;
        x_sum = x_sum.plus(x);
        y_sum = y_sum.plus(sample.value);
        xy_sum = xy_sum.plus(x * sample.value);
        xx_sum = xx_sum.plus(x * x);
    }
    // The first sample is not compared with itself, which matters where it is NaN.
    let is_flat = is_flat || (samples.len() == 1 && first.is_nan());
    if is_flat {
        return match first.is_infinite() {
            true => Line { slope: f64::NAN, intercept: f64::NAN },
            false => Line { slope: 0.0, intercept: first },
        };
    }
    let count = samples.len() as f64;
    let (x, y) = (x_sum.sum + x_sum.lost, y_sum.sum + y_sum.lost);
    let covariance = xy_sum.sum + xy_sum.lost - x * y / count;
    let variance = xx_sum.sum + xx_sum.lost - x * x / count;
    let slope = covariance / variance;
    Line { slope, intercept: y / count - slope * x / count }
}
