//! The life of one replica: waits for what it needs, runs, is checked, ends, waits, runs again.

mod run;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::backoff::{Backoff, jittered};
use super::file::Spec;
use super::shared::{Context, Events, Facts, Shared};
use crate::clock;
use crate::input::{Event, EventKind, Input};
use crate::model::{Exit, RestartPolicy, ServiceKey, State};
use crate::runtime::ActionError;

/// How long a replica waits for the services it depends on before it is started all the same.
const DEPENDENCY_WAIT: Duration = Duration::from_secs(60);

/// The answer to a command.
pub(super) type Reply = oneshot::Sender<Result<(), ActionError>>;

/// What a replica can be told.
#[derive(Debug)]
pub(super) enum Command {
    Start(Reply),
    Stop {
        grace: Option<Duration>,
        reply: Reply,
    },
    Restart {
        grace: Option<Duration>,
        reply: Reply,
    },
    /// The stack file defines it differently now.
    Replace {
        spec: Arc<Spec>,
        reply: Reply,
    },
    Remove {
        reply: Reply,
    },
}

/// What comes next.
enum Next {
    Launch,
    Wait(Duration),
    Rest,
    Leave,
}

/// What to do once the process has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    AsPolicy,
    Rest,
    Launch,
    Leave,
}

/// The task of one replica.
pub(super) struct Replica {
    pub shared: Arc<Shared>,
    pub context: Arc<Context>,
    pub events: Events,
    pub commands: mpsc::Receiver<Command>,
    backoff: Backoff,
    /// A person stopped it: only a person starts it again.
    kept_down: bool,
    starting: Vec<Reply>,
    stopping: Vec<Reply>,
}

impl Replica {
    pub(super) fn new(
        shared: Arc<Shared>,
        context: Arc<Context>,
        events: Events,
        commands: mpsc::Receiver<Command>,
    ) -> Self {
        let (starting, stopping) = (Vec::new(), Vec::new());
        Self {
            shared,
            context,
            events,
            commands,
            backoff: Backoff::default(),
            kept_down: false,
            starting,
            stopping,
        }
    }

    /// Begins as one that a person stopped in an earlier run.
    pub(super) fn kept_down(self) -> Self {
        self.shared.update(|facts| facts.state = State::Exited);
        Self { kept_down: true, ..self }
    }

    /// Lives until it is removed, or until nobody can tell it anything any more.
    pub(super) async fn live(mut self) {
        let mut next = if self.kept_down { Next::Rest } else { self.wait_for_dependencies().await };
        loop {
            next = match next {
                Next::Launch => self.run().await,
                Next::Wait(delay) => self.wait(delay).await,
                Next::Rest => self.rest().await,
                Next::Leave => break,
            };
        }
        if let Some(port) = self.shared.facts().port {
            self.context.ports.release(port);
        }
        self.context.registry.remove(&self.shared.id);
        self.tell(EventKind::Removed).await;
        answer(&mut self.stopping, &Ok(()));
    }

    async fn wait_for_dependencies(&mut self) -> Next {
        let (context, shared) = (self.context.clone(), self.shared.clone());
        let ready = async move {
            let mut changed = context.changed.subscribe();
            loop {
                let is_ready = |needed: &Arc<str>| {
                    let replicas =
                        context.registry.of(&ServiceKey::new(shared.key.stack.clone(), needed.clone()));
                    replicas.iter().all(|replica| replica.is_ready())
                };
                if shared.facts().spec.depends_on.iter().all(is_ready) || changed.changed().await.is_err() {
                    return;
                }
            }
        };
        let bounded = tokio::time::timeout(DEPENDENCY_WAIT, ready);
        tokio::pin!(bounded);
        loop {
            tokio::select! {
                ready = &mut bounded => {
                    if ready.is_err() {
                        tracing::warn!(replica.name = %self.shared.name, "started although what it depends on is not healthy");
                    }
                    return Next::Launch;
                }
                command = self.commands.recv() => {
                    // A changed definition waits like the one before.
                    if let Some(Command::Replace { spec, reply }) = command {
                        self.shared.update(|facts| facts.spec = spec);
                        self.tell_seen().await;
                        answer(&mut vec![reply], &Ok(()));
                    } else if let Some(next) = self.obey(command) {
                        if matches!(next, Next::Rest) {
                            self.tell(EventKind::Stopped).await;
                        }
                        return next;
                    }
                }
            }
        }
    }

