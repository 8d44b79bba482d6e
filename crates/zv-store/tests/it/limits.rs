//! What is refused, and that it harms nobody else.

use zv_model::{Labels, STALE_NAN};
use zv_store::{AppendError, Appended, Limits, Options, Source, Store};

use crate::support::{EVER, contents, quick, sample, series};

fn limited(limits: Limits) -> Store {
    Store::in_memory(&Options { limits, ..quick() })
}

#[test]
fn a_source_that_explodes_is_contained() {
    let mut store = limited(Limits { series: 20, series_per_source: 5, ..Limits::default() });
    for number in 0..10 {
        let result = store.append(Source(1), &series(number), sample(1, 1.0));
        let expected = AppendError::TooManySeriesOfSource { limit: 5 };
        assert_eq!(result.err(), (number >= 5).then_some(expected), "{number}");
    }
    for number in 100..115 {
        store.append(Source(number as u64), &series(number), sample(1, 1.0)).unwrap();
    }
    let refused = store.append(Source(9), &series(999), sample(1, 1.0));
    assert_eq!(refused.err(), Some(AppendError::TooManySeries { limit: 20 }));
    // Those that are there go on.
    assert!(store.append(Source(1), &series(0), sample(2, 1.0)).is_ok());
    store.commit();
    assert_eq!(store.reader().counters().over_limit.get(), 6);
    assert_eq!(store.reader().counters().series.get(), 20);
}

#[test]
fn labels_and_times_have_bounds() {
    let mut store = limited(Limits {
        labels: 2,
        name_bytes: 4,
        value_bytes: 8,
        samples_per_commit: 6,
        ..Limits::default()
    });
    for (pairs, at, expected) in [
        (&[][..], 1, AppendError::NoLabels),
        (&[("a", "1"), ("b", "2"), ("c", "3")], 1, AppendError::TooManyLabels { count: 3, limit: 2 }),
        (&[("abcde", "1")], 1, AppendError::LabelTooLong { name: "abcde".to_owned(), bytes: 5, limit: 4 }),
        (&[("a", "123456789")], 1, AppendError::LabelTooLong { name: "a".to_owned(), bytes: 9, limit: 8 }),
        (&[("a", "1")], i64::MAX, AppendError::TimeOutOfRange { at: i64::MAX }),
        (&[("a", "1")], i64::MIN, AppendError::TimeOutOfRange { at: i64::MIN }),
        (&[("a", "1")], 1, AppendError::TooManySamples { limit: 6 }),
    ] {
        let labels = Labels::of(pairs.iter().copied());
        assert_eq!(store.append(Source(1), &labels, sample(at, 1.0)).err(), Some(expected));
    }
    store.commit();
    assert!(store.append(Source(1), &Labels::of([("a", "1")]), sample(1, 1.0)).is_ok(), "portions are fine");
    assert_eq!(store.reader().counters().series.get(), 1, "what is refused leaves nothing");
}

#[test]
fn a_reference_ends_with_its_series() {
    let mut store = limited(Limits::default());
    let (one, _) = store.append(Source(1), &series(1), sample(-5, 1.0)).unwrap();
    assert_eq!(store.append_to(one, sample(0, STALE_NAN)), Ok(Appended::Newest));
    assert_eq!(store.append_to(one, sample(0, STALE_NAN)), Ok(Appended::Same));
    assert_eq!(store.append_to(one, sample(0, f64::NAN)), Ok(Appended::Differs));
    assert_eq!(store.append_to(one, sample(-1, 2.0)), Ok(Appended::Late));
    let found = contents(&store.reader(), EVER, &[]);
    assert_eq!(found[0].1.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [-5, -1, 0]);
    assert!(store.remove(one) && !store.remove(one));
    assert_eq!(store.append_to(one, sample(1, 1.0)), Err(AppendError::UnknownSeries));
    let (other, _) = store.append(Source(1), &series(2), sample(1, 1.0)).unwrap();
    assert_eq!(
        store.append_to(one, sample(2, 1.0)),
        Err(AppendError::UnknownSeries),
        "the place is another's"
    );
    assert_ne!(one, other);
    assert_eq!(contents(&store.reader(), EVER, &[]).len(), 1);
}

#[test]
fn a_query_that_selects_too_much_is_refused() {
    use zv_model::Queryable;
    let mut store = limited(Limits { selected_series: 2, ..Limits::default() });
    for number in 0..3 {
        store.append(Source(1), &series(number), sample(1, 1.0)).unwrap();
    }
    let refused = store.reader().select(EVER, &[]).unwrap_err();
    assert_eq!(refused.to_string(), "the query selects 3 series, more than 2");
}

#[test]
fn a_series_that_is_removed_and_made_again_is_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = crate::support::open(folder.path()).unwrap();
    let (old, _) = store.append(Source(1), &series(1), sample(1, 1.0)).unwrap();
    store.append(Source(1), &series(2), sample(1, 1.0)).unwrap();
    assert!(store.remove(old));
    let (new, _) = store.append(Source(1), &series(1), sample(2, 2.0)).unwrap();
    assert_ne!(old, new);
    store.close().unwrap();
    let (store, recovery) = crate::support::open(folder.path()).unwrap();
    assert!(recovery.is_clean());
    let found = contents(&store.reader(), EVER, &[]);
    let times: Vec<i64> = found.iter().flat_map(|(_, samples)| samples.iter().map(|(at, _)| *at)).collect();
    assert_eq!((found.len(), times), (2, vec![1, 2]));
}

#[test]
fn a_segment_that_was_made_and_not_written_is_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = crate::support::open(folder.path()).unwrap();
    store.append(Source(1), &series(1), sample(1, 1.0)).unwrap();
    store.close().unwrap();
    std::fs::write(folder.path().join("wal/segment-0000000002"), b"zv-w").unwrap();
    for _ in 0..2 {
        let (store, recovery) = crate::support::open(folder.path()).unwrap();
        assert!(recovery.is_clean() && recovery.torn_bytes == 4, "{recovery:?}");
        assert_eq!(contents(&store.reader(), EVER, &[]).len(), 1);
    }
}
