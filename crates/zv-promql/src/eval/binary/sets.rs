//! `and`, `or`, `unless`: which elements have a partner on the other side.

use crate::ast::{Binary, BinaryOp};
use crate::eval::matching::{Counting, Keys};
use crate::eval::{ABSENT, Column, Evaluated, Evaluator, Grid, Series, column, is_absent};

impl Evaluator<'_> {
    pub(super) fn sets(
        &mut self,
        binary: &Binary,
        mut left: Vec<Series>,
        mut right: Vec<Series>,
        grid: Grid,
    ) -> Evaluated<Column> {
        let counting = Counting::of(binary.matching.is_on, &binary.matching.labels);
        if binary.op == BinaryOp::Or {
            let mut partners = Partners::new(&left, counting, grid);
            right.iter_mut().for_each(|series| partners.keep(series, counting, false));
            left.append(&mut right);
        } else {
            let mut partners = Partners::new(&right, counting, grid);
            let is_wanted = binary.op == BinaryOp::And;
            left.iter_mut().for_each(|series| partners.keep(series, counting, is_wanted));
        }
        left.retain(|series| !series.is_empty());
        if binary.op == BinaryOp::Or {
            left = column::merged(left)?;
        }
        Ok(Column::Vector(left))
    }
}

/// Where elements of one side are there.
struct Partners {
    keys: Keys,
    /// Of each key, the steps at which there is an element.
    present: Vec<Vec<bool>>,
}

impl Partners {
    fn new(series: &[Series], counting: Counting<'_>, grid: Grid) -> Self {
        let mut partners = Self { keys: Keys::default(), present: Vec::new() };
        for series in series {
            let key = partners.keys.number(&series.labels, counting);
            if key == partners.present.len() {
                partners.present.push(vec![false; grid.count]);
            }
            for (present, value) in partners.present[key].iter_mut().zip(&series.values) {
                *present |= !is_absent(*value);
            }
        }
        partners
    }

    /// Takes out the values that have a partner, or that have none.
    fn keep(&mut self, series: &mut Series, counting: Counting<'_>, wants_partner: bool) {
        match self.keys.known(&series.labels, counting) {
            Some(key) => {
                for (value, present) in series.values.iter_mut().zip(&self.present[key]) {
                    if *present != wants_partner {
                        *value = ABSENT;
                    }
                }
            }
            None if wants_partner => series.values.fill(ABSENT),
            None => {}
        }
    }
}
