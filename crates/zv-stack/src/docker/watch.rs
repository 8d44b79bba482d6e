//! Watches an engine: connects, reports, reconnects with back-off, and goes on watching processes meanwhile.

mod backoff;
mod declared;
mod event;
mod inspections;
mod known;
mod pids;
mod session;

use std::sync::Arc;

use futures_util::stream::BoxStream;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use self::backoff::Backoff;
use self::declared::ComposeFiles;
use self::pids::Pids;
use self::session::Session;
use super::Inner;
use super::engine::Engine;
use crate::input::Input;

/// Inputs that wait for the reader; while it is full, the engine's own stream waits.
const QUEUE: usize = 256;

/// Watches for as long as the returned stream is polled; nothing runs beside it.
pub(super) fn watch(inner: Arc<Inner>) -> BoxStream<'static, Input> {
    let (inputs, received) = mpsc::channel(QUEUE);
    let watcher = Watcher {
        inner,
        inputs,
        pids: Pids::default(),
        files: ComposeFiles::default(),
        down: None,
        reported_until: 0,
    };
    let driving = watcher.run().into_stream().filter_map(|()| std::future::ready(None));
    stream::select(ReceiverStream::new(received), driving).boxed()
}

/// The reader of the stream has gone.
#[derive(Debug)]
struct Closed;

/// What outlives a single connection.
struct Watcher {
    inner: Arc<Inner>,
    inputs: mpsc::Sender<Input>,
    pids: Pids,
    files: ComposeFiles,
    /// The reason that was last reported, while the engine is away.
    down: Option<String>,
    /// The newest event that was passed on, in the engine's nanoseconds.
    reported_until: i64,
}

impl Watcher {
    async fn run(mut self) {
        let mut backoff = Backoff::default();
        loop {
            let Ok(reason) = self.connection(&mut backoff).await else { return };
            tracing::debug!(reason, "the docker engine is away");
            if self.down.as_ref() != Some(&reason) {
                self.down = Some(reason.clone());
                if self.emit(Input::Down { reason }).await.is_err() {
                    return;
                }
            }
            let pause = tokio::time::sleep(backoff.next());
            if self.beside(pause).await.is_err() {
                return;
            }
        }
    }

    /// Goes through one connection, and returns why it ended.
    async fn connection(&mut self, backoff: &mut Backoff) -> Result<String, Closed> {
        let inner = Arc::clone(&self.inner);
        let engine = match self.beside(inner.connect()).await? {
            Ok(engine) => engine,
            Err(error) => return Ok(session::refused("GET /version", &error)),
        };
        let reason = self.session(engine, backoff).await;
        self.inner.forget();
        reason
    }

    async fn session(&mut self, engine: Arc<Engine>, backoff: &mut Backoff) -> Result<String, Closed> {
        let opening = event::subscribe(Arc::clone(&engine));
        let events = match self.beside(opening).await? {
            Ok(events) => events,
            Err(error) => return Ok(session::refused("GET /events", &error)),
        };
        self.down = None;
        let up = Input::Up {
            kind: "docker".to_owned(),
            version: engine.version.clone(),
            api_version: engine.api_version.clone(),
        };
        self.emit(up).await?;
        Session::new(self, engine, &events).run(events, backoff).await
    }

    /// Hands an input over. The future holds nothing of the watcher, which cannot be shared between threads.
    fn emit(&self, input: Input) -> impl Future<Output = Result<(), Closed>> + use<> {
        let inputs = self.inputs.clone();
        async move { inputs.send(input).await.map_err(|_| Closed) }
    }

    /// Waits for `other`, and reports ended processes meanwhile.
    async fn beside<T>(&mut self, other: impl Future<Output = T>) -> Result<T, Closed> {
        let mut other = std::pin::pin!(other);
        loop {
            tokio::select! {
                biased;
                (id, pid) = self.pids.ended() => self.emit(Input::ProcessEnded { id, pid }).await?,
                done = &mut other => return Ok(done),
            }
        }
    }
}

/// Reads what may be a line of an event stream, and makes of it what can be made.
#[cfg(any(test, fuzzing))]
pub(super) fn check_event(line: &str) {
    if let Ok(Some(message)) = event::parse(line) {
        let seen = session::introduce(&message);
        assert!(seen.id == message.id && seen.details.is_none());
        assert!(message.at().timestamp_nanos_opt().is_some());
    }
}
