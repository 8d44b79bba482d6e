//! Brings a service to a number of replicas: new ones are copies of the newest, the highest numbers go first.

mod copy;

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::{ContainerSummary, ContainerSummaryStateEnum, NetworkConnectRequest};
use bollard::query_parameters::{
    ListContainersOptionsBuilder, RemoveContainerOptionsBuilder, StartContainerOptions,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize;
use serde_json::Value;

use self::copy::Copy;
use super::actions::{MARGIN, explain, stop_in, unavailable};
use super::engine::{ANSWER_TIMEOUT, ApiError, Engine, escape, within};
use super::{Inner, Templates};
use crate::compose::label;
use crate::model::{LOOSE_STACK, ServiceKey};
use crate::runtime::ActionError;

/// More replicas of one service than this are a slip of the finger.
const MOST: u32 = 1000;
/// So many containers are stopped at once.
const AT_ONCE: usize = 8;
/// Services whose last replica is remembered.
const TEMPLATES: usize = 256;
const CREATE_TIMEOUT: Duration = Duration::from_secs(60);

/// One replica there is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Replica {
    id: String,
    number: u32,
    created: i64,
    running: bool,
}

/// What has to be done.
#[derive(Debug, PartialEq, Eq, Default)]
struct Plan {
    start: Vec<Replica>,
    /// Highest number first.
    remove: Vec<Replica>,
    /// The numbers of those to make.
    create: Vec<u32>,
}

pub(super) async fn scale(inner: &Inner, key: &ServiceKey, replicas: u32) -> Result<(), ActionError> {
    let action = || format!("scale `{key}`");
    let refused = |reason: &str| ActionError::Refused { action: action(), reason: reason.to_owned() };
    if replicas > MOST {
        return Err(refused(&format!("{replicas} replicas are more than the {MOST} that zv makes")));
    }
    if &*key.stack == LOOSE_STACK {
        return Err(refused("it belongs to no Compose project"));
    }
    let mut templates = inner.scaling.lock().await;
    let engine = inner.engine().await.map_err(unavailable)?;
    let there = list(&engine, key)
        .await
        .map_err(|error| explain(error, &key.service, &action(), "GET /containers/json"))?;
    let source = source(&there).map(|replica| replica.id.clone());
    let plan = plan(there, replicas);
    let template = match source {
        Some(id) if !plan.create.is_empty() || replicas == 0 => Some(inspect(&engine, &id, &action()).await?),
        Some(_) => None,
        None => templates.get(key).cloned(),
    };
    for replica in &plan.start {
        start(&engine, &replica.id).await.map_err(|error| start_refused(error, &action()))?;
    }
    for number in &plan.create {
        let template = template.as_ref().ok_or_else(|| {
            refused("no replica of it is left to copy: make the first with `docker compose up -d`")
        })?;
        create(&engine, template, *number, &action()).await?;
    }
    remove_all(&engine, plan.remove, &action()).await?;
    remember(&mut templates, key, template.filter(|_| replicas == 0));
    Ok(())
}

fn remember(templates: &mut Templates, key: &ServiceKey, template: Option<Value>) {
    match template {
        Some(template) if templates.len() < TEMPLATES || templates.contains_key(key) => {
            templates.insert(key.clone(), template);
        }
        Some(_) => {
            tracing::warn!(service.name = %key, "too many services without replicas to remember this one");
        }
        None => {
            templates.remove(key);
        }
    }
}

async fn list(engine: &Engine, key: &ServiceKey) -> Result<Vec<Replica>, ApiError> {
    let labels =
        vec![format!("{}={}", label::PROJECT, key.stack), format!("{}={}", label::SERVICE, key.service)];
    let filters = HashMap::from([("label", labels)]);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    let listed = within(ANSWER_TIMEOUT, engine.docker.list_containers(Some(options))).await?;
    Ok(listed.into_iter().filter_map(replica).collect())
}

fn replica(summary: ContainerSummary) -> Option<Replica> {
    let labels = summary.labels.unwrap_or_default();
    let one_off = labels.get(label::ONE_OFF).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let running = matches!(
        summary.state,
        Some(
            ContainerSummaryStateEnum::RUNNING
                | ContainerSummaryStateEnum::RESTARTING
                | ContainerSummaryStateEnum::PAUSED
        )
    );
    let number = labels.get(label::NUMBER).and_then(|number| number.parse().ok());
    (!one_off).then_some(Replica {
        id: summary.id?,
        number: number.unwrap_or(1),
        created: summary.created.unwrap_or(0),
        running,
    })
}

/// Returns the replica to copy: the newest that runs, else the newest.
fn source(replicas: &[Replica]) -> Option<&Replica> {
    replicas.iter().max_by_key(|replica| (replica.running, replica.created, replica.number))
}

/// Decides what is to be done to come to so many replicas. Like Compose, it counts those that do not run, too.
fn plan(mut there: Vec<Replica>, wanted: u32) -> Plan {
    there.sort_by_key(|replica| (replica.number, replica.created));
    let highest = there.last().map_or(0, |replica| replica.number);
    let missing = wanted.saturating_sub(u32::try_from(there.len()).unwrap_or(u32::MAX));
    let mut remove = there.split_off(there.len().min(wanted as usize));
    remove.reverse();
    Plan {
        start: there.into_iter().filter(|replica| !replica.running).collect(),
        remove,
        create: (1..=missing).map(|nth| highest.saturating_add(nth)).collect(),
    }
}

async fn inspect(engine: &Engine, id: &str, action: &str) -> Result<Value, ActionError> {
    let inspected: Result<Value, _> = engine.get(&format!("/containers/{id}/json"), ANSWER_TIMEOUT).await;
    inspected.map_err(|error| explain(error, id, action, "GET /containers/{id}/json"))
}

