//! Turns the engine's words into the domain's: a list's entry, an inspection, an event's attributes.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use bollard::models::{
    ContainerInspectResponse, ContainerState, ContainerStateStatusEnum, ContainerSummary,
    ContainerSummaryStateEnum, EndpointSettings, HealthStatusEnum, PortMap, PortSummary,
    RestartPolicyNameEnum,
};
use chrono::{DateTime, Utc};

use crate::compose::label;
use crate::model::{
    Check, Details, Exit, Health, LOOSE_STACK, Network, ReplicaId, RestartPolicy, Seen, ServiceKey, State,
    Verdict,
};

/// A label longer than this says nothing of use, and would be part of every message about its container.
const LABEL_LIMIT: usize = 4096;

/// What the labels say of a container's place.
struct Place {
    key: ServiceKey,
    number: u32,
    one_off: bool,
    config_hash: Option<String>,
    depends_on: Vec<Arc<str>>,
    labels: BTreeMap<String, String>,
}

fn place(name: &str, labels: &HashMap<String, String>) -> Place {
    let get = |key: &str| labels.get(key).map(String::as_str);
    let key = match (get(label::PROJECT), get(label::SERVICE)) {
        (Some(project), Some(service)) => ServiceKey::new(project, service),
        _ => ServiceKey::new(LOOSE_STACK, name),
    };
    let number = get(label::NUMBER).and_then(|number| number.parse().ok()).unwrap_or(1);
    let kept = |key: &str, value: &str| {
        let is_known = key.starts_with("zv.") || key == "org.opencontainers.image.version";
        is_known && key.len() + value.len() <= LABEL_LIMIT
    };
    Place {
        key,
        number,
        one_off: get(label::ONE_OFF).is_some_and(|value| value.eq_ignore_ascii_case("true")),
        config_hash: get(label::CONFIG_HASH).map(str::to_owned),
        depends_on: get(label::DEPENDS_ON).map(label::depends_on).unwrap_or_default(),
        labels: labels
            .iter()
            .filter(|(key, value)| kept(key, value))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect(),
    }
}

/// Reads an entry of the list; `None` where it has no id.
pub(super) fn from_summary(summary: &ContainerSummary) -> Option<Seen> {
    let mut names = summary.names.iter().flatten().map(|name| name.trim_start_matches('/'));
    // A linked container has names under others, too: its own has no further slash.
    let name = names.find(|name| !name.contains('/')).unwrap_or_default();
    let empty = HashMap::new();
    let place = place(name, summary.labels.as_ref().unwrap_or(&empty));
    Some(Seen {
        id: ReplicaId::new(summary.id.clone()?),
        name: name.to_owned(),
        key: place.key,
        number: place.number,
        one_off: place.one_off,
        state: summary.state.map_or(State::Created, listed_state),
        verdict: verdict_of_status(summary.status.as_deref().unwrap_or_default()),
        created_at: summary.created.and_then(|seconds| DateTime::from_timestamp(seconds, 0)),
        image: summary.image.clone().unwrap_or_default(),
        image_id: summary.image_id.clone().unwrap_or_default(),
        config_hash: place.config_hash,
        depends_on: place.depends_on,
        labels: place.labels,
        ports: sorted(summary.ports.iter().flatten().filter_map(listed_port).collect()),
        addresses: summary
            .network_settings
            .as_ref()
            .map(|settings| addresses(settings.networks.as_ref()))
            .unwrap_or_default(),
        network: summary
            .host_config
            .as_ref()
            .map(|host| network(host.network_mode.as_deref()))
            .unwrap_or_default(),
        details: None,
    })
}

/// Reads an inspection; `None` where it has no id.
pub(super) fn from_inspect(inspect: &ContainerInspectResponse) -> Option<Seen> {
    let name = inspect.name.as_deref().unwrap_or_default().trim_start_matches('/');
    let config = inspect.config.as_ref();
    let empty = HashMap::new();
    let place = place(name, config.and_then(|config| config.labels.as_ref()).unwrap_or(&empty));
    let state = inspect.state.as_ref().map_or(State::Created, inspected_state);
    let details = details(inspect);
    let ports = inspect.network_settings.as_ref().and_then(|network| network.ports.as_ref());
    Some(Seen {
        id: ReplicaId::new(inspect.id.clone()?),
        name: name.to_owned(),
        key: place.key,
        number: place.number,
        one_off: place.one_off,
        state,
        // Of what is not up, the engine repeats the last verdict; the list has none.
        verdict: if state.is_up() { details.health.verdict } else { Verdict::None },
        // The list gives whole seconds: the same container must not seem to have two ages.
        created_at: inspect.created.and_then(|at| DateTime::from_timestamp(at.timestamp(), 0)),
        image: config.and_then(|config| config.image.clone()).unwrap_or_default(),
        image_id: inspect.image.clone().unwrap_or_default(),
        config_hash: place.config_hash,
        depends_on: place.depends_on,
        labels: place.labels,
        ports: sorted(ports.map(inspected_ports).unwrap_or_default()),
        addresses: inspect
            .network_settings
            .as_ref()
            .map(|settings| addresses(settings.networks.as_ref()))
            .unwrap_or_default(),
        network: inspect
            .host_config
            .as_ref()
            .map(|host| network(host.network_mode.as_deref()))
            .unwrap_or_default(),
        details: Some(details),
    })
}

