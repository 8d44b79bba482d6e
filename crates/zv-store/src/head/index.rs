//! Label values of the head and the series that have them. Readers copy what they need under a short lock.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::ops::Bound;
use std::sync::{Arc, RwLock};

use zv_model::{Labels, LabelsBuilder, Matcher};

use super::series::Series;
use crate::select::{Lookup, select, united};
use crate::sync::{read, write};

/// The index, shared by the writer and the readers.
#[derive(Debug, Default)]
pub(crate) struct Index(RwLock<Inner>);

#[derive(Debug, Default)]
struct Inner {
    names: HashMap<Arc<str>, BTreeMap<Arc<str>, Slots>>,
    series: Vec<Option<Arc<Series>>>,
}

/// Most values belong to one series or to many: one needs no memory of its own.
#[derive(Debug)]
enum Slots {
    One(u32),
    Many(Vec<u32>),
}

impl Slots {
    fn as_slice(&self) -> &[u32] {
        match self {
            Slots::One(slot) => std::slice::from_ref(slot),
            Slots::Many(slots) => slots,
        }
    }

    fn insert(&mut self, slot: u32) {
        match self {
            Slots::One(first) => *self = Slots::Many(vec![(*first).min(slot), (*first).max(slot)]),
            Slots::Many(slots) => {
                let place = slots.partition_point(|other| *other < slot);
                slots.insert(place, slot);
            }
        }
    }

    /// Returns whether anything is left.
    fn remove(&mut self, slot: u32) -> bool {
        match self {
            Slots::One(_) => false,
            Slots::Many(slots) => {
                slots.retain(|other| *other != slot);
                slots.shrink_to(slots.len() * 2);
                !slots.is_empty()
            }
        }
    }
}

impl Index {
    /// Returns the labels with every text replaced by the one that is already here.
    pub(crate) fn shared(&self, labels: &Labels) -> Labels {
        let inner = read(&self.0);
        let mut builder = LabelsBuilder::default();
        for label in labels {
            let (name, value) = match inner.names.get_key_value(&label.name) {
                Some((name, values)) => {
                    (name, values.get_key_value(&label.value).map_or(&label.value, |(value, _)| value))
                }
                None => (&label.name, &label.value),
            };
            builder.set(Arc::clone(name), Arc::clone(value));
        }
        builder.finish()
    }

    pub(crate) fn insert(&self, series: Arc<Series>) {
        let mut inner = write(&self.0);
        let slot = series.slot;
        for label in &series.labels {
            let values = inner.names.entry(Arc::clone(&label.name)).or_default();
            match values.get_mut(&label.value) {
                Some(slots) => slots.insert(slot),
                None => drop(values.insert(Arc::clone(&label.value), Slots::One(slot))),
            }
        }
        let place = slot as usize;
        if inner.series.len() <= place {
            inner.series.resize(place + 1, None);
        }
        inner.series[place] = Some(series);
    }

    pub(crate) fn remove(&self, series: &Series) {
        let mut inner = write(&self.0);
        for label in &series.labels {
            let Some(values) = inner.names.get_mut(&label.name) else { continue };
            if values.get_mut(&label.value).is_some_and(|slots| !slots.remove(series.slot)) {
                values.remove(&label.value);
            }
            if values.is_empty() {
                inner.names.remove(&label.name);
            }
        }
        inner.series[series.slot as usize] = None;
    }

    /// Returns the series that every matcher accepts.
    pub(crate) fn select(&self, matchers: &[Matcher]) -> Vec<Arc<Series>> {
        let Ok(slots) = select(self, matchers);
        let inner = read(&self.0);
        let found = slots.iter().filter_map(|slot| inner.series[*slot as usize].clone()).collect::<Vec<_>>();
        drop(inner);
        // A place may have got another series since it was found.
        let is_wanted =
            |series: &Arc<Series>| matchers.iter().all(|matcher| matcher.accepts_labels(&series.labels));
        found.into_iter().filter(is_wanted).collect()
    }

    /// Returns the names of all labels.
    pub(crate) fn names(&self) -> Vec<Arc<str>> {
        read(&self.0).names.keys().cloned().collect()
    }

    /// Returns how many label names and pairs of names and values there are.
    pub(crate) fn sizes(&self) -> (usize, usize) {
        let inner = read(&self.0);
        (inner.names.len(), inner.names.values().map(BTreeMap::len).sum())
    }
}

impl Lookup for Index {
    type Fault = Infallible;

    fn all(&self) -> Result<Vec<u32>, Infallible> {
        Ok(read(&self.0).series.iter().flatten().map(|series| series.slot).collect())
    }

    fn values(&self, name: &str, prefix: &str) -> Result<Vec<Arc<str>>, Infallible> {
        let inner = read(&self.0);
        let Some(values) = inner.names.get(name) else { return Ok(Vec::new()) };
        let from = (Bound::Included(prefix), Bound::Unbounded);
        let values = values.range::<str, _>(from).map(|(value, _)| value);
        Ok(values.take_while(|value| value.starts_with(prefix)).cloned().collect())
    }

    fn series(&self, name: &str, values: &[&str]) -> Result<Vec<u32>, Infallible> {
        let inner = read(&self.0);
        let Some(known) = inner.names.get(name) else { return Ok(Vec::new()) };
        let mut slots = Vec::new();
        for value in values {
            slots.extend_from_slice(known.get(*value).map_or(&[], Slots::as_slice));
        }
        drop(inner);
        Ok(united(slots, values.len()))
    }
}
