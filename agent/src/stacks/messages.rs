//! The messages of the event stream: a snapshot first, then every change, and measurements between them.

use std::sync::Arc;

use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::broadcast;
use zv_api::{Change, LogLine, Snapshot, StatsPace};

use super::{Stacks, State};
use crate::metrics::own::Listening;

/// One message of the event stream.
#[derive(Debug, Clone)]
pub struct Message {
    /// Sent back as `Last-Event-ID`, it resumes after this message; empty for what is not told again.
    pub id: String,
    pub body: Body,
}

/// A snapshot comes first, and again where a listener missed too much; changes follow, and measurements between them
/// where they were asked for.
#[derive(Debug, Clone)]
pub enum Body {
    Snapshot(Box<Snapshot>),
    Change(Arc<Published>),
    /// A [`zv_api::StatsMessage`] as JSON.
    Stats(Arc<str>),
}

/// A change as it goes to every listener: written once, however many there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    pub seq: u64,
    /// A [`Change`] as JSON.
    pub json: String,
}

impl Published {
    /// Writes a change down.
    pub fn new(change: &Change) -> Self {
        let json =
            serde_json::to_string(change).expect("its maps have strings for keys, its numbers are finite");
        Self { seq: change.seq, json }
    }
}

/// One line with the cursor that resumes after it.
#[derive(Debug, Clone)]
pub struct LogMessage {
    pub cursor: String,
    pub line: LogLine,
}

impl Stacks {
    /// Streams changes after `last_event_id`, or from a snapshot on, and measurements where a pace for them is given; ends
    /// when the agent shuts down.
    pub fn events(
        &self,
        last_event_id: Option<&str>,
        stats: Option<StatsPace>,
    ) -> BoxStream<'static, Message> {
        let state = self.state();
        // Subscribed under the lock: nothing can fall between what is sent now and what is sent later.
        let receiver = self.inner.changes.subscribe();
        let first = match last_event_id.and_then(|id| self.changes_after(&state, id)) {
            Some(missed) => missed,
            None => vec![self.message(Body::Snapshot(Box::new(self.snapshot_of(&state))))],
        };
        drop(state);
        let follower =
            Follower { stacks: self.clone(), receiver, _listening: self.inner.collected.own().listening() };
        let later = stream::unfold(follower, |mut follower| async move {
            let message = follower.next().await?;
            Some((message, follower))
        });
        let stats = match stats {
            Some(pace) => self.inner.collected.stats(pace).map(Message::stats).boxed(),
            None => stream::pending().boxed(),
        };
        let later = stream::iter(first).chain(stream::select(later, stats));
        later.take_until(self.inner.closing.clone().cancelled_owned()).boxed()
    }

    fn message(&self, body: Body) -> Message {
        let seq = match &body {
            Body::Snapshot(snapshot) => snapshot.seq,
            Body::Change(change) => change.seq,
            Body::Stats(_) => return Message { id: String::new(), body },
        };
        Message { id: format!("{}-{seq}", self.inner.epoch), body }
    }

    /// Returns what came after the message with this id, if all of it is still there.
    fn changes_after(&self, state: &State, id: &str) -> Option<Vec<Message>> {
        let (epoch, seq) = id.rsplit_once('-')?;
        let seq: u64 = seq.parse().ok()?;
        let oldest = state.kept.front().map_or(state.seq + 1, |change| change.seq);
        let is_whole = epoch == self.inner.epoch && seq <= state.seq && oldest <= seq + 1;
        let missed = state.kept.iter().filter(|change| change.seq > seq);
        is_whole.then(|| missed.map(|change| self.message(Body::Change(Arc::clone(change)))).collect())
    }
}

impl Message {
    fn stats(json: Arc<str>) -> Self {
        Self { id: String::new(), body: Body::Stats(json) }
    }
}

/// One who follows the changes.
struct Follower {
    stacks: Stacks,
    receiver: broadcast::Receiver<Arc<Published>>,
    _listening: Listening,
}

impl Follower {
    async fn next(&mut self) -> Option<Message> {
        match self.receiver.recv().await {
            Ok(change) => Some(self.stacks.message(Body::Change(change))),
            Err(broadcast::error::RecvError::Lagged(_)) => {
                let state = self.stacks.state();
                self.receiver = self.stacks.inner.changes.subscribe();
                let snapshot = Body::Snapshot(Box::new(self.stacks.snapshot_of(&state)));
                drop(state);
                Some(self.stacks.message(snapshot))
            }
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
