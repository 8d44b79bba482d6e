//! Gathers what remains of a replica that died, before anyone removes it.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use zv_stack::death::{DeathRecord, Evidence, Summary};
use zv_stack::stats::Stats;
use zv_stack::{Death, Health, Intent, ReplicaId, RuntimeState, Verdict};

use super::Stacks;

/// A stop on request is told by the runtime after the death it caused: so long is it waited for.
const REQUEST_PATIENCE: Duration = Duration::from_secs(1);
/// How long evidence waits for a runtime that is away.
const RUNTIME_PATIENCE: Duration = Duration::from_secs(300);

/// Counts a capture as ended however it ends.
struct Ongoing<'a>(&'a Stacks);

impl Drop for Ongoing<'_> {
    fn drop(&mut self) {
        self.0.inner.captures.send_modify(|count| *count = count.saturating_sub(1));
    }
}

/// Gathers the evidence of one death and keeps it. `record` is what the model knew at that moment: the replica may be
/// gone since.
pub(super) async fn capture(
    stacks: Stacks,
    death: Death,
    record: Option<DeathRecord>,
    turns: Arc<Semaphore>,
) {
    let _ongoing = Ongoing(&stacks);
    if death.late && stacks.is_on_record(&death).await {
        return;
    }
    let Some(mut record) = record else { return };
    let evidence = {
        let Ok(_turn) = turns.acquire().await else { return };
        stacks.gather(&death.id).await
    };
    let Evidence { inspect, exit, health, logs } = evidence;
    record.inspect = inspect;
    record.logs = logs;
    if !health.log.is_empty() {
        // By now it may run again and have a verdict of its new life.
        let verdict = Some(record.health.verdict).filter(|known| *known != Verdict::None);
        record.health = Health { verdict: verdict.unwrap_or(health.verdict), ..health };
    }
    if let Some(exit) = exit {
        record.summary.exit.code = record.summary.exit.code.or(exit.code);
        record.summary.exit.oom |= exit.oom;
    }
    record.summary.wanted = stacks.was_asked_for(&death).await;
    record.summary.exit.oom |= stacks.ended_for_want_of_memory(&death);
    stacks.keep(record).await;
}

/// Writes records that the disk did not take before.
pub(super) async fn retry(stacks: Stacks) {
    let retried = stacks.with_deaths(|store| {
        let waiting = store.has_unsaved();
        (waiting && store.retry().is_ok()).then_some(())
    });
    if let Some(Some(())) = retried.await {
        tracing::info!("death records that were in memory only are on disk now");
    }
}

impl Stacks {
    async fn is_on_record(&self, death: &Death) -> bool {
        let (id, at) = (death.id.clone(), death.exit.at);
        self.with_deaths(move |store| store.has(&id, at)).await.unwrap_or(false)
    }

    /// Begins the record of a death. To be called before the model hears anything else.
    pub(super) fn begin_record(&self, death: &Death) -> Option<DeathRecord> {
        let state = self.state();
        let view = state.model.replica(&death.id)?;
        Some(DeathRecord {
            summary: Summary {
                id: Summary::id_of(&death.id, death.exit.at),
                key: death.key.clone(),
                replica: death.id.clone(),
                name: view.seen.name.clone(),
                exit: death.exit.clone(),
                wanted: false,
            },
            host: self.inner.host.name.clone(),
            image: view.seen.image.clone(),
            image_id: view.seen.image_id.clone(),
            started_at: view.started_at,
            restarts: view.restarts,
            health: view.health.cloned().unwrap_or_default(),
            logs: Vec::new(),
            stats: self.last_minutes(death),
            inspect: None,
        })
    }

    /// Takes what was measured of a replica up to its death. One that is noticed late may run again since.
    fn last_minutes(&self, death: &Death) -> Vec<Stats> {
        let mut stats = self.inner.collected.take_record(&death.id);
        if death.late {
            stats.retain(|stats| stats.at <= death.exit.at);
        }
        stats
    }

    /// Asks the runtime; where it is away, once more when it is back.
    async fn gather(&self, id: &ReplicaId) -> Evidence {
        let evidence = self.inner.runtime.evidence(id).await;
        let is_away = !matches!(self.state().model.runtime(), RuntimeState::Up { .. });
        if evidence.inspect.is_some() || !is_away {
            return evidence;
        }
        let mut version = self.inner.version.subscribe();
        let is_back = async {
            while !matches!(self.state().model.runtime(), RuntimeState::Up { .. }) {
                if version.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            _ = timeout(RUNTIME_PATIENCE, is_back) => self.inner.runtime.evidence(id).await,
            () = self.inner.closing.cancelled() => evidence,
        }
    }

    /// Says whether somebody asked for the death; the runtime tells so a moment after it.
    async fn was_asked_for(&self, death: &Death) -> bool {
        let mut version = self.inner.version.subscribe();
        let asked = async {
            loop {
                {
                    let state = self.state();
                    // By now it may run again, or be gone.
                    let is_its_stop = |(id, at): &(ReplicaId, _)| *id == death.id && *at >= death.exit.at;
                    if state.stops.iter().any(is_its_stop) {
                        return true;
                    }
                    match state.model.replica(&death.id).map(|view| view.intent) {
                        Some(Intent::Stopped) => return true,
                        Some(_) => {}
                        // Removed: nobody will tell any more.
                        None => return false,
                    }
                }
                if version.changed().await.is_err() {
                    return false;
                }
            }
        };
        timeout(REQUEST_PATIENCE, asked).await.unwrap_or(false)
    }

    /// Says whether the model has heard by now that this death was for want of memory: that may be told after it.
    fn ended_for_want_of_memory(&self, death: &Death) -> bool {
        let state = self.state();
        let view = state.model.replica(&death.id);
        // The event and the inspection tell of one end with slightly different times.
        let is_it = |at: DateTime<Utc>| (at - death.exit.at).abs() <= TimeDelta::seconds(5);
        view.and_then(|view| view.exit).is_some_and(|exit| exit.oom && is_it(exit.at))
    }

    async fn keep(&self, record: DeathRecord) {
        let name = record.summary.name.clone();
        // However slow the disk is: a record that nobody waits for is a lost one.
        match self.with_deaths_in_the_end(move |store| store.save(record)).await {
            Some(Ok(())) => self.inner.collected.own().death_recorded(),
            Some(Err(error)) => {
                tracing::warn!(container.name = %name, error = %error, "a death record is kept in memory only");
                self.inner.collected.own().death_recorded();
            }
            None => {
                tracing::error!(container.name = %name, "a death record is lost: the agent is ending");
                self.inner.collected.own().death_lost();
            }
        }
    }
}
