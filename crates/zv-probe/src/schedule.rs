//! When a probe runs next. Pure: the time is an argument, and chance comes from a number that is the target's own, so
//! that two agents with the same targets do not ask at the same moment, and one agent spreads its own.

use std::time::Duration;

use crate::judge::Confirm;

/// How often a target is probed where nothing else is said.
const EVERY: Duration = Duration::from_secs(10);
/// While a target is not well it is probed so many times as often, and no more often than each second for that.
const FAILING_PARTS: u32 = 5;
const FAILING_LEAST: Duration = Duration::from_secs(1);
/// An interval varies by so many parts of itself to either side.
const JITTER_PARTS: u32 = 20;

/// How often a target is probed, and how many results must agree before what stands changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    pub schedule: Schedule,
    pub confirm: Confirm,
}

impl Pace {
    /// Returns the pace with these intervals, the second one while the target is not well; what is absent is as usual.
    pub fn new(every: Option<Duration>, failing: Option<Duration>, confirm: Option<Confirm>) -> Self {
        let every = every.unwrap_or(EVERY);
        let failing = failing.unwrap_or_else(|| (every / FAILING_PARTS).max(FAILING_LEAST));
        Self { schedule: Schedule::new(every, failing), confirm: confirm.unwrap_or(Confirm::USUAL) }
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self::new(None, None, None)
    }
}

/// How often a target is probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    every: Duration,
    failing: Duration,
}

impl Schedule {
    /// Returns a schedule; `failing` is the interval while the target is not well, never longer than the usual one.
    pub fn new(every: Duration, failing: Duration) -> Self {
        // Nothing is probed more often than a hundred times a second, however it is configured.
        let least = Duration::from_millis(10);
        let every = every.max(least);
        Self { every, failing: failing.clamp(least, every) }
    }

    /// Returns the interval.
    pub fn interval(&self, is_failing: bool) -> Duration {
        if is_failing { self.failing } else { self.every }
    }

    /// Returns when the first run is due: somewhere within one interval, the same place for the same seed.
    pub fn first(&self, start: Duration, seed: u64) -> Duration {
        start + share(self.every, mix(seed))
    }

    /// Returns when the next run is due after the one that was due at `due`: one interval later, a little more or less.
    /// Runs that were missed are not made up for, and none is due in the past.
    pub fn next(&self, due: Duration, now: Duration, is_failing: bool, seed: u64) -> Duration {
        let interval = self.interval(is_failing);
        let spread = interval / JITTER_PARTS;
        // The moment that it was due is a number that no other run of this target has.
        let chance = mix(seed ^ u64::try_from(due.as_nanos()).unwrap_or(u64::MAX));
        let next = (due + interval).saturating_sub(spread) + share(spread * 2, chance);
        if next > now { next } else { now + share(interval, chance) }
    }
}

/// Returns the part of a time that a number stands for.
fn share(time: Duration, number: u64) -> Duration {
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let part = (u128::from(nanos) * u128::from(number)) >> 64;
    Duration::from_nanos(u64::try_from(part).unwrap_or(u64::MAX))
}

/// Makes a number look like chance (splitmix64).
fn mix(seed: u64) -> u64 {
    let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn first_runs_are_spread_over_the_interval() {
        let schedule = Schedule::new(MINUTE, MINUTE);
        let mut tenths = [0; 10];
        for seed in 0..1000 {
            let at = schedule.first(Duration::ZERO, seed);
            tenths[usize::try_from(at.as_millis() / 6000).unwrap()] += 1;
        }
        assert!(tenths.iter().all(|count| (60..150).contains(count)), "{tenths:?}");
    }

    #[test]
    fn a_failing_target_is_looked_at_more_often() {
        let schedule = Schedule::new(MINUTE, Duration::from_secs(5));
        let next = schedule.next(MINUTE, MINUTE, true, 1);
        assert!(next < MINUTE + Duration::from_secs(6));
        assert_eq!(Schedule::new(MINUTE, 2 * MINUTE).interval(true), MINUTE);
    }

    proptest! {
        #[test]
        fn the_next_run_is_near_one_interval_later(
            every in 10u64..1_000_000, due in 0u64..10_000_000, late in 0u64..5_000_000, seed: u64,
        ) {
            let schedule = Schedule::new(Duration::from_millis(every), Duration::from_millis(every / 2));
            let (due, now) = (Duration::from_millis(due), Duration::from_millis(due + late));
            for is_failing in [false, true] {
                let interval = schedule.interval(is_failing);
                let next = schedule.next(due, now, is_failing, seed);
                prop_assert!(next >= now, "in the past");
                prop_assert!(next <= (due + interval + interval / JITTER_PARTS).max(now + interval), "too late");
                if late == 0 {
                    prop_assert!(next >= due + interval - interval / JITTER_PARTS, "too early");
                }
            }
        }

        #[test]
        fn many_intervals_keep_the_pace(seed: u64) {
            let schedule = Schedule::new(Duration::from_secs(10), Duration::from_secs(10));
            let mut due = schedule.first(Duration::ZERO, seed);
            let begun = due;
            for _ in 0..100 {
                due = schedule.next(due, due, false, seed);
            }
            let took = (due - begun).as_secs_f64();
            prop_assert!((950.0..1050.0).contains(&took), "{took}");
        }
    }
}
