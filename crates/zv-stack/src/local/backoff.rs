//! How long a replica that ends by itself waits before it is started again.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const CAP: Duration = Duration::from_secs(30);
/// A replica that was well for so long starts over with the first delay.
pub(super) const PROVEN: Duration = Duration::from_secs(10);

/// Delays that double from 100 ms to 30 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Backoff {
    /// Returns the delay after a run that was well for `well`, without jitter.
    pub(super) fn after(&mut self, well: Duration) -> Duration {
        if well >= PROVEN {
            self.next = FIRST;
        }
        let delay = self.next;
        self.next = (delay * 2).min(CAP);
        delay
    }
}

/// Shortens a delay by up to a quarter, so that replicas that fell together do not rise together.
pub(super) fn jittered(delay: Duration) -> Duration {
    let thousandths = RandomState::new().hash_one(()) % 250;
    delay - delay * u32::try_from(thousandths).unwrap_or(0) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_cap() {
        let mut backoff = Backoff::default();
        let delays: Vec<u128> = (0..11).map(|_| backoff.after(Duration::ZERO).as_millis()).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000]);
    }

    #[test]
    fn starts_over_after_a_good_run() {
        let mut backoff = Backoff::default();
        for _ in 0..5 {
            backoff.after(Duration::from_secs(9));
        }
        assert_eq!(backoff.after(PROVEN), FIRST);
        assert_eq!(backoff.after(Duration::ZERO), FIRST * 2);
    }

    #[test]
    fn jitter_only_shortens_and_at_most_by_a_quarter() {
        for _ in 0..1000 {
            let delay = jittered(CAP);
            assert!(delay <= CAP && delay >= CAP * 3 / 4, "{delay:?}");
        }
    }
}
