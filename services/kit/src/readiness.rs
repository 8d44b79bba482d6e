//! Whether a service should be sent requests: not before its gates are open, not while a dependency fails, and not
//! once it drains.

use std::collections::BTreeSet;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long one run of a check may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a check's verdict is good for: however often `/ready` is asked, dependencies are asked once in this time.
const CHECK_LIFETIME: Duration = Duration::from_secs(1);

/// A service's readiness. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    draining: AtomicBool,
    /// Both locks are held for a moment and never across an await.
    closed: Mutex<BTreeSet<&'static str>>,
    checks: Mutex<Vec<Arc<Check>>>,
}

/// One step of the start that is not done yet. Dropped without [`Gate::open`], it stays closed: a start that
/// failed is not a start that is over.
#[derive(Debug)]
#[must_use = "the service is not ready until the gate is opened"]
pub struct Gate {
    readiness: Readiness,
    name: &'static str,
}

impl Gate {
    /// Declares the step done.
    pub fn open(self) {
        lock(&self.readiness.0.closed).remove(self.name);
    }
}

type Outcome = Result<(), String>;
type Run = dyn Fn() -> Pin<Box<dyn Future<Output = Outcome> + Send>> + Send + Sync;

struct Check {
    name: &'static str,
    run: Box<Run>,
    /// Held while the check runs, so that many who ask at once wait for one run.
    last: tokio::sync::Mutex<Option<(Instant, Outcome)>>,
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Check {
    async fn outcome(&self) -> Outcome {
        let mut last = self.last.lock().await;
        if let Some((at, outcome)) = &*last
            && at.elapsed() < CHECK_LIFETIME
        {
            return outcome.clone();
        }
        let outcome = match tokio::time::timeout(CHECK_TIMEOUT, (self.run)()).await {
            Ok(outcome) => outcome,
            Err(_) => Err(format!("no answer within {} s", CHECK_TIMEOUT.as_secs())),
        };
        *last = Some((Instant::now(), outcome.clone()));
        outcome
    }
}

/// What `/ready` answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) status: &'static str,
    /// Empty when ready.
    pub(crate) reasons: Vec<String>,
}

impl Readiness {
    /// Returns a readiness without gates and checks: ready until it drains.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a step of the start, named after what has to be done, such as `migrations`.
    pub fn gate(&self, name: &'static str) -> Gate {
        lock(&self.0.closed).insert(name);
        Gate { readiness: self.clone(), name }
    }

    /// Adds a dependency. An error's text is shown to whoever asks `/ready`: it says what fails, never with which secret.
    pub fn check<F>(&self, name: &'static str, run: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let run: Box<Run> = Box::new(move || Box::pin(run()));
        lock(&self.0.checks).push(Arc::new(Check { name, run, last: tokio::sync::Mutex::default() }));
    }

    /// Declares that no more requests are wanted.
    pub(crate) fn drain(&self) {
        self.0.draining.store(true, Ordering::Release);
    }

    /// Finds out what stands against sending requests. Asks no dependency where that is clear already.
    pub(crate) async fn report(&self) -> Report {
        if self.0.draining.load(Ordering::Acquire) {
            return Report { status: "draining", reasons: vec!["the service is shutting down".to_owned()] };
        }
        let closed: Vec<String> =
            lock(&self.0.closed).iter().map(|name| format!("`{name}` is not done yet")).collect();
        if !closed.is_empty() {
            return Report { status: "starting", reasons: closed };
        }
        let checks = lock(&self.0.checks).clone();
        let reasons = failures(checks).await;
        Report { status: if reasons.is_empty() { "ready" } else { "failing" }, reasons }
    }
}

/// Runs all checks at once and returns what fails, in the order of the names.
async fn failures(checks: Vec<Arc<Check>>) -> Vec<String> {
    let mut running = JoinSet::new();
    for check in checks {
        running.spawn(async move { (check.name, check.outcome().await) });
    }
    let mut reasons = Vec::new();
    while let Some(ended) = running.join_next().await {
        match ended {
            Ok((_, Ok(()))) => {}
            Ok((name, Err(reason))) => reasons.push(format!("`{name}` fails: {reason}")),
            Err(_) => reasons.push("a check broke off".to_owned()),
        }
    }
    reasons.sort();
    reasons
}

/// Takes a lock whose data every panic leaves whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[tokio::test]
    async fn gates_then_checks_then_draining_decide() {
        let readiness = Readiness::new();
        let gate = readiness.gate("migrations");
        readiness.check("database", || async { Err("connection refused".to_owned()) });
        readiness.check("cache", || async { Ok(()) });
        let starting = readiness.report().await;
        assert_eq!(
            (starting.status, starting.reasons),
            ("starting", vec!["`migrations` is not done yet".into()])
        );
        gate.open();
        let failing = readiness.report().await;
        assert_eq!(
            (failing.status, failing.reasons),
            ("failing", vec!["`database` fails: connection refused".into()])
        );
        readiness.drain();
        assert_eq!(readiness.report().await.status, "draining");
    }

    #[tokio::test]
    async fn a_gate_that_was_lost_stays_closed() {
        let readiness = Readiness::new();
        drop(readiness.gate("migrations"));
        assert_eq!(readiness.report().await.status, "starting");
    }

    #[tokio::test(start_paused = true)]
    async fn many_who_ask_cost_a_dependency_one_request() {
        let readiness = Readiness::new();
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&runs);
        readiness.check("database", move || {
            counted.fetch_add(1, Ordering::Relaxed);
            async { Ok(()) }
        });
        for _ in 0..50 {
            assert_eq!(readiness.report().await.status, "ready");
        }
        assert_eq!(runs.load(Ordering::Relaxed), 1);
        tokio::time::advance(CHECK_LIFETIME).await;
        readiness.report().await;
        assert_eq!(runs.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_that_hangs_fails_in_time_and_one_that_panics_fails_at_once() {
        let readiness = Readiness::new();
        readiness.check("slow", || async {
            std::future::pending::<()>().await;
            Ok(())
        });
        readiness.check("broken", || async { panic!("on purpose") });
        let report = readiness.report().await;
        assert_eq!(report.reasons, ["`slow` fails: no answer within 2 s", "a check broke off"]);
    }
}
