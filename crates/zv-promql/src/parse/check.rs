//! Checks the types in an expression, in the order and with the words of Prometheus.

use zv_model::labels::METRIC_NAME;

use crate::ast::{Aggregate, AggregateOp, Binary, Call, Expr, Group, ValueType, VectorSelector};
use crate::error::ParseError;
use crate::quote::quote;
use crate::span::Span;

/// Fails at the first part whose type does not fit.
pub(super) fn check(text: &str, expr: &Expr) -> Result<(), ParseError> {
    Check { text }.expr(expr)
}

struct Check<'a> {
    text: &'a str,
}

type Checked = Result<(), ParseError>;

impl Check<'_> {
    fn fail(&self, span: Span, message: impl Into<String>) -> Checked {
        Err(ParseError::new(self.text, span, message))
    }

    fn expr(&self, expr: &Expr) -> Checked {
        match expr {
            Expr::Number(_) | Expr::Text(_) => Ok(()),
            Expr::Vector(selector) => self.selector(selector),
            Expr::Matrix(matrix) => self.selector(&matrix.selector),
            Expr::Subquery(subquery) => {
                self.expr(&subquery.expr)?;
                match subquery.expr.value_type() {
                    ValueType::Vector => Ok(()),
                    other => {
                        let word = go_type(other);
                        let message =
                            format!("subquery is only allowed on instant vector, got {word} instead");
                        self.fail(subquery.span, message)
                    }
                }
            }
            Expr::Paren(paren) => self.expr(&paren.expr),
            Expr::Unary(unary) => {
                self.expr(&unary.expr)?;
                match unary.expr.value_type() {
                    ValueType::Scalar | ValueType::Vector => Ok(()),
                    other => {
                        let message =
                            "unary expression only allowed on expressions of type scalar or instant vector";
                        self.fail(unary.span, format!("{message}, got {}", quote(&other.to_string())))
                    }
                }
            }
            Expr::Binary(binary) => self.chain(binary),
            Expr::Aggregate(aggregate) => self.aggregate(aggregate),
            Expr::Call(call) => self.call(call),
        }
    }

    fn selector(&self, selector: &VectorSelector) -> Checked {
        if selector.name.is_empty() {
            if selector.matchers.iter().any(|matcher| !matcher.accepts("")) {
                return Ok(());
            }
            return self.fail(selector.span, "vector selector must contain at least one non-empty matcher");
        }
        let others = &selector.matchers[..selector.matchers.len().saturating_sub(1)];
        match others.iter().find(|matcher| &*matcher.name == METRIC_NAME) {
            None => Ok(()),
            Some(other) => {
                let (name, value) = (quote(&selector.name), quote(&other.value));
                self.fail(selector.span, format!("metric name must not be set twice: {name} or {value}"))
            }
        }
    }

    /// Checks operators that lean to the left from the innermost on, without going down the stack.
    fn chain(&self, binary: &Binary) -> Checked {
        let mut chain = vec![binary];
        let mut first = &binary.left;
        while let Expr::Binary(left) = first {
            chain.push(left);
            first = &left.left;
        }
        self.expr(first)?;
        for binary in chain.into_iter().rev() {
            self.expr(&binary.right)?;
            self.binary(binary)?;
        }
        Ok(())
    }

    fn binary(&self, binary: &Binary) -> Checked {
        let op = binary.op;
        let (left, right) = (binary.left.value_type(), binary.right.value_type());
        let both_scalars = left == ValueType::Scalar && right == ValueType::Scalar;
        if binary.is_bool && !op.is_comparison() {
            return self.fail(binary.op_span, "bool modifier can only be used on comparison operators");
        }
        if op.is_comparison() && !binary.is_bool && both_scalars {
            return self.fail(binary.op_span, "comparisons between scalars must use BOOL modifier");
        }
        let matching = &binary.matching;
        if let Some(label) =
            matching.labels.iter().find(|label| matching.is_on && matching.include.contains(label))
        {
            let message = format!("label {} must not occur in ON and GROUP clause at once", quote(label));
            return self.fail(binary.op_span, message);
        }
        for (side, value_type) in [(&binary.left, left), (&binary.right, right)] {
            if !matches!(value_type, ValueType::Scalar | ValueType::Vector) {
                let message = "binary expression must contain only scalar and instant vector types";
                return self.fail(side.span(), message);
            }
        }
        let has_scalar = left == ValueType::Scalar || right == ValueType::Scalar;
        if has_scalar && !matching.labels.is_empty() {
            return self.fail(binary.span(), "vector matching only allowed between instant vectors");
        }
        if !has_scalar && op.is_set() && matching.group != Group::None {
            return self
                .fail(binary.span(), format!("no grouping allowed for {} operation", quote(op.sign())));
        }
        if has_scalar && op.is_set() {
            let message =
                format!("set operator {} not allowed in binary scalar expression", quote(op.sign()));
            return self.fail(binary.span(), message);
        }
        Ok(())
    }

    fn aggregate(&self, aggregate: &Aggregate) -> Checked {
        self.expect(&aggregate.expr, ValueType::Vector, "aggregation expression")?;
        let wanted = match aggregate.op {
            AggregateOp::CountValues => ValueType::Text,
            _ => ValueType::Scalar,
        };
        match &aggregate.param {
            Some(param) => self.expect(param, wanted, "aggregation parameter"),
            None => Ok(()),
        }
    }

    fn expect(&self, expr: &Expr, wanted: ValueType, context: &str) -> Checked {
        self.expr(expr)?;
        let got = expr.value_type();
        if got != wanted {
            return self.fail(expr.span(), format!("expected type {wanted} in {context}, got {got}"));
        }
        Ok(())
    }

    fn call(&self, call: &Call) -> Checked {
        let function = call.function;
        let (types, got) = (function.args.len(), call.args.len());
        let name = quote(function.name);
        if function.variadic == 0 && types != got {
            return self
                .fail(call.span, format!("expected {types} argument(s) in call to {name}, got {got}"));
        }
        if function.variadic != 0 {
            let least = types - 1;
            if got < least {
                let message = format!("expected at least {least} argument(s) in call to {name}, got {got}");
                return self.fail(call.span, message);
            }
            let most = least.saturating_add_signed(isize::from(function.variadic));
            if function.variadic > 0 && got > most {
                let message = format!("expected at most {most} argument(s) in call to {name}, got {got}");
                return self.fail(call.span, message);
            }
        }
        let context = format!("call to function {name}");
        for (place, arg) in call.args.iter().enumerate() {
            self.expect(arg, function.args[place.min(types - 1)], &context)?;
        }
        Ok(())
    }
}

/// Returns the word that Prometheus has for a type in its code.
fn go_type(value_type: ValueType) -> &'static str {
    match value_type {
        ValueType::Scalar => "scalar",
        ValueType::Vector => "vector",
        ValueType::Matrix => "matrix",
        ValueType::Text => "string",
    }
}
