//! Arithmetic and comparisons between vectors: elements find their partners by labels.

use std::collections::HashMap;

use zv_model::Labels;
use zv_model::labels::METRIC_NAME;

use super::Operation;
use crate::ast::{Binary, Group, Matching};
use crate::error::QueryError;
use crate::eval::matching::{Counting, Keys};
use crate::eval::{ABSENT, Column, Evaluated, Evaluator, Grid, Series, column, is_absent};

impl Evaluator<'_> {
    pub(super) fn vectors(
        &mut self,
        binary: &Binary,
        left: Vec<Series>,
        right: Vec<Series>,
        grid: Grid,
    ) -> Evaluated<Column> {
        if left.is_empty() || right.is_empty() {
            return Ok(Column::Vector(Vec::new()));
        }
        let is_swapped = binary.matching.group == Group::Right;
        let (many, one) = if is_swapped { (right, left) } else { (left, right) };
        let counting = Counting::of(binary.matching.is_on, &binary.matching.labels);
        let ones = Ones::new(&one, counting);
        ones.refuse_duplicates(&many, &binary.matching, grid)?;
        let operation = Operation { op: binary.op, is_bool: binary.is_bool };
        let mut pairing = Pairing {
            binary,
            operation,
            is_swapped,
            is_delayed: self.options.delayed_name_removal,
            results: Results::default(),
        };
        let mut ones = ones;
        for many in many {
            self.check()?;
            let Some(key) = ones.keys.known(&many.labels, counting) else { continue };
            let before = pairing.results.series.len();
            pairing.pair(many, key, &ones.members[key], &one)?;
            let added = pairing.results.series.len() - before;
            self.spend(added * grid.count, added * grid.count * 8)?;
        }
        Ok(Column::Vector(pairing.results.series))
    }
}

/// The side of which each element may have many partners.
struct Ones<'a> {
    series: &'a [Series],
    keys: Keys,
    /// Of each key, its series.
    members: Vec<Vec<usize>>,
}

impl<'a> Ones<'a> {
    fn new(series: &'a [Series], counting: Counting<'_>) -> Self {
        let mut ones = Self { series, keys: Keys::default(), members: Vec::new() };
        for (place, series) in series.iter().enumerate() {
            let key = ones.keys.number(&series.labels, counting);
            if key == ones.members.len() {
                ones.members.push(Vec::new());
            }
            ones.members[key].push(place);
        }
        ones
    }

    /// Fails where two elements of the "one" side could be the partner.
    fn refuse_duplicates(&self, many: &[Series], matching: &Matching, grid: Grid) -> Evaluated<()> {
        if self.keys.len() == self.series.len() {
            return Ok(());
        }
        let mut any = vec![false; grid.count];
        for series in many {
            for (any, value) in any.iter_mut().zip(&series.values) {
                *any |= !is_absent(*value);
            }
        }
        for members in self.members.iter().filter(|members| members.len() > 1) {
            for step in (0..grid.count).filter(|step| any[*step]) {
                let mut present =
                    members.iter().filter(|member| !is_absent(self.series[**member].values[step]));
                if let (Some(first), Some(second)) = (present.next(), present.next()) {
                    return Err(self.duplicate(matching, *first, *second));
                }
            }
        }
        Ok(())
    }

    fn duplicate(&self, matching: &Matching, first: usize, second: usize) -> QueryError {
        let side = if matching.group == Group::Right { "left" } else { "right" };
        let counting = Counting::of(matching.is_on, &matching.labels);
        let (first, second) = (&self.series[first].labels, &self.series[second].labels);
        let group = counting.labels(second);
        QueryError::Execution(format!(
            "found duplicate series for the match group {group:?} on the {side} hand-side of the operation: \
             [{second:?}, {first:?}];many-to-many matching not allowed: matching labels must be unique on one side"
        ))
    }
}

/// Makes the results of pairs.
struct Pairing<'a> {
    binary: &'a Binary,
    operation: Operation,
    is_swapped: bool,
    is_delayed: bool,
    results: Results,
}

