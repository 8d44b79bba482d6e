//! A series of measurements and what is said of it.

use std::time::Duration;

/// Measurements of one thing, sorted.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Series(Vec<f64>);

impl Series {
    pub(super) fn min(&self) -> f64 {
        self.0.first().copied().unwrap_or(f64::NAN)
    }

    pub(super) fn median(&self) -> f64 {
        self.percentile(50)
    }

    pub(super) fn max(&self) -> f64 {
        self.0.last().copied().unwrap_or(f64::NAN)
    }

    /// Returns the smallest measurement that is not below `percent` of all.
    pub(super) fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied().unwrap_or(f64::NAN)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl FromIterator<f64> for Series {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Self(values)
    }
}

/// In milliseconds.
impl FromIterator<Duration> for Series {
    fn from_iter<I: IntoIterator<Item = Duration>>(values: I) -> Self {
        values.into_iter().map(|value| value.as_secs_f64() * 1000.0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measurements() {
        let series: Series = (1..=100).rev().map(f64::from).collect();
        assert_eq!((series.min(), series.median(), series.percentile(95)), (1.0, 50.0, 95.0));
        assert_eq!((series.max(), series.len()), (100.0, 100));
        let one: Series = [7.0].into_iter().collect();
        assert_eq!((one.median(), one.percentile(95)), (7.0, 7.0));
    }

    #[test]
    fn of_nothing_nothing_is_said() {
        let none: Series = std::iter::empty::<f64>().collect();
        assert!(none.min().is_nan() && none.median().is_nan() && none.max().is_nan());
    }
}
