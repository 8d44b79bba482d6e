//! Keeps death records on disk, bounded: the oldest of the service that has most goes first, so that one that dies all
//! day leaves the others theirs. A disk that fails never loses the newest: they stay in memory until it works again.
//!
//! One file per death: a line of JSON with the summary, a line with the whole record. Files appear complete or not at all.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};

use super::{DeathRecord, Summary};
use crate::model::{ReplicaId, ServiceKey};

/// The records that are kept in memory while the disk fails.
const UNSAVED_LIMIT: usize = 20;
/// A record larger than this is not read back.
const FILE_LIMIT: u64 = 64 * 1024 * 1024;
/// Times of one death differ by no more.
const SAME_DEATH: TimeDelta = TimeDelta::seconds(5);
const EXTENSION: &str = "json";
/// That of a record being written.
const HALF_WRITTEN: &str = "tmp";

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub records: usize,
    pub bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { records: 200, bytes: 64 * 1024 * 1024 }
    }
}

/// The records of one host.
#[derive(Debug)]
pub struct DeathStore {
    /// Absent where nothing is to be written.
    dir: Option<PathBuf>,
    limits: Limits,
    /// Oldest first.
    kept: VecDeque<Kept>,
    /// Records that could not be written, oldest first.
    unsaved: VecDeque<DeathRecord>,
}

#[derive(Debug)]
struct Kept {
    summary: Summary,
    bytes: u64,
}

impl DeathStore {
    /// Opens a folder and reads what is there. A folder that cannot be used leaves a store in memory, and the reason.
    pub fn open(dir: Option<PathBuf>, limits: Limits) -> (Self, Option<io::Error>) {
        let mut store = Self { dir, limits, kept: VecDeque::new(), unsaved: VecDeque::new() };
        let trouble = store.load().err();
        (store, trouble)
    }

    /// Changes how much is kept, from the next record on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Keeps a record. An error says that it is in memory only, for now.
    pub fn save(&mut self, record: DeathRecord) -> io::Result<()> {
        self.unsaved.push_back(record);
        let result = self.write_unsaved();
        while self.unsaved.len() > UNSAVED_LIMIT {
            self.unsaved.pop_front();
        }
        result
    }

    /// Says whether there are records in memory only.
    pub fn has_unsaved(&self) -> bool {
        self.dir.is_some() && !self.unsaved.is_empty()
    }

    /// Tries again to write what could not be written.
    pub fn retry(&mut self) -> io::Result<()> {
        self.write_unsaved()
    }

    /// Returns the summaries, newest first.
    pub fn list(&self) -> impl Iterator<Item = &Summary> {
        let unsaved = self.unsaved.iter().rev().map(|record| &record.summary);
        unsaved.chain(self.kept.iter().rev().map(|kept| &kept.summary))
    }

    /// Says whether this death is on record, by whichever clock: the runtime's event, its inspection and the kernel
    /// each have a time of their own for it.
    pub fn has(&self, replica: &ReplicaId, at: DateTime<Utc>) -> bool {
        self.list().any(|summary| summary.replica == *replica && (summary.exit.at - at).abs() <= SAME_DEATH)
    }

    /// Reads one record.
    pub fn read(&self, id: &str) -> io::Result<Option<DeathRecord>> {
        if let Some(record) = self.unsaved.iter().find(|record| record.summary.id == id) {
            return Ok(Some(record.clone()));
        }
        // Only ids that were listed are opened: an id never becomes a path by itself.
        let (Some(dir), Some(kept)) = (&self.dir, self.kept.iter().find(|kept| kept.summary.id == id)) else {
            return Ok(None);
        };
        let file = File::open(path_of(dir, &kept.summary.id))?;
        let mut lines = BufReader::new(file.take(FILE_LIMIT)).lines();
        lines.next().transpose()?;
        let body = lines.next().transpose()?.unwrap_or_default();
        serde_json::from_str(&body).map(Some).map_err(io::Error::from)
    }

