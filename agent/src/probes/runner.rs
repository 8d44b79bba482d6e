//! The task that runs probes when they are due, and tells what changed.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use tokio::sync::watch;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use zv_api::{Happening, What};
use zv_probe::lanes::Lanes;
use zv_probe::{Flip, Report, Schedule, Verdict};

use super::Probes;
use super::wanted::{Reader, Spec};
use crate::config::Span;
use crate::stacks::Stacks;

/// Probes that are under way and not yet waiting for anybody. Sixteen times as many may wait.
const BUSY: usize = 64;
/// The part of the file descriptors that waiting probes may take.
const DESCRIPTOR_PARTS: u64 = 4;
/// A new probe runs within this time, however long its interval is; many new ones spread over it.
const FIRST_WITHIN: Duration = Duration::from_secs(5);
/// Of a replica that has just started.
const FIRST_OF_REPLICA_WITHIN: Duration = Duration::from_secs(1);

/// Runs the probes of `stacks` until it is told to stop; then those under way are cut off.
pub async fn run(stacks: Stacks, stop: CancellationToken) {
    let probes = stacks.probes();
    let mut configured = probes.inner.configured.subscribe();
    let mut model = stacks.versions();
    let mut runner = Runner::new(probes, stacks);
    loop {
        runner.turn_over(&mut configured);
        let next = runner.next_due();
        tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = runner.jobs.join_next_with_id() => runner.take(ended),
            () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => runner.start_due(),
            changed = configured.changed() => runner.is_stale |= changed.is_ok(),
            changed = model.changed() => match changed {
                Ok(()) => runner.is_stale = true,
                Err(_) => break,
            },
        }
    }
    runner.jobs.shutdown().await;
}

struct Runner {
    probes: Probes,
    stacks: Stacks,
    reader: Reader,
    /// Something that is wanted may have changed.
    is_stale: bool,
    /// Times are since then.
    origin: Instant,
    lanes: Arc<Lanes>,
    due: BTreeSet<(Duration, Arc<str>)>,
    known: HashMap<Arc<str>, Known>,
    jobs: JoinSet<Report>,
    /// Whose job it is.
    running: HashMap<Id, Arc<Spec>>,
}

struct Known {
    spec: Arc<Spec>,
    seed: u64,
    /// When it is, or was last, due.
    due: Duration,
    job: Option<AbortHandle>,
}

