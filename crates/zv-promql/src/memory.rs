//! Series in memory: slow, obvious, and enough for scripts, rule tests and tests of the evaluator.

use std::collections::BTreeMap;

use zv_model::{Labels, Matcher, Queryable, Sample, SelectError, Selected, TimeRange, Timestamp};

/// Series with their samples.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    series: BTreeMap<Labels, Vec<Sample>>,
}

impl Memory {
    /// Adds a sample; a later one of the same time replaces it.
    pub fn append(&mut self, labels: &Labels, at: Timestamp, value: f64) {
        let samples = match self.series.get_mut(labels) {
            Some(samples) => samples,
            None => self.series.entry(labels.clone()).or_default(),
        };
        let sample = Sample { at, value };
        match samples.last() {
            Some(last) if last.at >= at => match samples.binary_search_by_key(&at, |sample| sample.at) {
                Ok(place) => samples[place] = sample,
                Err(place) => samples.insert(place, sample),
            },
            _ => samples.push(sample),
        }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.series.clear();
    }

    /// Returns the series in the order of their labels.
    pub fn iter(&self) -> impl Iterator<Item = (&Labels, &[Sample])> {
        self.series.iter().map(|(labels, samples)| (labels, samples.as_slice()))
    }
}

impl Queryable for Memory {
    fn select<'a>(
        &'a self,
        range: TimeRange,
        matchers: &[Matcher],
    ) -> Result<Vec<Selected<'a>>, SelectError> {
        let wanted = |labels: &Labels| matchers.iter().all(|matcher| matcher.accepts_labels(labels));
        let found = self.series.iter().filter(|(labels, _)| wanted(labels)).map(|(labels, samples)| {
            let from = samples.partition_point(|sample| sample.at < range.from);
            let to = samples.partition_point(|sample| sample.at <= range.to);
            let within = samples.get(from..to).unwrap_or_default().to_vec();
            Selected { labels: labels.clone(), samples: Box::new(within.into_iter()) }
        });
        Ok(found.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_in_order_each_time_once() {
        let mut memory = Memory::default();
        let labels = Labels::of([("__name__", "up")]);
        for (at, value) in [(2, 1.0), (1, 2.0), (2, 3.0)] {
            memory.append(&labels, at, value);
        }
        let (_, samples) = memory.iter().next().unwrap();
        assert_eq!(samples, [Sample { at: 1, value: 2.0 }, Sample { at: 2, value: 3.0 }]);
        let selected =
            memory.select(TimeRange { from: 2, to: 9 }, &[Matcher::equal("__name__", "up")]).unwrap();
        assert_eq!(selected.len(), 1);
        drop(selected);
        memory.clear();
        assert_eq!(memory.iter().count(), 0);
    }
}
