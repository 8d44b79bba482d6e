//! Writes messages: directly into one buffer, without a copy of anything.

use snap::raw::max_compress_len;
use zv_model::{Labels, Sample};

use super::{Exemplar, KINDS, Metadata};
use crate::remote::protobuf::{
    double_len, field_len, number_len, push_double, push_head, push_number, push_text, text_len,
};

/// The message is too long for the packed form: 4 GiB.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{len} bytes are too many for one message")]
pub struct EncodeError {
    len: usize,
    #[source]
    cause: snap::Error,
}

/// Writes one message after the other. Its buffers are used again.
#[derive(Debug)]
pub struct Encoder {
    message: Vec<u8>,
    samples: usize,
    snappy: snap::raw::Encoder,
}

impl Default for Encoder {
    fn default() -> Self {
        Self { message: Vec::new(), samples: 0, snappy: snap::raw::Encoder::new() }
    }
}

impl Encoder {
    /// Adds a series. The samples are in the order of their times; those that a receiver already has come not again.
    pub fn series(&mut self, labels: &Labels, samples: &[Sample]) {
        self.series_with(labels, samples, &[]);
    }

    /// Adds a series with examples.
    pub fn series_with(&mut self, labels: &Labels, samples: &[Sample], exemplars: &[Exemplar<'_>]) {
        let pairs = || labels.iter().map(|label| (&*label.name, &*label.value));
        let len = pairs().map(|(name, value)| field_len(label_len(name, value))).sum::<usize>()
            + samples.iter().map(|sample| field_len(sample_len(sample.value, sample.at))).sum::<usize>()
            + exemplars.iter().map(|exemplar| field_len(exemplar_len(exemplar))).sum::<usize>();
        let out = &mut self.message;
        out.reserve(field_len(len));
        push_head(out, 1, len);
        for (name, value) in pairs() {
            push_label(out, name, value);
        }
        for sample in samples {
            push_head(out, 2, sample_len(sample.value, sample.at));
            push_double(out, 1, sample.value);
            push_number(out, 2, sample.at as u64);
        }
        for exemplar in exemplars {
            push_head(out, 3, exemplar_len(exemplar));
            for (name, value) in &exemplar.labels {
                push_label(out, name, value);
            }
            push_double(out, 2, exemplar.value);
            push_number(out, 3, exemplar.at as u64);
        }
        self.samples += samples.len();
    }

    /// Adds what is known of a family.
    pub fn metadata(&mut self, metadata: &Metadata<'_>) {
        let Metadata { family, kind, help, unit } = *metadata;
        let kind = KINDS.iter().position(|known| *known == kind).unwrap_or_default() as u64;
        let len = number_len(kind) + text_len(family) + text_len(help) + text_len(unit);
        let out = &mut self.message;
        push_head(out, 3, len);
        push_number(out, 1, kind);
        push_text(out, 2, family);
        push_text(out, 4, help);
        push_text(out, 5, unit);
    }

    /// Returns how many samples the message has so far.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Returns how many bytes the message has so far, not yet packed.
    pub fn len(&self) -> usize {
        self.message.len()
    }

    pub fn is_empty(&self) -> bool {
        self.message.is_empty()
    }

    /// Ends the message: `body` is then what is sent. The next one begins.
    pub fn finish(&mut self, body: &mut Vec<u8>) -> Result<(), EncodeError> {
        body.clear();
        let len = self.message.len();
        body.resize(max_compress_len(len), 0);
        let packed = self.snappy.compress(&self.message, body);
        self.clear();
        body.truncate(packed.map_err(|cause| EncodeError { len, cause })?);
        Ok(())
    }

    /// Forgets the message so far.
    pub fn clear(&mut self) {
        self.message.clear();
        self.samples = 0;
    }
}

fn label_len(name: &str, value: &str) -> usize {
    text_len(name) + text_len(value)
}

fn push_label(out: &mut Vec<u8>, name: &str, value: &str) {
    push_head(out, 1, label_len(name, value));
    push_text(out, 1, name);
    push_text(out, 2, value);
}

fn sample_len(value: f64, at: i64) -> usize {
    double_len(value) + number_len(at as u64)
}

fn exemplar_len(exemplar: &Exemplar<'_>) -> usize {
    let labels = exemplar.labels.iter().map(|(name, value)| field_len(label_len(name, value)));
    labels.sum::<usize>() + sample_len(exemplar.value, exemplar.at)
}
