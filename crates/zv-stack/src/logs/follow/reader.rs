//! Reads one replica through its lives: first what is there already, then what is written.

use std::task::{Context, Poll};

use futures_util::stream::{BoxStream, StreamExt};

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
    pub(super) next: Option<LogLine>,
    phase: Phase,
    /// Lines up to here were handed out before this opening.
    from: Option<Mark>,
    repeated: u32,
    /// It was started again while the rest of this life was still being read.
    next_life: Option<Member>,
}

impl Reader {
    pub(super) fn new(member: Member, has_backlog: bool, request: &Request) -> Self {
        let tail = if has_backlog { request.tail } else { None };
        let phase = Phase::Opening { backlog: has_backlog, tail };
        Self { member, next: None, phase, from: None, repeated: 0, next_life: None }
    }

    /// Says whether nothing is to be expected before the replica lives again.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Idle | Phase::Failed) && self.next.is_none() && self.next_life.is_none()
    }

    /// Hears of the replica again: it may have been started anew, or may be readable again.
    pub(super) fn meet(&mut self, member: Member) {
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

    /// Gets the next line if there is one. Says whether the backlog is still on its way.
    pub(super) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        source: &impl Source,
        request: &Request,
        cursor: &Cursor,
    ) -> Result<bool, LogError> {
        while self.next.is_none() {
            let (lines, is_backlog) = match &mut self.phase {
                Phase::Opening { backlog, tail } => {
                    let (backlog, tail) = (*backlog, *tail);
                    self.open(backlog, tail, source, request, cursor);
                    continue;
                }
                Phase::Backlog(lines) => (lines, true),
                Phase::Live(lines) => (lines, false),
                Phase::Idle | Phase::Failed => return Ok(false),
            };
            match lines.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(line))) => self.offer(line),
                Poll::Ready(Some(Err(error))) => {
                    self.phase = Phase::Failed;
                    return Err(error);
                }
                Poll::Ready(None) => self.ended(is_backlog, request),
                Poll::Pending => return Ok(is_backlog),
            }
        }
        Ok(false)
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
            None => request.cursor.earliest().or(request.since),
        };
        // What was read before is never cut off by a tail.
        let tail = tail.filter(|_| self.from.is_none());
        let follow = request.follow && !backlog;
        let lines = source.read(&self.member.id, LogRange { since, tail, follow });
        self.phase = if backlog { Phase::Backlog(lines) } else { Phase::Live(lines) };
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
