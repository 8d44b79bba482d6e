//! Reads log files back, and follows: files first, then live lines, without a seam.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::sync::{Arc, PoisonError};

use chrono::DateTime;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{Live, LogStore, Tap, generations};
use crate::logs::{LINE_LIMIT, LogLine, Output};
use crate::model::ReplicaId;
use crate::runtime::{LogError, LogRange};

/// The longest line of a file: bytes that are not UTF-8 grow when they are replaced.
const MAX_STORED: u64 = LINE_LIMIT as u64 * 3 + 64;

/// What is read from the files at once.
const BATCH_LINES: usize = 256;
const BATCH_BYTES: usize = 256 * 1024;
/// So much is read through rather than searched.
const STRIDE: u64 = 64 * 1024;
/// Lines that wait for the reader.
const QUEUE: usize = 16;

/// Which lines of the files.
#[derive(Debug, Clone, Copy)]
struct Filter {
    /// Lines after this time.
    after: i64,
    tail: Option<u32>,
}

/// Streams the log behind a tap.
pub(in crate::local) fn follow(
    tap: Arc<Tap>,
    range: LogRange,
) -> BoxStream<'static, Result<LogLine, LogError>> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let work = async move {
        // An error means that the stream's reader is gone: nothing more to do.
        let _left = run(&tap, range, &sender).await;
    };
    // The work goes on only while the stream is polled, and is dropped with it.
    let work = stream::once(work).filter_map(|()| std::future::ready(None));
    stream::select(ReceiverStream::new(receiver), work).boxed()
}

type Lines = mpsc::Sender<Result<LogLine, LogError>>;
type Left = mpsc::error::SendError<Result<LogLine, LogError>>;

async fn run(tap: &Arc<Tap>, range: LogRange, lines: &Lines) -> Result<(), Left> {
    let since = range.since.and_then(|since| since.timestamp_nanos_opt()).unwrap_or(i64::MIN);
    let mut filter = Filter { after: since.saturating_sub(1), tail: range.tail };
    let mut first_run = None;
    loop {
        let mut attached = tap.attach();
        tap.store.sync().await;
        send_history(tap, &mut filter, lines).await?;
        filter = Filter { after: filter.after.max(attached.last), tail: None };
        if !range.follow || !attached.open || *first_run.get_or_insert(attached.run) != attached.run {
            return Ok(());
        }
        loop {
            match attached.live.recv().await {
                Ok(Live::Line(line)) if nanoseconds(&line) > filter.after => {
                    filter.after = nanoseconds(&line);
                    lines.send(Ok((*line).clone())).await?;
                }
                Ok(Live::Line(_)) => {}
                Ok(Live::End) | Err(RecvError::Closed) => return Ok(()),
                // What was missed is in the files.
                Err(RecvError::Lagged(_)) => break,
            }
        }
    }
}

fn nanoseconds(line: &LogLine) -> i64 {
    line.at.timestamp_nanos_opt().unwrap_or(i64::MAX)
}

/// Sends what is in the files and moves the filter behind it.
async fn send_history(tap: &Arc<Tap>, filter: &mut Filter, lines: &Lines) -> Result<(), Left> {
    let mut history = History::new(tap.clone(), *filter);
    loop {
        let turn = tap.store.turns.acquire().await;
        let reading = tokio::task::spawn_blocking(move || history.batch().map(|batch| (history, batch)));
        let read = reading.await;
        drop(turn);
        let batch = match read.map_err(io::Error::other).flatten() {
            Ok((_, batch)) if batch.is_empty() => return Ok(()),
            Ok((rest, batch)) => {
                history = rest;
                batch
            }
            Err(error) => return lines.send(Err(LogError::Unreadable(error.to_string()))).await,
        };
        for line in batch {
            filter.after = filter.after.max(nanoseconds(&line));
            lines.send(Ok(line)).await?;
        }
    }
}

/// The files of one log being read, oldest first, a batch at a time: no thread ever waits for whoever takes the lines.
struct History {
    tap: Arc<Tap>,
    filter: Filter,
    /// Absent until the first batch.
    files: Option<VecDeque<BufReader<File>>>,
    /// Lines that are only handed out once all was read: the tail.
    last: VecDeque<LogLine>,
}

impl History {
    fn new(tap: Arc<Tap>, filter: Filter) -> Self {
        Self { tap, filter, files: None, last: VecDeque::new() }
    }

