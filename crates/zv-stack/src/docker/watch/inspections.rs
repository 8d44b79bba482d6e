//! Which containers are to be inspected, when, and whether an answer still counts.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::ReplicaId;

/// So many inspections run at once.
const AT_ONCE: usize = 8;

/// A queue with each container in it at most once.
#[derive(Debug, Default)]
pub(super) struct Inspections {
    queue: BTreeSet<(Instant, ReplicaId)>,
    due: HashMap<ReplicaId, Instant>,
    running: HashMap<ReplicaId, Running>,
}

#[derive(Debug, PartialEq, Eq)]
enum Running {
    Current,
    /// Something happened since it was asked: the answer may be older than that.
    Again(Instant),
    /// The container is no longer of interest.
    Discard,
}

impl Inspections {
    /// Asks for an inspection after `delay`; one that waits already goes no later, a running one is repeated.
    pub(super) fn request(&mut self, id: &ReplicaId, now: Instant, delay: Duration) {
        let at = now + delay;
        if let Some(running) = self.running.get_mut(id) {
            *running = Running::Again(at);
            return;
        }
        match self.due.get(id) {
            Some(due) if *due <= at => return,
            Some(due) => self.queue.remove(&(*due, id.clone())),
            None => false,
        };
        self.due.insert(id.clone(), at);
        self.queue.insert((at, id.clone()));
    }

    /// Makes sure that no answer about the container counts any more.
    pub(super) fn forget(&mut self, id: &ReplicaId) {
        if let Some(at) = self.due.remove(id) {
            self.queue.remove(&(at, id.clone()));
        }
        if let Some(running) = self.running.get_mut(id) {
            *running = Running::Discard;
        }
    }

    /// Takes the next container to inspect now.
    pub(super) fn start(&mut self, now: Instant) -> Option<ReplicaId> {
        if self.running.len() >= AT_ONCE || self.queue.first()?.0 > now {
            return None;
        }
        let (_, id) = self.queue.pop_first()?;
        self.due.remove(&id);
        self.running.insert(id.clone(), Running::Current);
        Some(id)
    }

    /// When [`Inspections::start`] may have something next; `None` where only an answer brings it on.
    pub(super) fn next(&self) -> Option<Instant> {
        let (at, _) = self.queue.first()?;
        (self.running.len() < AT_ONCE).then_some(*at)
    }

    /// Takes note of an answer, and says whether it counts. A repetition is queued where one is needed.
    pub(super) fn finish(&mut self, id: &ReplicaId) -> bool {
        match self.running.remove(id) {
            Some(Running::Current) => true,
            Some(Running::Again(at)) => {
                self.due.insert(id.clone(), at);
                self.queue.insert((at, id.clone()));
                false
            }
            Some(Running::Discard) | None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    fn id(name: &str) -> ReplicaId {
        ReplicaId::new(name)
    }

    #[test]
    fn many_requests_make_one_inspection() {
        let (mut queue, now) = (Inspections::default(), Instant::now());
        queue.request(&id("a"), now, SOON);
        queue.request(&id("a"), now + SOON / 2, SOON);
        assert_eq!(queue.start(now), None);
        assert_eq!(queue.next(), Some(now + SOON));
        assert_eq!(queue.start(now + SOON), Some(id("a")));
        assert_eq!(queue.next(), None);
        assert!(queue.finish(&id("a")));
    }

    #[test]
    fn an_answer_older_than_an_event_is_discarded_and_repeated() {
        let (mut queue, now) = (Inspections::default(), Instant::now());
        queue.request(&id("a"), now, Duration::ZERO);
        assert_eq!(queue.start(now), Some(id("a")));
        queue.request(&id("a"), now, SOON);
        assert!(!queue.finish(&id("a")));
        assert_eq!(queue.start(now + SOON), Some(id("a")));
        assert!(queue.finish(&id("a")));
    }

    #[test]
    fn an_answer_about_a_removed_container_does_not_count() {
        let (mut queue, now) = (Inspections::default(), Instant::now());
        queue.request(&id("a"), now, Duration::ZERO);
        assert_eq!(queue.start(now), Some(id("a")));
        queue.forget(&id("a"));
        assert!(!queue.finish(&id("a")));
        queue.request(&id("b"), now, Duration::ZERO);
        queue.forget(&id("b"));
        assert_eq!((queue.start(now), queue.next()), (None, None));
    }

    #[test]
    fn only_so_many_run_at_once() {
        let (mut queue, now) = (Inspections::default(), Instant::now());
        for n in 0..AT_ONCE + 1 {
            queue.request(&id(&n.to_string()), now, Duration::ZERO);
        }
        let started: Vec<_> = std::iter::from_fn(|| queue.start(now)).collect();
        assert_eq!((started.len(), queue.next()), (AT_ONCE, None));
        queue.finish(&started[0]);
        assert!(queue.start(now).is_some());
    }
}
