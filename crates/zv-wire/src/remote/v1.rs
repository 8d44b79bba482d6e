//! Remote write 1.0: series with their labels, samples and exemplars, and metadata of families. Native histograms are
//! counted, not read.

mod decode;
mod encode;

pub use decode::{DecodeError, Item, LabelFault, Limits, Message, Series};
pub use encode::{EncodeError, Encoder};

use zv_model::{MetricKind, Timestamp};

/// An example of what was counted.
#[derive(Debug, Clone, PartialEq)]
pub struct Exemplar<'a> {
    pub labels: Vec<(&'a str, &'a str)>,
    pub value: f64,
    pub at: Timestamp,
}

/// What is known of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata<'a> {
    pub family: &'a str,
    pub kind: MetricKind,
    pub help: &'a str,
    pub unit: &'a str,
}

/// The kinds of metrics by their number in a message.
const KINDS: [MetricKind; 8] = [
    MetricKind::Unknown,
    MetricKind::Counter,
    MetricKind::Gauge,
    MetricKind::Histogram,
    MetricKind::GaugeHistogram,
    MetricKind::Summary,
    MetricKind::Info,
    MetricKind::StateSet,
];

#[cfg(test)]
mod tests;
