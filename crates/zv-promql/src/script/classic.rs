//! Reads questions about converted histograms as questions about what they were converted from.
//!
//! `load_with_nhcb` makes a native histogram `h` of the classic `h_bucket`, `h_count` and `h_sum`, with the same bounds. What
//! is asked of `h` can be asked of those: `histogram_quantile(0.9, sum(rate(h[5m])))` is
//! `histogram_quantile(0.9, sum by (le) (rate(h_bucket[5m])))`.

use std::sync::Arc;

use zv_model::Matcher;
use zv_model::labels::METRIC_NAME;

use crate::ast::{
    Aggregate, AggregateOp, Binary, BinaryOp, Call, Expr, Matching, Number, Paren, VectorSelector,
};
use crate::function::{Window, Work};
use crate::span::Span;

/// The series of a classic histogram that take the place of the native one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Bucket,
    Count,
    Sum,
}

/// Returns the same question about classic histograms; nothing where there is none.
pub(super) fn classic(expr: &Expr) -> Option<Expr> {
    match expr {
        Expr::Paren(paren) => Some(in_parens(classic(&paren.expr)?)),
        Expr::Binary(binary) => {
            let left = classic(&binary.left).unwrap_or_else(|| binary.left.clone());
            let right = classic(&binary.right).unwrap_or_else(|| binary.right.clone());
            Some(Expr::Binary(Box::new(Binary { left, right, ..(**binary).clone() })))
        }
        Expr::Call(call) => {
            let last = call.args.last()?;
            match call.function.work {
                Work::HistogramQuantile | Work::HistogramFraction => {
                    let mut call = call.clone();
                    *call.args.last_mut()? = part_of(last, Part::Bucket)?;
                    Some(Expr::Call(call))
                }
                Work::NoFloats => match call.function.name {
                    "histogram_count" => Some(nameless(part_of(last, Part::Count)?)),
                    "histogram_sum" => Some(nameless(part_of(last, Part::Sum)?)),
                    "histogram_avg" => {
                        let (sum, count) = (part_of(last, Part::Sum)?, part_of(last, Part::Count)?);
                        Some(operation(BinaryOp::Div, in_parens(sum), in_parens(count)))
                    }
                    _ => None,
                },
                _ => None,
            }
        }
        _ => None,
    }
}

/// Puts a part of the classic histogram in the place of the native one.
fn part_of(expr: &Expr, part: Part) -> Option<Expr> {
    Some(match expr {
        Expr::Vector(selector) => Expr::Vector(select(selector, part)?),
        Expr::Matrix(matrix) => {
            let selector = select(&matrix.selector, part)?;
            Expr::Matrix(crate::ast::MatrixSelector { selector, ..matrix.clone() })
        }
        Expr::Paren(paren) => in_parens(part_of(&paren.expr, part)?),
        Expr::Call(call) if is_linear(call) => {
            let args = vec![part_of(&call.args[0], part)?];
            Expr::Call(Call { args, ..call.clone() })
        }
        Expr::Aggregate(aggregate) if matches!(aggregate.op, AggregateOp::Sum | AggregateOp::Avg) => {
            let mut aggregate: Aggregate = (**aggregate).clone();
            aggregate.expr = part_of(&aggregate.expr, part)?;
            if part == Part::Bucket && !aggregate.is_without {
                aggregate.labels.push(BOUND.into());
            }
            Expr::Aggregate(Box::new(aggregate))
        }
        _ => return None,
    })
}

const BOUND: &str = "le";

/// Says whether a function treats all buckets alike.
fn is_linear(call: &Call) -> bool {
    use Window::{Avg, Increase, Last, Rate, Sum};
    matches!(call.function.work, Work::Window(Rate | Increase | Sum | Avg | Last))
}

fn select(selector: &VectorSelector, part: Part) -> Option<VectorSelector> {
    let suffix = match part {
        Part::Bucket => "_bucket",
        Part::Count => "_count",
        Part::Sum => "_sum",
    };
    if selector.name.is_empty() {
        return None;
    }
    let name: Arc<str> = format!("{}{suffix}", selector.name).into();
    let mut selector = VectorSelector { name: name.clone(), ..selector.clone() };
    selector.matchers.retain(|matcher| &*matcher.name != METRIC_NAME);
    selector.matchers.push(Matcher::equal(METRIC_NAME, name));
    Some(selector)
}

fn in_parens(expr: Expr) -> Expr {
    Expr::Paren(Box::new(Paren { span: expr.span(), expr }))
}

/// Drops the name, as the functions of histograms do.
fn nameless(expr: Expr) -> Expr {
    let zero = Expr::Number(Number { value: 0.0, is_duration: false, span: Span::default() });
    operation(BinaryOp::Add, in_parens(expr), zero)
}

fn operation(op: BinaryOp, left: Expr, right: Expr) -> Expr {
    let (matching, op_span) = (Matching::default(), Span::default());
    Expr::Binary(Box::new(Binary { op, left, right, is_bool: false, matching, op_span }))
}
