//! Binary operators.

mod sets;
mod vectors;

use super::{ABSENT, Column, Evaluated, Evaluator, Grid, Series, column, is_absent};
use crate::ast::{Binary, BinaryOp, Expr};

impl Evaluator<'_> {
    /// Evaluates operators that lean to the left from the innermost on, without going down the stack.
    pub(super) fn chain(&mut self, binary: &Binary, grid: Grid) -> Evaluated<Column> {
        let mut chain = vec![binary];
        let mut first = &binary.left;
        while let Expr::Binary(left) = first {
            chain.push(left);
            first = &left.left;
        }
        let mut left = self.eval(first, grid)?;
        for binary in chain.into_iter().rev() {
            let right = self.eval(&binary.right, grid)?;
            left = self.binary(binary, left, right, grid)?;
        }
        Ok(left)
    }

    fn binary(&mut self, binary: &Binary, left: Column, right: Column, grid: Grid) -> Evaluated<Column> {
        let op = Operation { op: binary.op, is_bool: binary.is_bool };
        match (left, right) {
            (Column::Scalar(left), Column::Scalar(right)) => {
                let pairs = left.iter().zip(&right);
                Ok(Column::Scalar(pairs.map(|(left, right)| op.apply(*left, *right)).collect()))
            }
            (Column::Vector(series), Column::Scalar(scalars)) => {
                self.with_scalars(op, series, |step, value| (value, scalars[step], value))
            }
            (Column::Scalar(scalars), Column::Vector(series)) => {
                // What a comparison lets through is the vector's value, on whichever side it stands.
                self.with_scalars(op, series, |step, value| (scalars[step], value, value))
            }
            (Column::Vector(left), Column::Vector(right)) if op.op.is_set() => {
                self.sets(binary, left, right, grid)
            }
            (Column::Vector(left), Column::Vector(right)) => self.vectors(binary, left, right, grid),
            _ => Err(super::wrong_type("a number or an instant vector")),
        }
    }

    /// Applies an operator to each value and the scalar of its step. `sides` returns left, right, and what is kept.
    fn with_scalars(
        &mut self,
        op: Operation,
        mut series: Vec<Series>,
        sides: impl Fn(usize, f64) -> (f64, f64, f64),
    ) -> Evaluated<Column> {
        for series in &mut series {
            for (step, value) in series.values.iter_mut().enumerate().filter(|(_, value)| !is_absent(**value))
            {
                let (left, right, kept) = sides(step, *value);
                *value = match op.is_filter() {
                    true if op.holds(left, right) => kept,
                    true => ABSENT,
                    false => op.apply(left, right),
                };
            }
        }
        if op.is_filter() {
            series.retain(|series| !series.is_empty());
            return Ok(Column::Vector(series));
        }
        if self.drop_names(&mut series) {
            series = column::merged(series)?;
        }
        Ok(Column::Vector(series))
    }
}

/// An operator as it is applied to two values.
#[derive(Debug, Clone, Copy)]
struct Operation {
    op: BinaryOp,
    is_bool: bool,
}

impl Operation {
    /// Says whether it lets values through instead of making new ones.
    fn is_filter(self) -> bool {
        self.op.is_comparison() && !self.is_bool
    }

    /// Says whether a comparison is true.
    #[inline]
    fn holds(self, left: f64, right: f64) -> bool {
        match self.op {
            BinaryOp::Equal => left == right,
            BinaryOp::NotEqual => left != right,
            BinaryOp::Less => left < right,
            BinaryOp::LessOrEqual => left <= right,
            BinaryOp::Greater => left > right,
            BinaryOp::GreaterOrEqual => left >= right,
            _ => false,
        }
    }

    /// Returns what the operator makes of two values; of a comparison 0 or 1.
    #[inline]
    fn apply(self, left: f64, right: f64) -> f64 {
        match self.op {
            BinaryOp::Add => left + right,
            BinaryOp::Sub => left - right,
            BinaryOp::Mul => left * right,
            BinaryOp::Div => left / right,
            BinaryOp::Mod => left % right,
            BinaryOp::Pow => left.powf(right),
            BinaryOp::Atan2 => left.atan2(right),
            _ => f64::from(u8::from(self.holds(left, right))),
        }
    }
}
