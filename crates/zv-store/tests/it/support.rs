//! What several tests need.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use zv_model::{Labels, Matcher, Queryable, Sample, TimeRange};
use zv_store::{Options, Reader, Recovery, Store, StoreError};

use crate::disk::Small;

pub(crate) const EVER: TimeRange = TimeRange { from: i64::MIN, to: i64::MAX };

/// Samples of each series by their bits.
pub(crate) type Contents = Vec<(Labels, Vec<(i64, u64)>)>;

/// Windows of a second, so that much happens in a short time.
pub(crate) fn quick() -> Options {
    Options {
        block: Duration::from_secs(1),
        late: Duration::from_millis(300),
        keep_for: Duration::from_hours(24),
        segment_bytes: 4096,
        ..Options::default()
    }
}

/// Opens a store with short windows, and never waits for the disk.
pub(crate) fn open(folder: &Path) -> Result<(Store, Recovery), StoreError> {
    Store::open_with(Arc::new(Small::new()), folder, &quick())
}

pub(crate) fn series(number: usize) -> Labels {
    let group = (number % 3).to_string();
    let mut labels =
        Labels::of([("__name__", "m"), ("group", &group), ("n", &number.to_string())]).to_builder();
    if number.is_multiple_of(2) {
        labels.set("even", "yes");
    }
    labels.finish()
}

pub(crate) fn sample(at: i64, value: f64) -> Sample {
    Sample { at, value }
}

pub(crate) fn contents(reader: &Reader, range: TimeRange, matchers: &[Matcher]) -> Contents {
    let mut all = Vec::new();
    for mut selected in reader.select(range, matchers).unwrap() {
        let mut samples = Vec::new();
        while selected.samples.next_run(&mut samples).unwrap() {}
        if !samples.is_empty() {
            let bits = samples.into_iter().map(|sample| (sample.at, sample.value.to_bits())).collect();
            all.push((selected.labels, bits));
        }
    }
    all
}

pub(crate) fn count(contents: &Contents) -> usize {
    contents.iter().map(|(_, samples)| samples.len()).sum()
}
