//! What is packed is read, and what is no chunk is refused.

use proptest::prelude::*;
use zv_model::STALE_NAN;

use super::*;

fn samples(values: impl IntoIterator<Item = f64>) -> Vec<Sample> {
    let times = (0..).map(|number| 1_700_000_000_000 + number * 10_000);
    times.zip(values).map(|(at, value)| Sample { at, value }).collect()
}

fn exactly(samples: &[Sample]) -> Vec<(i64, u64)> {
    samples.iter().map(|sample| (sample.at, sample.value.to_bits())).collect()
}

fn unpacked(bytes: &[u8]) -> Vec<Sample> {
    let mut out = Vec::new();
    read(bytes, &mut out).unwrap();
    out
}

#[test]
fn every_bit_of_every_value_is_kept() {
    let odd = [0.0, -0.0, f64::NAN, STALE_NAN, f64::INFINITY, f64::MIN_POSITIVE, f64::MAX, -1.5, 1e-310];
    let odd = samples(odd);
    assert_eq!(exactly(&unpacked(&pack(&odd))), exactly(&odd));
}

#[test]
fn what_happens_most_is_small() {
    let count = 120.0;
    for (what, bytes_each, values) in [
        ("a gauge that stands still", 0.5, Box::new(|_| 42.5) as Box<dyn Fn(i64) -> f64>),
        ("a counter that rises evenly", 0.5, Box::new(|n| (n * 1500) as f64)),
        ("seconds with two decimals", 1.6, Box::new(|n| (n * 150 + n * n % 17) as f64 / 100.0)),
        ("a counter of bytes that rises unevenly", 3.2, Box::new(|n| (n * 150_000 + n * n % 9973) as f64)),
    ] {
        let packed = pack(&samples((0..120).map(values)));
        let each = packed.len() as f64 / count;
        assert!(each <= bytes_each, "{what}: {each:.2} bytes for each sample");
    }
}

#[test]
fn whole_numbers_are_coded_as_such_and_others_are_not() {
    assert_eq!(pack(&samples([1.0, 2.0, 4.0, 7.0]))[0], WHOLE);
    assert_eq!(pack(&samples([1.25, 2.5, 3.0, 0.01]))[0], DECIMAL);
    for values in [[1.0, 1.0 / 3.0, 3.0], [1.0, -0.0, 3.0], [1.0, f64::NAN, 3.0], [1.0, 1e300, 2.0]] {
        assert_eq!(pack(&samples(values))[0], XOR, "{values:?}");
    }
}

#[test]
fn what_is_no_chunk_is_refused() {
    let mut out = Vec::new();
    assert_eq!(read(&[], &mut out), Err(ChunkError::Empty));
    assert_eq!(read(&[9, 0, 0], &mut out), Err(ChunkError::Code(9)));
    assert_eq!(read(&[XOR, 0xff, 0xff], &mut out), Err(ChunkError::TooLong));
    assert_eq!(read(&[WHOLE, 0, 1, 0], &mut out), Err(ChunkError::CutOff));
    assert_eq!(read(&[DECIMAL, 0, 1, 9, 0], &mut out), Err(ChunkError::Decimals(9)));
    let mut falling = XorWriter::default();
    falling.push(Sample { at: 5, value: 1.0 });
    falling.push(Sample { at: 4, value: 1.0 });
    assert_eq!(read(&falling.into_bytes(), &mut out), Err(ChunkError::Unsorted));
}

/// Values as they come: few, whole, or anything.
fn values() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(1.0),
        (-1000_i64..1000).prop_map(|number| number as f64),
        (-100_000_i64..100_000, 0..8).prop_map(|(number, decimals)| number as f64 / 10_f64.powi(decimals)),
        (0_u64..1 << 60).prop_map(|number| number as f64),
        any::<u64>().prop_map(f64::from_bits),
    ]
}

proptest! {
    #[test]
    fn what_is_packed_is_read(steps in proptest::collection::vec((1_i64..1_000_000, values()), 0..200), first: i32) {
        let mut at = i64::from(first) * 1000;
        let samples: Vec<Sample> = steps.into_iter().map(|(step, value)| {
            at += step;
            Sample { at, value }
        }).collect();
        prop_assert_eq!(exactly(&unpacked(&pack(&samples))), exactly(&samples));
        let mut growing = XorWriter::default();
        for (count, sample) in samples.iter().enumerate() {
            growing.push(*sample);
            let mut so_far = Vec::new();
            growing.read(&mut so_far);
            prop_assert_eq!(exactly(&so_far), exactly(&samples[..=count]));
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut out = Vec::new();
        let _ = read(&bytes, &mut out);
        prop_assert!(out.len() <= LONGEST);
        prop_assert!(out.windows(2).all(|pair| pair[0].at < pair[1].at));
    }
}
