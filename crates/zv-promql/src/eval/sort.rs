//! Orders the elements of an instant vector.

use std::cmp::Ordering;

use super::{Column, Evaluated, Evaluator, Grid};
use crate::ast::{Call, Expr};

impl Evaluator<'_> {
    pub(super) fn sort(&mut self, call: &Call, is_descending: bool, grid: Grid) -> Evaluated<Column> {
        let mut series = self.vector(&call.args[0], grid)?;
        // Series over time have one order only: that of their labels.
        if grid.is_instant() {
            let value = |value: f64| if is_descending { -value } else { value };
            series.sort_by(|a, b| ascending_nan_last(value(a.values[0]), value(b.values[0])));
        }
        Ok(Column::Vector(series))
    }

    pub(super) fn sort_by_label(
        &mut self,
        call: &Call,
        is_descending: bool,
        grid: Grid,
    ) -> Evaluated<Column> {
        let mut series = self.vector(&call.args[0], grid)?;
        let names: Vec<&str> = call.args[1..].iter().filter_map(text).collect();
        if grid.is_instant() {
            series.sort_by(|a, b| {
                let by_names = names.iter().map(|name| natural(a.labels.get(name), b.labels.get(name)));
                let order =
                    by_names.fold(Ordering::Equal, Ordering::then).then_with(|| a.labels.cmp(&b.labels));
                if is_descending { order.reverse() } else { order }
            });
        }
        Ok(Column::Vector(series))
    }
}

fn text(expr: &Expr) -> Option<&str> {
    match expr.inner() {
        Expr::Text(text) => Some(&text.value),
        _ => None,
    }
}

/// Orders values upwards, NaN last.
pub(super) fn ascending_nan_last(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// Orders texts as people do: numbers in them by their value.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    while !a.is_empty() && !b.is_empty() {
        let (left, right) = (chunk(&mut a), chunk(&mut b));
        let order = match (left.parse::<u64>(), right.parse::<u64>()) {
            (Ok(left), Ok(right)) => left.cmp(&right),
            _ => left.cmp(right),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    a.len().cmp(&b.len())
}

/// Takes a run of digits, or of all else, from the front.
fn chunk<'a>(text: &mut &'a str) -> &'a str {
    let is_digits = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text.find(|c: char| c.is_ascii_digit() != is_digits).unwrap_or(text.len());
    let (chunk, rest) = text.split_at(end);
    *text = rest;
    chunk
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_texts_count() {
        for (less, more) in [("cpu2", "cpu10"), ("a", "b"), ("a", "a1"), ("4.3", "4.10"), ("", "a")] {
            assert_eq!(natural(less, more), Ordering::Less, "{less} {more}");
            assert_eq!(natural(more, less), Ordering::Greater);
        }
        assert_eq!(natural("a1b", "a1b"), Ordering::Equal);
    }
}
