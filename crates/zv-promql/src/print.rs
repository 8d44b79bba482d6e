//! Writes an expression as Prometheus does: on one line, or broken into several where it is long.

use std::fmt::{self, Display, Formatter, Write as _};
use std::sync::Arc;

use zv_model::labels::{METRIC_NAME, is_plain_label_name};
use zv_model::{MatchOp, Matcher, duration};

use crate::ast::{Aggregate, At, Binary, BinaryOp, Call, Expr, Group, Number, Subquery, VectorSelector};
use crate::quote::quote;

/// Lines longer than this are broken.
const WIDTH: usize = 100;

/// Writes the expression on one line.
impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Number(number) => number.fmt(f),
            Expr::Text(text) => f.write_str(&quote(&text.value)),
            Expr::Vector(selector) => {
                selector.write_matchers(f)?;
                write_timing(f, selector.at, selector.offset)
            }
            Expr::Matrix(matrix) => {
                matrix.selector.write_matchers(f)?;
                write!(f, "[{}]", duration::format(matrix.range))?;
                write_timing(f, matrix.selector.at, matrix.selector.offset)
            }
            Expr::Subquery(subquery) => write!(f, "{}{}", subquery.expr, Suffix(subquery)),
            Expr::Paren(paren) => write!(f, "({})", paren.expr),
            Expr::Unary(unary) => write!(f, "{}{}", if unary.is_minus { "-" } else { "+" }, unary.expr),
            Expr::Binary(binary) => write_chain(f, binary),
            Expr::Aggregate(aggregate) => {
                write!(f, "{}(", Head(aggregate))?;
                if let Some(param) = &aggregate.param {
                    write!(f, "{param}, ")?;
                }
                write!(f, "{})", aggregate.expr)
            }
            Expr::Call(call) => {
                write!(f, "{}(", call.function.name)?;
                for (place, arg) in call.args.iter().enumerate() {
                    write!(f, "{}{arg}", if place > 0 { ", " } else { "" })?;
                }
                f.write_char(')')
            }
        }
    }
}

/// Writes operators that lean to the left without going down the stack.
fn write_chain(f: &mut Formatter<'_>, binary: &Binary) -> fmt::Result {
    let mut chain = vec![binary];
    let mut first = &binary.left;
    while let Expr::Binary(left) = first {
        chain.push(left);
        first = &left.left;
    }
    let innermost = chain[chain.len() - 1].op;
    match first {
        // With its sign it would be read as a sign before the power.
        Expr::Number(number) if number.value == f64::INFINITY && innermost == BinaryOp::Pow => {
            f.write_str("Inf")?;
        }
        _ => first.fmt(f)?,
    }
    for link in chain.iter().rev() {
        write!(f, " {} {}", Operator(link), link.right)?;
    }
    Ok(())
}

/// Writes a number as Go's `%f` with as few digits as needed.
pub(crate) fn number(value: f64) -> String {
    match value {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        _ if value.is_nan() => "NaN".to_owned(),
        _ => value.to_string(),
    }
}

impl Display for Number {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.is_duration {
            // It was made of whole milliseconds.
            return f.write_str(&duration::format((self.value * 1000.0).round() as i64));
        }
        f.write_str(&number(self.value))
    }
}

impl VectorSelector {
    fn texts(&self) -> Vec<String> {
        let is_name = |matcher: &Matcher| {
            &*matcher.name == METRIC_NAME
                && matcher.op == MatchOp::Equal
                && matcher.value == self.name
                && !self.name.is_empty()
        };
        let mut texts: Vec<String> = self.matchers.iter().filter(|m| !is_name(m)).map(matcher).collect();
        texts.sort();
        texts
    }

    fn write_matchers(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        let texts = self.texts();
        if texts.is_empty() && !self.name.is_empty() {
            return Ok(());
        }
        write!(f, "{{{}}}", texts.join(","))
    }
}

/// Writes a matcher: `job=~"a|b"`.
fn matcher(matcher: &Matcher) -> String {
    format!("{}{}{}", label_name(&matcher.name), matcher.op.sign(), quote(&matcher.value))
}

fn label_name(name: &str) -> String {
    if is_plain_label_name(name) { name.to_owned() } else { quote(name) }
}

fn label_names(names: &[Arc<str>]) -> String {
    names.iter().map(|name| label_name(name)).collect::<Vec<_>>().join(", ")
}

