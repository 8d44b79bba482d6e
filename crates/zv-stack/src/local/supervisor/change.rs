//! Changes to what runs: more or fewer replicas, and a stack file that says something else.

use std::sync::Arc;

use futures_util::future::join_all;

use super::{Handle, Service, Supervisor};
use crate::clock;
use crate::input::{Event, EventKind, Input};
use crate::local::file::{MAX_REPLICAS, Spec, StackFile};
use crate::local::replica::{Command, Reply};
use crate::model::ServiceKey;
use crate::runtime::ActionError;

/// What a change left to be waited for.
#[derive(Default)]
struct Pending {
    started: Vec<Handle>,
    removed: Vec<Handle>,
    replaced: Vec<(Handle, Arc<Spec>)>,
}

impl Supervisor {
    /// Brings a service to so many replicas and answers once they run, or are gone.
    pub(super) async fn scale(&mut self, key: &ServiceKey, replicas: u32, reply: Reply) {
        let refusal = if key.stack != self.stack.name || !self.services.contains_key(&key.service) {
            Some(ActionError::Gone(key.to_string()))
        } else if replicas > MAX_REPLICAS {
            let action = format!("scale {}", key.service);
            Some(ActionError::Refused {
                action,
                reason: format!("more than {MAX_REPLICAS} replicas of one service"),
            })
        } else {
            None
        };
        if let Some(error) = refusal {
            // Whoever asked may have stopped waiting.
            let _gave_up = reply.send(Err(error));
            return;
        }
        let pending = self.bring_to(&key.service, replicas).await;
        self.answer_when_done(pending, reply);
    }

    /// Adds after the highest number, or removes the highest numbers first.
    async fn bring_to(&mut self, service: &Arc<str>, replicas: u32) -> Pending {
        let mut pending = Pending::default();
        let Some(entry) = self.services.get_mut(service) else { return pending };
        while entry.replicas.len() > replicas as usize {
            let Some((_, handle)) = entry.replicas.pop_last() else { break };
            pending.removed.push(handle);
        }
        let missing = replicas.saturating_sub(u32::try_from(entry.replicas.len()).unwrap_or(u32::MAX));
        // One that is still on its way out keeps its number until it is gone.
        let key = ServiceKey::new(self.stack.name.clone(), service.clone());
        let highest = self.context.registry.of(&key).iter().map(|replica| replica.number).max().unwrap_or(0);
        for number in highest + 1..=highest + missing {
            let Some(task) = self.create(service, number) else { continue };
            let (id, seen) = (task.shared.id.clone(), Box::new(task.shared.seen()));
            // A name that was in use before comes back without its past.
            task.shared.tap.clear();
            let event = Event { id, at: clock::now(), kind: EventKind::Created, seen: Some(seen.clone()) };
            self.send(Input::Happened(Box::new(event))).await;
            self.send(Input::Seen(seen)).await;
            self.replicas.spawn(task.live());
        }
        if let Some(entry) = self.services.get(service) {
            pending.started.extend(entry.replicas.range(highest + 1..).map(|(_, handle)| handle.clone()));
        }
        pending
    }

    /// Applies a stack file that was read anew: what is defined as before goes on undisturbed.
    pub(super) async fn reload(&mut self, file: StackFile, reply: Reply) {
        let mut pending = Pending::default();
        let before = std::mem::replace(&mut self.stack, file);
        for name in before.services.keys().filter(|name| !self.stack.services.contains_key(*name)) {
            if let Some(service) = self.services.remove(name) {
                pending.removed.extend(service.replicas.into_values());
            }
        }
        self.send(Input::Declared(self.declared())).await;
        for (name, spec) in self.stack.services.clone() {
            let count_changed = before.services.get(&name).is_none_or(|old| old.replicas != spec.replicas);
            let entry = self.services.entry(name.clone());
            let entry = entry.or_insert_with(|| Service { spec: spec.clone(), replicas: Default::default() });
            let changed = entry.spec.hash != spec.hash;
            entry.spec = spec.clone();
            let kept: Vec<Handle> =
                if changed { entry.replicas.values().cloned().collect() } else { Vec::new() };
            let with_spec = |handle: Handle| (handle, spec.clone());
            if count_changed {
                let scaled = self.bring_to(&name, spec.replicas).await;
                let removed =
                    |handle: &Handle| scaled.removed.iter().any(|gone| gone.shared.id == handle.shared.id);
                pending.replaced.extend(kept.into_iter().filter(|handle| !removed(handle)).map(with_spec));
                pending.started.extend(scaled.started);
                pending.removed.extend(scaled.removed);
            } else {
                pending.replaced.extend(kept.into_iter().map(with_spec));
            }
        }
        self.answer_when_done(pending, reply);
    }

    /// Carries out what is pending beside everything else, and answers then with the first failure.
    fn answer_when_done(&mut self, pending: Pending, reply: Reply) {
        self.jobs.spawn(async move {
            let removed = pending.removed.iter().map(|handle| handle.ask(|reply| Command::Remove { reply }));
            let replaced = pending.replaced.iter().map(|(handle, spec)| {
                let spec = spec.clone();
                handle.ask(|reply| Command::Replace { spec, reply })
            });
            let started = pending.started.iter().map(|handle| handle.ask(Command::Start));
            let outcomes = tokio::join!(join_all(removed), join_all(replaced), join_all(started));
            let outcomes = outcomes.0.into_iter().chain(outcomes.1).chain(outcomes.2);
            // Whoever asked may have stopped waiting.
            let _gave_up = reply.send(outcomes.collect());
        });
    }
}
