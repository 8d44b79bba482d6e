//! What a person asks for: start, stop, restart, scale. Each is written down, with what came of it.

use std::sync::PoisonError;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use tokio::sync::oneshot;
use zv_api::{Action, ActionReport, ActionRequest, ActionResult, What};
use zv_stack::{ActionError, HappeningKind, Input, ServiceKey};

use super::select::{self, Chosen};
use super::{Refusal, Stacks, convert};

/// Actions under way at once.
const ACTIONS_LIMIT: usize = 64;
/// Replicas acted on at once.
const AT_ONCE: usize = 16;
/// The most replicas a service can be scaled to.
const SCALE_LIMIT: u32 = 1000;
/// The longest grace a person can ask for.
const GRACE_LIMIT: u64 = 3600;

impl Stacks {
    /// Carries out an action and waits for it. Once begun it is finished, even if nobody waits any more: a service that
    /// is half scaled is worse than either.
    pub async fn act(&self, request: ActionRequest) -> Result<ActionReport, Refusal> {
        let (key, chosen) = self.choose(&request)?;
        let stacks = self.clone();
        self.to_its_end(async move { stacks.carry_out(key, chosen, request).await }).await
    }

    /// Waits for work that goes on even if nobody waits for it any more.
    pub(crate) async fn to_its_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (answer, answered) = oneshot::channel();
        self.begin(async move {
            // Whoever asked may be gone; what came of it is in the log.
            let _ = answer.send(work.await);
        })?;
        answered.await.map_err(|_| Refusal::Unavailable("The agent is shutting down.".to_owned()))
    }

    fn begin(&self, work: impl Future<Output = ()> + Send + 'static) -> Result<(), Refusal> {
        let mut actions = self.inner.actions.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(actions) = actions.as_mut() else {
            return Err(Refusal::Unavailable("The agent is shutting down.".to_owned()));
        };
        while let Some(ended) = actions.try_join_next() {
            if let Err(error) = ended {
                tracing::error!(error = %error, "an action broke off");
            }
        }
        if actions.len() >= ACTIONS_LIMIT {
            return Err(Refusal::Unavailable(
                "Too many actions are under way: try again in a moment.".to_owned(),
            ));
        }
        actions.spawn(work);
        Ok(())
    }

    /// Refuses new actions and waits for those under way.
    pub(crate) async fn finish_actions(&self) {
        let actions = self.inner.actions.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut actions) = actions else { return };
        while actions.join_next().await.is_some() {}
    }

    async fn carry_out(&self, key: ServiceKey, chosen: Vec<Chosen>, request: ActionRequest) -> ActionReport {
        let grace = request.grace_seconds.map(Duration::from_secs);
        self.announce(&key, &request);
        let runtime = &self.inner.runtime;
        let results = match request.action {
            Action::Start => {
                let start = |one: Chosen| async move { result(one.name, runtime.start(&one.id).await) };
                stream::iter(chosen).map(start).buffered(AT_ONCE).collect().await
            }
            Action::Stop => {
                let stop = |one: Chosen| async move { result(one.name, runtime.stop(&one.id, grace).await) };
                stream::iter(chosen).map(stop).buffered(AT_ONCE).collect().await
            }
            Action::Restart => {
                // One after the other: the others serve meanwhile.
                let restart =
                    |one: Chosen| async move { result(one.name, runtime.restart(&one.id, grace).await) };
                stream::iter(chosen).then(restart).collect().await
            }
            Action::Scale { replicas } => vec![self.scale(&key, replicas).await],
        };
        for ActionResult { name, error } in &results {
            if let Some(error) = error {
                tracing::warn!(service = %key, container.name = %name, error = %error, "an action failed");
            }
        }
        ActionReport { stack: key.stack.to_string(), service: key.service.to_string(), results }
    }

    fn choose(&self, request: &ActionRequest) -> Result<(ServiceKey, Vec<Chosen>), Refusal> {
        if request.grace_seconds.is_some_and(|seconds| seconds > GRACE_LIMIT) {
            return Err(Refusal::Bad(format!("A grace of more than {GRACE_LIMIT} s is not possible.")));
        }
        if let Action::Scale { replicas } = request.action {
            if replicas > SCALE_LIMIT {
                return Err(Refusal::Bad(format!("More than {SCALE_LIMIT} replicas are not possible.")));
            }
            if request.replica.is_some() {
                return Err(Refusal::Bad("`scale` is for a service, not for one replica.".to_owned()));
            }
        }
        let state = self.state();
        let key = select::service(&state.model, request.stack.as_deref(), &request.service)?;
        let chosen = select::replicas(&state.model, &key, request.replica.as_deref())?;
        Ok((key, chosen))
    }

    /// Tells everybody that a person asked for something, before it has an effect.
    fn announce(&self, key: &ServiceKey, request: &ActionRequest) {
        let what = match request.action {
            Action::Start => "start".to_owned(),
            Action::Stop => "stop".to_owned(),
            Action::Restart => "restart".to_owned(),
            Action::Scale { replicas } => format!("scale to {replicas}"),
        };
        let happening = zv_stack::Happening {
            at: crate::clock::now(),
            key: Some(key.clone()),
            replica: None,
            name: request.replica.clone().unwrap_or_else(|| key.service.to_string()),
            kind: HappeningKind::Action,
            text: format!("{what} was asked for"),
        };
        tracing::info!(service = %key, replica = request.replica.as_deref().unwrap_or("all"), action = what, "action");
        self.publish(&mut self.state(), What::Happened { happening: convert::happening(&happening) });
    }

    async fn scale(&self, key: &ServiceKey, replicas: u32) -> ActionResult {
        let before = self.state().model.service(key).map_or(0, |view| view.desired.replicas);
        // What is being removed must not look like an outage, what is being added must not be called missing.
        if replicas < before {
            self.apply_wish(key, replicas);
        }
        let outcome = self.inner.runtime.scale(key, replicas).await;
        if outcome.is_ok() {
            self.apply_wish(key, replicas);
        } else if replicas < before {
            self.apply_wish(key, before);
        }
        result(key.service.to_string(), outcome)
    }

    /// Notes how many replicas a person wants; the watch writes it down with the next change it sees.
    fn apply_wish(&self, key: &ServiceKey, replicas: u32) {
        let changes = self.apply(Input::Scaled { key: key.clone(), replicas });
        if !changes.is_empty() {
            // A wish that outlives the agent is written by the watch, which owns the file.
            self.inner.wishes.notify_one();
        }
    }
}

fn result(name: String, outcome: Result<(), ActionError>) -> ActionResult {
    ActionResult { name, error: outcome.err().map(|error| error.to_string()) }
}
