//! One metric of a family: the samples that share their labels but for `le`, `quantile` or the state.

use std::collections::HashSet;

use zv_model::Timestamp;

use super::{Broken, Sample};

/// What all samples of a metric have in common.
pub(super) type Key = Vec<(String, String)>;

/// A metric while it is read.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) key: Key,
    is_histogram: bool,
    /// The time of the last sample; the outer is `None` before the first.
    at: Option<Option<Timestamp>>,
    /// The samples of this time: the suffix, and the labels that are not in the key.
    seen: HashSet<(&'static str, Key)>,
    /// Upper bounds and their counts.
    buckets: Vec<(f64, f64)>,
    sum: Option<f64>,
    count: Option<f64>,
}

impl Group {
    pub(super) fn new(key: Key, is_histogram: bool) -> Self {
        let (seen, buckets) = (HashSet::new(), Vec::new());
        Self { key, is_histogram, at: None, seen, buckets, sum: None, count: None }
    }

    pub(super) fn sample(&mut self, suffix: &'static str, sample: &Sample<'_>) -> Result<(), Broken> {
        match (self.at.replace(sample.at), sample.at) {
            (None, _) | (Some(None), None) => {}
            (Some(Some(before)), Some(now)) if before <= now => {
                if before < now {
                    self.begin_time()?;
                }
            }
            (Some(Some(_)), Some(_)) => return Err("times of one metric go backwards".to_owned()),
            _ => return Err("some samples of one metric have times, others have none".to_owned()),
        }
        let labels = sample.labels.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        let part = (suffix, labels.collect());
        if self.seen.contains(&part) {
            if sample.at.is_none() {
                return Err(format!("`{}` comes twice with the same labels", sample.name));
            }
            // Times are finer than the milliseconds in which they are kept.
            self.begin_time()?;
        }
        self.seen.insert(part);
        match suffix {
            "_bucket" => {
                let bound = sample.label("le").and_then(|bound| bound.parse().ok());
                self.buckets.push((bound.unwrap_or(f64::NAN), sample.value));
            }
            "_sum" | "_gsum" => self.sum = Some(sample.value),
            "_count" | "_gcount" => self.count = Some(sample.value),
            _ => {}
        }
        Ok(())
    }

    /// Begins a later time: the same samples may come again.
    fn begin_time(&mut self) -> Result<(), Broken> {
        self.check()?;
        self.seen.clear();
        self.buckets.clear();
        (self.sum, self.count) = (None, None);
        Ok(())
    }

    /// Checks what can be checked only once all samples of a time are there.
    pub(super) fn check(&self) -> Result<(), Broken> {
        if !self.is_histogram {
            return Ok(());
        }
        let Some((last_bound, last_count)) = self.buckets.last().copied() else {
            return Err("a histogram without buckets".to_owned());
        };
        if last_bound != f64::INFINITY {
            return Err("the last bucket must be that of `+Inf`".to_owned());
        }
        if self.buckets.windows(2).any(|two| two[0].0 >= two[1].0) {
            return Err("the buckets are not in the order of their bounds".to_owned());
        }
        if self.buckets.windows(2).any(|two| two[0].1 > two[1].1) {
            return Err("a bucket counts less than the one before".to_owned());
        }
        if self.sum.is_some() != self.count.is_some() {
            return Err("sum and count come both or not at all".to_owned());
        }
        if self.count.is_some_and(|count| count != last_count) {
            return Err("the count is not that of the last bucket".to_owned());
        }
        let (has_negative, is_gauge) =
            (self.buckets[0].0 < 0.0, self.seen.iter().any(|(part, _)| *part == "_gsum"));
        match self.sum {
            Some(_) if has_negative && !is_gauge => {
                Err("a histogram with negative bounds can have no sum".to_owned())
            }
            Some(sum) if sum < 0.0 && !has_negative => {
                Err("the sum is negative, but no bucket is".to_owned())
            }
            _ => Ok(()),
        }
    }
}
