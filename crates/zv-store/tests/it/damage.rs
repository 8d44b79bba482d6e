//! Every byte of every file may be wrong, and every file may end anywhere: the store opens, and counts what it lost.

use std::fs;
use std::path::{Path, PathBuf};

use zv_store::{Source, Store, StoreError};

use crate::support::{Contents, EVER, contents, count, open, quick, sample, series};

/// Fills a store with a block, a checkpoint and a log. Returns what is in it.
fn fill(folder: &Path) -> Contents {
    let (mut store, _) = open(folder).unwrap();
    for round in 0..10 {
        for number in 0..3 {
            store.append(Source(1), &series(number), sample(round * 300, (round * round) as f64)).unwrap();
        }
        store.commit();
        if round == 6 {
            store.maintain(round * 300).unwrap();
        }
    }
    let all = contents(&store.reader(), EVER, &[]);
    assert_eq!(count(&all), 30);
    assert_eq!(store.reader().counters().blocks.get(), 1);
    all
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else if !path.ends_with("lock") && !path.parent().unwrap().ends_with("head") {
            all.push(path);
        }
    }
    all.sort();
    all
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(file, target).unwrap();
    }
}

/// Opens what is damaged. All that is read must have been written, and what is missing must be counted.
fn survives(folder: &Path, all: &Contents, what: &str, also_later: bool) {
    let (store, recovery) = match open(folder) {
        Ok(opened) => opened,
        Err(error) => panic!("{what}: {error}"),
    };
    let left = contents(&store.reader(), EVER, &[]);
    for (labels, samples) in &left {
        let (_, expected) =
            all.iter().find(|(other, _)| other == labels).unwrap_or_else(|| panic!("{what}: {labels:?}"));
        assert!(samples.iter().all(|sample| expected.contains(sample)), "{what}: {labels:?} {samples:?}");
    }
    let is_told = !recovery.is_clean()
        || recovery.torn_bytes > 0
        || recovery.repaired_blocks > 0
        || store.reader().counters().chunks_lost.get() > 0;
    assert!(left == *all || is_told, "{what}: {} of {} and no word", count(&left), count(all));
    drop(store);
    if !also_later {
        return;
    }
    let (mut store, _) = open(folder).unwrap();
    assert_eq!(contents(&store.reader(), EVER, &[]), left, "{what}: opened again");
    store.append(Source(1), &series(7), sample(5000, 1.0)).unwrap();
    store.maintain(20_000).unwrap();
    store.close().unwrap();
}

#[test]
fn every_byte_may_be_wrong() {
    let (origin, damaged) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let all = fill(origin.path());
    for file in files(origin.path()) {
        let bytes = fs::read(&file).unwrap();
        let name = file.strip_prefix(origin.path()).unwrap();
        for place in 0..bytes.len() {
            let folder = damaged.path().join("store");
            copy(origin.path(), &folder);
            let mut broken = bytes.clone();
            broken[place] ^= 1 << (place % 8);
            fs::write(folder.join(name), broken).unwrap();
            survives(&folder, &all, &format!("byte {place} of {}", name.display()), place % 8 == 0);
            fs::remove_dir_all(&folder).unwrap();
        }
    }
}

#[test]
fn every_file_may_end_anywhere() {
    let (origin, damaged) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let all = fill(origin.path());
    for file in files(origin.path()) {
        let bytes = fs::read(&file).unwrap();
        let name = file.strip_prefix(origin.path()).unwrap();
        for len in 0..bytes.len() {
            let folder = damaged.path().join("store");
            copy(origin.path(), &folder);
            fs::write(folder.join(name), &bytes[..len]).unwrap();
            // An end on the border of two records is not told from a process that ended there.
            let is_border = name.starts_with("wal") && is_border(&bytes, len);
            if is_border {
                open(&folder).unwrap();
            } else {
                survives(&folder, &all, &format!("{len} bytes of {}", name.display()), len % 8 == 0);
            }
            fs::remove_dir_all(&folder).unwrap();
        }
    }
}

fn is_border(bytes: &[u8], len: usize) -> bool {
    // A file that was made and not yet written to.
    if len == 0 && bytes.starts_with(b"zv-wal") {
        return true;
    }
    let mut at = 16;
    while at < len {
        let payload = u32::from_le_bytes(bytes[at + 2..at + 6].try_into().unwrap());
        at += 14 + payload as usize;
    }
    at == len
}

#[test]
fn what_a_newer_version_wrote_is_left_alone() {
    // The header of version 2: its checksum is right.
    let header = b"zv-wal\0\0\x02\0\0\0\x15\x1d\x91\x14";
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path());
    let segment =
        files(folder.path()).into_iter().rfind(|file| file.to_string_lossy().contains("segment")).unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    bytes[..16].copy_from_slice(header);
    fs::write(&segment, &bytes).unwrap();
    let refused = Store::open(folder.path(), &quick()).unwrap_err();
    assert!(matches!(refused, StoreError::Version { version: 2, .. }), "{refused}");
    assert_eq!(fs::read(&segment).unwrap(), bytes);
}

#[test]
fn two_processes_do_not_write_to_one_store() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(folder.path(), &quick()).unwrap();
    assert!(matches!(Store::open(folder.path(), &quick()), Err(StoreError::InUse { .. })));
    drop(store);
    assert!(Store::open(folder.path(), &quick()).is_ok());
}
