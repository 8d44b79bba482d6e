//! The captured output of replicas: kept in files, followed live.
//!
//! Each line gets a time that strictly grows within its replica, and that time is its name: a follower that goes from
//! the files to the live lines, or back after it fell behind, neither loses nor repeats one. Files are written by one
//! thread behind a bounded queue. Where the disk is slow or full, lines miss the files and are counted; followers
//! still get them, and neither the replica nor the supervisor waits.

mod capture;
mod read;
mod write;

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{broadcast, watch};

pub(super) use capture::capture;
pub(super) use read::follow;

use crate::logs::{LogLine, Output};
use crate::model::ReplicaId;

/// The lines a live follower may be behind before it reads from the files again.
const LIVE: usize = 512;
/// Files that are read at once.
const READERS: usize = 4;
/// How long a reader waits for lines on their way to the files.
const SYNC: Duration = Duration::from_secs(2);

/// The log files of one stack.
#[derive(Debug)]
pub(super) struct LogStore {
    folder: PathBuf,
    writer: write::Queue,
    dropped: Arc<AtomicU64>,
    /// Taken for writing while files are renamed, for reading while a reader opens them.
    rotation: Arc<RwLock<()>>,
    /// Readers of files at once: others need the threads that may block, too.
    turns: tokio::sync::Semaphore,
}

impl LogStore {
    /// Opens the folder and starts the writer, which ends when the store is dropped.
    pub(super) fn open(folder: PathBuf) -> std::io::Result<Self> {
        // What replicas say is not for every user of the host.
        std::fs::DirBuilder::new().recursive(true).mode(0o750).create(&folder)?;
        let (dropped, rotation) = (Arc::new(AtomicU64::new(0)), Arc::new(RwLock::new(())));
        let writer = write::Queue::start(folder.clone(), dropped.clone(), rotation.clone())?;
        Ok(Self { folder, writer, dropped, rotation, turns: tokio::sync::Semaphore::new(READERS) })
    }

    /// Counts the lines that reached no file.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Waits until everything captured so far is in the files, or until the disk has had its time.
    pub(super) async fn sync(&self) {
        self.writer.sync(SYNC).await;
    }

    /// Removes the files of replicas that are not among `names`.
    pub(super) fn keep_only(&self, names: &[String]) {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return };
        for entry in entries.flatten() {
            let file = entry.file_name();
            let of = |name: &String| generations(Path::new(""), name).iter().any(|path| *path == *file);
            if !names.iter().any(of)
                && let Err(error) = std::fs::remove_file(entry.path())
            {
                tracing::warn!(file = %entry.path().display(), error = %error, "an old log file cannot be removed");
            }
        }
    }
}

/// Returns the files of one log, newest first.
fn generations(folder: &Path, name: &str) -> [PathBuf; 3] {
    [format!("{name}.log"), format!("{name}.log.1"), format!("{name}.log.2")].map(|file| folder.join(file))
}

/// The place where the lines of one replica pass by.
#[derive(Debug)]
pub(super) struct Tap {
    id: ReplicaId,
    name: Arc<str>,
    store: Arc<LogStore>,
    // Held to number one line and hand it on, so that followers see lines in the order of their times. Never across an await.
    state: Mutex<TapState>,
    live: broadcast::Sender<Live>,
    open: watch::Sender<bool>,
}

#[derive(Debug)]
struct TapState {
    /// The time of the last line, in nanoseconds.
    last: i64,
    /// Counts the runs of the replica's process.
    run: u64,
}

#[derive(Debug, Clone)]
enum Live {
    Line(Arc<LogLine>),
    /// The process has ended and all it wrote was captured.
    End,
}

/// A follower's place at the tap.
struct Attached {
    live: broadcast::Receiver<Live>,
    last: i64,
    run: u64,
    open: bool,
}

impl Tap {
    /// Returns the tap of a replica; what earlier runs of the supervisor wrote is its history.
    pub(super) fn new(id: ReplicaId, name: &str, store: Arc<LogStore>) -> Self {
        let last = read::last_time(&store, name).unwrap_or(i64::MIN);
        let (live, _) = broadcast::channel(LIVE);
        let state = Mutex::new(TapState { last, run: 0 });
        Self { id, name: name.into(), store, state, live, open: watch::Sender::new(false) }
    }

    /// Forgets the history: the replica is a new one with a name that was in use before.
    pub(super) fn clear(&self) {
        self.store.writer.clear(&self.name);
    }

    /// A process has started.
    pub(super) fn begin(&self) {
        self.lock().run += 1;
        self.open.send_replace(true);
    }

    /// The process has ended and its output with it.
    pub(super) fn end(&self) {
        let _state = self.lock();
        self.open.send_replace(false);
        // Nobody follows: nobody to tell.
        let _followers = self.live.send(Live::End);
    }

    /// Waits until nothing more comes from the run there is.
    pub(super) async fn ended(&self) {
        // The sender is this tap's own.
        let mut open = self.open.subscribe();
        let _closed = open.wait_for(|open| !open).await;
    }

    /// Takes one line.
    pub(super) fn push(&self, output: Output, text: String, cut: bool, now: DateTime<Utc>) {
        let mut state = self.lock();
        state.last = now.timestamp_nanos_opt().unwrap_or(i64::MAX - 1).max(state.last.saturating_add(1));
        let at = DateTime::from_timestamp_nanos(state.last);
        let line = LogLine { replica: self.id.clone(), output, at, text, cut };
        self.store.writer.push(&self.name, &line);
        if self.live.receiver_count() > 0 {
            // The last follower may leave at this moment.
            let _followers = self.live.send(Live::Line(Arc::new(line)));
        }
    }

    /// Returns a receiver of all lines after those captured so far.
    fn attach(&self) -> Attached {
        let state = self.lock();
        Attached { live: self.live.subscribe(), last: state.last, run: state.run, open: *self.open.borrow() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, TapState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
