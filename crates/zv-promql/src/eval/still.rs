//! Says what does not change from step to step, and is therefore evaluated once.

use crate::ast::{Call, Expr};
use crate::function::Work;
use crate::span::Span;

/// Says whether an expression has the same value at every step.
pub(super) fn is_still(expr: &Expr) -> bool {
    match expr {
        Expr::Number(_) | Expr::Text(_) => true,
        Expr::Vector(selector) => selector.at.is_some(),
        Expr::Matrix(matrix) => matrix.selector.at.is_some(),
        Expr::Subquery(subquery) => subquery.at.is_some(),
        Expr::Paren(paren) => is_still(&paren.expr),
        Expr::Unary(unary) => is_still(&unary.expr),
        Expr::Binary(first) => {
            let mut binary = first;
            loop {
                match &binary.left {
                    _ if !is_still(&binary.right) => return false,
                    Expr::Binary(left) => binary = left,
                    left => return is_still(left),
                }
            }
        }
        Expr::Aggregate(aggregate) => {
            is_still(&aggregate.expr) && aggregate.param.as_ref().is_none_or(is_still)
        }
        Expr::Call(call) => is_still_call(call),
    }
}

fn is_still_call(call: &Call) -> bool {
    !depends_on_time(call.function.work) && call.args.iter().all(is_still)
}

/// Returns the place that is told of an argument: within its parentheses, unless Prometheus has put it aside as still.
pub(super) fn place(call: &Call, arg: usize) -> Span {
    let arg = &call.args[arg];
    let is_put_aside = !is_still_call(call) && is_still(arg) && !matches!(arg.inner(), Expr::Number(_));
    if is_put_aside { arg.span() } else { arg.inner().span() }
}

/// Says whether a function looks at the time of the step, whatever its arguments are.
fn depends_on_time(work: Work) -> bool {
    use crate::function::Window;
    matches!(work, Work::Time | Work::Timestamp | Work::Date(_) | Work::Window(Window::PredictLinear))
}
