//! Reads messages, series by series: only the samples of one series are in memory beside the message.

use zv_model::{Labels, LabelsBuilder, Sample, labels::METRIC_NAME};

use super::{Exemplar, KINDS, Metadata};
use crate::remote::protobuf::{Content, Fields, WireError};

/// What a message may hold; beyond that it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The labels of a series, and the exemplars.
    pub labels: usize,
    /// The length of a name, in bytes.
    pub name: usize,
    /// The length of a value, in bytes.
    pub value: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { labels: 256, name: 4096, value: 64 * 1024 }
    }
}

/// Why a message cannot be read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("a series has more than {limit} {what}")]
    TooMany { what: &'static str, limit: usize },
    #[error("the {what} of a label is longer than {limit} bytes")]
    TooLong { what: &'static str, limit: usize },
}

/// Why the labels of one series are none. The others of the message may be sound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelFault {
    #[error("a series without a metric's name")]
    NoName,
    #[error("a label without a name")]
    Unnamed,
    #[error("label `{0}` stands there twice")]
    Twice(String),
}

/// A message, unpacked, whose parts are handed out one after the other.
#[derive(Debug)]
pub struct Message<'a> {
    fields: Fields<'a>,
    limits: Limits,
    labels: Vec<(&'a str, &'a str)>,
    samples: Vec<Sample>,
    exemplars: Vec<Exemplar<'a>>,
}

/// A part of a message.
#[derive(Debug)]
pub enum Item<'a, 'p> {
    Series(Series<'a, 'p>),
    Metadata(Metadata<'a>),
}

/// One series of a message.
#[derive(Debug)]
pub struct Series<'a, 'p> {
    /// As they were sent.
    pub pairs: &'p [(&'a str, &'a str)],
    /// As they were sent: a receiver must not rely on their order.
    pub samples: &'p [Sample],
    pub exemplars: &'p [Exemplar<'a>],
    /// How many native histograms there were, which are not read.
    pub histograms: usize,
    /// The bytes of the labels, where they stand before all else, as every usual sender writes them. The same bytes mean the
    /// same labels, so that these need be made only for bytes that are new.
    pub key: Option<&'a [u8]>,
}

impl Series<'_, '_> {
    /// Makes the labels, sorted and without those that are empty. A name may be any text, as for Prometheus.
    pub fn labels(&self) -> Result<Labels, LabelFault> {
        let mut builder = LabelsBuilder::default();
        for (place, (name, value)) in self.pairs.iter().enumerate() {
            if name.is_empty() {
                return Err(LabelFault::Unnamed);
            }
            if self.pairs[..place].iter().any(|(other, _)| other == name) {
                return Err(LabelFault::Twice(name.chars().take(40).collect()));
            }
            builder.set(*name, *value);
        }
        if builder.get(METRIC_NAME).is_empty() { Err(LabelFault::NoName) } else { Ok(builder.finish()) }
    }
}

impl<'a> Message<'a> {
    /// Begins to read a message that [`crate::remote::unpack`] has unpacked.
    pub fn new(bytes: &'a [u8], limits: Limits) -> Self {
        let (labels, samples, exemplars) = (Vec::new(), Vec::new(), Vec::new());
        Self { fields: Fields(bytes), limits, labels, samples, exemplars }
    }

    /// Returns the next part; `None` at the end. Fields of other versions are passed over.
    // Not an iterator: a part borrows the room in which it was gathered.
    pub fn next_item(&mut self) -> Result<Option<Item<'a, '_>>, DecodeError> {
        while let Some((field, content)) = self.fields.next()? {
            match field {
                1 => {
                    let (histograms, key) = self.read_series(content.bytes(field)?)?;
                    return Ok(Some(Item::Series(Series {
                        pairs: &self.labels,
                        samples: &self.samples,
                        exemplars: &self.exemplars,
                        histograms,
                        key,
                    })));
                }
                3 => return Ok(Some(Item::Metadata(metadata(content.bytes(field)?)?))),
                _ => {}
            }
        }
        Ok(None)
    }

