//! Many futures at once, few of them busy: whoever waits long moves out of the way.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Whoever takes longer waits for somebody else: its place is given on.
const PATIENCE: Duration = Duration::from_millis(250);
/// So many times the limit may be under way in all, which bounds open files.
const MOST_WAITING: usize = 16;

/// A bound on jobs that come one after the other. At most `limit` of them are under way that began less than 250 ms ago,
/// and at most 16 times as many in all.
#[derive(Debug)]
pub struct Lanes {
    fresh: Semaphore,
    all: Semaphore,
}

impl Lanes {
    /// Returns lanes for `limit` busy jobs.
    pub fn new(limit: usize) -> Self {
        let limit = limit.clamp(1, Semaphore::MAX_PERMITS / MOST_WAITING);
        Self { fresh: Semaphore::new(limit), all: Semaphore::new(limit * MOST_WAITING) }
    }

    /// Runs a job once there is a place for it.
    pub async fn run<F: Future>(&self, job: F) -> F::Output {
        // Nobody closes these, so that there always is a permit in the end.
        let _waiting = self.all.acquire().await.ok();
        let place = self.fresh.acquire().await.ok();
        let mut job = pin!(job);
        let soon = timeout(PATIENCE, &mut job).await;
        drop(place);
        match soon {
            Ok(output) => output,
            Err(_) => job.await,
        }
    }
}

/// Runs jobs through [`Lanes`] and yields each output, with the job's place in the order given, as it comes.
pub fn run<I>(jobs: I, limit: usize) -> impl Stream<Item = (usize, <I::Item as Future>::Output)>
where
    I: IntoIterator<Item: Future>,
{
    let lanes = Arc::new(Lanes::new(limit));
    let running: FuturesUnordered<_> = jobs
        .into_iter()
        .enumerate()
        .map(|(number, job)| {
            let lanes = Arc::clone(&lanes);
            async move { (number, lanes.run(job).await) }
        })
        .collect();
    running
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::StreamExt;
    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn jobs_that_hang_delay_no_other() {
        let begun = Instant::now();
        let jobs = (0..1000).map(|number| async move {
            if number % 5 == 0 {
                sleep(Duration::from_secs(600)).await;
            }
            begun.elapsed()
        });
        let mut ended: Vec<(usize, Duration)> = run(jobs, 50).collect().await;
        ended.sort_unstable();
        for (number, after) in ended {
            if number % 5 != 0 {
                assert!(after < Duration::from_secs(2), "{number} ended after {after:?}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn few_are_busy_at_once() {
        let (busy, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let jobs = (0..100).map(|_| async {
            most.fetch_max(busy.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            sleep(Duration::from_millis(100)).await;
            busy.fetch_sub(1, Ordering::Relaxed);
        });
        assert_eq!(run(jobs, 7).count().await, 100);
        assert_eq!(most.load(Ordering::Relaxed), 7);
    }
}
