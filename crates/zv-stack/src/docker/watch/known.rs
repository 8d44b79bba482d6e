//! What was last said of each container, so that a list never takes back what an event said since it began.

use std::collections::{HashMap, HashSet};

use crate::input::EventKind;
use crate::model::{LOOSE_STACK, ReplicaId, Seen, ServiceKey, State, Verdict};

/// All containers of one connection.
#[derive(Debug, Default)]
pub(super) struct Known {
    entries: HashMap<ReplicaId, Entry>,
    /// Removed since the list that is under way began.
    removed: HashSet<ReplicaId>,
    revision: u64,
}

#[derive(Debug)]
struct Entry {
    /// Without details.
    seen: Seen,
    revision: u64,
    /// An inspection was reported since the last event.
    inspected: bool,
}

/// What a list comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Listing {
    /// Every container, none older than what was said of it before.
    pub(super) all: Vec<Seen>,
    /// Those of which the list alone says too little.
    pub(super) inspect: Vec<ReplicaId>,
}

impl Known {
    pub(super) fn contains(&self, id: &ReplicaId) -> bool {
        self.entries.contains_key(id)
    }

    /// Returns the state last heard of.
    pub(super) fn state(&self, id: &ReplicaId) -> Option<State> {
        self.entries.get(id).map(|entry| entry.seen.state)
    }

    /// Marks the beginning of a list; its result is given to [`Known::list`] with the returned number.
    pub(super) fn list_begins(&mut self) -> u64 {
        self.removed.clear();
        self.revision
    }

    /// Takes a container that an event tells of first.
    pub(super) fn add(&mut self, seen: Seen) {
        self.removed.remove(&seen.id);
        self.revision += 1;
        let entry = Entry { seen, revision: self.revision, inspected: false };
        self.entries.insert(entry.seen.id.clone(), entry);
    }

    /// Applies an event to what is known.
    pub(super) fn event(&mut self, id: &ReplicaId, kind: Option<&EventKind>) {
        self.revision += 1;
        if kind == Some(&EventKind::Removed) {
            self.entries.remove(id);
            self.removed.insert(id.clone());
            return;
        }
        let Some(entry) = self.entries.get_mut(id) else { return };
        entry.revision = self.revision;
        entry.inspected = false;
        let seen = &mut entry.seen;
        match kind {
            Some(EventKind::Started { .. } | EventKind::Unpaused) => seen.state = State::Running,
            Some(EventKind::Paused) => seen.state = State::Paused,
            Some(EventKind::Died { .. }) => {
                seen.state = State::Exited;
                seen.verdict = Verdict::None;
            }
            Some(EventKind::Health(verdict)) => seen.verdict = *verdict,
            Some(EventKind::Renamed(name)) => {
                if &*seen.key.stack == LOOSE_STACK {
                    seen.key = ServiceKey::new(LOOSE_STACK, name.as_str());
                }
                seen.name.clone_from(name);
            }
            _ => {}
        }
    }

    /// Takes an inspection that counts.
    pub(super) fn inspected(&mut self, seen: &Seen) {
        self.revision += 1;
        let seen = Seen { details: None, ..seen.clone() };
        let entry = Entry { seen, revision: self.revision, inspected: true };
        self.entries.insert(entry.seen.id.clone(), entry);
    }

    /// Takes note that a container is not there.
    pub(super) fn gone(&mut self, id: &ReplicaId) {
        self.event(id, Some(&EventKind::Removed));
    }

