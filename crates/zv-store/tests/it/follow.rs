//! Whoever follows the log gets every sample once and in order, also across restarts, and keeps what it needs.

use zv_store::{Cursor, Follower, Source, Store};

use crate::support::{open, sample, series};

fn write(store: &mut Store, rounds: std::ops::Range<i64>) {
    for round in rounds {
        for number in 0..4 {
            // A series that ends, and one that begins.
            if (number != 0 || round < 150) && (number != 1 || round > 100) {
                store.append(Source(1), &series(number), sample(round * 20, (round * 3) as f64)).unwrap();
            }
        }
        store.commit();
        if round % 10 == 9 {
            store.maintain(round * 20).unwrap();
        }
    }
}

/// Reads what there is and stops after so many batches.
fn read(follower: &mut Follower, most: usize, out: &mut Vec<(String, i64, u64)>) -> Option<Cursor> {
    let mut last = None;
    for _ in 0..most {
        let Some(batch) = follower.next_batch().unwrap() else { break };
        assert_eq!(batch.lost, 0);
        for (labels, sample) in batch.samples {
            out.push((labels.get("n").to_owned(), sample.at, sample.value.to_bits()));
        }
        last = Some(batch.cursor);
    }
    last
}

#[test]
fn every_sample_comes_once_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = open(folder.path()).unwrap();
    let mut follower = store.follow("remote", None).unwrap().unwrap();
    let mut all = Vec::new();
    write(&mut store, 0..200);
    // It stops in the middle, the store goes on without it, and both start again.
    let cursor = read(&mut follower, 33, &mut all).unwrap();
    follower.done(cursor);
    drop(follower);
    write(&mut store, 200..400);
    store.close().unwrap();
    let (mut store, _) = open(folder.path()).unwrap();
    let mut follower = store.follow("remote", Some(cursor)).unwrap().unwrap();
    write(&mut store, 400..450);
    let cursor = read(&mut follower, usize::MAX, &mut all).unwrap();
    assert!(follower.next_batch().unwrap().is_none());

    let mut expected = Vec::new();
    for round in 0..450 {
        let there = (0..4).filter(|number| (*number != 0 || round < 150) && (*number != 1 || round > 100));
        expected.extend(there.map(|number| (number.to_string(), round * 20, ((round * 3) as f64).to_bits())));
    }
    assert_eq!(all, expected);

    // Once it is done with them, and only then, segments go.
    let segments = || std::fs::read_dir(folder.path().join("wal")).unwrap().count();
    let before = segments();
    follower.done(cursor);
    write(&mut store, 450..600);
    assert!(segments() < before, "{} of {before} files are left", segments());
}