/// Makes and starts one replica; leaves nothing behind where that fails.
async fn create(engine: &Engine, template: &Value, number: u32, action: &str) -> Result<(), ActionError> {
    #[derive(Deserialize)]
    struct Created {
        #[serde(rename = "Id")]
        id: String,
    }
    let mut copy = copy::of(template, number)
        .map_err(|reason| ActionError::Refused { action: action.to_owned(), reason })?;
    pin_image(engine, template, &mut copy).await;
    let path = format!("/containers/create?name={}", escape(&copy.name));
    let created: Created = engine
        .post(&path, &copy.body, CREATE_TIMEOUT)
        .await
        .map_err(|error| explain(error, &copy.name, action, "POST /containers/create"))?;
    let started = match connect(engine, &created.id, copy).await {
        Ok(()) => start(engine, &created.id).await.map_err(|error| start_refused(error, action)),
        Err(error) => Err(explain(error, &created.id, action, "POST /networks/{id}/connect")),
    };
    if started.is_err()
        && let Err(error) = remove(engine, &created.id).await
    {
        tracing::warn!(container.id = created.id, %error, "a replica that did not start is left behind");
    }
    started
}

/// Makes the copy run the very image of its source, though the image's name may have moved on.
async fn pin_image(engine: &Engine, template: &Value, copy: &mut Copy) {
    let (Some(id), Some(name)) = (template["Image"].as_str(), template["Config"]["Image"].as_str()) else {
        return;
    };
    let image: Result<Value, _> = engine.get(&format!("/images/{name}/json"), ANSWER_TIMEOUT).await;
    if image.is_ok_and(|image| image["Id"].as_str().is_some_and(|now| now != id)) {
        copy.body["Image"] = Value::from(id);
    }
}

/// Connects the copy to the networks beyond its first: before API 1.44 only one can be given when it is made.
async fn connect(engine: &Engine, id: &str, copy: Copy) -> Result<(), ApiError> {
    for (network, endpoint) in copy.networks {
        let endpoint =
            serde_json::from_value(endpoint).map_err(|error| ApiError::Garbled(error.to_string()))?;
        let request = NetworkConnectRequest { container: id.to_owned(), endpoint_config: Some(endpoint) };
        within(MARGIN, engine.docker.connect_network(&network, request)).await?;
    }
    Ok(())
}

async fn start(engine: &Engine, id: &str) -> Result<(), ApiError> {
    within(CREATE_TIMEOUT, engine.docker.start_container(id, None::<StartContainerOptions>)).await
}

/// Explains why a replica did not start; two of a kind cannot share a port of the host.
fn start_refused(error: ApiError, action: &str) -> ActionError {
    let error = explain(error, "the new replica", action, "POST /containers/{id}/start");
    match error {
        ActionError::Refused { action, reason }
            if reason.contains("port is already allocated") || reason.contains("address already in use") =>
        {
            ActionError::Refused {
                action,
                reason: format!(
                    "{reason}; a service with a fixed port on the host cannot be scaled: publish a range of \
                     ports, or none"
                ),
            }
        }
        other => other,
    }
}

async fn remove_all(engine: &Engine, replicas: Vec<Replica>, action: &str) -> Result<(), ActionError> {
    let removals = replicas.into_iter().map(|replica| async move {
        match stop_in(engine, &replica.id, None).await {
            Ok(()) => {}
            Err(error) if error.is_gone() => return Ok(()),
            Err(error) => return Err(explain(error, &replica.id, action, "POST /containers/{id}/stop")),
        }
        let removed = remove(engine, &replica.id).await;
        removed.map_err(|error| explain(error, &replica.id, action, "DELETE /containers/{id}"))
    });
    stream::iter(removals).buffered(AT_ONCE).try_collect().await
}

/// Removes a container with its nameless volumes; one that goes already is as good as gone.
async fn remove(engine: &Engine, id: &str) -> Result<(), ApiError> {
    let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    match within(CREATE_TIMEOUT, engine.docker.remove_container(id, Some(options))).await {
        Err(error) if error.is_gone() => Ok(()),
        Err(ApiError::Status { status: 409, message }) if message.contains("already in progress") => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(number: u32, running: bool) -> Replica {
        Replica { id: format!("c{number}"), number, created: i64::from(number), running }
    }

    fn numbers(replicas: &[Replica]) -> Vec<u32> {
        replicas.iter().map(|replica| replica.number).collect()
    }

    #[test]
    fn more_are_added_after_the_highest_number() {
        let plan = plan(vec![replica(4, true), replica(2, true)], 4);
        assert_eq!(plan, Plan { create: vec![5, 6], ..Plan::default() });
    }

    #[test]
    fn the_highest_numbers_go_first() {
        let plan = plan(vec![replica(3, true), replica(10, true), replica(2, true)], 1);
        assert_eq!(numbers(&plan.remove), [10, 3]);
        assert!(plan.start.is_empty() && plan.create.is_empty());
    }

    #[test]
    fn those_that_do_not_run_are_started_and_counted() {
        let plan = plan(vec![replica(1, false), replica(2, true)], 3);
        assert_eq!((numbers(&plan.start), plan.create), (vec![1], vec![3]));
    }

    #[test]
    fn none_is_a_number_too() {
        assert_eq!(numbers(&plan(vec![replica(1, true), replica(2, false)], 0).remove), [2, 1]);
        assert_eq!(plan(vec![], 2).create, [1, 2]);
    }

    #[test]
    fn the_newest_that_runs_is_copied() {
        let there = [replica(1, true), replica(2, true), replica(3, false)];
        assert_eq!(source(&there).unwrap().number, 2);
    }
}