fn write_timing(f: &mut Formatter<'_>, at: Option<At>, offset: i64) -> fmt::Result {
    match at {
        None => {}
        Some(At::Start) => f.write_str(" @ start()")?,
        Some(At::End) => f.write_str(" @ end()")?,
        Some(At::Time(millis)) => write!(f, " @ {:.3}", millis as f64 / 1000.0)?,
    }
    match offset {
        0 => Ok(()),
        _ => write!(f, " offset {}", duration::format(offset)),
    }
}

/// What a subquery adds to its expression.
struct Suffix<'a>(&'a Subquery);

impl Display for Suffix<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let step = self.0.step.map(duration::format).unwrap_or_default();
        write!(f, "[{}:{step}]", duration::format(self.0.range))?;
        write_timing(f, self.0.at, self.0.offset)
    }
}

/// An aggregation's name and grouping.
struct Head<'a>(&'a Aggregate);

impl Display for Head<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.op.name())?;
        let names = label_names(&self.0.labels);
        match () {
            () if self.0.is_without => write!(f, " without ({names}) "),
            () if !names.is_empty() => write!(f, " by ({names}) "),
            () => Ok(()),
        }
    }
}

/// An operator with all that belongs to it.
struct Operator<'a>(&'a Binary);

impl Display for Operator<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let matching = &self.0.matching;
        f.write_str(self.0.op.sign())?;
        if self.0.is_bool {
            f.write_str(" bool")?;
        }
        if matching.is_on || !matching.labels.is_empty() || matching.group != Group::None {
            let word = if matching.is_on { "on" } else { "ignoring" };
            write!(f, " {word} ({})", label_names(&matching.labels))?;
        }
        match matching.group {
            Group::None => Ok(()),
            Group::Left => write!(f, " group_left ({})", label_names(&matching.include)),
            Group::Right => write!(f, " group_right ({})", label_names(&matching.include)),
        }
    }
}

/// Writes an expression, broken into lines and indented where it is longer than a line.
pub fn pretty(expr: &Expr) -> String {
    let mut out = String::new();
    write_pretty(expr, 0, &mut out);
    out
}

fn indent(level: usize) -> String {
    "  ".repeat(level)
}

fn write_pretty(expr: &Expr, level: usize, out: &mut String) {
    let line = expr.to_string();
    if line.len() <= WIDTH {
        *out += &indent(level);
        *out += &line;
        return;
    }
    match expr {
        Expr::Binary(binary) => pretty_chain(binary, level, out),
        Expr::Aggregate(aggregate) => {
            let args: Vec<&Expr> = aggregate.param.iter().chain([&aggregate.expr]).collect();
            pretty_args(&Head(aggregate).to_string(), &args, level, out);
        }
        Expr::Call(Call { function, args, .. }) => {
            pretty_args(function.name, &args.iter().collect::<Vec<_>>(), level, out);
        }
        Expr::Paren(paren) => pretty_args("", &[&paren.expr], level, out),
        Expr::Subquery(subquery) => {
            write_pretty(&subquery.expr, level, out);
            *out += &Suffix(subquery).to_string();
        }
        Expr::Unary(unary) => {
            let mut inner = String::new();
            write_pretty(&unary.expr, level, &mut inner);
            *out += &indent(level);
            *out += if unary.is_minus { "-" } else { "+" };
            *out += inner.trim_start();
        }
        Expr::Number(_) | Expr::Text(_) | Expr::Vector(_) | Expr::Matrix(_) => {
            *out += &indent(level);
            *out += &line;
        }
    }
}

fn pretty_args(name: &str, args: &[&Expr], level: usize, out: &mut String) {
    *out += &format!("{}{name}(", indent(level));
    for (place, arg) in args.iter().enumerate() {
        *out += if place > 0 { ",\n" } else { "\n" };
        write_pretty(arg, level + 1, out);
    }
    *out += &format!("\n{})", indent(level));
}

fn pretty_chain(binary: &Binary, level: usize, out: &mut String) {
    let mut chain = vec![binary];
    let mut first = &binary.left;
    while let Expr::Binary(left) = first {
        if first.to_string().len() <= WIDTH {
            break;
        }
        chain.push(left);
        first = &left.left;
    }
    // Each further operator stands one level less deep, as the tree leans; a long chain stays near the margin.
    let depth = chain.len().min(20);
    write_pretty(first, level + depth, out);
    for (place, binary) in chain.iter().enumerate().rev() {
        let at = level + place.min(depth - 1);
        *out += &format!("\n{}{}\n", indent(at), Operator(binary));
        write_pretty(&binary.right, at + 1, out);
    }
}
