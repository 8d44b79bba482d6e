//! What a watcher has been told so far, and waiting for more.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use zv_stack::{Event, EventKind, Input, ReplicaId, Runtime, Seen, State};

/// Generous: nothing here measures speed.
const DEADLINE: Duration = Duration::from_secs(60);

pub(super) struct View {
    stream: BoxStream<'static, Input>,
    pub(super) inputs: Vec<Input>,
    pub(super) replicas: BTreeMap<ReplicaId, Seen>,
}

impl View {
    pub(super) fn of(runtime: &Runtime) -> Self {
        Self { stream: runtime.watch(), inputs: Vec::new(), replicas: BTreeMap::new() }
    }

    /// Takes inputs until `done` says yes.
    pub(super) async fn until(&mut self, what: &str, mut done: impl FnMut(&View) -> bool) {
        let waiting = async {
            while !done(self) {
                let input = self.stream.next().await.expect("the stream does not end");
                self.take(input);
            }
        };
        if tokio::time::timeout(DEADLINE, waiting).await.is_err() {
            panic!(
                "not within {DEADLINE:?}: {what}; last inputs: {:#?}",
                &self.inputs[self.inputs.len().saturating_sub(8)..]
            );
        }
    }

    /// Takes inputs until one comes of which `done` says yes; only those that come from now on count.
    pub(super) async fn next(&mut self, what: &str, mut done: impl FnMut(&Input) -> bool) -> Input {
        let from = self.inputs.len();
        self.until(what, |view| view.inputs[from..].last().is_some_and(&mut done)).await;
        self.inputs.last().unwrap().clone()
    }

    /// Waits until a replica was inspected in this state.
    pub(super) async fn details(&mut self, id: &ReplicaId, state: State) -> Seen {
        let known = |view: &View| {
            view.replicas.get(id).filter(|seen| seen.state == state && seen.details.is_some()).cloned()
        };
        self.until(&format!("details of {id} as {state:?}"), |view| known(view).is_some()).await;
        known(self).unwrap()
    }

    /// Waits for an event of a replica.
    pub(super) async fn event(&mut self, id: &ReplicaId, kind: EventKind) -> Event {
        let is =
            |input: &Input| matches!(input, Input::Happened(event) if event.id == *id && event.kind == kind);
        self.until(&format!("{kind:?} of {id}"), |view| view.inputs.iter().any(is)).await;
        match self.inputs.iter().find(|input| is(input)) {
            Some(Input::Happened(event)) => (**event).clone(),
            _ => unreachable!("just found"),
        }
    }

    /// Returns the events of a replica in order.
    pub(super) fn events(&self, id: &ReplicaId) -> Vec<EventKind> {
        let of = |input: &Input| match input {
            Input::Happened(event) if event.id == *id => Some(event.kind.clone()),
            _ => None,
        };
        self.inputs.iter().filter_map(of).collect()
    }

    fn take(&mut self, input: Input) {
        match &input {
            Input::Listed(all) => {
                let mut listed = BTreeMap::new();
                for seen in all {
                    let mut seen = seen.clone();
                    let old = self.replicas.remove(&seen.id).filter(|old| old.state == seen.state);
                    seen.details = old.and_then(|old| old.details);
                    listed.insert(seen.id.clone(), seen);
                }
                self.replicas = listed;
            }
            Input::Seen(seen) => {
                self.replicas.insert(seen.id.clone(), (**seen).clone());
            }
            Input::Gone(id) => {
                self.replicas.remove(id);
            }
            Input::Happened(event) => self.happened(event),
            _ => {}
        }
        self.inputs.push(input);
    }

    fn happened(&mut self, event: &Event) {
        if let Some(seen) = &event.seen {
            self.replicas.insert(event.id.clone(), (**seen).clone());
        }
        let Some(seen) = self.replicas.get_mut(&event.id) else { return };
        match event.kind {
            EventKind::Removed => {
                self.replicas.remove(&event.id);
            }
            EventKind::Died { .. } => (seen.state, seen.details) = (State::Exited, None),
            EventKind::Started { .. } => (seen.state, seen.details) = (State::Running, None),
            EventKind::Health(verdict) => seen.verdict = verdict,
            _ => {}
        }
    }
}

/// Tries until `attempt` succeeds.
pub(super) async fn eventually<T>(what: &str, mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    let trying = async {
        loop {
            if let Some(done) = attempt().await {
                return done;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(DEADLINE, trying).await.unwrap_or_else(|_| panic!("not within {DEADLINE:?}: {what}"))
}
