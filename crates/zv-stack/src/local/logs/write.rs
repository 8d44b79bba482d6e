//! The one thread that writes log files, and the bounded queue in front of it.
//!
//! A line in a file is `NANOSECONDS FLAG TEXT\n`; the flag is `o` or `e` for the output, a capital where the line was
//! cut. What ends without `\n` was torn by a crash or a full disk: readers skip it, the writer cuts it off.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::oneshot;

use super::generations;
use crate::logs::{LINE_LIMIT, LogLine, Output};

/// A file that reaches this is set aside; two such are kept beside the current one.
pub(super) const ROTATE_AT: u64 = 4 * 1024 * 1024;
/// What waits for the disk: so many jobs, and so many bytes.
const QUEUE_JOBS: usize = 64 * 1024;
const QUEUE_BYTES: usize = 16 * 1024 * 1024;
/// What is written at once.
const BATCH_BYTES: usize = 64 * 1024;

enum Job {
    Line { name: Arc<str>, bytes: Vec<u8> },
    Clear { name: Arc<str> },
    Sync(oneshot::Sender<()>),
}

/// The way to the writer.
#[derive(Debug)]
pub(super) struct Queue {
    jobs: SyncSender<Job>,
    waiting: Arc<AtomicUsize>,
    dropped: Arc<AtomicU64>,
}

impl Queue {
    /// Starts the thread; it ends when the queue is dropped and empty.
    pub(super) fn start(
        folder: PathBuf,
        dropped: Arc<AtomicU64>,
        rotation: Arc<RwLock<()>>,
    ) -> io::Result<Self> {
        let (sender, jobs) = std::sync::mpsc::sync_channel(QUEUE_JOBS);
        let waiting = Arc::new(AtomicUsize::new(0));
        let writer = Writer {
            folder,
            rotation,
            dropped: dropped.clone(),
            waiting: waiting.clone(),
            files: HashMap::new(),
            failing: false,
        };
        std::thread::Builder::new().name("zv-local-logs".into()).spawn(move || writer.run(&jobs))?;
        Ok(Self { jobs: sender, waiting, dropped })
    }

