//! Values for all steps of a query.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use zv_model::labels::METRIC_NAME;
use zv_model::{Labels, STALE_NAN, Timestamp, is_stale};

use super::Evaluated;
use crate::error::QueryError;

/// Stands where there is no value.
pub(crate) const ABSENT: f64 = STALE_NAN;

/// Says whether there is no value.
#[inline]
pub(crate) fn is_absent(value: f64) -> bool {
    is_stale(value)
}

/// The times of an evaluation, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) start: Timestamp,
    pub(crate) step: i64,
    /// At least one.
    pub(crate) count: usize,
}

impl Grid {
    #[inline]
    pub(crate) fn time(&self, step: usize) -> Timestamp {
        // Few steps: they fit.
        self.start.saturating_add(self.step.saturating_mul(step as i64))
    }

    /// Returns the first step alone.
    pub(crate) fn first(&self) -> Grid {
        Grid { count: 1, ..*self }
    }

    /// Says whether there is one time only: then the order of elements is the expression's.
    pub(crate) fn is_instant(&self) -> bool {
        self.count == 1
    }
}

/// A series with a value for each step.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub(crate) labels: Labels,
    /// The name is dropped once all is evaluated.
    pub(crate) drop_name: bool,
    pub(crate) values: Vec<f64>,
}

impl Series {
    pub(crate) fn new(labels: Labels, values: Vec<f64>) -> Self {
        Self { labels, drop_name: false, values }
    }

    pub(crate) fn unnamed(values: Vec<f64>) -> Self {
        Self::new(Labels::empty(), values)
    }

    /// Changes the values that are there.
    pub(crate) fn map(&mut self, change: impl Fn(f64) -> f64) {
        for value in self.values.iter_mut().filter(|value| !is_absent(**value)) {
            *value = change(*value);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.values.iter().all(|value| is_absent(*value))
    }
}

/// The value of an expression at each step.
#[derive(Debug)]
pub(crate) enum Column {
    Scalar(Vec<f64>),
    Text(Arc<str>),
    Vector(Vec<Series>),
}

impl Column {
    /// Returns the value of one step for many.
    pub(super) fn repeated(self, count: usize) -> Self {
        match self {
            Column::Scalar(values) => Column::Scalar(vec![values[0]; count]),
            Column::Text(text) => Column::Text(text),
            Column::Vector(mut series) => {
                for series in &mut series {
                    series.values = vec![series.values[0]; count];
                }
                Column::Vector(series)
            }
        }
    }

    /// Returns how many values it has and how many bytes they take.
    pub(super) fn cost(&self) -> (usize, usize) {
        match self {
            Column::Scalar(values) => (values.len(), values.len() * 8),
            Column::Text(_) => (0, 0),
            Column::Vector(series) => {
                let present =
                    |series: &Series| series.values.iter().filter(|value| !is_absent(**value)).count();
                let samples = series.iter().map(present).sum();
                (samples, series.iter().map(|series| series.values.len() * 8 + size_of::<Series>()).sum())
            }
        }
    }
}

/// Returns the labels without the metric's name.
pub(crate) fn without_name(labels: &Labels) -> Labels {
    labels.filtered(|label| &*label.name != METRIC_NAME)
}

pub(crate) fn duplicates() -> QueryError {
    QueryError::execution("vector cannot contain metrics with the same labelset")
}

/// Fails where two series have the same labels.
pub(crate) fn refuse_duplicates(series: &[Series]) -> Evaluated<()> {
    let mut known = std::collections::HashSet::with_capacity(series.len());
    if series.iter().all(|series| known.insert(&series.labels)) { Ok(()) } else { Err(duplicates()) }
}

/// Joins series of the same labels; fails where both have a value at one time.
pub(crate) fn merged(series: Vec<Series>) -> Evaluated<Vec<Series>> {
    let mut places: HashMap<Labels, usize> = HashMap::with_capacity(series.len());
    let mut out: Vec<Series> = Vec::with_capacity(series.len());
    for series in series {
        match places.entry(series.labels.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(out.len());
                out.push(series);
            }
            Entry::Occupied(entry) => {
                let into = &mut out[*entry.get()];
                for (old, new) in into.values.iter_mut().zip(series.values) {
                    match (is_absent(*old), is_absent(new)) {
                        (true, _) => *old = new,
                        (false, true) => {}
                        (false, false) => return Err(duplicates()),
                    }
                }
            }
        }
    }
    Ok(out)
}
