//! From single results to a standing verdict: it changes once N of the last M results agree, so that one lost packet
//! wakes nobody.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::target::TargetError;
use crate::verdict::Verdict;

/// More results are not remembered.
const MOST: usize = 60;

/// `2 of 3`: so many of the last results must agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confirm {
    needed: usize,
    of: usize,
}

impl Confirm {
    /// Every result counts at once.
    pub const AT_ONCE: Self = Self { needed: 1, of: 1 };
    /// Where nothing else is said: one lost packet wakes nobody.
    pub const USUAL: Self = Self { needed: 2, of: 3 };

    /// Returns `needed` of `of`.
    pub fn new(needed: usize, of: usize) -> Result<Self, TargetError> {
        if needed == 0 || needed > of || of > MOST {
            return Err(TargetError::new(format!(
                "`{needed} of {of}` cannot be meant: write it like `2 of 3`, with at most {MOST}"
            )));
        }
        Ok(Self { needed, of })
    }
}

impl fmt::Display for Confirm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.needed, self.of)
    }
}

impl FromStr for Confirm {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let parts = text.split_once(" of ");
        let number = |text: &str| text.trim().parse().ok();
        let parsed = parts.and_then(|(needed, of)| Some((number(needed)?, number(of)?)));
        let (needed, of) = parsed.ok_or_else(|| {
            let text = crate::words::quote(text.as_bytes());
            let how = "write it like `2 of 3`";
            TargetError::with_discreet(format!("`{text}` does not say how many must agree: {how}"), how)
        })?;
        Self::new(needed, of)
    }
}

/// A standing verdict that changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flip {
    pub from: Verdict,
    pub to: Verdict,
    /// How long it stood before.
    pub after: Duration,
}

/// The results of one target and what stands.
#[derive(Debug, Clone)]
pub struct Judge {
    confirm: Confirm,
    last: VecDeque<Verdict>,
    standing: Verdict,
    since: Duration,
}

impl Judge {
    /// Returns a judge who knows nothing yet: unknown is what stands. Times are since any one moment.
    pub fn new(confirm: Confirm, now: Duration) -> Self {
        Self { confirm, last: VecDeque::with_capacity(confirm.of), standing: Verdict::Unknown, since: now }
    }

    /// Returns what stands.
    pub fn standing(&self) -> Verdict {
        self.standing
    }

    /// Returns since when it stands.
    pub fn since(&self) -> Duration {
        self.since
    }

    /// Says whether the target is to be looked at more often: the last result or what stands is not well.
    pub fn is_failing(&self) -> bool {
        let is_bad = |verdict: Verdict| verdict != Verdict::Up;
        is_bad(self.standing) || self.last.back().is_some_and(|last| is_bad(*last))
    }

    /// Takes a result; says whether it changes what stands.
    pub fn observe(&mut self, now: Duration, verdict: Verdict) -> Option<Flip> {
        if self.last.len() == self.confirm.of {
            self.last.pop_front();
        }
        self.last.push_back(verdict);
        let to = self.confirmed(verdict)?;
        let flip = Flip { from: self.standing, to, after: now.saturating_sub(self.since) };
        self.standing = to;
        self.since = now;
        Some(flip)
    }

