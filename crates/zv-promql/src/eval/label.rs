//! Functions that look at labels only.

use zv_model::labels::METRIC_NAME;
use zv_model::{Labels, LabelsBuilder, MatchOp, pattern};

use super::{Column, Evaluated, Evaluator, Grid, Series};
use crate::ast::{Call, Expr, VectorSelector};
use crate::error::QueryError;
use crate::quote::is_raw_byte;

impl Evaluator<'_> {
    pub(super) fn label_replace(&mut self, call: &Call, grid: Grid) -> Evaluated<Column> {
        let (target, replacement) = (text(&call.args[1])?, text(&call.args[2])?);
        let (source, expression) = (text(&call.args[3])?, text(&call.args[4])?);
        let regex = pattern::compile_whole(expression).map_err(|_| {
            QueryError::Execution(format!("invalid regular expression in label_replace(): {expression}"))
        })?;
        if !is_name(target) {
            let message = format!("invalid destination label name in label_replace(): {target}");
            return Err(QueryError::Execution(message));
        }
        let mut series = self.vector(&call.args[0], grid)?;
        for series in &mut series {
            let mut value = String::new();
            let Some(captures) = regex.captures(series.labels.get(source)) else { continue };
            captures.expand(replacement, &mut value);
            set(series, target, &value);
        }
        Ok(Column::Vector(self.relabelled(series)?))
    }

    pub(super) fn label_join(&mut self, call: &Call, grid: Grid) -> Evaluated<Column> {
        let (target, separator) = (text(&call.args[1])?, text(&call.args[2])?);
        let sources = call.args[3..].iter().map(text).collect::<Evaluated<Vec<_>>>()?;
        if let Some(source) = sources.iter().find(|source| !is_name(source)) {
            let message = format!("invalid source label name in label_join(): {source}");
            return Err(QueryError::Execution(message));
        }
        if !is_name(target) {
            let message = format!("invalid destination label name in label_join(): {target}");
            return Err(QueryError::Execution(message));
        }
        let mut series = self.vector(&call.args[0], grid)?;
        for series in &mut series {
            let values: Vec<&str> = sources.iter().map(|source| series.labels.get(source)).collect();
            let value = values.join(separator);
            set(series, target, &value);
        }
        Ok(Column::Vector(self.relabelled(series)?))
    }
}

fn set(series: &mut Series, target: &str, value: &str) {
    let mut builder = series.labels.to_builder();
    builder.set(target, value);
    series.labels = builder.finish();
    if target == METRIC_NAME {
        series.drop_name = false;
    }
}

fn text(expr: &Expr) -> Evaluated<&str> {
    match expr.inner() {
        Expr::Text(text) => Ok(&text.value),
        _ => Err(super::wrong_type("a string")),
    }
}

/// Says whether a text may name a label: any may that is UTF-8.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(is_raw_byte)
}

/// Returns the labels that a selector names, for the series that is not there.
pub(super) fn of_absent(selector: Option<&VectorSelector>) -> Labels {
    let mut builder = LabelsBuilder::default();
    let mut named: Vec<&str> = Vec::new();
    let matchers = selector.map_or(&[][..], |selector| &selector.matchers);
    for matcher in matchers.iter().filter(|matcher| &*matcher.name != METRIC_NAME) {
        if matcher.op == MatchOp::Equal && !named.contains(&&*matcher.name) {
            builder.set(matcher.name.clone(), matcher.value.clone());
            named.push(&matcher.name);
        } else {
            builder.remove(&matcher.name);
        }
    }
    builder.finish()
}
