//! What a person may ask of one container: start, stop, restart.

use std::time::Duration;

use bollard::query_parameters::{
    InspectContainerOptions, RestartContainerOptionsBuilder, StartContainerOptions,
    StopContainerOptionsBuilder,
};

use super::Inner;
use super::engine::{ANSWER_TIMEOUT, ApiError, Engine, within};
use crate::model::ReplicaId;
use crate::runtime::ActionError;

/// What the engine is given beyond the grace that the container gets.
pub(super) const MARGIN: Duration = Duration::from_secs(30);
/// The engine's own grace, where neither the container nor the person names one.
const DEFAULT_GRACE: Duration = Duration::from_secs(10);

pub(super) async fn start(inner: &Inner, id: &ReplicaId) -> Result<(), ActionError> {
    let engine = inner.engine().await.map_err(unavailable)?;
    let started =
        within(MARGIN, engine.docker.start_container(id.as_str(), None::<StartContainerOptions>)).await;
    started.map_err(|error| explain(error, id.short(), "start it", "POST /containers/{id}/start"))
}

pub(super) async fn stop(inner: &Inner, id: &ReplicaId, grace: Option<Duration>) -> Result<(), ActionError> {
    let engine = inner.engine().await.map_err(unavailable)?;
    stop_in(&engine, id.as_str(), grace)
        .await
        .map_err(|error| explain(error, id.short(), "stop it", "POST /containers/{id}/stop"))
}

/// Stops a container; one that does not run is left alone.
pub(super) async fn stop_in(engine: &Engine, id: &str, grace: Option<Duration>) -> Result<(), ApiError> {
    let limit = grace_of(engine, id, grace).await + MARGIN;
    let mut options = StopContainerOptionsBuilder::new();
    if let Some(grace) = grace {
        options = options.t(seconds(grace));
    }
    within(limit, engine.docker.stop_container(id, Some(options.build()))).await
}

pub(super) async fn restart(
    inner: &Inner,
    id: &ReplicaId,
    grace: Option<Duration>,
) -> Result<(), ActionError> {
    let engine = inner.engine().await.map_err(unavailable)?;
    let limit = grace_of(&engine, id.as_str(), grace).await + MARGIN;
    let mut options = RestartContainerOptionsBuilder::new();
    if let Some(grace) = grace {
        options = options.t(seconds(grace));
    }
    within(limit, engine.docker.restart_container(id.as_str(), Some(options.build())))
        .await
        .map_err(|error| explain(error, id.short(), "restart it", "POST /containers/{id}/restart"))
}

/// Returns the grace that applies; the default's where the container cannot be asked, the order itself will tell why.
async fn grace_of(engine: &Engine, id: &str, grace: Option<Duration>) -> Duration {
    if let Some(grace) = grace {
        return grace;
    }
    let inspecting = engine.docker.inspect_container(id, None::<InspectContainerOptions>);
    let inspected = within(ANSWER_TIMEOUT, inspecting).await.ok();
    let seconds = inspected.and_then(|inspected| inspected.config?.stop_timeout);
    match seconds.map(u64::try_from) {
        Some(Ok(seconds)) => Duration::from_secs(seconds),
        // A negative one means for ever: an hour is long enough for a person to wait.
        Some(Err(_)) => Duration::from_secs(60 * 60),
        None => DEFAULT_GRACE,
    }
}

/// Rounds up to whole seconds: a short grace must not become none.
fn seconds(grace: Duration) -> i32 {
    i32::try_from(grace.as_secs() + u64::from(grace.subsec_nanos() > 0)).unwrap_or(i32::MAX)
}

pub(super) fn unavailable(error: ApiError) -> ActionError {
    match error {
        ApiError::TimedOut(limit) => ActionError::TimedOut(limit),
        ApiError::Status { status: 401 | 403, message } => ActionError::Forbidden {
            action: "ask the engine".to_owned(),
            reason: format!("the right to `GET /version` is missing ({message})"),
        },
        other => ActionError::Unavailable(other.to_string()),
    }
}

/// Says why an order was not carried out; `route` names the right that it needs.
pub(super) fn explain(error: ApiError, name: &str, action: &str, route: &str) -> ActionError {
    match error {
        ApiError::Status { status: 404, .. } => ActionError::Gone(name.to_owned()),
        ApiError::Status { status: 401 | 403 | 405, message } => ActionError::Forbidden {
            action: action.to_owned(),
            reason: format!("the right to `{route}` is missing ({message})"),
        },
        ApiError::Status { message, .. } => {
            ActionError::Refused { action: action.to_owned(), reason: message }
        }
        other => unavailable(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16) -> ActionError {
        let error = ApiError::Status { status, message: "why".into() };
        explain(error, "c", "stop it", "POST /containers/{id}/stop")
    }

    #[test]
    fn each_refusal_says_what_to_do() {
        assert!(matches!(status(404), ActionError::Gone(name) if name == "c"));
        assert!(status(403).to_string().contains("POST /containers/{id}/stop"));
        assert_eq!(status(409).to_string(), "cannot stop it: why");
        assert_eq!(status(500).to_string(), "cannot stop it: why");
    }

    #[test]
    fn a_grace_is_rounded_up() {
        assert_eq!(seconds(Duration::ZERO), 0);
        assert_eq!(seconds(Duration::from_millis(1)), 1);
        assert_eq!(seconds(Duration::from_secs(2)), 2);
        assert_eq!(seconds(Duration::MAX / 2), i32::MAX);
    }
}
