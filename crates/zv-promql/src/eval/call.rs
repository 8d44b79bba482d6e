//! Functions.

use super::civil::Civil;
use super::{ABSENT, Column, Evaluated, Evaluator, Grid, Series, column, is_absent};
use crate::ast::{Call, Expr};
use crate::function::Work;

impl Evaluator<'_> {
    pub(super) fn call(&mut self, call: &Call, grid: Grid) -> Evaluated<Column> {
        match call.function.work {
            Work::Window(window) => self.window_call(call, window, grid),
            Work::AbsentOverTime => self.absent_over_time(&call.args[0], grid),
            Work::Map(of) => self.mapped(call, grid, |_, value| of(value)),
            Work::Date(of) => self.date(call, grid, of),
            Work::Round => self.round(call, grid),
            Work::Clamp => {
                let least = self.scalar(&call.args[1], grid)?;
                let most = self.scalar(&call.args[2], grid)?;
                self.clamp(call, grid, &least, &most)
            }
            Work::ClampMin => {
                let least = self.scalar(&call.args[1], grid)?;
                self.clamp(call, grid, &least, &vec![f64::INFINITY; grid.count])
            }
            Work::ClampMax => {
                let most = self.scalar(&call.args[1], grid)?;
                self.clamp(call, grid, &vec![f64::NEG_INFINITY; grid.count], &most)
            }
            Work::Absent => self.absent(&call.args[0], grid),
            Work::Scalar => self.only_element(&call.args[0], grid),
            Work::Vector => Ok(Column::Vector(vec![Series::unnamed(self.scalar(&call.args[0], grid)?)])),
            Work::Time => Ok(Column::Scalar(times(grid))),
            Work::Pi => Ok(Column::Scalar(vec![std::f64::consts::PI; grid.count])),
            Work::Timestamp => self.timestamp(call, grid),
            Work::Sort { is_descending } => self.sort(call, is_descending, grid),
            Work::SortByLabel { is_descending } => self.sort_by_label(call, is_descending, grid),
            Work::LabelReplace => self.label_replace(call, grid),
            Work::LabelJoin => self.label_join(call, grid),
            Work::HistogramQuantile => self.histogram_quantile(call, grid),
            Work::HistogramFraction => self.histogram_fraction(call, grid),
            Work::NoFloats => {
                self.vector(&call.args[0], grid)?;
                Ok(Column::Vector(Vec::new()))
            }
        }
    }

    /// Changes each value of the first argument; the name is dropped.
    fn mapped(&mut self, call: &Call, grid: Grid, of: impl Fn(usize, f64) -> f64) -> Evaluated<Column> {
        let mut series = self.vector(&call.args[0], grid)?;
        for series in &mut series {
            for (step, value) in series.values.iter_mut().enumerate() {
                if !is_absent(*value) {
                    *value = of(step, *value);
                }
            }
        }
        self.nameless(series)
    }

    fn nameless(&mut self, mut series: Vec<Series>) -> Evaluated<Column> {
        if self.drop_names(&mut series) {
            series = column::merged(series)?;
        }
        Ok(Column::Vector(series))
    }

    fn date(&mut self, call: &Call, grid: Grid, of: fn(&Civil) -> f64) -> Evaluated<Column> {
        if call.args.is_empty() {
            let now = times(grid).into_iter().map(|seconds| of(&Civil::of(seconds.floor())));
            return Ok(Column::Vector(vec![Series::unnamed(now.collect())]));
        }
        self.mapped(call, grid, |_, value| of(&Civil::of(value)))
    }

    fn round(&mut self, call: &Call, grid: Grid) -> Evaluated<Column> {
        let nearest = match call.args.get(1) {
            Some(nearest) => self.scalar(nearest, grid)?,
            None => vec![1.0; grid.count],
        };
        // The inverse loses less precision, as in Prometheus.
        let inverse: Vec<f64> = nearest.iter().map(|nearest| 1.0 / nearest).collect();
        self.mapped(call, grid, |step, value| (value * inverse[step] + 0.5).floor() / inverse[step])
    }

    fn clamp(&mut self, call: &Call, grid: Grid, least: &[f64], most: &[f64]) -> Evaluated<Column> {
        let mut series = self.vector(&call.args[0], grid)?;
        for series in &mut series {
            for (step, value) in series.values.iter_mut().enumerate() {
                match () {
                    () if is_absent(*value) => {}
                    () if most[step] < least[step] => *value = ABSENT,
                    () => *value = larger(least[step], smaller(most[step], *value)),
                }
            }
        }
        series.retain(|series| !series.is_empty());
        self.nameless(series)
    }

    fn absent(&mut self, arg: &Expr, grid: Grid) -> Evaluated<Column> {
        let mut values = vec![1.0; grid.count];
        for series in self.vector(arg, grid)? {
            for (value, _) in values.iter_mut().zip(&series.values).filter(|(_, of)| !is_absent(**of)) {
                *value = ABSENT;
            }
        }
        let selector = match arg.inner() {
            Expr::Vector(selector) => Some(selector),
            _ => None,
        };
        let series = Series::new(super::label::of_absent(selector), values);
        Ok(Column::Vector(if series.is_empty() { Vec::new() } else { vec![series] }))
    }

    /// Returns the value of the only element, where there is exactly one.
    fn only_element(&mut self, arg: &Expr, grid: Grid) -> Evaluated<Column> {
        let mut values = vec![ABSENT; grid.count];
        let mut are_many = vec![false; grid.count];
        for series in self.vector(arg, grid)? {
            for (step, value) in series.values.into_iter().enumerate().filter(|(_, value)| !is_absent(*value))
            {
                are_many[step] |= !is_absent(values[step]);
                values[step] = value;
            }
        }
        let only = |(value, is_many): (f64, bool)| if is_many || is_absent(value) { f64::NAN } else { value };
        Ok(Column::Scalar(values.into_iter().zip(are_many).map(only).collect()))
    }

    /// Returns the times of samples where they are selected, else the times of the steps.
    fn timestamp(&mut self, call: &Call, grid: Grid) -> Evaluated<Column> {
        if let Expr::Vector(selector) = call.args[0].inner() {
            let series = self.select(selector, grid, true)?;
            return self.nameless(series);
        }
        let times = times(grid);
        self.mapped(call, grid, |step, _| times[step])
    }
}

fn times(grid: Grid) -> Vec<f64> {
    (0..grid.count).map(|step| grid.time(step) as f64 / 1000.0).collect()
}

/// The larger of two; NaN where one is NaN and the other not infinite.
fn larger(a: f64, b: f64) -> f64 {
    match () {
        () if a == f64::INFINITY || b == f64::INFINITY => f64::INFINITY,
        () if a.is_nan() || b.is_nan() => f64::NAN,
        () => a.max(b),
    }
}

/// The smaller of two; NaN where one is NaN and the other not infinite.
fn smaller(a: f64, b: f64) -> f64 {
    match () {
        () if a == f64::NEG_INFINITY || b == f64::NEG_INFINITY => f64::NEG_INFINITY,
        () if a.is_nan() || b.is_nan() => f64::NAN,
        () => a.min(b),
    }
}