    /// Waits before the next start.
    async fn wait(&mut self, delay: Duration) -> Next {
        let until = Instant::now() + delay;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(until) => {
                    self.shared.update(|facts| facts.restart_count += 1);
                    return Next::Launch;
                }
                command = self.commands.recv() => {
                    if let Some(next) = self.obey(command) {
                        if matches!(next, Next::Rest | Next::Leave) {
                            self.shared.update(|facts| facts.state = State::Exited);
                            self.tell(EventKind::Stopped).await;
                        }
                        return next;
                    }
                }
            }
        }
    }

    /// Waits to be told something.
    async fn rest(&mut self) -> Next {
        answer(&mut self.stopping, &Ok(()));
        let action = format!("start {}", self.shared.name);
        answer(
            &mut self.starting,
            &Err(ActionError::Refused { action, reason: "it was stopped meanwhile".into() }),
        );
        loop {
            let command = self.commands.recv().await;
            let replaced = matches!(command, Some(Command::Replace { .. }));
            match self.obey(command) {
                Some(next) => return next,
                None if replaced => self.tell_seen().await,
                None => {}
            }
        }
    }

    /// Carries out a command while no process runs.
    fn obey(&mut self, command: Option<Command>) -> Option<Next> {
        match command {
            Some(Command::Start(reply) | Command::Restart { reply, .. }) => {
                self.starting.push(reply);
                self.asked_to_start();
                Some(Next::Launch)
            }
            Some(Command::Stop { reply, .. }) => {
                self.stopping.push(reply);
                self.kept_down = true;
                Some(Next::Rest)
            }
            Some(Command::Replace { spec, reply }) => {
                self.shared.update(|facts| facts.spec = spec);
                if self.kept_down {
                    answer(&mut vec![reply], &Ok(()));
                    return None;
                }
                self.starting.push(reply);
                self.asked_to_start();
                Some(Next::Launch)
            }
            Some(Command::Remove { reply }) => {
                self.stopping.push(reply);
                Some(Next::Leave)
            }
            None => Some(Next::Leave),
        }
    }

    /// A person starts it: counts and delays begin anew.
    fn asked_to_start(&mut self) {
        (self.backoff, self.kept_down) = (Backoff::default(), false);
        self.shared.update(|facts| facts.restart_count = 0);
    }

    /// Decides what follows the end of a process that was well for `well`.
    async fn ended(&mut self, exit: Exit, then: Then, well: Duration) -> Next {
        let policy = self.shared.facts().spec.restart;
        let again = match policy {
            RestartPolicy::No => false,
            RestartPolicy::OnFailure => exit.code != Some(0),
            RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
        };
        let (oom, code) = (exit.oom, exit.code);
        let waits = then == Then::AsPolicy && again;
        self.shared.update(|facts: &mut Facts| {
            facts.state = if waits { State::Restarting } else { State::Exited };
            facts.pid = None;
            facts.exit = Some(exit);
            facts.health_at_death = facts.health.clone();
        });
        self.kept_down = then == Then::Rest;
        if oom {
            self.tell(EventKind::OutOfMemory).await;
        }
        self.tell(EventKind::Died { code }).await;
        if then != Then::AsPolicy {
            self.tell(EventKind::Stopped).await;
        }
        match then {
            Then::AsPolicy if again => Next::Wait(jittered(self.backoff.after(well))),
            Then::AsPolicy | Then::Rest => Next::Rest,
            Then::Launch => {
                self.asked_to_start();
                Next::Launch
            }
            Then::Leave => Next::Leave,
        }
    }

    /// Reports what happened, then how the replica stands.
    async fn tell(&self, kind: EventKind) {
        let seen = self.shared.seen();
        let event = Event {
            id: self.shared.id.clone(),
            at: clock::now(),
            kind: kind.clone(),
            seen: Some(Box::new(seen.clone())),
        };
        self.context.changed.send_replace(());
        self.send(Input::Happened(Box::new(event))).await;
        if kind != EventKind::Removed {
            self.send(Input::Seen(Box::new(seen))).await;
        }
    }

    async fn tell_seen(&self) {
        self.context.changed.send_replace(());
        self.send(Input::Seen(Box::new(self.shared.seen()))).await;
    }

    async fn send(&self, input: Input) {
        // Nobody watches any more: this task is about to be dropped.
        let _unwatched = self.events.send(input).await;
    }
}

/// Answers all who wait; one who no longer does is no loss.
fn answer(waiting: &mut Vec<Reply>, outcome: &Result<(), ActionError>) {
    for reply in waiting.drain(..) {
        let _gave_up = reply.send(outcome.clone());
    }
}

#[cfg(test)]
mod tests;