impl Runner {
    fn new(probes: Probes, stacks: Stacks) -> Self {
        Self {
            probes,
            stacks,
            reader: Reader::default(),
            is_stale: true,
            origin: Instant::now(),
            lanes: Arc::new(Lanes::new(busy_limit())),
            due: BTreeSet::new(),
            known: HashMap::new(),
            jobs: JoinSet::new(),
            running: HashMap::new(),
        }
    }

    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| self.origin + *due)
    }

    /// Goes over to what the configuration and the labels want now.
    fn turn_over(&mut self, configured: &mut watch::Receiver<Vec<Arc<crate::config::Probe>>>) {
        if !std::mem::take(&mut self.is_stale) {
            return;
        }
        let configured = configured.borrow_and_update().clone();
        let wanted = self.reader.wanted(&configured, self.stacks.replicas_with_probes());
        let now = self.now();
        let turnover = self.probes.board().turn_over(&wanted, now);
        for id in &turnover.gone {
            self.forget(id);
        }
        for spec in &turnover.fresh {
            self.forget(&spec.id);
            if spec.target.is_ok() {
                self.begin(spec, now);
            }
        }
        let gone = turnover.gone.iter().map(|id| What::ProbeGone { id: id.to_string() });
        let fresh = turnover.fresh.iter().filter_map(|spec| self.told(&spec.id));
        let changes: Vec<What> = gone.chain(fresh).collect();
        self.stacks.tell_of_probes(changes);
    }

    fn told(&self, id: &str) -> Option<What> {
        self.probes.board().view(id, 1).map(|probe| What::Probe { probe })
    }

    fn begin(&mut self, spec: &Arc<Spec>, now: Duration) {
        let seed = seed(&spec.id);
        let within = if spec.owner.is_some() { FIRST_OF_REPLICA_WITHIN } else { FIRST_WITHIN };
        let within = within.min(spec.pace.schedule.interval(false));
        let due = Schedule::new(within, within).first(now, seed);
        self.due.insert((due, Arc::clone(&spec.id)));
        let known = Known { spec: Arc::clone(spec), seed, due, job: None };
        self.known.insert(Arc::clone(&spec.id), known);
    }

    fn forget(&mut self, id: &Arc<str>) {
        let Some(known) = self.known.remove(id) else { return };
        self.due.remove(&(known.due, Arc::clone(id)));
        if let Some(job) = known.job {
            job.abort();
        }
    }

    /// Starts whatever is due by now.
    fn start_due(&mut self) {
        let now = self.now();
        while self.due.first().is_some_and(|(due, _)| *due <= now) {
            let Some((_, id)) = self.due.pop_first() else { return };
            let Some(known) = self.known.get_mut(&id) else { continue };
            let (spec, lanes) = (Arc::clone(&known.spec), Arc::clone(&self.lanes));
            let prober = Arc::clone(&self.probes.inner.prober);
            let job = async move {
                let probing = async {
                    match &spec.target {
                        // Its own time limit is shorter; this one begins with it, not while it waits for its turn.
                        Ok(target) => prober.run(target, Instant::now() + 2 * target.timeout).await,
                        Err(_) => std::future::pending().await,
                    }
                };
                lanes.run(probing).await
            };
            let job = self.jobs.spawn(job);
            self.running.insert(job.id(), Arc::clone(&known.spec));
            known.job = Some(job);
        }
    }

    /// Takes the result of a job, and says when its probe is due again.
    fn take(&mut self, ended: Result<(Id, Report), JoinError>) {
        let (id, report) = match ended {
            Ok((id, report)) => (id, report),
            Err(error) if error.is_panic() => {
                tracing::error!(error = %error, "a probe failed of itself");
                (error.id(), broken())
            }
            // Its probe is gone.
            Err(error) => {
                self.running.remove(&error.id());
                return;
            }
        };
        let Some(spec) = self.running.remove(&id) else { return };
        let now = self.now();
        let reason = report.reason.clone();
        let observed = self.probes.board().observe(&spec, now, crate::clock::now(), report);
        let Some(observed) = observed else { return };
        if let Some(known) = self.known.get_mut(&spec.id) {
            known.job = None;
            known.due = spec.pace.schedule.next(known.due, now, observed.is_failing, known.seed);
            self.due.insert((known.due, Arc::clone(&spec.id)));
        }
        if let Some(flip) = observed.flip {
            // The first good news of a probe is none.
            let is_news = !(observed.is_first && flip.to == Verdict::Up);
            self.tell(&spec, &flip, &reason, is_news);
        }
    }

    fn tell(&self, spec: &Spec, flip: &Flip, reason: &str, is_news: bool) {
        let mut changes: Vec<What> = self.told(&spec.id).into_iter().collect();
        if is_news {
            let happening = happening(spec, flip, reason);
            match flip.to {
                Verdict::Up => tracing::info!(probe.name = %spec.name, "{}", happening.text),
                _ => tracing::warn!(probe.name = %spec.name, "{}", happening.text),
            }
            changes.push(What::Happened { happening });
        }
        self.stacks.tell_of_probes(changes);
    }
}

fn happening(spec: &Spec, flip: &Flip, reason: &str) -> Happening {
    let because = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    let text = match flip.to {
        Verdict::Up => {
            format!("is up again after {}", Span(rounded(flip.after)))
        }
        Verdict::Degraded => format!("is degraded{because}"),
        Verdict::Unknown => format!("cannot be told{because}"),
        Verdict::Down => format!("is down{because}"),
    };
    let owner = spec.owner.as_ref();
    Happening {
        at: crate::clock::now(),
        stack: owner.map(|owner| owner.key.stack.to_string()),
        service: owner.map(|owner| owner.key.service.to_string()),
        replica: owner.map(|owner| owner.id.as_str().to_owned()),
        name: spec.name.clone(),
        kind: format!("probe-{}", flip.to),
        text,
    }
}

/// Nobody wants to know the milliseconds of an hour.
fn rounded(time: Duration) -> Duration {
    if time < Duration::from_secs(1) { time } else { Duration::from_secs(time.as_secs()) }
}

/// What stands for the result of a probe that had a bug.
fn broken() -> Report {
    Report::unknown("the probe failed of itself; the agent's log tells more")
}

/// Returns a number that is the probe's own, the same after each start.
fn seed(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

/// Returns how many probes may be busy, so that those that wait leave descriptors to everybody else.
fn busy_limit() -> usize {
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let waiting = usize::try_from(descriptors / DESCRIPTOR_PARTS).unwrap_or(usize::MAX);
    (waiting / 16).clamp(4, BUSY)
}
