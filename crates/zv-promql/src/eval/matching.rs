//! Finds series that have some labels in common.

use std::collections::HashMap;
use std::sync::Arc;

use zv_model::labels::METRIC_NAME;
use zv_model::{Label, Labels};

/// Which labels count.
#[derive(Debug, Clone, Copy)]
pub(super) enum Counting<'a> {
    /// These: `by`, `on`.
    Only(&'a [Arc<str>]),
    /// All but these and the metric's name: `without`, `ignoring`.
    AllBut(&'a [Arc<str>]),
}

impl<'a> Counting<'a> {
    pub(super) fn of(is_only: bool, names: &'a [Arc<str>]) -> Self {
        if is_only { Counting::Only(names) } else { Counting::AllBut(names) }
    }

    pub(super) fn counts(&self, label: &Label) -> bool {
        match self {
            Counting::Only(names) => names.contains(&label.name),
            Counting::AllBut(names) => !names.contains(&label.name) && &*label.name != METRIC_NAME,
        }
    }

    /// Returns the labels that count.
    pub(super) fn labels(&self, of: &Labels) -> Labels {
        of.filtered(|label| self.counts(label))
    }
}

/// Numbers sets of labels: equal sets have the same number, from zero on.
#[derive(Debug, Default)]
pub(super) struct Keys {
    numbers: HashMap<Box<[u8]>, usize>,
    key: Vec<u8>,
}

impl Keys {
    fn write(&mut self, labels: &Labels, counting: Counting<'_>) {
        self.key.clear();
        for label in labels.iter().filter(|label| counting.counts(label)) {
            // No text holds this byte.
            self.key.extend_from_slice(label.name.as_bytes());
            self.key.push(0xff);
            self.key.extend_from_slice(label.value.as_bytes());
            self.key.push(0xff);
        }
    }

    /// Returns the number of a set, a new one where it was not seen before.
    pub(super) fn number(&mut self, labels: &Labels, counting: Counting<'_>) -> usize {
        self.write(labels, counting);
        if let Some(number) = self.numbers.get(self.key.as_slice()) {
            return *number;
        }
        let number = self.numbers.len();
        self.numbers.insert(self.key.as_slice().into(), number);
        number
    }

    /// Returns the number of a set that was seen before.
    pub(super) fn known(&mut self, labels: &Labels, counting: Counting<'_>) -> Option<usize> {
        self.write(labels, counting);
        self.numbers.get(self.key.as_slice()).copied()
    }

    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }
}