    /// Merges a list that began at `began` with what was heard since.
    pub(super) fn list(&mut self, began: u64, listed: Vec<Seen>) -> Listing {
        let mut inspect = Vec::new();
        let mut old = std::mem::take(&mut self.entries);
        for mut seen in listed {
            if self.removed.contains(&seen.id) {
                continue;
            }
            let id = seen.id.clone();
            let entry = match old.remove(&id) {
                Some(entry) if entry.revision > began => entry,
                Some(entry) => {
                    keep_what_lists_blur(&mut seen, &entry);
                    let same = (seen.state, seen.verdict, &seen.name)
                        == (entry.seen.state, entry.seen.verdict, &entry.seen.name);
                    let restless = seen.verdict == Verdict::Unhealthy || seen.state == State::Restarting;
                    if !entry.inspected || !same || restless {
                        inspect.push(id.clone());
                    }
                    Entry { inspected: entry.inspected && same, seen, revision: entry.revision }
                }
                None => {
                    inspect.push(id.clone());
                    Entry { seen, revision: began, inspected: false }
                }
            };
            self.entries.insert(id, entry);
        }
        // Made since the list began.
        self.entries.extend(old.into_iter().filter(|(_, entry)| entry.revision > began));
        self.removed.clear();
        let mut all: Vec<_> = self.entries.values().map(|entry| entry.seen.clone()).collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        Listing { all, inspect }
    }
}

/// The list names an image by its id once its name has moved on, and has no verdict of a paused container.
fn keep_what_lists_blur(seen: &mut Seen, entry: &Entry) {
    if entry.inspected && seen.image_id == entry.seen.image_id {
        seen.image.clone_from(&entry.seen.image);
    }
    if seen.state == State::Paused && entry.seen.state == State::Paused {
        seen.verdict = entry.seen.verdict;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(id: &str, state: State) -> Seen {
        let id = ReplicaId::new(id);
        crate::docker::seen::from_event(&id, &[("name".into(), "n".into())].into(), state, None)
    }

    fn id(text: &str) -> ReplicaId {
        ReplicaId::new(text)
    }

    #[test]
    fn a_list_does_not_take_back_an_event_that_came_since() {
        let mut known = Known::default();
        let began = known.list_begins();
        known.list(began, vec![seen("a", State::Running), seen("b", State::Running)]);
        let began = known.list_begins();
        known.event(&id("a"), Some(&EventKind::Died { code: Some(1) }));
        known.event(&id("b"), Some(&EventKind::Removed));
        known.add(seen("c", State::Running));
        let listing = known.list(began, vec![seen("a", State::Running), seen("b", State::Running)]);
        let states: Vec<_> = listing.all.iter().map(|seen| (seen.id.as_str(), seen.state)).collect();
        assert_eq!(states, [("a", State::Exited), ("c", State::Running)]);
    }

    #[test]
    fn what_a_list_no_longer_has_is_gone() {
        let mut known = Known::default();
        let began = known.list_begins();
        known.list(began, vec![seen("a", State::Running)]);
        known.inspected(&seen("a", State::Running));
        let began = known.list_begins();
        assert_eq!(known.list(began, vec![]).all, []);
        assert!(!known.contains(&id("a")));
    }

    #[test]
    fn only_what_changed_is_inspected_again() {
        let mut known = Known::default();
        let began = known.list_begins();
        let listing = known.list(began, vec![seen("a", State::Running), seen("b", State::Running)]);
        assert_eq!(listing.inspect, [id("a"), id("b")]);
        known.inspected(&seen("a", State::Running));
        known.inspected(&seen("b", State::Running));
        let began = known.list_begins();
        let listing = known.list(began, vec![seen("a", State::Running), seen("b", State::Exited)]);
        assert_eq!(listing.inspect, [id("b")]);
    }

    #[test]
    fn the_sick_are_always_inspected() {
        let mut known = Known::default();
        let sick = Seen { verdict: Verdict::Unhealthy, ..seen("a", State::Running) };
        known.inspected(&sick);
        let began = known.list_begins();
        assert_eq!(known.list(began, vec![sick]).inspect, [id("a")]);
    }

    #[test]
    fn a_rename_moves_a_loose_container_to_its_new_service() {
        let mut known = Known::default();
        known.add(seen("a", State::Running));
        let began = known.list_begins();
        known.event(&id("a"), Some(&EventKind::Renamed("new".into())));
        let listing = known.list(began, vec![seen("a", State::Running)]);
        assert_eq!(listing.all[0].name, "new");
        assert_eq!(&*listing.all[0].key.service, "new");
    }
}
