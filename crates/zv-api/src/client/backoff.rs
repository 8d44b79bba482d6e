//! The pauses between attempts: doubling up to a limit, each shortened at random so that clients do not come in step.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Where a sequence of pauses stands.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
    random: RandomState,
    drawn: u64,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(250);
    const LONGEST: Duration = Duration::from_secs(10);

    pub(super) fn new() -> Self {
        Self { next: Self::FIRST, random: RandomState::new(), drawn: 0 }
    }

    /// Returns the pause before the next attempt: between half of its full length and all of it.
    pub(super) fn pause(&mut self) -> Duration {
        let full = self.next;
        self.next = (full * 2).min(Self::LONGEST);
        self.drawn += 1;
        let share = self.random.hash_one(self.drawn) % 1024;
        full / 2 + full.mul_f64(share as f64 / 2048.0)
    }

    /// Starts over after a success.
    pub(super) fn reset(&mut self) {
        self.next = Self::FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_start_over() {
        let mut backoff = Backoff::new();
        let mut full = Backoff::FIRST;
        for _ in 0..20 {
            let pause = backoff.pause();
            assert!((full / 2..=full).contains(&pause), "{pause:?} of {full:?}");
            full = (full * 2).min(Backoff::LONGEST);
        }
        backoff.reset();
        assert!(backoff.pause() <= Backoff::FIRST);
    }
}
