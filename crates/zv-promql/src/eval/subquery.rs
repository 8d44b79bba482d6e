//! Subqueries: an instant vector evaluated at its own steps, whose values are the samples of a range vector.

use zv_model::Sample;

use super::select::Ranged;
use super::window::Steps;
use super::{Evaluated, Evaluator, Grid, is_absent};
use crate::ast::Subquery;
use crate::error::QueryError;

impl Evaluator<'_> {
    /// Hands out the series of a subquery, one after the other.
    pub(super) fn each_of_subquery(
        &mut self,
        subquery: &Subquery,
        grid: Grid,
        mut take: impl FnMut(&mut Self, &Steps, Ranged<'_>) -> Evaluated<()>,
    ) -> Evaluated<()> {
        let at = self.fixed(subquery.at);
        let steps = Steps { grid, range: subquery.range, offset: subquery.offset, at };
        let step = subquery.step.unwrap_or(self.options.subquery_step).max(1);
        let Some(inner) = self.inner_grid(&steps, step)? else { return Ok(()) };
        let before = self.spent;
        let series = self.vector(&subquery.expr, inner)?;
        let with_values = self.spent;
        let mut samples = Vec::with_capacity(inner.count);
        for series in series {
            self.check()?;
            samples.clear();
            let values = series.values.iter().enumerate().filter(|(_, value)| !is_absent(**value));
            samples.extend(values.map(|(step, value)| Sample { at: inner.time(step), value: *value }));
            let ranged = Ranged { labels: &series.labels, drop_name: series.drop_name, samples: &samples };
            take(self, &steps, ranged)?;
        }
        // The caller's results stay counted; the subquery's values are gone.
        self.spent.samples = before.samples + (self.spent.samples - with_values.samples);
        self.spent.bytes = before.bytes + (self.spent.bytes - with_values.bytes);
        Ok(())
    }

    /// Returns the steps of a subquery: multiples of the step since 1970, whenever the query is asked.
    fn inner_grid(&self, steps: &Steps, step: i64) -> Evaluated<Option<Grid>> {
        let whole = steps.whole();
        let start = whole.from.div_euclid(step) * step;
        let start = if start < whole.from { start.saturating_add(step) } else { start };
        if start > whole.to {
            return Ok(None);
        }
        let count = (i128::from(whole.to) - i128::from(start)) / i128::from(step) + 1;
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if count > self.options.max_samples || count > self.options.max_bytes / 8 {
            let message = "query processing would load too many samples into memory in query execution";
            return Err(QueryError::Limit(message.to_owned()));
        }
        Ok(Some(Grid { start, step, count }))
    }
}