    /// Returns how many histograms there are, and the bytes of the labels.
    fn read_series(&mut self, bytes: &'a [u8]) -> Result<(usize, Option<&'a [u8]>), DecodeError> {
        self.labels.clear();
        self.samples.clear();
        self.exemplars.clear();
        let (mut histograms, mut labels_end, mut in_front) = (0, 0, true);
        let mut fields = Fields(bytes);
        loop {
            let begin = bytes.len() - fields.0.len();
            let Some((field, content)) = fields.next()? else { break };
            match field {
                1 => {
                    push_label(&mut self.labels, content.bytes(field)?, self.limits)?;
                    in_front &= begin == labels_end;
                    labels_end = bytes.len() - fields.0.len();
                }
                2 => self.samples.push(sample(content.bytes(field)?)?),
                3 => {
                    let limit = self.limits.labels;
                    if self.exemplars.len() == limit {
                        return Err(DecodeError::TooMany { what: "exemplars", limit });
                    }
                    self.exemplars.push(exemplar(content.bytes(field)?, self.limits)?);
                }
                4 => histograms += 1,
                _ => {}
            }
        }
        Ok((histograms, in_front.then(|| &bytes[..labels_end])))
    }
}

fn push_label<'a>(
    labels: &mut Vec<(&'a str, &'a str)>,
    bytes: &'a [u8],
    limits: Limits,
) -> Result<(), DecodeError> {
    let (mut name, mut value) = ("", "");
    let mut fields = Fields(bytes);
    while let Some((field, content)) = fields.next()? {
        match field {
            1 => name = content.text(field)?,
            2 => value = content.text(field)?,
            _ => {}
        }
    }
    for (what, text, limit) in [("name", name, limits.name), ("value", value, limits.value)] {
        if text.len() > limit {
            return Err(DecodeError::TooLong { what, limit });
        }
    }
    if labels.len() == limits.labels {
        return Err(DecodeError::TooMany { what: "labels", limit: limits.labels });
    }
    labels.push((name, value));
    Ok(())
}

fn sample(bytes: &[u8]) -> Result<Sample, WireError> {
    let mut sample = Sample { at: 0, value: 0.0 };
    let mut fields = Fields(bytes);
    while let Some((field, content)) = fields.next()? {
        match field {
            1 => sample.value = content.double(field)?,
            2 => sample.at = content.number(field)? as i64,
            _ => {}
        }
    }
    Ok(sample)
}

fn exemplar(bytes: &[u8], limits: Limits) -> Result<Exemplar<'_>, DecodeError> {
    let mut exemplar = Exemplar { labels: Vec::new(), value: 0.0, at: 0 };
    let mut fields = Fields(bytes);
    while let Some((field, content)) = fields.next()? {
        match field {
            1 => push_label(&mut exemplar.labels, content.bytes(field)?, limits)?,
            2 => exemplar.value = content.double(field)?,
            3 => exemplar.at = content.number(field)? as i64,
            _ => {}
        }
    }
    Ok(exemplar)
}

fn metadata(bytes: &[u8]) -> Result<Metadata<'_>, WireError> {
    let mut metadata = Metadata { family: "", kind: KINDS[0], help: "", unit: "" };
    let mut fields = Fields(bytes);
    while let Some((field, content)) = fields.next()? {
        match (field, content) {
            (1, Content::Number(kind)) => {
                metadata.kind =
                    usize::try_from(kind).ok().and_then(|kind| KINDS.get(kind)).copied().unwrap_or_default();
            }
            (2, content) => metadata.family = content.text(field)?,
            (4, content) => metadata.help = content.text(field)?,
            (5, content) => metadata.unit = content.text(field)?,
            _ => {}
        }
    }
    Ok(metadata)
}