    fn load(&mut self) -> io::Result<()> {
        let Some(dir) = &self.dir else { return Ok(()) };
        fs::DirBuilder::new().recursive(true).mode(0o750).create(dir)?;
        let mut found = Vec::new();
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            let is = |wanted: &str| path.extension().is_some_and(|extension| extension == wanted);
            if is(EXTENSION) {
                found.extend(read_summary(&path));
            } else if is(HALF_WRITTEN) {
                // An earlier run was cut off; what cannot be removed is only in the way of nobody.
                let _ = fs::remove_file(&path);
            }
        }
        found.sort_by(|a, b| a.summary.id.cmp(&b.summary.id));
        self.kept = found.into();
        self.make_room()
    }

    fn write_unsaved(&mut self) -> io::Result<()> {
        let Some(dir) = self.dir.clone() else { return Ok(()) };
        while let Some(record) = self.unsaved.front() {
            let bytes = write_record(&dir, record)?;
            let Some(record) = self.unsaved.pop_front() else { break };
            self.kept.retain(|kept| kept.summary.id != record.summary.id);
            self.kept.push_back(Kept { summary: record.summary, bytes });
        }
        self.make_room()
    }

    fn make_room(&mut self) -> io::Result<()> {
        let Some(dir) = &self.dir else { return Ok(()) };
        let mut bytes: u64 = self.kept.iter().map(|kept| kept.bytes).sum();
        loop {
            let too_many = self.kept.len() > self.limits.records.max(1);
            if !too_many && (bytes <= self.limits.bytes || self.kept.len() <= 1) {
                return Ok(());
            }
            let greediest = if too_many {
                greediest(&self.kept, |_| 1)
            } else {
                greediest(&self.kept, |kept| kept.bytes)
            };
            let Some(oldest) = greediest.and_then(|place| self.kept.remove(place)) else { return Ok(()) };
            bytes -= oldest.bytes;
            fs::remove_file(path_of(dir, &oldest.summary.id)).or_else(|error| match error.kind() {
                io::ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            })?;
        }
    }
}

/// Returns the place of the oldest record of the service whose records weigh most; of two that weigh the same, of the one
/// with the older record.
fn greediest(kept: &VecDeque<Kept>, weight: impl Fn(&Kept) -> u64) -> Option<usize> {
    let mut services: BTreeMap<&ServiceKey, (u64, usize)> = BTreeMap::new();
    for (place, one) in kept.iter().enumerate() {
        services.entry(&one.summary.key).or_insert((0, place)).0 += weight(one);
    }
    let heaviest = services.into_values().max_by_key(|(weight, first)| (*weight, Reverse(*first)));
    heaviest.map(|(_, first)| first)
}

fn path_of(dir: &Path, id: &str) -> PathBuf {
    dir.join(format!("{id}.{EXTENSION}"))
}

/// Returns nothing for a file that is not a whole record: one bad file must not hide the others.
fn read_summary(path: &Path) -> Option<Kept> {
    let file = File::open(path).ok()?;
    let bytes = file.metadata().ok()?.len();
    let mut line = String::new();
    BufReader::new(file.take(FILE_LIMIT)).read_line(&mut line).ok()?;
    let summary: Summary = serde_json::from_str(&line).ok()?;
    let is_its_name = path.file_stem().is_some_and(|stem| stem == summary.id.as_str());
    is_its_name.then_some(Kept { summary, bytes })
}

fn write_record(dir: &Path, record: &DeathRecord) -> io::Result<u64> {
    let mut text = serde_json::to_vec(&record.summary)?;
    text.push(b'\n');
    serde_json::to_writer(&mut text, record)?;
    text.push(b'\n');
    let target = path_of(dir, &record.summary.id);
    let temporary = target.with_extension(HALF_WRITTEN);
    let result = write_whole(&temporary, &text).and_then(|()| fs::rename(&temporary, &target));
    if result.is_err() {
        // A full disk: what was written of it must not fill it further.
        let _ = fs::remove_file(&temporary);
    }
    result.map(|()| text.len() as u64)
}

