//! What leaves the head: samples that blocks hold, and series of which nothing is left.

use std::sync::Arc;

use zv_model::{TimeRange, Timestamp};

use super::{Head, Series, Source};

impl Head {
    /// Takes no more samples of these ranges; they are sorted.
    pub(crate) fn cover(&mut self, ranges: Vec<TimeRange>) {
        self.covered = ranges;
    }

    /// Returns the windows in which there are samples, oldest first.
    pub(crate) fn windows(&self) -> Vec<TimeRange> {
        let mut begins = Vec::new();
        let mut of_one = Vec::new();
        for series in self.all_series() {
            of_one.clear();
            series.state().windows(&self.rules, &mut of_one);
            for begin in &of_one {
                if let Err(place) = begins.binary_search(begin) {
                    begins.insert(place, *begin);
                }
            }
        }
        let window = |from: Timestamp| TimeRange { from, to: from + self.rules.window - 1 };
        begins.into_iter().map(window).collect()
    }

    /// Forgets the samples of a range that a block holds by now.
    pub(crate) fn forget(&mut self, range: TimeRange) {
        for series in self.slots.iter().flatten() {
            series.state().forget(range, &self.chunks);
        }
        self.chunks.rotate();
    }

    /// Removes the series that have no sample and got none since `before`. Returns them.
    pub(crate) fn remove_idle(&mut self, before: Timestamp) -> Vec<Arc<Series>> {
        let is_idle = |series: &&Arc<Series>| {
            let state = series.state();
            state.is_empty() && state.newest().is_none_or(|newest| newest.at < before)
        };
        let idle: Vec<Arc<Series>> = self.all_series().filter(is_idle).cloned().collect();
        for series in &idle {
            self.remove(series);
        }
        idle
    }

    /// Removes a series with all its samples.
    pub(crate) fn remove(&mut self, series: &Arc<Series>) {
        series.state().clear(&self.chunks);
        self.index.remove(series);
        self.slots[series.slot as usize] = None;
        self.free.push(series.slot);
        if self.collided.remove(&series.labels).is_none() {
            let hash = self.hash.of(&series.labels);
            self.by_hash.remove(&hash);
            // One that met it takes its place, or it would not be found any more.
            let other = self.collided.iter().find(|(labels, _)| self.hash.of(labels) == hash);
            if let Some((labels, slot)) = other.map(|(labels, slot)| (labels.clone(), *slot)) {
                self.collided.remove(&labels);
                self.by_hash.insert(hash, slot);
            }
        }
        let source = Source(series.source);
        if let Some(count) = self.per_source.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.per_source.remove(&source);
            }
        }
        self.counters.series_removed.one();
        self.count_series();
    }
}
