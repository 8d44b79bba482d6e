//! A disk that is full or takes nothing: samples stay in memory, everybody is told, and it recovers.

use std::sync::Arc;

use zv_store::{AppendError, Condition, Limits, Options, Source, Store};

use crate::disk::Small;
use crate::support::{EVER, contents, count, quick, sample, series};

fn fill(store: &mut Store, rounds: std::ops::Range<i64>) {
    for round in rounds {
        for number in 0..5 {
            store.append(Source(1), &series(number), sample(round * 10, round as f64 / 3.0)).unwrap();
        }
        store.commit();
    }
}

#[test]
fn a_full_disk_loses_nothing_that_memory_holds() {
    // Full at every place once: in the log, in a chunk file, in a checkpoint, in a block.
    for free in (0..6000).step_by(97) {
        let (folder, disk) = (tempfile::tempdir().unwrap(), Small::new());
        let (mut store, _) = Store::open_with(Arc::new(disk.clone()), folder.path(), &quick()).unwrap();
        fill(&mut store, 0..100);
        disk.set(free);
        fill(&mut store, 100..300);
        let _ = store.maintain(3000);
        assert_eq!(count(&contents(&store.reader(), EVER, &[])), 1500, "{free} bytes free: in memory");
        if free == 0 {
            assert_eq!(store.condition(), Condition::MemoryOnly);
            assert_eq!(store.reader().counters().memory_only.get(), 1);
            assert!(store.reader().counters().unlogged.get() > 900);
            assert!(store.maintain(3000).is_err());
        }
        disk.set(i64::MAX);
        assert_eq!(store.maintain(3000).unwrap(), Condition::Durable, "{free} bytes free: recovered");
        fill(&mut store, 300..310);
        let all = contents(&store.reader(), EVER, &[]);
        assert_eq!(count(&all), 1550);
        drop(store);
        let (store, recovery) = Store::open(folder.path(), &quick()).unwrap();
        assert!(recovery.is_clean(), "{free}: {recovery:?}");
        assert_eq!(contents(&store.reader(), EVER, &[]), all, "{free} bytes free: opened again");
    }
}

#[test]
fn a_store_opens_on_a_disk_that_is_read_only() {
    let (folder, disk) = (tempfile::tempdir().unwrap(), Small::new());
    let (mut store, _) = Store::open(folder.path(), &quick()).unwrap();
    fill(&mut store, 0..300);
    store.maintain(3000).unwrap();
    store.close().unwrap();
    disk.set(-1);
    let (mut store, recovery) = Store::open_with(Arc::new(disk.clone()), folder.path(), &quick()).unwrap();
    assert!(recovery.is_clean() && recovery.disk_errors > 0, "{recovery:?}");
    assert_eq!(store.condition(), Condition::MemoryOnly);
    fill(&mut store, 300..310);
    assert_eq!(count(&contents(&store.reader(), EVER, &[])), 1550);
    disk.set(i64::MAX);
    assert_eq!(store.maintain(3100).unwrap(), Condition::Durable);
    store.close().unwrap();
    let (store, _) = Store::open(folder.path(), &quick()).unwrap();
    assert_eq!(count(&contents(&store.reader(), EVER, &[])), 1550);
}

#[test]
fn memory_that_stands_in_for_a_disk_is_bounded() {
    let (folder, disk) = (tempfile::tempdir().unwrap(), Small::new());
    let limits = Limits { heap_chunk_bytes: 10_000, ..Limits::default() };
    let options = Options { limits, ..quick() };
    let (mut store, _) = Store::open_with(Arc::new(disk.clone()), folder.path(), &options).unwrap();
    disk.set(0);
    let mut refused = None;
    for at in 0..100_000 {
        refused = store.append(Source(1), &series(1), sample(at, at as f64 / 3.0)).err();
        if refused.is_some() {
            break;
        }
    }
    assert_eq!(refused, Some(AppendError::Full));
    assert!(store.reader().counters().heap_chunk_bytes.get() < 12_000);
    disk.set(i64::MAX);
    store.maintain(0).unwrap();
    store.append(Source(1), &series(1), sample(100_000, 1.0)).unwrap();
}

#[test]
fn what_could_not_be_synced_is_synced_later() {
    let (folder, disk) = (tempfile::tempdir().unwrap(), Small::new());
    let (mut store, _) = Store::open_with(Arc::new(disk.clone()), folder.path(), &quick()).unwrap();
    let syncer = store.syncer();
    fill(&mut store, 0..1);
    disk.set(-1);
    assert!(syncer.sync().is_err());
    disk.set(i64::MAX);
    assert!(syncer.sync().is_ok());
}
