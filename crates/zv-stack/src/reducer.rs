//! The pure heart: inputs in; what is true, and what changed, out.
//!
//! The model never asks anybody anything and never reads a clock. What a runtime said last stays visible while the
//! runtime is away, but nothing is called healthy that cannot be seen: see `ReplicaStatus::Unknown`.

mod crashes;
mod leftovers;
mod memory;
mod replica;
mod service;
#[cfg(test)]
mod tests;
mod text;
mod view;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use crate::input::{Declared, Event, EventKind, Input};
use crate::model::{Exit, Happening, HappeningKind, Intent, ReplicaId, RuntimeState, Seen, ServiceKey};

pub use memory::Memory;
use replica::{Noted, Tracked};
use service::Facts;
pub use service::ServiceView;
pub use text::exit_text;
pub use view::ReplicaView;

/// An engine that is told to end takes so long at most over its containers before it is gone.
const ENDING: TimeDelta = TimeDelta::seconds(20);

/// One thing that changed.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A service is new or different.
    Service(ServiceKey),
    ServiceGone(ServiceKey),
    Runtime(RuntimeState),
    Happened(Happening),
    /// Evidence of this death should be gathered now.
    Died(Death),
    /// What must survive a restart of the agent is different: see [`Model::memory`].
    Memory,
}

/// A death whose evidence is to be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Death {
    pub id: ReplicaId,
    pub key: ServiceKey,
    pub exit: Exit,
    /// It was over before it was noticed: the agent was not there.
    pub late: bool,
}

/// All that is known of the replicas of one runtime.
#[derive(Debug)]
pub struct Model {
    runtime: RuntimeState,
    replicas: BTreeMap<ReplicaId, Tracked>,
    services: BTreeMap<ServiceKey, Facts>,
    /// The first complete list has been taken in.
    listed: bool,
    /// When the runtime last ended and took every replica with it: nobody asked for what stopped then.
    swept: Option<(DateTime<Utc>, DateTime<Utc>)>,
    remembered: Memory,
}

/// Collects what one input changed.
#[derive(Debug, Default)]
struct Changes {
    touched: BTreeSet<ServiceKey>,
    out: Vec<Change>,
    memory: bool,
}

impl Model {
    /// Returns a model that knows nothing yet but what an earlier one remembered.
    pub fn new(memory: Memory) -> Self {
        Self {
            runtime: RuntimeState::Connecting,
            replicas: BTreeMap::new(),
            services: BTreeMap::new(),
            listed: false,
            swept: None,
            remembered: memory,
        }
    }

    /// Returns whether the runtime can be asked.
    pub fn runtime(&self) -> &RuntimeState {
        &self.runtime
    }

    /// Says whether a complete list has been taken in since the model was made.
    pub fn is_listed(&self) -> bool {
        self.listed
    }

    /// Says whether there are replicas of which only the list is known so far.
    pub fn awaits_inspection(&self) -> bool {
        self.replicas.values().any(|tracked| tracked.seen.details.is_none())
    }

