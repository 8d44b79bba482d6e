//! Watches processes for a while.

use std::time::Duration;

use anyhow::Result;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::figures::Series;
use super::process;

/// The time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Processes that are counted as one.
#[derive(Debug)]
pub(super) struct Group {
    name: &'static str,
    pids: Vec<u32>,
    looks: Vec<Look>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Look {
    status: process::Status,
    open_files: f64,
}

/// What a group used; sizes in MiB.
#[derive(Debug, Clone)]
pub(super) struct Usage {
    pub(super) name: &'static str,
    pub(super) rss: Series,
    pub(super) anonymous: Series,
    pub(super) file: Series,
    /// The most it had since it began.
    pub(super) peak: f64,
    pub(super) threads: Series,
    pub(super) open_files: Series,
    pub(super) cpu_seconds: f64,
    pub(super) seconds: f64,
    /// RSS and its anonymous part, look by look.
    pub(super) curve: Vec<(f64, f64)>,
}

impl Group {
    pub(super) fn one(name: &'static str, pid: u32) -> Self {
        Self::many(name, vec![pid])
    }

    pub(super) fn many(name: &'static str, pids: Vec<u32>) -> Self {
        Self { name, pids, looks: Vec::new() }
    }

    fn look(&mut self) -> Result<()> {
        let mut sum = Look::default();
        for pid in &self.pids {
            let status = process::status(*pid)?;
            sum.status.rss += status.rss;
            sum.status.anonymous += status.anonymous;
            sum.status.file += status.file;
            sum.status.peak += status.peak;
            sum.status.threads += status.threads;
            sum.open_files += process::open_files(*pid)? as f64;
        }
        self.looks.push(sum);
        Ok(())
    }

    fn cpu_seconds(&self) -> Result<f64> {
        self.pids.iter().map(|pid| process::cpu_seconds(*pid)).sum()
    }

    fn usage(&self, cpu_seconds: f64, seconds: f64) -> Usage {
        let series = |of: fn(&Look) -> f64| self.looks.iter().map(of).collect::<Series>();
        Usage {
            name: self.name,
            rss: series(|look| look.status.rss / 1024.0),
            anonymous: series(|look| look.status.anonymous / 1024.0),
            file: series(|look| look.status.file / 1024.0),
            peak: series(|look| look.status.peak / 1024.0).max(),
            threads: series(|look| look.status.threads),
            open_files: series(|look| look.open_files),
            cpu_seconds,
            seconds,
            curve: self
                .looks
                .iter()
                .map(|look| (look.status.rss / 1024.0, look.status.anonymous / 1024.0))
                .collect(),
        }
    }
}

impl Usage {
    /// Returns the share of one core.
    pub(super) fn cpu_percent(&self) -> f64 {
        100.0 * self.cpu_seconds / self.seconds
    }
}

/// Looks at each group every second. An error tells that a process is gone.
pub(super) async fn observe(groups: &mut [Group], length: Duration) -> Result<Vec<Usage>> {
    let before: Vec<f64> = groups.iter().map(Group::cpu_seconds).collect::<Result<_>>()?;
    let began = Instant::now();
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while began.elapsed() < length {
        looks.tick().await;
        for group in &mut *groups {
            group.look()?;
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let used = |(group, before): (&Group, f64)| Ok(group.usage(group.cpu_seconds()? - before, seconds));
    groups.iter().zip(before).map(used).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_that_works_uses_cpu_and_one_that_is_gone_is_an_error() {
        let mut groups = [Group::many("own", vec![std::process::id(), std::process::id()])];
        let usage = observe(&mut groups, Duration::from_millis(1)).await.unwrap().remove(0);
        let own = process::status(std::process::id()).unwrap().rss / 1024.0;
        assert_eq!(usage.rss.len(), 1);
        assert!(usage.rss.median() > own, "two are counted as one");
        assert!(usage.cpu_percent() >= 0.0);
        assert!(observe(&mut [Group::one("none", u32::MAX)], Duration::ZERO).await.is_err());
    }
}
