//! What queries read: everything that is in memory and in blocks, while the writer goes on.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, RwLock};

use zv_model::{Labels, Matcher, Queryable, SelectError, Selected, TimeRange};

use crate::block::Block;
use crate::counters::Counters;
use crate::head::{ChunkTable, Index};
use crate::merge::{Merged, Piece};
use crate::select::Lookup;
use crate::sync::read;

/// What writer and readers share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) index: Arc<Index>,
    pub(crate) chunks: Arc<ChunkTable>,
    /// Oldest first.
    pub(crate) blocks: RwLock<Arc<Vec<Arc<Block>>>>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) selected_series: usize,
}

/// Reads a store. Cheap to clone; never waits for the writer longer than a copy takes.
#[derive(Clone)]
pub struct Reader {
    pub(crate) shared: Arc<Shared>,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

impl Reader {
    /// Returns the store's counters and sizes.
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// Returns how many label names, and how many pairs of names and values, the series in memory have.
    pub fn label_sizes(&self) -> (usize, usize) {
        self.shared.index.sizes()
    }

    /// Returns the names of the labels that accepted series have, sorted.
    pub fn label_names(&self, range: TimeRange, matchers: &[Matcher]) -> Result<Vec<Arc<str>>, SelectError> {
        let mut names = BTreeSet::new();
        if matchers.is_empty() {
            names.extend(self.shared.index.names());
            for block in self.blocks(range) {
                names.extend(block.names()?);
            }
        } else {
            for selected in self.select(range, matchers)? {
                names.extend(selected.labels.iter().map(|label| Arc::clone(&label.name)));
            }
        }
        Ok(names.into_iter().collect())
    }

    /// Returns the values of a label that accepted series have, sorted.
    pub fn label_values(
        &self,
        range: TimeRange,
        name: &str,
        matchers: &[Matcher],
    ) -> Result<Vec<Arc<str>>, SelectError> {
        let mut values = BTreeSet::new();
        if matchers.is_empty() {
            let Ok(in_memory) = self.shared.index.values(name, "");
            values.extend(in_memory);
            for block in self.blocks(range) {
                values.extend(block.values(name, "")?);
            }
        } else {
            for selected in self.select(range, matchers)? {
                values.extend(selected.labels.find(name).map(|label| Arc::clone(&label.value)));
            }
        }
        Ok(values.into_iter().collect())
    }

    fn blocks(&self, range: TimeRange) -> Vec<Arc<Block>> {
        let blocks = Arc::clone(&read(&self.shared.blocks));
        blocks.iter().filter(|block| block.overlaps(range)).cloned().collect()
    }

    fn found(
        &self,
        range: TimeRange,
        matchers: &[Matcher],
    ) -> Result<Vec<(Labels, Vec<Piece>)>, SelectError> {
        let mut found = Vec::new();
        // First the head and then the blocks: what moves from the one to the other in between is seen twice, not never.
        for series in self.shared.index.select(matchers) {
            let pieces = series.pieces(range, &self.shared.chunks);
            if !pieces.is_empty() {
                found.push((series.labels.clone(), pieces));
            }
        }
        for block in self.blocks(range) {
            block.select(range, matchers, &mut found)?;
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        let mut merged: Vec<(Labels, Vec<Piece>)> = Vec::with_capacity(found.len());
        for (labels, pieces) in found {
            match merged.last_mut() {
                Some((last, all)) if *last == labels => all.extend(pieces),
                _ => merged.push((labels, pieces)),
            }
        }
        Ok(merged)
    }
}

impl Queryable for Reader {
    fn select<'a>(
        &'a self,
        range: TimeRange,
        matchers: &[Matcher],
    ) -> Result<Vec<Selected<'a>>, SelectError> {
        let found = self.found(range, matchers)?;
        let limit = self.shared.selected_series;
        if found.len() > limit {
            let count = found.len();
            return Err(SelectError::Limit(format!("the query selects {count} series, more than {limit}")));
        }
        let selected = found.into_iter().map(|(labels, pieces)| {
            let samples = Merged::new(pieces, range, Arc::clone(&self.shared.counters));
            Selected { labels, samples: Box::new(samples) as Box<_> }
        });
        Ok(selected.collect())
    }
}
