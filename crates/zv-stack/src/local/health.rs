//! Health checks of processes, with the meaning Docker gives them.

mod check;

use std::time::Duration;

use futures_util::stream::BoxStream;
use futures_util::{StreamExt, stream};
use tokio::time::Instant;

pub(super) use check::Target;

use super::file::HealthSpec;
use crate::model::{Check, Health, Verdict};

/// Runs checks one after another for as long as the stream is polled; the first one an interval after the start.
pub(super) fn checks(spec: HealthSpec, target: Target) -> BoxStream<'static, Check> {
    let started = Instant::now();
    let first_success = false;
    stream::unfold((spec, target, first_success), move |(spec, target, succeeded)| async move {
        let starting = !succeeded && started.elapsed() < spec.start_period;
        tokio::time::sleep(if starting { spec.start_interval } else { spec.interval }).await;
        let check = target.run(&spec).await;
        let succeeded = succeeded || check.exit_code == 0;
        Some((check, (spec, target, succeeded)))
    })
    .boxed()
}

/// Takes one check into account, `since_start` after the process was started. Says whether the verdict changed.
pub(super) fn judge(health: &mut Health, check: Check, spec: &HealthSpec, since_start: Duration) -> bool {
    let before = health.verdict;
    if check.exit_code == 0 {
        health.failing_streak = 0;
        health.verdict = Verdict::Healthy;
    } else if before != Verdict::Starting || since_start >= spec.start_period {
        health.failing_streak += 1;
        if health.failing_streak >= spec.retries {
            health.verdict = Verdict::Unhealthy;
        }
    }
    health.log.push(check);
    if health.log.len() > Check::KEPT {
        health.log.remove(0);
    }
    health.verdict != before
}

/// Returns the health of a process that has just been started.
pub(super) fn at_start(spec: Option<&HealthSpec>) -> Health {
    let verdict = if spec.is_some() { Verdict::Starting } else { Verdict::None };
    Health { verdict, ..Health::default() }
}

#[cfg(test)]
mod tests {
    use super::super::file::Test;
    use super::*;

    fn spec(start_period: u64) -> HealthSpec {
        HealthSpec {
            test: Test::Tcp,
            interval: Duration::from_secs(2),
            timeout: Duration::from_secs(1),
            retries: 3,
            start_period: Duration::from_secs(start_period),
            start_interval: Duration::from_secs(1),
        }
    }

    /// Judges checks that come each second; `1` fails. Returns the verdict after each.
    fn verdicts(spec: &HealthSpec, codes: &str) -> String {
        let mut health = at_start(Some(spec));
        let letters = codes.chars().enumerate().map(|(second, code)| {
            let exit_code = i64::from(code.to_digit(10).unwrap());
            let check = Check { at: crate::clock::now(), exit_code, output: String::new() };
            let before = health.verdict;
            let changed = judge(&mut health, check, spec, Duration::from_secs(second as u64));
            assert_eq!(changed, before != health.verdict);
            match health.verdict {
                Verdict::Starting => 's',
                Verdict::Healthy => 'h',
                Verdict::Unhealthy => 'u',
                Verdict::None => '-',
            }
        });
        letters.collect()
    }

    #[test]
    fn as_many_failures_in_a_row_as_retries_make_it_unhealthy_and_one_success_healthy() {
        assert_eq!(verdicts(&spec(0), "0110111101"), "hhhhhhuuhh");
        assert_eq!(verdicts(&spec(0), "1110"), "ssuh");
    }

    #[test]
    fn failures_in_the_start_period_do_not_count_but_a_success_ends_it() {
        assert_eq!(verdicts(&spec(5), "11111111"), "sssssssu");
        assert_eq!(verdicts(&spec(5), "1101110"), "sshhhuh");
    }

    #[test]
    fn the_newest_checks_are_kept() {
        let mut health = at_start(Some(&spec(0)));
        for number in 0..8 {
            let check = Check { at: crate::clock::now(), exit_code: 1, output: format!("{number}") };
            judge(&mut health, check, &spec(0), Duration::ZERO);
        }
        let outputs: Vec<&str> = health.log.iter().map(|check| check.output.as_str()).collect();
        assert_eq!(outputs, ["3", "4", "5", "6", "7"]);
        assert_eq!(health.failing_streak, 8);
    }
}
