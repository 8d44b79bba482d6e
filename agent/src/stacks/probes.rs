//! What the probes see of the stacks, and how they tell of themselves.

use tokio::sync::watch;
use zv_api::What;
use zv_probe::labels;
use zv_stack::State;

use super::Stacks;
use crate::probes::{LabelledReplica, Owner};

impl Stacks {
    /// Returns a number that rises with every change of the model.
    pub(crate) fn versions(&self) -> watch::Receiver<u64> {
        self.inner.version.subscribe()
    }

    /// Returns the running replicas whose labels ask for probes. Those that were not looked at closely yet have no address
    /// that could be believed, and one that runs a single command is no server.
    pub(crate) fn replicas_with_probes(&self) -> Vec<LabelledReplica> {
        let state = self.state();
        let asking = state.model.replicas().filter(|view| {
            let seen = view.seen;
            let is_fit = seen.state == State::Running && seen.details.is_some() && !seen.one_off;
            is_fit && labels::ask_for_probes(seen.labels.keys().map(String::as_str))
        });
        let labelled = asking.map(|view| LabelledReplica {
            owner: Owner {
                key: view.seen.key.clone(),
                id: view.seen.id.clone(),
                name: view.seen.name.clone(),
            },
            life: view.life,
            labels: view.seen.labels.clone(),
            addresses: view.seen.addresses.clone(),
            ports: view.seen.ports.clone(),
        });
        labelled.collect()
    }

    /// Tells every listener of probes.
    pub(crate) fn tell_of_probes(&self, changes: Vec<What>) {
        let mut state = self.state();
        for what in changes {
            self.publish(&mut state, what);
        }
    }
}
