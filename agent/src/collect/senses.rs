//! What the rounds ask: who runs, what each uses, what the host does. Functions, so that tests can put their own.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use zv_stack::stats::{Measurement, Round, Running};
use zv_stack::{ReplicaId, Runtime};

use super::host::{HostMeasurement, HostMeter, Roots};

/// Who is to be measured.
#[derive(Debug, Clone, Default)]
pub struct Sight {
    pub running: Vec<Running>,
    /// The runtime can be asked.
    pub answers: bool,
}

/// Measures all in one round; blocks for some tens of microseconds for each.
pub(super) type Meter = Box<dyn FnMut(&[Running], DateTime<Utc>) -> Round + Send>;
/// Measures the host; may block for as long as a mount hangs.
pub(super) type HostSense = Box<dyn FnMut(DateTime<Utc>) -> HostMeasurement + Send>;
/// Asks the runtime for one replica.
pub(super) type Ask = Arc<dyn Fn(ReplicaId) -> BoxFuture<'static, Option<Measurement>> + Send + Sync>;

/// All that is asked.
pub struct Senses {
    pub sight: Box<dyn Fn() -> Sight + Send + Sync>,
    /// Says which replicas there are at all; what is remembered of others is forgotten.
    pub is_known: Box<dyn Fn() -> Vec<ReplicaId> + Send + Sync>,
    /// Makes a meter; another one where the last is lost to a fault.
    pub meter: Box<dyn Fn() -> Meter + Send + Sync>,
    /// Absent where the runtime is not to be asked.
    pub ask: Option<Ask>,
    pub host: Box<dyn Fn() -> HostSense + Send + Sync>,
}

impl fmt::Debug for Senses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Senses").field("asks", &self.ask.is_some()).finish_non_exhaustive()
    }
}

impl Senses {
    /// Returns the senses for a runtime whose replicas `stacks` knows.
    pub fn new(stacks: &crate::stacks::Stacks, runtime: &Runtime, host_root: &Path, asks: bool) -> Self {
        let (looking, knowing) = (stacks.clone(), stacks.clone());
        let (meters, asked, root) = (runtime.clone(), runtime.clone(), host_root.to_owned());
        let ask: Ask = Arc::new(move |id| {
            let runtime = asked.clone();
            Box::pin(async move { runtime.measure(&id).await })
        });
        Self {
            sight: Box::new(move || looking.sight()),
            is_known: Box::new(move || knowing.known()),
            meter: Box::new(move || {
                let mut meters = meters.meters();
                Box::new(move |running, at| meters.round(running, at))
            }),
            ask: asks.then_some(ask),
            host: Box::new(move || {
                let mut meter = HostMeter::new(Roots::under(&root));
                Box::new(move |at| meter.measure(at))
            }),
        }
    }
}