    /// Returns the next lines; none once all have been returned. Blocks.
    fn batch(&mut self) -> io::Result<Vec<LogLine>> {
        let mut files = match self.files.take() {
            Some(files) => files,
            None => {
                let files = open_all(&self.tap.store, &self.tap.name)?.into_iter();
                files.map(|file| wanted_part(file, self.filter.after)).collect::<io::Result<_>>()?
            }
        };
        let (mut batch, mut bytes, mut raw) = (Vec::new(), 0, Vec::new());
        while batch.len() < BATCH_LINES
            && bytes < BATCH_BYTES
            && let Some(reader) = files.front_mut()
        {
            raw.clear();
            if reader.by_ref().take(MAX_STORED).read_until(b'\n', &mut raw)? == 0 {
                files.pop_front();
                continue;
            }
            // What has no end is torn, or still being written; what cannot be parsed was torn before.
            let line = parse(&raw, &self.tap.id).filter(|line| nanoseconds(line) > self.filter.after);
            let Some(line) = line else { continue };
            match self.filter.tail {
                Some(tail) => {
                    self.last.push_back(line);
                    if self.last.len() > tail as usize {
                        self.last.pop_front();
                    }
                }
                None => {
                    bytes += line.text.len();
                    batch.push(line);
                }
            }
        }
        while batch.len() < BATCH_LINES
            && bytes < BATCH_BYTES
            && let Some(line) = self.last.pop_front()
        {
            bytes += line.text.len();
            batch.push(line);
        }
        self.files = Some(files);
        Ok(batch)
    }
}

/// Opens all generations at one moment between two rotations, oldest first.
fn open_all(store: &LogStore, name: &str) -> io::Result<Vec<File>> {
    let _no_renaming = store.rotation.read().unwrap_or_else(PoisonError::into_inner);
    let mut files = Vec::new();
    for path in generations(&store.folder, name).iter().rev() {
        match File::open(path) {
            Ok(file) => files.push(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(files)
}

/// Returns a reader that begins shortly before the first line after this time: lines are in the order of their times, and
/// a follower that fell behind must not read megabytes to go on.
pub(super) fn wanted_part(mut file: File, after: i64) -> io::Result<BufReader<File>> {
    let id = ReplicaId::new("");
    // Nothing wanted lies before `low`, where a line begins; `high` may lie anywhere.
    let (mut low, mut high) = (0, file.metadata()?.len());
    while high - low > STRIDE {
        let middle = low + (high - low) / 2;
        file.seek(SeekFrom::Start(middle))?;
        let mut reader = BufReader::with_capacity(4096, file.by_ref().take(MAX_STORED * 2));
        let skipped = reader.skip_until(b'\n')?;
        let mut raw = Vec::new();
        reader.read_until(b'\n', &mut raw)?;
        match parse(&raw, &id) {
            Some(line) if nanoseconds(&line) <= after => low = middle + skipped as u64,
            // A torn line tells nothing: begin earlier rather than lose one.
            Some(_) | None => high = middle,
        }
    }
    file.seek(SeekFrom::Start(low))?;
    Ok(BufReader::with_capacity(64 * 1024, file))
}

fn parse(raw: &[u8], id: &ReplicaId) -> Option<LogLine> {
    let text = std::str::from_utf8(raw.strip_suffix(b"\n")?).ok()?;
    let (time, rest) = text.split_once(' ')?;
    let (flag, text) = rest.split_once(' ')?;
    let (output, cut) = match flag {
        "o" => (Output::Stdout, false),
        "O" => (Output::Stdout, true),
        "e" => (Output::Stderr, false),
        "E" => (Output::Stderr, true),
        _ => return None,
    };
    let at = DateTime::from_timestamp_nanos(time.parse().ok()?);
    Some(LogLine { replica: id.clone(), output, at, text: text.to_owned(), cut })
}

/// Returns the time of the newest line in the files.
pub(super) fn last_time(store: &LogStore, name: &str) -> Option<i64> {
    let read = || -> io::Result<Option<i64>> {
        for mut file in open_all(store, name)?.into_iter().rev() {
            let size = file.metadata()?.len();
            file.seek(SeekFrom::Start(size.saturating_sub(MAX_STORED)))?;
            let mut end = Vec::new();
            file.take(MAX_STORED).read_to_end(&mut end)?;
            let id = ReplicaId::new("");
            if let Some(line) =
                end.split_inclusive(|&byte| byte == b'\n').rev().find_map(|raw| parse(raw, &id))
            {
                return Ok(line.at.timestamp_nanos_opt());
            }
        }
        Ok(None)
    };
    read().unwrap_or_else(|error| {
        tracing::warn!(replica.name = name, error = %error, "an earlier log cannot be read");
        None
    })
}