/// Makes what can be known of a container from the attributes of the event that made or started it.
pub(super) fn from_event(
    id: &ReplicaId,
    attributes: &HashMap<String, String>,
    state: State,
    created_at: Option<DateTime<Utc>>,
) -> Seen {
    let name = attributes.get("name").map(String::as_str).unwrap_or_default();
    let place = place(name, attributes);
    Seen {
        id: id.clone(),
        name: name.to_owned(),
        key: place.key,
        number: place.number,
        one_off: place.one_off,
        state,
        verdict: Verdict::None,
        created_at: created_at.and_then(|at| DateTime::from_timestamp(at.timestamp(), 0)),
        image: attributes.get("image").cloned().unwrap_or_default(),
        image_id: String::new(),
        config_hash: place.config_hash,
        depends_on: place.depends_on,
        labels: place.labels,
        ports: Vec::new(),
        addresses: Vec::new(),
        network: Network::Own,
        details: None,
    }
}

/// Reads what only an inspection tells.
pub(super) fn details(inspect: &ContainerInspectResponse) -> Details {
    let state = inspect.state.as_ref();
    let policy = inspect.host_config.as_ref().and_then(|host| host.restart_policy.as_ref()?.name);
    let number = |value: Option<i64>| value.and_then(|value| u32::try_from(value).ok());
    Details {
        pid: number(state.and_then(|state| state.pid)).filter(|pid| *pid > 0),
        started_at: state.and_then(|state| time(state.started_at.as_deref())),
        exit: state.and_then(exit),
        restart_count: number(inspect.restart_count).unwrap_or(0),
        restart_policy: match policy {
            Some(RestartPolicyNameEnum::ALWAYS) => RestartPolicy::Always,
            Some(RestartPolicyNameEnum::UNLESS_STOPPED) => RestartPolicy::UnlessStopped,
            Some(RestartPolicyNameEnum::ON_FAILURE) => RestartPolicy::OnFailure,
            _ => RestartPolicy::No,
        },
        health: state.map(health).unwrap_or_default(),
        tty: inspect.config.as_ref().and_then(|config| config.tty).unwrap_or(false),
    }
}

fn exit(state: &ContainerState) -> Option<Exit> {
    let at = time(state.finished_at.as_deref())?;
    // While it runs again, the engine's code and flag are those of nothing.
    let over = !inspected_state(state).is_up();
    let code = state.exit_code.and_then(|code| i32::try_from(code).ok()).filter(|_| over);
    Some(Exit { at, code, oom: over && state.oom_killed.unwrap_or(false) })
}

fn health(state: &ContainerState) -> Health {
    let Some(health) = &state.health else { return Health::default() };
    let last_passed = health.log.iter().flatten().last().is_some_and(|run| run.exit_code == Some(0));
    let verdict = match health.status {
        // The engine calls whatever ended unhealthy: what its checks said until then is what counts.
        Some(HealthStatusEnum::UNHEALTHY)
            if last_passed && health.failing_streak == Some(0) && !inspected_state(state).is_up() =>
        {
            Verdict::Healthy
        }
        Some(HealthStatusEnum::STARTING) => Verdict::Starting,
        Some(HealthStatusEnum::HEALTHY) => Verdict::Healthy,
        Some(HealthStatusEnum::UNHEALTHY) => Verdict::Unhealthy,
        _ => Verdict::None,
    };
    let runs = health.log.as_deref().unwrap_or_default();
    let log = runs[runs.len().saturating_sub(Check::KEPT)..].iter().filter_map(|run| {
        let output = run.output.as_deref().unwrap_or_default();
        let output = head(output, Check::OUTPUT_LIMIT);
        Some(Check {
            at: run.start?,
            exit_code: run.exit_code.unwrap_or(-1),
            output: output.trim_end().to_owned(),
        })
    });
    Health {
        verdict,
        failing_streak: health.failing_streak.and_then(|streak| u32::try_from(streak).ok()).unwrap_or(0),
        log: log.collect(),
    }
}