    /// Hands on one line, or drops and counts it where too much waits already.
    pub(super) fn push(&self, name: &Arc<str>, line: &LogLine) {
        let bytes = format_line(line);
        let size = bytes.len();
        let full = self.waiting.fetch_add(size, Ordering::Relaxed) + size > QUEUE_BYTES;
        if full || self.jobs.try_send(Job::Line { name: name.clone(), bytes }).is_err() {
            self.waiting.fetch_sub(size, Ordering::Relaxed);
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Removes the files of one log, in order with its lines.
    pub(super) fn clear(&self, name: &Arc<str>) {
        if self.jobs.try_send(Job::Clear { name: name.clone() }).is_err() {
            tracing::warn!(replica.name = %name, "the log of an earlier replica stays: the disk is too slow");
        }
    }

    /// Waits until what was handed on before is written.
    pub(super) async fn sync(&self, at_most: Duration) {
        let written = async {
            let (done, wait) = oneshot::channel();
            let mut job = Job::Sync(done);
            while let Err(TrySendError::Full(back)) = self.jobs.try_send(job) {
                job = back;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            // An error means that the writer is gone, and nothing will be written.
            let _gone = wait.await;
        };
        if tokio::time::timeout(at_most, written).await.is_err() {
            tracing::warn!("log files are behind: the disk is too slow");
        }
    }
}

fn format_line(line: &LogLine) -> Vec<u8> {
    let flag = match (line.output, line.cut) {
        (Output::Stdout, false) => 'o',
        (Output::Stdout, true) => 'O',
        (Output::Stderr, false) => 'e',
        (Output::Stderr, true) => 'E',
    };
    format!("{} {flag} {}\n", line.at.timestamp_nanos_opt().unwrap_or_default(), line.text).into_bytes()
}

struct Writer {
    folder: PathBuf,
    rotation: Arc<RwLock<()>>,
    dropped: Arc<AtomicU64>,
    waiting: Arc<AtomicUsize>,
    files: HashMap<Arc<str>, Current>,
    /// The last write failed: said once, until one succeeds.
    failing: bool,
}

/// The newest file of one log.
struct Current {
    file: File,
    /// Bytes of whole lines.
    length: u64,
    /// Lines not yet written.
    batch: Vec<u8>,
}

impl Writer {
    fn run(mut self, jobs: &Receiver<Job>) {
        while let Ok(first) = jobs.recv() {
            let mut syncs = Vec::new();
            self.take(first, &mut syncs);
            while syncs.is_empty() {
                let Ok(job) = jobs.try_recv() else { break };
                self.take(job, &mut syncs);
            }
            self.write_all();
            for done in syncs {
                // The reader may have given up.
                let _gone = done.send(());
            }
        }
    }

    fn take(&mut self, job: Job, syncs: &mut Vec<oneshot::Sender<()>>) {
        match job {
            Job::Sync(done) => syncs.push(done),
            Job::Clear { name } => {
                self.files.remove(&name);
                for path in generations(&self.folder, &name) {
                    if let Err(error) = std::fs::remove_file(&path)
                        && error.kind() != io::ErrorKind::NotFound
                    {
                        tracing::warn!(file = %path.display(), error = %error, "an old log file cannot be removed");
                    }
                }
            }
            Job::Line { name, bytes } => {
                self.waiting.fetch_sub(bytes.len(), Ordering::Relaxed);
                if let Err(error) = self.append(&name, &bytes) {
                    self.failed(&error, 1);
                }
            }
        }
    }

    /// Adds a line to its batch; writes the batch where it is large or the file is full.
    fn append(&mut self, name: &Arc<str>, line: &[u8]) -> io::Result<()> {
        if !self.files.contains_key(name) {
            self.files.insert(name.clone(), Current::open(&generations(&self.folder, name)[0])?);
        }
        let Some(current) = self.files.get_mut(name) else { return Ok(()) };
        let size = (current.batch.len() + line.len()) as u64;
        let full = current.length > 0 && current.length + size > ROTATE_AT;
        if full || current.batch.len() + line.len() > BATCH_BYTES {
            self.write(name);
        }
        if full {
            self.rotate(name)?;
        }
        if let Some(current) = self.files.get_mut(name) {
            current.batch.extend_from_slice(line);
        }
        Ok(())
    }

    fn write_all(&mut self) {
        let names: Vec<Arc<str>> = self
            .files
            .iter()
            .filter(|(_, current)| !current.batch.is_empty())
            .map(|(name, _)| name.clone())
            .collect();
        for name in names {
            self.write(&name);
        }
    }

    /// Writes one batch whole or not at all.
    fn write(&mut self, name: &Arc<str>) {
        let Some(current) = self.files.get_mut(name) else { return };
        let batch = std::mem::take(&mut current.batch);
        let Err(error) = current.file.write_all(&batch) else {
            current.length += batch.len() as u64;
            self.failing = false;
            return;
        };
        let lost = batch.iter().filter(|&&byte| byte == b'\n').count() as u64;
        if let Err(error) = current.cut_back() {
            // Opened anew with the next line, which cuts off what is torn.
            tracing::warn!(replica.name = %name, error = %error, "a torn log line cannot be cut off");
            self.files.remove(name);
        }
        self.failed(&error, lost);
    }

    /// Sets the full file aside.
    fn rotate(&mut self, name: &Arc<str>) -> io::Result<()> {
        self.files.remove(name);
        let [current, older, oldest] = generations(&self.folder, name);
        let renamed = {
            let _renaming = self.rotation.write().unwrap_or_else(PoisonError::into_inner);
            let moved = std::fs::rename(&older, &oldest).or_else(unless_absent);
            moved.and_then(|()| std::fs::rename(&current, &older).or_else(unless_absent))
        };
        let opened = Current::open(&current)?;
        self.files.insert(name.clone(), opened);
        renamed
    }

    fn failed(&mut self, error: &io::Error, lines: u64) {
        self.dropped.fetch_add(lines, Ordering::Relaxed);
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!(folder = %self.folder.display(), error = %error, "log lines are lost: they cannot be written");
        }
    }
}

fn unless_absent(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

impl Current {
    fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().create(true).read(true).append(true).mode(0o640).open(path)?;
        let length = whole_lines(&mut file)?;
        file.set_len(length)?;
        Ok(Self { file, length, batch: Vec::new() })
    }

    fn cut_back(&mut self) -> io::Result<()> {
        self.file.set_len(self.length)
    }
}

/// Returns the length up to the last line end.
fn whole_lines(file: &mut File) -> io::Result<u64> {
    let size = file.metadata()?.len();
    let start = size.saturating_sub(LINE_LIMIT as u64 * 4);
    file.seek(SeekFrom::Start(start))?;
    let mut tail = Vec::new();
    file.take(size - start).read_to_end(&mut tail)?;
    Ok(tail.iter().rposition(|&byte| byte == b'\n').map_or(start, |at| start + at as u64 + 1))
}
