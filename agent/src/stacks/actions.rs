//! What a person asks for: start, stop, restart, scale. Each is written down, with what came of it.

use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use zv_api::{Action, ActionReport, ActionRequest, ActionResult, What};
use zv_stack::{ActionError, HappeningKind, Input, ServiceKey};

use super::select::{self, Chosen};
use super::{Refusal, Stacks, convert};

/// Replicas acted on at once.
const AT_ONCE: usize = 16;
/// The most replicas a service can be scaled to.
const SCALE_LIMIT: u32 = 1000;
/// The longest grace a person can ask for.
const GRACE_LIMIT: u64 = 3600;

impl Stacks {
    /// Carries out an action and waits for it.
    pub async fn act(&self, request: ActionRequest) -> Result<ActionReport, Refusal> {
        let (key, chosen) = self.choose(&request)?;
        let grace = request.grace_seconds.map(Duration::from_secs);
        self.announce(&key, &request);
        let results = match request.action {
            Action::Start => self.each(chosen, AT_ONCE, |one| self.inner.runtime_start(one)).await,
            Action::Stop => self.each(chosen, AT_ONCE, |one| self.inner.runtime_stop(one, grace)).await,
            // One after the other: the others serve meanwhile.
            Action::Restart => self.each(chosen, 1, |one| self.inner.runtime_restart(one, grace)).await,
            Action::Scale { replicas } => vec![self.scale(&key, replicas).await],
        };
        for result in
            results.iter().filter_map(|result| result.error.as_ref().map(|error| (&result.name, error)))
        {
            tracing::warn!(service = %key, container.name = %result.0, error = %result.1, "an action failed");
        }
        Ok(ActionReport { stack: key.stack.to_string(), service: key.service.to_string(), results })
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

    async fn each<F>(
        &self,
        chosen: Vec<Chosen>,
        at_once: usize,
        act: impl Fn(Chosen) -> F,
    ) -> Vec<ActionResult>
    where
        F: Future<Output = ActionResult>,
    {
        stream::iter(chosen).map(act).buffered(at_once).collect().await
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
}

impl super::Inner {
    async fn runtime_start(&self, one: Chosen) -> ActionResult {
        result(one.name, self.runtime.start(&one.id).await)
    }

    async fn runtime_stop(&self, one: Chosen, grace: Option<Duration>) -> ActionResult {
        result(one.name, self.runtime.stop(&one.id, grace).await)
    }

    async fn runtime_restart(&self, one: Chosen, grace: Option<Duration>) -> ActionResult {
        result(one.name, self.runtime.restart(&one.id, grace).await)
    }
}

impl Stacks {
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