/// Returns as many whole characters as fit into `limit` bytes.
fn head(text: &str, limit: usize) -> &str {
    let end = (0..=limit.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

/// Parses the engine's time; its zero means never.
fn time(text: Option<&str>) -> Option<DateTime<Utc>> {
    let at = DateTime::parse_from_rfc3339(text?).ok()?.to_utc();
    (at.timestamp() > 0).then_some(at)
}

fn listed_state(state: ContainerSummaryStateEnum) -> State {
    match state {
        ContainerSummaryStateEnum::RUNNING | ContainerSummaryStateEnum::STOPPING => State::Running,
        ContainerSummaryStateEnum::PAUSED => State::Paused,
        ContainerSummaryStateEnum::RESTARTING => State::Restarting,
        ContainerSummaryStateEnum::EXITED | ContainerSummaryStateEnum::REMOVING => State::Exited,
        ContainerSummaryStateEnum::DEAD => State::Dead,
        ContainerSummaryStateEnum::CREATED | ContainerSummaryStateEnum::EMPTY => State::Created,
    }
}

fn inspected_state(state: &ContainerState) -> State {
    match state.status {
        Some(ContainerStateStatusEnum::RUNNING | ContainerStateStatusEnum::STOPPING) => State::Running,
        Some(ContainerStateStatusEnum::PAUSED) => State::Paused,
        Some(ContainerStateStatusEnum::RESTARTING) => State::Restarting,
        Some(ContainerStateStatusEnum::EXITED | ContainerStateStatusEnum::REMOVING) => State::Exited,
        Some(ContainerStateStatusEnum::DEAD) => State::Dead,
        Some(ContainerStateStatusEnum::CREATED | ContainerStateStatusEnum::EMPTY) | None => State::Created,
    }
}

/// Reads the verdict from the list's words for people: no other field of API 1.41 has it.
fn verdict_of_status(status: &str) -> Verdict {
    match status.rsplit_once('(').map(|(_, end)| end) {
        Some("healthy)") => Verdict::Healthy,
        Some("unhealthy)") => Verdict::Unhealthy,
        Some("health: starting)") => Verdict::Starting,
        _ => Verdict::None,
    }
}

/// Reads the verdict of an event.
pub(super) fn verdict(word: &str) -> Verdict {
    match word {
        "healthy" => Verdict::Healthy,
        "unhealthy" => Verdict::Unhealthy,
        "starting" => Verdict::Starting,
        _ => Verdict::None,
    }
}

/// Reads the addresses by the names of their networks, so that the first is always the same.
fn addresses(networks: Option<&HashMap<String, EndpointSettings>>) -> Vec<IpAddr> {
    let mut named: Vec<(&String, &EndpointSettings)> = networks.into_iter().flatten().collect();
    named.sort_by_key(|(name, _)| *name);
    named.iter().filter_map(|(_, network)| network.ip_address.as_deref()?.parse().ok()).collect()
}

/// Reads the word for the network that a container was given.
fn network(mode: Option<&str>) -> Network {
    match mode {
        Some("host") => Network::Host,
        Some("none") => Network::Nothing,
        Some(mode) => {
            mode.strip_prefix("container:").map_or(Network::Own, |id| Network::Of(ReplicaId::new(id)))
        }
        None => Network::Own,
    }
}

fn listed_port(port: &PortSummary) -> Option<String> {
    let protocol = port.typ.map(|protocol| protocol.to_string()).unwrap_or_default();
    Some(published(port.ip.as_deref()?, port.public_port?, &format!("{}/{protocol}", port.private_port)))
}

fn inspected_ports(ports: &PortMap) -> Vec<String> {
    let bound = ports.iter().flat_map(|(private, hosts)| {
        hosts.iter().flatten().filter_map(move |host| {
            let public = host.host_port.as_deref()?.parse().ok()?;
            Some(published(host.host_ip.as_deref()?, public, private))
        })
    });
    bound.collect()
}

fn published(host: &str, public: u16, private: &str) -> String {
    if host.contains(':') {
        format!("[{host}]:{public}->{private}")
    } else {
        format!("{host}:{public}->{private}")
    }
}

fn sorted(mut ports: Vec<String>) -> Vec<String> {
    ports.sort();
    ports.dedup();
    ports
}

#[cfg(test)]
mod tests;
