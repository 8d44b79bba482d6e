//! Asks the runtime for those that cannot be seen from here, now and then and beside the rounds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use zv_stack::ReplicaId;

use super::super::senses::Ask;
use super::super::{Collected, Measured};

/// How often the runtime is asked: each answer costs the engine more than all the rest costs us.
const EVERY: Duration = Duration::from_secs(60);
/// The same while somebody watches.
const EVERY_LIVE: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(6);
const AT_ONCE: usize = 4;

/// The asking under way, and when there was some.
#[derive(Debug, Default)]
pub(super) struct Asking {
    tasks: JoinSet<()>,
    asked_at: Option<Instant>,
    /// When it was last asked for the record.
    recorded_at: Option<Instant>,
}

impl Asking {
    /// Takes a turn if one is due, and says whether it is one for the record: what is recorded comes as often whether
    /// somebody watches or not.
    pub(super) fn turn(&mut self, is_watched: bool, interval: Duration) -> Option<bool> {
        let is_due = |last: Option<Instant>, every| last.is_none_or(|last| last.elapsed() >= every);
        let pace = if is_watched { EVERY_LIVE } else { EVERY };
        if !is_due(self.asked_at, pace) || !self.tasks.is_empty() {
            return None;
        }
        let now = Some(Instant::now());
        self.asked_at = now;
        let for_record = is_due(self.recorded_at, EVERY.max(interval));
        if for_record {
            self.recorded_at = now;
        }
        Some(for_record)
    }

    /// Asks for one after the other, a few at once; each is known as soon as it is told.
    pub(super) fn begin(
        &mut self,
        collected: Collected,
        ask: Ask,
        unseen: Vec<ReplicaId>,
        pids: BTreeMap<ReplicaId, Option<u32>>,
        for_record: bool,
    ) {
        self.tasks.spawn(async move {
            let asking = stream::iter(unseen).map(|id| {
                let asked = timeout(PATIENCE, ask(id.clone()));
                async move { asked.await.ok().flatten().map(|measurement| (id, measurement)) }
            });
            let mut told = asking.buffer_unordered(AT_ONCE);
            let least = collected.least_span();
            while let Some(answer) = told.next().await {
                let Some((id, measurement)) = answer else { continue };
                let (pid, now) = (pids.get(&id).copied().flatten(), crate::clock::now());
                let latest = collected.latest();
                let before = latest.replicas.get(&id).map(|before| &**before);
                let measured = Arc::new(Measured::new(pid, true, measurement, now, before, least));
                {
                    let mut record = collected.record();
                    if for_record {
                        record.keep(&id, measured.usage.at, &measured.measurement);
                    }
                    record.count_kills(&id, pid, &measured.measurement);
                }
                collected.update(|latest| {
                    latest.replicas.insert(id, measured);
                });
            }
        });
    }

    /// Waits until some asking is over; for ever where there is none.
    pub(super) async fn ended(&mut self) {
        match self.tasks.join_next().await {
            Some(Err(error)) if error.is_panic() => tracing::error!(%error, "asking the runtime failed"),
            Some(_) => {}
            None => std::future::pending().await,
        }
    }

    /// Leaves off.
    pub(super) async fn end(&mut self) {
        self.tasks.shutdown().await;
    }
}