    /// Returns what the newest result moves the verdict to, if the others agree: as far towards it as enough of them go.
    fn confirmed(&self, newest: Verdict) -> Option<Verdict> {
        if newest == self.standing {
            return None;
        }
        let enough = |agree: &dyn Fn(Verdict) -> bool| {
            self.last.iter().filter(|verdict| agree(**verdict)).count() >= self.confirm.needed
        };
        if newest == Verdict::Unknown {
            return enough(&|verdict| verdict == Verdict::Unknown).then_some(Verdict::Unknown);
        }
        let is_known = |verdict: Verdict| verdict != Verdict::Unknown;
        let known = [Verdict::Up, Verdict::Degraded, Verdict::Down];
        let worst_of = |at_most: Verdict| {
            let levels = known.into_iter().rev().filter(move |level| *level <= at_most);
            levels.into_iter().find(|level| enough(&|verdict| is_known(verdict) && verdict >= *level))
        };
        if self.standing == Verdict::Unknown {
            return worst_of(newest);
        }
        if newest > self.standing {
            return worst_of(newest).filter(|level| *level > self.standing);
        }
        let mut better = known.into_iter().filter(|level| *level >= newest && *level < self.standing);
        better.find(|level| enough(&|verdict| is_known(verdict) && verdict <= *level))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Shows what stands after each result: U, G (degraded), D and ? (unknown).
    fn standing(confirm: &str, results: &str) -> String {
        let mut judge = Judge::new(confirm.parse().unwrap(), Duration::ZERO);
        let shown = results.chars().map(|result| {
            judge.observe(Duration::ZERO, verdict(result));
            match judge.standing() {
                Verdict::Up => 'U',
                Verdict::Degraded => 'G',
                Verdict::Down => 'D',
                Verdict::Unknown => '?',
            }
        });
        shown.collect()
    }

    fn verdict(letter: char) -> Verdict {
        match letter {
            'U' => Verdict::Up,
            'G' => Verdict::Degraded,
            'D' => Verdict::Down,
            _ => Verdict::Unknown,
        }
    }

    #[test]
    fn a_verdict_changes_once_enough_agree() {
        for (confirm, results, stands) in [
            ("1 of 1", "UDU?U", "UDU?U"),
            ("2 of 3", "UUDUDDUU", "?UUUDDDU"),
            ("2 of 2", "UUDUDUDD", "?UUUUUUD"),
            // Not well in two ways is not well.
            ("2 of 3", "UUDGD", "?UUGD"),
            ("3 of 3", "UUUDDDUUU", "??UUUDDDU"),
            // What nobody could tell confirms nothing.
            ("2 of 3", "UUD?D?", "?UUUD?"),
            ("2 of 3", "UU???", "?UU??"),
            ("2 of 3", "DU", "?U"),
        ] {
            assert_eq!(standing(confirm, results), stands, "{confirm}: {results}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for text in ["", "2", "2 of", "0 of 3", "4 of 3", "2 of 61", "-1 of 3", "2of3"] {
            assert!(text.parse::<Confirm>().unwrap_err().to_string().contains("`2 of 3`"), "{text}");
        }
    }

    #[test]
    fn a_flip_tells_how_long_the_old_verdict_stood() {
        let mut judge = Judge::new(Confirm::AT_ONCE, Duration::from_secs(10));
        judge.observe(Duration::from_secs(20), Verdict::Up);
        assert!(judge.observe(Duration::from_secs(30), Verdict::Up).is_none());
        let flip = judge.observe(Duration::from_secs(50), Verdict::Down).unwrap();
        assert_eq!((flip.from, flip.to, flip.after), (Verdict::Up, Verdict::Down, Duration::from_secs(30)));
        assert!(judge.is_failing());
    }

    proptest! {
        #[test]
        fn no_flip_without_enough_results_on_its_side(
            needed in 1usize..6, more in 0usize..4, results in "[UGD?]{0,40}",
        ) {
            let confirm = Confirm::new(needed, needed + more).unwrap();
            let mut judge = Judge::new(confirm, Duration::ZERO);
            let results: Vec<Verdict> = results.chars().map(verdict).collect();
            for (place, result) in results.iter().enumerate() {
                let Some(flip) = judge.observe(Duration::ZERO, *result) else { continue };
                let last = &results[(place + 1).saturating_sub(needed + more)..=place];
                let known = |verdict: &&Verdict| **verdict != Verdict::Unknown;
                let agree = match flip.to {
                    Verdict::Unknown => last.iter().filter(|verdict| !known(verdict)).count(),
                    to if flip.from != Verdict::Unknown && to < flip.from => {
                        last.iter().filter(known).filter(|verdict| **verdict <= to).count()
                    }
                    to => last.iter().filter(known).filter(|verdict| **verdict >= to).count(),
                };
                prop_assert!(agree >= needed, "{flip:?} after {last:?}");
            }
        }

        #[test]
        fn what_lasts_is_believed(before in "[UGD?]{0,20}", lasting in "[UGD?]", needed in 1usize..6, more in 0usize..4) {
            let mut judge = Judge::new(Confirm::new(needed, needed + more).unwrap(), Duration::ZERO);
            let lasting = verdict(lasting.chars().next().unwrap());
            for letter in before.chars() {
                judge.observe(Duration::ZERO, verdict(letter));
            }
            for _ in 0..needed + more {
                judge.observe(Duration::ZERO, lasting);
            }
            prop_assert_eq!(judge.standing(), lasting);
        }
    }
}
