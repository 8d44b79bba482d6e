//! What the fuzz targets feed, and what must hold of whatever comes. The seeds are replayed here as a test.

use zv_model::{Labels, MetricKind, Sample};

use crate::parse::{Entry, Parser};
use crate::remote::unpack;
use crate::remote::v1::{Encoder, Item, Limits, Message};
use crate::{Exposition, Format, LabelText, lint};

/// What is unpacked is no larger.
const LIMIT: usize = 1 << 20;

/// Reads a document; the first byte chooses the format. What was read can be written, and is then read the same. What is
/// sound to the letter can be read.
pub fn exposition(data: &[u8]) {
    let Some((choice, document)) = data.split_first() else { return };
    let format = if choice & 1 == 0 { Format::Text } else { Format::OpenMetrics };
    let (samples, is_sound) = read(format, document);
    if format == Format::OpenMetrics && lint::check(document).is_ok() {
        assert!(is_sound, "sound, but cannot be read");
    }
    let mut out = Exposition::new(format, document.len());
    for (labels, value, at) in &samples {
        let pairs = labels.iter().filter(|label| &*label.name != "__name__");
        let text = LabelText::of(pairs.map(|label| (&*label.name, &*label.value)));
        let mut family = out.family(labels.metric_name(), MetricKind::Unknown, "");
        match at {
            Some(at) => family.sample_at(&text, &[], f64::from_bits(*value), *at),
            None => family.sample(&text, &[], f64::from_bits(*value)),
        }
    }
    let written = out.finish();
    assert_eq!(read(format, written.as_bytes()), (samples, true));
}

/// The value is told by its bits.
type Read = (Labels, u64, Option<i64>);

/// Returns what was read, and whether all of it was. Times that have no place in the format or are too far away for floats
/// are left out.
fn read(format: Format, document: &[u8]) -> (Vec<Read>, bool) {
    const FAR: i64 = 1 << 43;
    let mut parser = Parser::new(format, document);
    let mut samples = Vec::new();
    loop {
        match parser.next_entry() {
            Ok(Entry::Series(series)) => {
                assert!(series.text().len() <= document.len());
                if let Some(exemplar) = &series.exemplar {
                    exemplar.labels().ok();
                }
                let Ok(labels) = series.labels() else { return (samples, false) };
                let first = if format == Format::Text { 0 } else { -FAR };
                let at = series.at.filter(|at| (first..FAR).contains(at));
                samples.push((labels, series.value.to_bits(), at));
            }
            Ok(Entry::Eof) => return (samples, true),
            Ok(_) => {}
            Err(error) => {
                assert!(error.to_string().len() < 1024);
                assert!(parser.next_entry().is_err(), "an error stays");
                return (samples, false);
            }
        }
    }
}

/// Reads a message of remote write, packed or, if that cannot be, as it is. What was read is the same after it was written.
pub fn remote_write(data: &[u8]) {
    let unpacked = unpack(data, LIMIT);
    let message = unpacked.as_deref().unwrap_or(data);
    assert!(message.len() <= LIMIT.max(data.len()));
    let mut encoder = Encoder::default();
    let all = series(message, Some(&mut encoder));
    let mut body = Vec::new();
    encoder.finish(&mut body).expect("a message of this length can be packed");
    let again = unpack(&body, usize::MAX).expect("what was packed can be unpacked");
    assert_eq!(series(&again, None), all);
}

type Series = (Labels, Vec<(i64, u64)>);

/// Returns the sound series of a message; writes them down, too.
fn series(message: &[u8], mut encoder: Option<&mut Encoder>) -> Vec<Series> {
    let mut message = Message::new(message, Limits::default());
    let mut all = Vec::new();
    while let Ok(Some(item)) = message.next_item() {
        match item {
            Item::Series(one) => {
                let Ok(labels) = one.labels() else { continue };
                if let Some(encoder) = &mut encoder {
                    encoder.series_with(&labels, one.samples, one.exemplars);
                }
                let bits = |sample: &Sample| (sample.at, sample.value.to_bits());
                all.push((labels, one.samples.iter().map(bits).collect()));
            }
            Item::Metadata(one) => {
                if let Some(encoder) = &mut encoder {
                    encoder.metadata(&one);
                }
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    fn replay(target: &str, feed: fn(&[u8])) {
        let seeds = format!("{}/../../fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
        let seeds: Vec<_> = std::fs::read_dir(seeds).unwrap().collect();
        assert!(seeds.len() > 2);
        for seed in seeds {
            feed(&std::fs::read(seed.unwrap().path()).unwrap());
        }
    }

    #[test]
    fn every_seed_holds() {
        replay("exposition", super::exposition);
        replay("remote_write", super::remote_write);
    }
}
