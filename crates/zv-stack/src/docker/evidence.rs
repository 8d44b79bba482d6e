//! What the engine can still tell of a container that has just died.

use std::time::Duration;

use bollard::models::ContainerInspectResponse;
use futures_util::StreamExt as _;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::{Inner, log_file, logs, seen};
use crate::death::{Evidence, LOG_LINES, LastLines};
use crate::labels;
use crate::logs::LogLine;
use crate::model::ReplicaId;
use crate::runtime::LogRange;

/// How long each part may take: the container may be about to be removed.
const LIMIT: Duration = Duration::from_secs(2);
/// The largest inspection that is kept.
const INSPECT_LIMIT: usize = 1024 * 1024;

/// Gathers what there is; what cannot be had in time is absent.
pub(super) async fn gather(inner: &std::sync::Arc<Inner>, id: &ReplicaId) -> Evidence {
    // Opened before anything else: a container that is killed by its removal has a log for some milliseconds more.
    let log_file = inner.log_files.take(id);
    let (inspect, mut logs) =
        tokio::join!(inspect(inner, id), last_lines(std::sync::Arc::clone(inner), id.clone()));
    if let (true, Some(file)) = (logs.is_empty(), log_file) {
        let id = id.clone();
        let reading = tokio::task::spawn_blocking(move || log_file::last_lines(file, &id));
        logs = timeout_at(Instant::now() + LIMIT, reading)
            .await
            .map(Result::unwrap_or_default)
            .unwrap_or_default();
    }
    let Some(mut inspect) = inspect else { return Evidence { logs, ..Evidence::default() } };
    let typed: Option<ContainerInspectResponse> = serde_json::from_value(inspect.clone()).ok();
    let details = typed.as_ref().map(seen::details);
    mask(&mut inspect);
    Evidence {
        exit: details.as_ref().and_then(|details| details.exit.clone()).filter(|exit| exit.code.is_some()),
        health: details.map(|details| details.health).unwrap_or_default(),
        inspect: Some(inspect).filter(is_small),
        logs,
    }
}

async fn inspect(inner: &Inner, id: &ReplicaId) -> Option<Value> {
    let asking =
        async { inner.engine().await?.get(&format!("/containers/{}/json", id.as_str()), LIMIT).await };
    match tokio::time::timeout(LIMIT, asking).await {
        Ok(Ok(inspect)) => Some(inspect),
        Ok(Err(error)) => {
            tracing::debug!(container.id = %id, %error, "no inspection of a dead container");
            None
        }
        Err(_) => None,
    }
}

/// Reads the last lines, as far as they come in time.
async fn last_lines(inner: std::sync::Arc<Inner>, id: ReplicaId) -> Vec<LogLine> {
    let until = Instant::now() + LIMIT;
    let range = LogRange { since: None, tail: Some(LOG_LINES), follow: false };
    let mut lines = logs::read(inner, id, range);
    let mut last = LastLines::default();
    while let Ok(Some(Ok(line))) = timeout_at(until, lines.next()).await {
        last.push(line);
    }
    last.into()
}

/// Hides the values of environment variables, the logins in labels of probes, and the options of the logging driver,
/// some of which are tokens.
fn mask(inspect: &mut Value) {
    if let Some(env) = inspect.pointer_mut("/Config/Env").and_then(Value::as_array_mut) {
        for variable in env {
            let name = variable.as_str().unwrap_or_default().split('=').next().unwrap_or_default();
            *variable = Value::String(format!("{name}=***"));
        }
    }
    if let Some(labels) = inspect.pointer_mut("/Config/Labels").and_then(Value::as_object_mut) {
        labels::mask(labels);
    }
    if let Some(options) = inspect.pointer_mut("/HostConfig/LogConfig/Config").and_then(Value::as_object_mut)
    {
        options.values_mut().for_each(|value| *value = Value::from("***"));
    }
}

/// Labels and arguments may be of any size; a record is not.
fn is_small(inspect: &Value) -> bool {
    serde_json::to_vec(inspect).is_ok_and(|text| text.len() <= INSPECT_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_the_environment_are_hidden() {
        let mut inspect = serde_json::json!({
            "Config": {"Env": ["PASSWORD=hunter2=x", "EMPTY"], "Healthcheck": {"Test": ["CMD", "/check"]},
                       "Labels": {"zv.probe.postgres": "me:hunter2@db/shop", "a": "b:c@d"}},
            "HostConfig": {"LogConfig": {"Type": "splunk", "Config": {"splunk-token": "hunter2"}}},
            "State": {"ExitCode": 1}
        });
        mask(&mut inspect);
        assert!(!inspect.to_string().contains("hunter2"));
        assert_eq!(inspect["Config"]["Env"][0], "PASSWORD=***");
        assert_eq!(inspect["Config"]["Labels"]["zv.probe.postgres"], "me:***@db/shop");
        assert_eq!(inspect["Config"]["Labels"]["a"], "b:c@d");
        assert_eq!(inspect["Config"]["Healthcheck"]["Test"][1], "/check");
    }
}
