//! Reads one replica through its lives: first what is there already, then what is written.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use chrono::{DateTime, Utc};
use futures_util::stream::{BoxStream, StreamExt};

use super::bell::Bell;
use super::{Member, Request, Source};
use crate::logs::LogLine;
use crate::logs::cursor::{Cursor, Mark};
use crate::runtime::{LogError, LogRange};

type Lines = BoxStream<'static, Result<LogLine, LogError>>;

/// Where a reader stands.
enum Phase {
    /// To be opened when polled next; `backlog` lines are read to their end before any is handed out.
    Opening {
        backlog: bool,
        tail: Option<u32>,
    },
    Backlog(Lines),
    Live(Lines),
    /// The life is read to its end.
    Idle,
    /// Reading failed; the next word of the replica tries again.
    Failed,
}

/// One replica being read.
pub(super) struct Reader {
    pub(super) member: Member,
    next: Option<LogLine>,
    phase: Phase,
    /// Lines up to here were handed out before this opening.
    from: Option<Mark>,
    repeated: u32,
    /// It was started again while the rest of this life was still being read.
    next_life: Option<Member>,
    /// What was told of it since its last line: a log that stays unreadable is no news.
    trouble: Option<String>,
    bell: Arc<Bell>,
}

impl Reader {
    pub(super) fn new(member: Member, has_backlog: bool, request: &Request, bell: Arc<Bell>) -> Self {
        let tail = if has_backlog { request.tail } else { None };
        let phase = Phase::Opening { backlog: has_backlog, tail };
        Self { member, next: None, phase, from: None, repeated: 0, next_life: None, trouble: None, bell }
    }

    /// Says whether nothing is to be expected before the replica lives again.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Idle | Phase::Failed) && self.next.is_none() && self.next_life.is_none()
    }

    /// Returns the line at hand.
    pub(super) fn line(&self) -> Option<&LogLine> {
        self.next.as_ref()
    }

    /// Takes the line at hand.
    pub(super) fn take(&mut self) -> Option<LogLine> {
        self.bell.ring();
        self.next.take()
    }

    /// Says whether what was there before is still on its way.
    pub(super) fn owes_backlog(&self) -> bool {
        self.next.is_none() && matches!(self.phase, Phase::Backlog(_))
    }

    /// Hears of the replica again: it may have been started anew, or may be readable again.
    pub(super) fn meet(&mut self, member: Member) {
        self.bell.ring();
        let reopen = Phase::Opening { backlog: false, tail: None };
        if matches!(self.phase, Phase::Failed) {
            self.member = member;
            self.phase = reopen;
        } else if self.member.life != member.life {
            if matches!(self.phase, Phase::Idle) {
                self.member = member;
                self.phase = reopen;
            } else {
                self.next_life = Some(member);
            }
        }
    }

    /// Gets the next line if there is one.
    pub(super) fn fill(
        &mut self,
        source: &impl Source,
        request: &Request,
        cursor: &Cursor,
    ) -> Result<(), LogError> {
        if self.next.is_some() || !self.bell.has_rung() {
            return Ok(());
        }
        let waker = Waker::from(Arc::clone(&self.bell));
        let mut cx = Context::from_waker(&waker);
        while self.next.is_none() {
            let (lines, is_backlog) = match &mut self.phase {
                Phase::Opening { backlog, tail } => {
                    let (backlog, tail) = (*backlog, *tail);
                    self.open(backlog, tail, source, request, cursor);
                    continue;
                }
                Phase::Backlog(lines) => (lines, true),
                Phase::Live(lines) => (lines, false),
                Phase::Idle | Phase::Failed => return Ok(()),
            };
            match lines.poll_next_unpin(&mut cx) {
                Poll::Ready(Some(Ok(line))) => self.offer(line),
                Poll::Ready(Some(Err(error))) => {
                    self.phase = Phase::Failed;
                    let told = self.trouble.replace(error.to_string());
                    return if told == self.trouble { Ok(()) } else { Err(error) };
                }
                Poll::Ready(None) => self.ended(is_backlog, request),
                Poll::Pending => return Ok(()),
            }
        }
        Ok(())
    }

    fn open(
        &mut self,
        backlog: bool,
        tail: Option<u32>,
        source: &impl Source,
        request: &Request,
        cursor: &Cursor,
    ) {
        self.from = cursor.mark(&self.member.id);
        self.repeated = 0;
        let since = match self.from {
            Some(mark) => Some(mark.at),
            None => request.cursor.earliest().or(request.since).or(self.past(request)),
        };
        // What was read before is never cut off by a tail.
        let tail = tail.filter(|_| self.from.is_none());
        let follow = request.follow && !backlog;
        let lines = source.read(&self.member.id, LogRange { since, tail, follow });
        self.phase = if backlog { Phase::Backlog(lines) } else { Phase::Live(lines) };
    }

    /// Where nothing but news was wanted and there was none yet, what earlier lives wrote is none either.
    fn past(&self, request: &Request) -> Option<DateTime<Utc>> {
        self.member.ended_at.filter(|_| request.tail == Some(0))
    }

    fn offer(&mut self, line: LogLine) {
        if let Some(mark) = self.from {
            if line.at < mark.at {
                return;
            }
            if line.at == mark.at && self.repeated < mark.lines {
                self.repeated += 1;
                return;
            }
        }
        self.trouble = None;
        self.next = Some(line);
    }

    fn ended(&mut self, was_backlog: bool, request: &Request) {
        let next_life = self.next_life.take();
        if was_backlog && request.follow {
            // Nothing of the backlog was wanted: begin with what is written from now on.
            let tail = request.tail.filter(|lines| *lines == 0);
            self.phase = Phase::Opening { backlog: false, tail };
        } else if next_life.is_some() {
            self.phase = Phase::Opening { backlog: false, tail: None };
        } else {
            self.phase = Phase::Idle;
        }
        if let Some(member) = next_life {
            self.member = member;
        }
    }
}
