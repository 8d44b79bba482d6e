//! When restarts are a crash loop.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};

/// So many restarts …
pub(super) const CRASH_LOOP_RESTARTS: u32 = 3;
/// … within this time are a crash loop.
const CRASH_LOOP_WINDOW: TimeDelta = TimeDelta::minutes(5);

/// The restarts that count towards a crash loop.
#[derive(Debug, Default)]
pub(super) struct Crashes {
    recent: VecDeque<DateTime<Utc>>,
    looping: bool,
}

impl Crashes {
    pub(super) fn is_looping(&self) -> bool {
        self.looping
    }

    /// Notes one restart; [`Crashes::judge`] draws the conclusion.
    pub(super) fn note(&mut self, at: DateTime<Utc>) {
        self.recent.push_back(at);
        if self.recent.len() > CRASH_LOOP_RESTARTS as usize {
            self.recent.pop_front();
        }
    }

    fn is_loop(&self, now: DateTime<Utc>) -> bool {
        self.recent.len() >= CRASH_LOOP_RESTARTS as usize
            && self.recent.front().is_some_and(|first| now - *first <= CRASH_LOOP_WINDOW)
    }

    /// Says whether it has just become a loop or ceased to be one.
    pub(super) fn judge(&mut self, now: DateTime<Utc>) -> bool {
        let is_loop = self.is_loop(now);
        let was = std::mem::replace(&mut self.looping, is_loop);
        was != self.looping
    }

    /// Says whether a loop has just ended by the passing of time.
    pub(super) fn calmed_down(&mut self, now: DateTime<Utc>) -> bool {
        self.looping && self.judge(now)
    }
}