    /// Returns every service, by stack and name.
    pub fn services(&self) -> impl Iterator<Item = ServiceView<'_>> {
        self.services.iter().filter(|(_, facts)| facts.is_listed()).filter_map(|(key, _)| self.service(key))
    }

    /// Returns one service with its replicas, by number.
    pub fn service(&self, key: &ServiceKey) -> Option<ServiceView<'_>> {
        let (key, facts) = self.services.get_key_value(key)?;
        let replicas = facts.replicas.iter().filter_map(|id| self.replica(id)).collect();
        Some(ServiceView::new(key, facts, replicas, &self.runtime))
    }

    /// Returns one replica.
    pub fn replica(&self, id: &ReplicaId) -> Option<ReplicaView<'_>> {
        let tracked = self.replicas.get(id)?;
        Some(tracked.view(self.is_certain()))
    }

    /// Returns every replica, by id.
    pub fn replicas(&self) -> impl Iterator<Item = ReplicaView<'_>> {
        let certain = self.is_certain();
        self.replicas.values().map(move |tracked| tracked.view(certain))
    }

    /// Returns what must survive a restart of the agent.
    pub fn memory(&self) -> Memory {
        let mut memory = self.remembered.clone();
        for (key, facts) in &self.services {
            memory.note_service(key, facts);
        }
        memory.stopped =
            self.replicas.iter().filter(|(_, t)| t.stop_asked).map(|(id, _)| id.clone()).collect();
        memory
    }

    /// Takes one input and returns what it changed.
    pub fn apply(&mut self, now: DateTime<Utc>, input: Input) -> Vec<Change> {
        let mut changes = Changes::default();
        match input {
            Input::Up { kind, version, api_version } => {
                self.up(now, RuntimeState::Up { kind, version, api_version }, &mut changes);
            }
            Input::Down { reason } => self.down(now, reason, &mut changes),
            Input::Listed(seen) => self.list(now, seen, &mut changes),
            Input::Seen(seen) => self.see(now, *seen, &mut changes),
            Input::Gone(id) => self.forget(&id, &mut changes),
            Input::Happened(event) => self.happened(*event, &mut changes),
            Input::ProcessEnded { id, pid } => self.process_ended(now, &id, pid, &mut changes),
            Input::Declared(declared) => self.declare(declared, &mut changes),
            Input::Scaled { key, replicas } => self.scaled(now, &key, replicas, &mut changes),
        }
        self.settle(changes)
    }

    /// Lets time pass: a crash loop that calmed down is over. To be called every few seconds.
    pub fn tick(&mut self, now: DateTime<Utc>) -> Vec<Change> {
        let mut changes = Changes::default();
        for tracked in self.replicas.values_mut() {
            if tracked.crashes.calmed_down(now) {
                changes.touched.insert(tracked.seen.key.clone());
            }
        }
        self.settle(changes)
    }

    fn is_certain(&self) -> bool {
        matches!(self.runtime, RuntimeState::Up { .. })
    }

    fn up(&mut self, now: DateTime<Utc>, state: RuntimeState, changes: &mut Changes) {
        if self.runtime == state {
            return;
        }
        let RuntimeState::Up { kind, version, .. } = &state else { return };
        changes.happened(runtime_happening(
            now,
            kind,
            HappeningKind::RuntimeUp,
            format!("{kind} {version} answers"),
        ));
        if let RuntimeState::Down { since, .. } = self.runtime {
            self.sweep(since - ENDING, now, changes);
        }
        // Services stay unknown until the list says what is true: `list` makes them certain again.
        self.runtime = state.clone();
        self.listed = false;
        for tracked in self.replicas.values_mut() {
            tracked.certain = false;
        }
        changes.out.push(Change::Runtime(state));
    }

    /// Finds out whether the runtime took every replica with it when it ended. An engine that does tells of stops and exit
    /// codes as if somebody had asked for them.
    fn sweep(&mut self, from: DateTime<Utc>, to: DateTime<Utc>, changes: &mut Changes) {
        let is_left = self.replicas.values().any(|tracked| tracked.seen.state.is_up());
        let ended = |tracked: &&mut Tracked| tracked.ended_within(from, to);
        self.swept = None;
        if is_left {
            return;
        }
        for tracked in self.replicas.values_mut().filter(ended) {
            tracked.sweep();
            self.swept = Some((from, to));
            changes.memory = true;
            changes.touched.insert(tracked.seen.key.clone());
        }
    }

    fn down(&mut self, now: DateTime<Utc>, reason: String, changes: &mut Changes) {
        let since = match &self.runtime {
            RuntimeState::Down { since, .. } => *since,
            RuntimeState::Connecting | RuntimeState::Up { .. } => {
                changes.happened(runtime_happening(
                    now,
                    "runtime",
                    HappeningKind::RuntimeDown,
                    reason.clone(),
                ));
                now
            }
        };
        let state = RuntimeState::Down { since, reason };
        if self.runtime == state {
            return;
        }
        self.runtime = state.clone();
        changes.out.push(Change::Runtime(state));
        let lost: Vec<_> = self.replicas.iter_mut().map(|(id, t)| (id.clone(), t.runtime_lost())).collect();
        for (id, noted) in lost {
            self.report(&id, noted, changes);
        }
    }

    fn list(&mut self, now: DateTime<Utc>, seen: Vec<Seen>, changes: &mut Changes) {
        let present: BTreeSet<ReplicaId> = seen.iter().map(|s| s.id.clone()).collect();
        let gone: Vec<ReplicaId> =
            self.replicas.keys().filter(|id| !present.contains(*id)).cloned().collect();
        for id in gone {
            self.forget(&id, changes);
        }
        for one in seen {
            self.see(now, one, changes);
        }
        if !self.listed {
            self.listed = true;
            self.remember_what_is_left(&present, changes);
        }
    }

    fn see(&mut self, now: DateTime<Utc>, seen: Seen, changes: &mut Changes) {
        let id = seen.id.clone();
        let key = seen.key.clone();
        let noted = match self.replicas.get_mut(&id) {
            Some(tracked) => {
                if tracked.seen.key != key {
                    let old = tracked.seen.key.clone();
                    self.leave(&old, &id, changes);
                }
                self.replicas.get_mut(&id).map(|tracked| tracked.update(now, seen))
            }
            None => {
                let mut tracked = Tracked::new(now, seen);
                tracked.stop_asked = self.remembered.stopped.contains(&id) && !tracked.seen.state.is_up();
                let noted = tracked.first_noted();
                self.replicas.insert(id.clone(), tracked);
                Some(noted)
            }
        };
        if let Some(((from, to), tracked)) = self.swept.zip(self.replicas.get_mut(&id))
            && tracked.ended_within(from, to)
        {
            tracked.sweep();
        }
        self.join(&key, &id, changes);
        if let Some(noted) = noted {
            self.report(&id, noted, changes);
        }
    }

    fn happened(&mut self, event: Event, changes: &mut Changes) {
        let Event { id, at, kind, seen } = event;
        if !self.replicas.contains_key(&id) {
            let Some(seen) = seen else { return };
            let key = seen.key.clone();
            let mut tracked = Tracked::new(at, *seen);
            tracked.certain = self.is_certain();
            tracked.looked = tracked.inspected;
            self.replicas.insert(id.clone(), tracked);
            self.join(&key, &id, changes);
        }
        if kind == EventKind::Removed {
            self.removed(at, &id, changes);
            return;
        }
        let is_order = matches!(kind, EventKind::Stopped | EventKind::Killed);
        if is_order && self.swept.is_some_and(|(from, to)| (from..=to).contains(&at)) {
            return;
        }
        let Some(tracked) = self.replicas.get_mut(&id) else { return };
        let noted = tracked.take_event(at, kind);
        self.report(&id, noted, changes);
    }

    fn process_ended(&mut self, now: DateTime<Utc>, id: &ReplicaId, pid: u32, changes: &mut Changes) {
        let certain = self.is_certain();
        let Some(tracked) = self.replicas.get_mut(id) else { return };
        let noted = tracked.process_ended(now, pid, certain);
        self.report(id, noted, changes);
    }

    fn removed(&mut self, at: DateTime<Utc>, id: &ReplicaId, changes: &mut Changes) {
        let Some(tracked) = self.replicas.get(id) else { return };
        let view = tracked.view(true);
        if let Some(facts) = self.services.get_mut(&tracked.seen.key) {
            // Removing what was stopped, or what still ran, is a person's wish for fewer; a crash that was swept away is not.
            let is_wish = view.intent != Intent::Run || tracked.seen.state.is_up() || tracked.kill_asked;
            // A deploy removes what it has replaced: the count has begun anew without that.
            if is_wish && !tracked.seen.one_off && facts.is_of_deploy(&tracked.seen) {
                facts.want_one_less(id, &self.replicas);
                changes.memory = true;
            }
        }
        if tracked.kill_asked && view.intent == Intent::Run && !tracked.seen.state.is_up() {
            // `rm -f` kills and removes and never says stop: it is one all the same.
            changes.happened(tracked.happening(
                at,
                HappeningKind::Stopped,
                "removed by force on request".to_owned(),
            ));
        }
        changes.happened(tracked.happening(at, HappeningKind::Removed, "removed".to_owned()));
        self.forget(id, changes);
    }

    fn forget(&mut self, id: &ReplicaId, changes: &mut Changes) {
        let Some(tracked) = self.replicas.remove(id) else { return };
        changes.memory |= tracked.stop_asked;
        self.leave(&tracked.seen.key, id, changes);
    }

    fn declare(&mut self, declared: Vec<Declared>, changes: &mut Changes) {
        for one in declared {
            let key = one.key.clone();
            // What a file no longer says anything of must not be kept for ever.
            let declared = Some(one).filter(|one| one.named);
            if declared.is_none() && !self.services.contains_key(&key) {
                continue;
            }
            let facts = self.facts(&key);
            if facts.declared != declared {
                facts.declared = declared;
                changes.touched.insert(key);
            }
        }
    }

    fn scaled(&mut self, now: DateTime<Utc>, key: &ServiceKey, replicas: u32, changes: &mut Changes) {
        let facts = self.facts(key);
        if facts.scaled.replace(replicas) == Some(replicas) {
            return;
        }
        changes.touched.insert(key.clone());
        changes.memory = true;
        changes.happened(Happening {
            at: now,
            key: Some(key.clone()),
            replica: None,
            name: key.service.to_string(),
            kind: HappeningKind::Scaled,
            text: format!("scaled to {replicas}"),
        });
    }

    fn facts(&mut self, key: &ServiceKey) -> &mut Facts {
        facts_of(&mut self.services, &self.remembered, key)
    }

    /// Puts a replica under its service and follows the deploys and the highest count.
    fn join(&mut self, key: &ServiceKey, id: &ReplicaId, changes: &mut Changes) {
        let Some(tracked) = self.replicas.get(id) else { return };
        let facts = facts_of(&mut self.services, &self.remembered, key);
        if facts.replicas.contains(id) && facts.deploy.is_some() {
            return;
        }
        if !facts.replicas.contains(id) {
            facts.replicas.push(id.clone());
            changes.touched.insert(key.clone());
        }
        if tracked.seen.one_off {
            return;
        }
        changes.memory |= facts.note_deploy(&tracked.seen);
        let replicas = &self.replicas;
        changes.memory |= facts.note_more(replicas);
        let of_deploy = |id: &&ReplicaId| {
            replicas
                .get(*id)
                .is_some_and(|t| !t.seen.one_off && t.seen.config_hash == facts.deploy.clone().flatten())
        };
        let count = u32::try_from(facts.replicas.iter().filter(of_deploy).count()).unwrap_or(u32::MAX);
        if count > facts.highest {
            facts.highest = count;
            changes.memory = true;
        }
    }

    fn leave(&mut self, key: &ServiceKey, id: &ReplicaId, changes: &mut Changes) {
        if let Some(facts) = self.services.get_mut(key) {
            facts.replicas.retain(|other| other != id);
            changes.touched.insert(key.clone());
        }
    }

    fn report(&mut self, id: &ReplicaId, noted: Noted, changes: &mut Changes) {
        let Some(tracked) = self.replicas.get(id) else { return };
        if noted.changed {
            changes.touched.insert(tracked.seen.key.clone());
        }
        changes.memory |= noted.memory;
        changes.out.extend(noted.happenings.into_iter().map(Change::Happened));
        if let Some((exit, late)) = noted.died {
            changes.out.push(Change::Died(Death {
                id: id.clone(),
                key: tracked.seen.key.clone(),
                exit,
                late,
            }));
        }
    }

    /// Sorts the replicas of what was touched, drops empty services and puts the changes of services first.
    fn settle(&mut self, changes: Changes) -> Vec<Change> {
        let Changes { touched, out, mut memory } = changes;
        let mut all = Vec::with_capacity(touched.len() + out.len());
        for key in touched {
            let Some(facts) = self.services.get_mut(&key) else { continue };
            if facts.is_listed() {
                facts.announced = true;
                let replicas = &self.replicas;
                facts
                    .replicas
                    .sort_by_key(|id| replicas.get(id).map(|t| (t.seen.one_off, t.seen.number, id.clone())));
                all.push(Change::Service(key));
            } else if facts.announced {
                // Otherwise its replicas are yet to come.
                memory |= self.drop_service(&key, &mut all);
                memory |= self.drop_leftovers(&key.stack, &mut all);
            } else if facts.declared.is_none() && facts.scaled.is_none() {
                self.services.remove(&key);
            }
        }
        all.extend(out);
        if memory {
            all.push(Change::Memory);
        }
        all
    }
}

impl Default for Model {
    fn default() -> Self {
        Self::new(Memory::default())
    }
}

impl Changes {
    fn happened(&mut self, happening: Happening) {
        self.out.push(Change::Happened(happening));
    }
}

/// Returns what is known of a service; of one that is new, what was remembered.
fn facts_of<'a>(
    services: &'a mut BTreeMap<ServiceKey, Facts>,
    remembered: &Memory,
    key: &ServiceKey,
) -> &'a mut Facts {
    services.entry(key.clone()).or_insert_with(|| {
        let mut facts = Facts::default();
        remembered.restore(key, &mut facts);
        facts
    })
}

fn runtime_happening(at: DateTime<Utc>, name: &str, kind: HappeningKind, text: String) -> Happening {
    Happening { at, key: None, replica: None, name: name.to_owned(), kind, text }
}
