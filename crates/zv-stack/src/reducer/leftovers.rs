//! Services that have no replica any more: which are forgotten, and which a person only wants to have none for now.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::service::Facts;
use super::{Change, Changes, Model};
use crate::model::{ReplicaId, ServiceKey};

impl Model {
    /// Forgets a service but for what a file declares of it and what was wished before its first replica. Says whether
    /// it was remembered.
    pub(super) fn drop_service(&mut self, key: &ServiceKey, changes: &mut Vec<Change>) -> bool {
        let Some(mut facts) = self.services.remove(key) else { return false };
        self.remembered.forget(key);
        let declared = facts.declared.take();
        let scaled = facts.scaled.filter(|_| !facts.announced);
        if declared.is_some() || scaled.is_some() {
            self.services.insert(key.clone(), Facts { declared, scaled, ..Facts::default() });
        }
        changes.extend(facts.announced.then(|| Change::ServiceGone(key.clone())));
        facts.deploy.is_some()
    }

    /// What was scaled to none goes with the last replica of its stack: the project was removed.
    pub(super) fn drop_leftovers(&mut self, stack: &str, changes: &mut Vec<Change>) -> bool {
        let of_stack = || self.services.iter().filter(|(key, _)| *key.stack == *stack);
        if of_stack().any(|(_, facts)| !facts.replicas.is_empty()) {
            return false;
        }
        let left: Vec<ServiceKey> = of_stack().map(|(key, _)| key.clone()).collect();
        let mut remembered = false;
        for key in &left {
            remembered |= self.drop_service(key, changes);
        }
        remembered
    }

    /// After a first list: forgets wishes for what was removed while nobody looked, and shows again what a person
    /// scaled to none.
    pub(super) fn remember_what_is_left(&mut self, present: &BTreeSet<ReplicaId>, changes: &mut Changes) {
        let stacks = self.replicas.values().map(|tracked| Arc::clone(&tracked.seen.key.stack)).collect();
        changes.memory |= self.remembered.keep_only(present, &stacks);
        for key in self.remembered.scaled_to_none() {
            if !self.services.contains_key(&key) {
                let mut facts = Facts { announced: true, ..Facts::default() };
                self.remembered.restore(&key, &mut facts);
                self.services.insert(key.clone(), facts);
                changes.touched.insert(key);
            }
        }
    }
}
