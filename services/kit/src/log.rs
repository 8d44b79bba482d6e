//! JSON lines on standard output, written by a thread of their own: whoever logs never waits for a slow reader.
//! What does not fit into the queue is dropped and counted.

use std::fmt;
use std::io::Write;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::time::Duration;

use prometheus::IntCounter;
use serde::Serialize;
use tokio::sync::oneshot;

use crate::clock;

/// Lines waiting for the writer; at about 300 bytes each this bounds what a stuck reader costs to a megabyte or so.
const QUEUE: usize = 4096;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

impl Level {
    /// Returns the level called `text`, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Debug, Self::Info, Self::Warn, Self::Error]
            .into_iter()
            .find(|level| level.name().eq_ignore_ascii_case(text))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// A service's log. Cheap to clone.
#[derive(Clone)]
pub struct Log {
    sender: SyncSender<Message>,
    dropped: IntCounter,
    level: Level,
    /// The part of every line that is always the same: service and replica.
    origin: Arc<[u8]>,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("level", &self.level).field("dropped", &self.dropped.get()).finish()
    }
}

enum Message {
    Line(Vec<u8>),
    Flush(oneshot::Sender<()>),
}

/// Where lines of a log come from and go to.
pub(crate) struct Outlet {
    pub(crate) output: Box<dyn Write + Send>,
    pub(crate) dropped: IntCounter,
    pub(crate) level: Level,
    pub(crate) service: &'static str,
    pub(crate) replica: String,
}

impl Log {
    /// Starts the writer, which ends when the last clone of the log is gone.
    pub(crate) fn start(outlet: Outlet) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(QUEUE);
        let mut origin = Line(Vec::new());
        origin.field("service", outlet.service);
        origin.field("replica", &outlet.replica);
        let (output, dropped) = (outlet.output, outlet.dropped.clone());
        let writer = std::thread::Builder::new().name("log".into());
        writer.spawn(move || write_all(&receiver, output, &dropped))?;
        Ok(Self { sender, dropped: outlet.dropped, level: outlet.level, origin: origin.0.into() })
    }

    /// Says whether lines of `level` are written.
    pub fn enabled(&self, level: Level) -> bool {
        level >= self.level
    }

    /// Writes one line. `fields` adds to it, and is not called where the level is off.
    pub fn write(&self, level: Level, message: &str, fields: impl FnOnce(&mut Line)) {
        if !self.enabled(level) {
            return;
        }
        let mut line = Line(Vec::with_capacity(320));
        line.field("time", &clock::text(clock::now()));
        line.field("level", level.name());
        line.0.extend_from_slice(b",");
        line.0.extend_from_slice(&self.origin[1..]);
        line.field("message", message);
        fields(&mut line);
        line.0.extend_from_slice(b"}\n");
        match self.sender.try_send(Message::Line(line.0)) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.dropped.inc(),
        }
    }

    /// Writes a line that matters in normal operation.
    pub fn info(&self, message: &str, fields: impl FnOnce(&mut Line)) {
        self.write(Level::Info, message, fields);
    }

    /// Writes a line about something that failed.
    pub fn error(&self, message: &str, fields: impl FnOnce(&mut Line)) {
        self.write(Level::Error, message, fields);
    }

    /// Waits until what was logged so far is written, but no longer than `deadline`: a stuck reader must not keep a
    /// process alive. Says whether all of it was.
    pub async fn flush(&self, deadline: Duration) -> bool {
        let flushed = async {
            let (done, written) = oneshot::channel();
            let mut message = Message::Flush(done);
            while let Err(refused) = self.sender.try_send(message) {
                let TrySendError::Full(back) = refused else { return false };
                message = back;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            written.await.is_ok()
        };
        tokio::time::timeout(deadline, flushed).await.unwrap_or(false)
    }
}

/// A line in the making.
#[derive(Debug)]
pub struct Line(Vec<u8>);

impl Line {
    /// Adds a field. Names are the kit's or the service's own and never repeat within a line.
    pub fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        let before = self.0.len();
        self.0.push(if before == 0 { b'{' } else { b',' });
        let written = serde_json::to_writer(&mut self.0, name).and_then(|()| {
            self.0.push(b':');
            serde_json::to_writer(&mut self.0, value)
        });
        if written.is_err() {
            // A value that is no JSON (a map with odd keys) loses its field, never the line.
            self.0.truncate(before);
        }
    }
}

/// Writes what comes, and flushes whenever nothing more is waiting.
fn write_all(receiver: &Receiver<Message>, output: Box<dyn Write + Send>, dropped: &IntCounter) {
    let mut output = std::io::BufWriter::with_capacity(32 * 1024, output);
    let mut next = receiver.recv().ok();
    while let Some(message) = next {
        match message {
            Message::Line(line) => {
                if output.write_all(&line).is_err() {
                    dropped.inc();
                }
            }
            Message::Flush(done) => {
                if output.flush().is_ok() {
                    // Whoever asked may have given up waiting, which is fine.
                    let _gave_up = done.send(());
                }
            }
        }
        next = match receiver.try_recv() {
            Ok(message) => Some(message),
            Err(TryRecvError::Disconnected) => None,
            Err(TryRecvError::Empty) => {
                if output.flush().is_err() {
                    dropped.inc();
                }
                receiver.recv().ok()
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// Stands for a reader that takes nothing until it is let go.
    struct Stuck(mpsc::Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _until_let_go = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn log(output: impl Write + Send + 'static) -> Log {
        let dropped = IntCounter::new("dropped", "test").unwrap();
        let output = Box::new(output);
        let outlet = Outlet { output, dropped, level: Level::Info, service: "s", replica: "r\"1".into() };
        Log::start(outlet).unwrap()
    }

    #[tokio::test]
    async fn a_line_is_one_json_object_whatever_is_in_it() {
        let kept = Kept::default();
        let log = log(kept.clone());
        log.info("a\nb", |line| line.field("path", "/\u{1b}[31m\r\n{}\""));
        log.write(Level::Debug, "off", |_| panic!("fields of a line that is off are not asked for"));
        assert!(log.flush(Duration::from_secs(10)).await);
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["message"], "a\nb");
        assert_eq!(line["path"], "/\u{1b}[31m\r\n{}\"");
        assert_eq!(
            (&line["service"], &line["replica"], &line["level"]),
            (&"s".into(), &"r\"1".into(), &"info".into())
        );
        assert!(text.starts_with("{\"time\":\""), "{text}");
    }

    #[tokio::test]
    async fn a_stuck_reader_costs_lines_and_never_time() {
        let (let_go, held) = mpsc::channel();
        let log = log(Stuck(held));
        let long = "x".repeat(1000);
        for _ in 0..QUEUE * 2 {
            log.info(&long, |_| {});
        }
        assert!(log.dropped.get() > 0);
        assert!(log.dropped.get() < 2 * QUEUE as u64);
        assert!(!log.flush(Duration::from_millis(20)).await);
        drop(let_go);
        assert!(log.flush(Duration::from_secs(10)).await);
    }
}