fn write_whole(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(path)?;
    file.write_all(text)?;
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Exit, Health};

    fn record(second: i64, log: &str) -> DeathRecord {
        let at = DateTime::from_timestamp(1_700_000_000 + second, 0).unwrap();
        let replica = ReplicaId::new("../../etc/passwd");
        let line = crate::logs::LogLine {
            replica: replica.clone(),
            output: crate::logs::Output::Stderr,
            at,
            text: log.to_owned(),
            cut: false,
        };
        DeathRecord {
            summary: Summary {
                id: Summary::id_of(&replica, at),
                key: ServiceKey::new("shop", "api"),
                replica,
                name: "api-1".into(),
                exit: Exit { at, code: Some(1), oom: false },
                wanted: false,
            },
            host: "h".into(),
            image: "i".into(),
            image_id: "sha256:1".into(),
            started_at: None,
            restarts: 0,
            health: Health::default(),
            logs: vec![line],
            stats: Vec::new(),
            inspect: None,
        }
    }

    fn ids(store: &DeathStore) -> Vec<&str> {
        store.list().map(|summary| summary.id.as_str()).collect()
    }

    #[test]
    fn records_survive_a_restart_newest_first() {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, trouble) = DeathStore::open(Some(dir.path().join("deaths")), Limits::default());
        assert!(trouble.is_none());
        store.save(record(1, "one")).unwrap();
        store.save(record(2, "two")).unwrap();
        let (again, _) = DeathStore::open(Some(dir.path().join("deaths")), Limits::default());
        assert_eq!(ids(&again), ids(&store));
        let newest = again.list().next().unwrap().id.clone();
        assert_eq!(again.read(&newest).unwrap(), Some(record(2, "two")));
        assert!(again.has(&ReplicaId::new("../../etc/passwd"), record(1, "").summary.exit.at));
    }

    #[test]
    fn the_oldest_go_first_by_count_and_by_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let limits = Limits { records: 3, bytes: u64::MAX };
        let (mut store, _) = DeathStore::open(Some(dir.path().into()), limits);
        for second in 0..10 {
            store.save(record(second, "x")).unwrap();
        }
        assert_eq!(store.list().count(), 3);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
        store.set_limits(Limits { records: 100, bytes: 1 });
        store.save(record(11, "y")).unwrap();
        assert_eq!(ids(&store), [record(11, "").summary.id]);
    }

    #[test]
    fn a_service_that_dies_all_day_leaves_the_others_theirs() {
        let dir = tempfile::tempdir().unwrap();
        let limits = Limits { records: 4, bytes: u64::MAX };
        let (mut store, _) = DeathStore::open(Some(dir.path().into()), limits);
        for (second, service) in
            [(0, "db"), (1, "web"), (2, "api"), (3, "api"), (4, "api"), (5, "api"), (6, "web")]
        {
            let mut record = record(second, "x");
            record.summary.key = ServiceKey::new("shop", service);
            store.save(record).unwrap();
        }
        let left: Vec<&str> = store.list().map(|summary| &*summary.key.service).collect();
        assert_eq!(left, ["web", "api", "api", "db"]);
    }

    #[test]
    fn half_written_and_foreign_files_are_no_records() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("0000000000001-x.tmp"), "half").unwrap();
        fs::write(dir.path().join("0000000000002-x.json"), "{\"not\":").unwrap();
        fs::write(dir.path().join("0000000000003-x.json"), [0xff, 0xfe, b'\n']).unwrap();
        fs::write(dir.path().join("notes.txt"), "a person's").unwrap();
        let (store, trouble) = DeathStore::open(Some(dir.path().into()), Limits::default());
        assert!(trouble.is_none());
        assert_eq!(store.list().count(), 0);
        assert!(dir.path().join("notes.txt").exists());
        assert!(!dir.path().join("0000000000001-x.tmp").exists());
    }

    #[test]
    fn without_a_usable_disk_the_newest_stay_in_memory_and_are_written_later() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file/deaths");
        fs::write(dir.path().join("file"), "in the way").unwrap();
        let (mut store, trouble) = DeathStore::open(Some(path.clone()), Limits::default());
        assert!(trouble.is_some());
        for second in 0..30 {
            store.save(record(second, "x")).unwrap_err();
        }
        assert_eq!(store.list().count(), UNSAVED_LIMIT);
        let newest = store.list().next().unwrap().id.clone();
        assert_eq!(store.read(&newest).unwrap(), Some(record(29, "x")));
        fs::remove_file(dir.path().join("file")).unwrap();
        fs::create_dir_all(&path).unwrap();
        assert!(store.has_unsaved());
        store.retry().unwrap();
        assert!(!store.has_unsaved());
        store.save(record(31, "x")).unwrap();
        assert_eq!(fs::read_dir(&path).unwrap().count(), UNSAVED_LIMIT + 1);
    }

    #[test]
    fn ids_are_never_paths() {
        let (store, _) = DeathStore::open(None, Limits::default());
        assert_eq!(store.read("../../etc/passwd").unwrap(), None);
        assert_eq!(record(0, "").summary.id, "1700000000000-------etc-passwd");
    }
}
