//! The bytes of the protocol, messages of others, limits, and that what is written is read again.

use proptest::prelude::*;
use zv_model::{Labels, STALE_NAN, Sample};

use super::*;
use crate::remote::unpack;

const LIMIT: usize = 1 << 24;

fn bits(samples: &[Sample]) -> Vec<(i64, u64)> {
    samples.iter().map(|sample| (sample.at, sample.value.to_bits())).collect()
}

#[test]
fn the_bytes_are_those_of_the_protocol() {
    let mut encoder = Encoder::default();
    encoder.series(&Labels::of([("__name__", "up"), ("a", "b")]), &[Sample { at: 300, value: 1.0 }]);
    let metadata = Metadata { family: "up", kind: MetricKind::Gauge, help: "h", unit: "" };
    encoder.metadata(&metadata);
    let mut body = Vec::new();
    assert_eq!((encoder.samples(), encoder.is_empty()), (1, false));
    encoder.finish(&mut body).unwrap();
    assert_eq!((encoder.samples(), encoder.is_empty()), (0, true));
    let series = b"\x0a\x26\x0a\x0e\x0a\x08__name__\x12\x02up\x0a\x06\x0a\x01a\x12\x01b\x12\x0c\x09\0\0\0\0\0\0\xf0\x3f\x10\xac\x02";
    assert_eq!(unpack(&body, LIMIT).unwrap(), [&series[..], b"\x1a\x09\x08\x02\x12\x02up\x22\x01h"].concat());
}

#[test]
fn what_other_senders_put_in_is_passed_over() {
    // Field 2, reserved, and field 5 of a series; a histogram; a label without a value; no samples.
    let bytes = b"\x12\x01x\x0a\x10\x0a\x0a\x0a\x08__name__\x22\x00\x28\x01";
    let mut message = Message::new(bytes, Limits::default());
    let Some(Item::Series(series)) = message.next_item().unwrap() else { panic!() };
    assert_eq!((series.pairs, series.samples.len(), series.histograms), (&[("__name__", "")][..], 0, 1));
    assert_eq!(series.labels(), Err(LabelFault::NoName));
    assert!(message.next_item().unwrap().is_none());
}

#[test]
fn the_bytes_of_the_labels_are_a_key() {
    let (label, sample) = (b"\x0a\x06\x0a\x01a\x12\x01b", b"\x12\x02\x10\x01");
    for (parts, expected) in [
        (vec![&label[..], sample, sample], Some(&label[..])),
        (vec![&sample[..]], Some(&[][..])),
        (vec![&label[..], sample, label], None),
        (vec![&sample[..], label], None),
    ] {
        let series = parts.concat();
        let bytes = [&[0x0a, series.len() as u8][..], &series].concat();
        let mut message = Message::new(&bytes, Limits::default());
        let Some(Item::Series(series)) = message.next_item().unwrap() else { panic!() };
        assert_eq!(series.key, expected);
    }
}

#[test]
fn labels_that_are_none_are_told() {
    for (pairs, expected) in [
        (
            &[("__name__", "up"), ("b", "2"), ("a", "1"), ("c", "")][..],
            Ok(Labels::of([("__name__", "up"), ("a", "1"), ("b", "2")])),
        ),
        (&[("__name__", "up"), ("a", ""), ("a", "1")], Err(LabelFault::Twice("a".to_owned()))),
        (&[("__name__", "up"), ("", "1")], Err(LabelFault::Unnamed)),
        (&[("a", "1")], Err(LabelFault::NoName)),
    ] {
        let series = Series { pairs, samples: &[], exemplars: &[], histograms: 0, key: None };
        assert_eq!(series.labels(), expected);
    }
}

#[test]
fn limits_hold() {
    let mut encoder = Encoder::default();
    encoder.series(&Labels::of([("__name__", "metric"), ("a", "bcdefg")]), &[]);
    let mut body = Vec::new();
    encoder.finish(&mut body).unwrap();
    let bytes = unpack(&body, LIMIT).unwrap();
    let usual = Limits { labels: 2, name: 8, value: 6 };
    assert!(Message::new(&bytes, usual).next_item().is_ok());
    for limits in [Limits { labels: 1, ..usual }, Limits { name: 7, ..usual }, Limits { value: 5, ..usual }] {
        assert!(matches!(
            Message::new(&bytes, limits).next_item(),
            Err(DecodeError::TooMany { .. } | DecodeError::TooLong { .. })
        ));
    }
}

fn series() -> impl Strategy<Value = (Labels, Vec<Sample>)> {
    let value = prop_oneof![any::<u64>().prop_map(f64::from_bits), Just(STALE_NAN), Just(-0.0), Just(0.0)];
    let sample = (any::<i64>(), value).prop_map(|(at, value)| Sample { at, value });
    let labels = prop::collection::btree_map("\\PC{1,4}", "\\PC{1,9}", 0..5);
    let labels = labels.prop_map(|labels| {
        let mut labels = Labels::of(labels).to_builder();
        labels.set("__name__", "m");
        labels.finish()
    });
    (labels, prop::collection::vec(sample, 0..5))
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(all in prop::collection::vec(series(), 0..6), help in "\\PC{0,9}", value in any::<f64>()) {
        let mut encoder = Encoder::default();
        let exemplars = [Exemplar { labels: vec![("id", &help), ("b", "")], value, at: -1 }];
        let metadata = Metadata { family: "m", kind: MetricKind::StateSet, help: &help, unit: "s" };
        for (labels, samples) in &all {
            encoder.series_with(labels, samples, &exemplars);
        }
        encoder.metadata(&metadata);
        let mut body = vec![7; 3];
        encoder.finish(&mut body).unwrap();
        let bytes = unpack(&body, LIMIT).unwrap();
        let mut message = Message::new(&bytes, Limits::default());
        for (labels, samples) in &all {
            let Ok(Some(Item::Series(series))) = message.next_item() else { panic!() };
            prop_assert_eq!(&series.labels().unwrap(), labels);
            prop_assert_eq!(bits(series.samples), bits(samples));
            prop_assert_eq!(series.exemplars, &exemplars[..]);
        }
        let Ok(Some(Item::Metadata(read))) = message.next_item() else { panic!() };
        prop_assert_eq!(read, metadata);
        prop_assert!(matches!(message.next_item(), Ok(None)));
    }

    #[test]
    fn whatever_comes_ends(bytes in prop::collection::vec(prop_oneof![Just(0x0a), Just(0x12), 0..20_u8, any::<u8>()], 0..80)) {
        let mut message = Message::new(&bytes, Limits::default());
        while let Ok(Some(_)) = message.next_item() {}
        unpack(&bytes, LIMIT).ok();
    }
}
