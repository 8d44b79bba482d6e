//! What those see of the stacks who measure and who write metrics, and what was measured.

use zv_api::HostReport;
use zv_stack::stats::Running;
use zv_stack::{Model, ReplicaId, RuntimeState};

use super::Stacks;
use crate::collect::{Collected, Sight};

impl Stacks {
    /// Returns what runs, for those who measure it.
    pub(crate) fn sight(&self) -> Sight {
        let state = self.state();
        let up = state.model.replicas().filter(|view| view.seen.state.is_up());
        let running = up.map(|view| Running { id: view.seen.id.clone(), pid: view.pid }).collect();
        Sight { running, answers: matches!(state.model.runtime(), RuntimeState::Up { .. }) }
    }

    /// Returns all replicas there are.
    pub(crate) fn known(&self) -> Vec<ReplicaId> {
        self.state().model.replicas().map(|view| view.seen.id.clone()).collect()
    }

    /// Calls `look` with the model; it is locked for that time.
    pub(crate) fn with_model<T>(&self, look: impl FnOnce(&Model) -> T) -> T {
        look(&self.state().model)
    }

    /// Returns a number that rises with every change.
    pub(crate) fn version(&self) -> u64 {
        *self.inner.version.borrow()
    }

    /// Returns what was measured.
    pub fn collected(&self) -> &Collected {
        &self.inner.collected
    }

    /// Returns what is known of the host.
    pub fn host(&self) -> HostReport {
        let latest = self.inner.collected.latest();
        HostReport {
            host: self.inner.host.clone(),
            usage: latest.host.as_ref().map(|host| host.usage.clone()),
            kernel: latest.host.as_ref().and_then(|host| host.measurement.kernel()),
        }
    }
}
