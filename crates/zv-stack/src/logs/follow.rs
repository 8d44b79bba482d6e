//! Follows services across their replicas: attaches to each one as it appears, again after each restart, and goes on
//! exactly where it stopped. Lines that exist already come ordered by time; later ones as they are written.

mod bell;
mod reader;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use chrono::{DateTime, Utc};
use futures_util::stream::{BoxStream, Stream, StreamExt};
use futures_util::task::AtomicWaker;

use super::LogLine;
use super::cursor::Cursor;
use crate::model::ReplicaId;
use crate::runtime::{LogError, LogRange, Runtime};
use bell::Bell;
use reader::Reader;

/// The replicas that are read at once; a host with more needs a narrower question.
pub const REPLICA_LIMIT: usize = 512;

/// One replica to read, in one of its lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub id: ReplicaId,
    /// Another number after each start of the replica.
    pub life: u64,
    /// When its last life ended, if one has.
    pub ended_at: Option<DateTime<Utc>>,
}

/// What to read.
#[derive(Debug, Clone, Default)]
pub struct Request {
    pub since: Option<DateTime<Utc>>,
    /// The last lines of each replica that exists when reading begins.
    pub tail: Option<u32>,
    /// Goes on with new lines and new replicas until it is dropped or the members end.
    pub follow: bool,
    /// Where an earlier reading stopped.
    pub cursor: Cursor,
}

/// Where the lines of one replica come from.
pub trait Source: Clone + Send + Unpin + 'static {
    /// Reads one replica; the stream ends with its process or with the range.
    fn read(&self, id: &ReplicaId, range: LogRange) -> BoxStream<'static, Result<LogLine, LogError>>;
}

impl Source for Runtime {
    fn read(&self, id: &ReplicaId, range: LogRange) -> BoxStream<'static, Result<LogLine, LogError>> {
        self.logs(id, range)
    }
}

/// A line, or word that one replica's log cannot be read.
#[derive(Debug, Clone)]
pub enum Item {
    Line(LogLine),
    Trouble { id: ReplicaId, error: LogError },
}

/// The merged lines of all members.
#[expect(missing_debug_implementations, reason = "it holds streams")]
pub struct Follow<S> {
    source: S,
    request: Request,
    /// Complete lists of the replicas to read; the last one counts.
    members: BoxStream<'static, Vec<Member>>,
    members_ended: bool,
    /// The first list has been taken: what comes later is new, and read from its start.
    begun: bool,
    readers: Vec<Reader>,
    cursor: Cursor,
    troubles: VecDeque<Item>,
    listener: Arc<AtomicWaker>,
}

impl<S: Source> Follow<S> {
    /// Reads the replicas that `members` names, and those it names later where the request follows.
    pub fn new(source: S, members: BoxStream<'static, Vec<Member>>, request: Request) -> Self {
        Self {
            source,
            cursor: request.cursor.clone(),
            request,
            members,
            members_ended: false,
            begun: false,
            readers: Vec::new(),
            troubles: VecDeque::new(),
            listener: Arc::default(),
        }
    }

    /// Returns how far was read: a request with it goes on after the last item.
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    fn poll_members(&mut self, cx: &mut Context<'_>) {
        while !self.members_ended && (self.request.follow || !self.begun) {
            match self.members.poll_next_unpin(cx) {
                Poll::Ready(Some(members)) => self.take_members(members),
                Poll::Ready(None) => self.members_ended = true,
                Poll::Pending => return,
            }
        }
    }

    fn take_members(&mut self, members: Vec<Member>) {
        let is_first = !std::mem::replace(&mut self.begun, true);
        // A replica that is gone is read to its end and then let go.
        self.readers
            .retain(|reader| !reader.is_idle() || members.iter().any(|member| member.id == reader.member.id));
        for member in members {
            if let Some(reader) = self.readers.iter_mut().find(|reader| reader.member.id == member.id) {
                reader.meet(member);
            } else if self.readers.len() < REPLICA_LIMIT {
                let bell = Bell::new(Arc::clone(&self.listener));
                self.readers.push(Reader::new(member, is_first, &self.request, bell));
            }
        }
        self.cursor.keep_only(self.readers.iter().map(|reader| &reader.member.id));
    }

    /// Fills the next line of every reader that has something to say. Says whether one of them may still bring lines
    /// older than those at hand.
    fn poll_readers(&mut self) -> bool {
        let mut backlog_is_missing = false;
        for reader in &mut self.readers {
            if let Err(error) = reader.fill(&self.source, &self.request, &self.cursor) {
                let id = reader.member.id.clone();
                self.troubles.push_back(Item::Trouble { id, error });
            }
            backlog_is_missing |= reader.owes_backlog();
        }
        backlog_is_missing
    }

    fn take_oldest(&mut self) -> Option<Item> {
        let oldest = self
            .readers
            .iter_mut()
            .filter(|reader| reader.line().is_some())
            .min_by_key(|reader| reader.line().map(|line| line.at))?;
        let line = oldest.take()?;
        self.cursor.advance(&line);
        Some(Item::Line(line))
    }

    fn is_over(&self) -> bool {
        let all_read = self.readers.iter().all(Reader::is_idle);
        all_read && (self.members_ended || (self.begun && !self.request.follow))
    }
}

impl<S: Source> Stream for Follow<S> {
    type Item = Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        // Before the readers are asked: whoever rings from now on is heard.
        self.listener.register(cx.waker());
        self.poll_members(cx);
        let backlog_is_missing = self.poll_readers();
        if let Some(trouble) = self.troubles.pop_front() {
            return Poll::Ready(Some(trouble));
        }
        if backlog_is_missing {
            return Poll::Pending;
        }
        match self.take_oldest() {
            Some(item) => Poll::Ready(Some(item)),
            None if self.is_over() => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}
