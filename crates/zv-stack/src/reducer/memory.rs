//! What the model must still know after the agent was restarted: people's wishes, which no engine remembers.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::service::Facts;
use crate::model::{ReplicaId, ServiceKey};

/// People's wishes and what was counted, to be kept on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    services: Vec<Remembered>,
    /// Replicas that a person stopped.
    pub(super) stopped: BTreeSet<ReplicaId>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Remembered {
    key: ServiceKey,
    /// The configuration these numbers belong to.
    config_hash: Option<String>,
    scaled: Option<u32>,
    highest: u32,
}

impl Memory {
    /// Returns to how many replicas a person scaled a service of this configuration.
    pub(crate) fn scaled(&self, key: &ServiceKey, config_hash: &str) -> Option<u32> {
        let of_it = |old: &&Remembered| old.key == *key && old.config_hash.as_deref() == Some(config_hash);
        self.services.iter().find(of_it)?.scaled
    }

    /// Says whether a person stopped this replica.
    pub(crate) fn is_stopped(&self, id: &ReplicaId) -> bool {
        self.stopped.contains(id)
    }

    pub(super) fn note_service(&mut self, key: &ServiceKey, facts: &Facts) {
        self.forget(key);
        let Some(config_hash) = facts.deploy.clone() else { return };
        self.services.push(Remembered {
            key: key.clone(),
            config_hash,
            scaled: facts.scaled,
            highest: facts.highest,
        });
    }

    pub(super) fn restore(&self, key: &ServiceKey, facts: &mut Facts) {
        let Some(old) = self.services.iter().find(|old| old.key == *key) else { return };
        facts.deploy = Some(old.config_hash.clone());
        facts.scaled = facts.scaled.or(old.scaled);
        facts.highest = old.highest;
    }

    pub(super) fn forget(&mut self, key: &ServiceKey) {
        self.services.retain(|old| old.key != *key);
    }

    /// Drops what is said of replicas and of stacks that no longer exist. Says whether there was any.
    pub(super) fn keep_only(&mut self, replicas: &BTreeSet<ReplicaId>, stacks: &BTreeSet<Arc<str>>) -> bool {
        let before = (self.stopped.len(), self.services.len());
        self.stopped.retain(|id| replicas.contains(id));
        self.services.retain(|old| stacks.contains(&old.key.stack));
        before != (self.stopped.len(), self.services.len())
    }

    /// Returns the services that a person scaled to none.
    pub(super) fn scaled_to_none(&self) -> Vec<ServiceKey> {
        let none = self.services.iter().filter(|old| old.scaled == Some(0));
        none.map(|old| old.key.clone()).collect()
    }
}
