//! Aggregations: series whose labels agree become one.

use super::matching::{Counting, Keys};
use super::statistics::{Kahan, Mean};
use super::{ABSENT, Column, Evaluated, Evaluator, Grid, Series, is_absent};
use crate::ast::{Aggregate, AggregateOp};

/// The groups of an aggregation.
pub(super) struct Groups {
    /// Of each series, its group.
    pub(super) of: Vec<usize>,
    /// Of each group, its first series.
    pub(super) first: Vec<usize>,
}

impl Groups {
    pub(super) fn new(series: &[Series], counting: Counting<'_>) -> Self {
        let mut keys = Keys::default();
        let mut first = Vec::new();
        let number = |(place, series): (usize, &Series)| {
            let number = keys.number(&series.labels, counting);
            if number == first.len() {
                first.push(place);
            }
            number
        };
        let of = series.iter().enumerate().map(number).collect();
        Self { of, first }
    }

    /// Returns the series of each group.
    pub(super) fn members(&self) -> Vec<Vec<usize>> {
        let mut members = vec![Vec::new(); self.first.len()];
        for (series, group) in self.of.iter().enumerate() {
            members[*group].push(series);
        }
        members
    }
}

impl Evaluator<'_> {
    pub(super) fn aggregate(&mut self, aggregate: &Aggregate, grid: Grid) -> Evaluated<Column> {
        let counting = Counting::of(!aggregate.is_without, &aggregate.labels);
        if let (AggregateOp::CountValues, Some(param)) = (aggregate.op, &aggregate.param) {
            return self.count_values(aggregate, param, grid);
        }
        let param = aggregate.param.as_ref().map(|param| self.scalar(param, grid)).transpose()?;
        match aggregate.op {
            AggregateOp::Sum => self.fold::<Sum>(aggregate, grid),
            AggregateOp::Avg => self.fold::<Average>(aggregate, grid),
            AggregateOp::Count => self.fold::<Count>(aggregate, grid),
            AggregateOp::Min => self.fold::<Least>(aggregate, grid),
            AggregateOp::Max => self.fold::<Most>(aggregate, grid),
            AggregateOp::Group => self.fold::<One>(aggregate, grid),
            AggregateOp::Stdvar => self.fold::<Variance>(aggregate, grid),
            AggregateOp::Stddev => {
                let mut results = self.fold::<Variance>(aggregate, grid)?;
                results.iter_mut().for_each(|series| series.map(f64::sqrt));
                Ok(results)
            }
            _ => {
                let Some(param) = param else { return Err(super::wrong_type("complete")) };
                let series = self.vector(&aggregate.expr, grid)?;
                let groups = Groups::new(&series, counting);
                match aggregate.op {
                    AggregateOp::Quantile => self.quantile(aggregate, &param, &series, &groups, grid),
                    _ => self.pick(aggregate, &param, series, &groups, grid),
                }
            }
        }
        .map(Column::Vector)
    }

    /// Makes one series of each group. The groups are held, their members are not.
    fn fold<F: Fold>(&mut self, aggregate: &Aggregate, grid: Grid) -> Evaluated<Vec<Series>> {
        let counting = Counting::of(!aggregate.is_without, &aggregate.labels);
        let mut keys = Keys::default();
        let mut results: Vec<Series> = Vec::new();
        let mut cells: Vec<F> = Vec::new();
        self.each_series(&aggregate.expr, grid, &mut |evaluator, series| {
            let number = keys.number(&series.labels, counting);
            if number == results.len() {
                evaluator.spend(grid.count, grid.count.saturating_mul(size_of::<F>()))?;
                results.push(Series::new(counting.labels(&series.labels), Vec::new()));
                cells.resize(cells.len() + grid.count, F::default());
            }
            // Where one series of a group is to lose its name, the group is.
            results[number].drop_name |= series.drop_name;
            let row = &mut cells[number * grid.count..][..grid.count];
            for (cell, value) in row.iter_mut().zip(&series.values).filter(|(_, value)| !is_absent(**value)) {
                cell.add(*value);
            }
            Ok(())
        })?;
        for (result, row) in results.iter_mut().zip(cells.chunks(grid.count)) {
            result.values = row.iter().map(|cell| cell.result().unwrap_or(ABSENT)).collect();
        }
        Ok(results)
    }
}

/// What is made of the values of a group at one step.
trait Fold: Clone + Default {
    fn add(&mut self, value: f64);
    /// Returns the result; none where nothing was added.
    fn result(&self) -> Option<f64>;
}

#[derive(Clone, Default)]
struct Sum {
    sum: Kahan,
    any: bool,
}

impl Fold for Sum {
    #[inline]
    fn add(&mut self, value: f64) {
        // The first value is the sum: minus zero stays what it is.
        self.sum = if self.any { self.sum.plus(value) } else { Kahan { sum: value, lost: 0.0 } };
        self.any = true;
    }

    fn result(&self) -> Option<f64> {
        self.any.then(|| self.sum.total())
    }
}

#[derive(Clone, Default)]
struct Average {
    mean: Mean,
    any: bool,
}

impl Fold for Average {
    #[inline]
    fn add(&mut self, value: f64) {
        self.mean.plus(value);
        self.any = true;
    }

    fn result(&self) -> Option<f64> {
        self.any.then(|| self.mean.total())
    }
}

#[derive(Clone, Default)]
struct Count(u32);

impl Fold for Count {
    #[inline]
    fn add(&mut self, _: f64) {
        self.0 += 1;
    }

    fn result(&self) -> Option<f64> {
        (self.0 > 0).then(|| f64::from(self.0))
    }
}

#[derive(Clone, Default)]
struct One(bool);

impl Fold for One {
    fn add(&mut self, _: f64) {
        self.0 = true;
    }

    fn result(&self) -> Option<f64> {
        self.0.then_some(1.0)
    }
}

#[derive(Clone, Default)]
struct Least(Option<f64>);

impl Fold for Least {
    #[inline]
    fn add(&mut self, value: f64) {
        match self.0 {
            Some(least) if !(value < least || least.is_nan()) => {}
            _ => self.0 = Some(value),
        }
    }

    fn result(&self) -> Option<f64> {
        self.0
    }
}

#[derive(Clone, Default)]
struct Most(Option<f64>);

impl Fold for Most {
    #[inline]
    fn add(&mut self, value: f64) {
        match self.0 {
            Some(most) if !(value > most || most.is_nan()) => {}
            _ => self.0 = Some(value),
        }
    }

    fn result(&self) -> Option<f64> {
        self.0
    }
}

#[derive(Clone, Default)]
struct Variance {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Fold for Variance {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        if self.count == 1.0 {
            self.mean = value;
            self.squares = if value.is_finite() { 0.0 } else { f64::NAN };
            return;
        }
        let delta = value - self.mean;
        self.mean += delta / self.count;
        self.squares += delta * (value - self.mean);
    }

    fn result(&self) -> Option<f64> {
        (self.count > 0.0).then(|| self.squares / self.count)
    }
}