impl Pairing<'_> {
    /// Pairs a series with all its partners.
    fn pair(&mut self, mut many: Series, key: usize, partners: &[usize], ones: &[Series]) -> Evaluated<()> {
        for (place, partner) in partners.iter().enumerate() {
            let one = &ones[*partner];
            let is_last = place + 1 == partners.len();
            let mut values = if is_last { std::mem::take(&mut many.values) } else { many.values.clone() };
            let mut any = false;
            for (value, other) in values.iter_mut().zip(&one.values) {
                *value = match is_absent(*value) || is_absent(*other) {
                    true => ABSENT,
                    false => self.apply(*value, *other),
                };
                any |= !is_absent(*value);
            }
            if any {
                let labels = self.labels(&many.labels, &one.labels);
                // That a name was to be dropped is forgotten here, as in Prometheus 3.5.
                let drop_name = self.binary.is_bool;
                let is_grouped = self.binary.matching.group != Group::None;
                self.results.add(Series { labels, drop_name, values }, key, is_grouped)?;
            }
        }
        Ok(())
    }

    #[inline]
    fn apply(&self, many: f64, one: f64) -> f64 {
        let (left, right) = if self.is_swapped { (one, many) } else { (many, one) };
        match self.operation.is_filter() {
            true if self.operation.holds(left, right) => left,
            true => ABSENT,
            false => self.operation.apply(left, right),
        }
    }

    /// Returns the labels of a result.
    fn labels(&self, many: &Labels, one: &Labels) -> Labels {
        let matching = &self.binary.matching;
        let drops_name = !self.operation.op.is_comparison() || (self.operation.is_bool && !self.is_delayed);
        let is_grouped = matching.group != Group::None;
        let kept = many.filtered(|label| match () {
            () if drops_name && &*label.name == METRIC_NAME => false,
            () if is_grouped => true,
            () => matching.labels.contains(&label.name) == matching.is_on,
        });
        if matching.include.is_empty() {
            return kept;
        }
        let mut builder = kept.to_builder();
        for name in &matching.include {
            builder.set(name.clone(), one.get(name));
        }
        let labels = builder.finish();
        // A name taken from the other side is dropped as any other.
        if self.operation.is_bool && !self.is_delayed { column::without_name(&labels) } else { labels }
    }
}

/// Results by their labels.
#[derive(Default)]
struct Results {
    series: Vec<Series>,
    places: HashMap<Labels, usize>,
    /// Of each result, the key of the pair that it came from first.
    keys: Vec<usize>,
    /// Of each key, the steps that have a result, once there is more than one series.
    matched: HashMap<usize, Vec<bool>>,
}

impl Results {
    fn add(&mut self, series: Series, key: usize, is_grouped: bool) -> Evaluated<()> {
        if !is_grouped {
            self.refuse_second_match(&series, key)?;
        }
        let place = *self.places.entry(series.labels.clone()).or_insert(self.series.len());
        if place == self.series.len() {
            self.series.push(series);
            self.keys.push(key);
            return Ok(());
        }
        let is_same_key = self.keys[place] == key;
        for (old, new) in self.series[place].values.iter_mut().zip(series.values) {
            match (is_absent(*old), is_absent(new)) {
                (true, _) => *old = new,
                (false, true) => {}
                (false, false) if is_grouped && is_same_key => {
                    let message = "multiple matches for labels: grouping labels must ensure unique matches";
                    return Err(QueryError::execution(message));
                }
                (false, false) => return Err(column::duplicates()),
            }
        }
        Ok(())
    }

    /// Fails where an element has found a second partner without having been allowed to.
    fn refuse_second_match(&mut self, series: &Series, key: usize) -> Evaluated<()> {
        let matched = self.matched.entry(key).or_insert_with(|| vec![false; series.values.len()]);
        for (matched, value) in
            matched.iter_mut().zip(&series.values).filter(|(_, value)| !is_absent(**value))
        {
            if *matched {
                let message = "multiple matches for labels: many-to-one matching must be explicit \
                               (group_left/group_right)";
                return Err(QueryError::execution(message));
            }
            *matched = true;
            let _ = value;
        }
        Ok(())
    }
}
