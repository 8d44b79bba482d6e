//! What stands of services and replicas: what no other exporter tells. Replicas that ended stay, with how they did.

use zv_model::MetricKind;
use zv_stack::{Intent, ReplicaView, RuntimeState, ServiceStatus, ServiceView, State, Verdict};
use zv_wire::{Exposition, LabelText};

use super::containers::{project, seconds};
use crate::stacks::Stacks;

const STATES: [&str; 7] = ["created", "running", "paused", "restarting", "exited", "dead", "unknown"];
const VERDICTS: [&str; 5] = ["none", "starting", "healthy", "unhealthy", "unknown"];
/// The label by which images tell their version.
const VERSION_LABEL: &str = "org.opencontainers.image.version";

/// A service, copied out of the model.
struct Service {
    labels: LabelText,
    desired: u32,
    /// Running and healthy; absent while that cannot be seen.
    counted: Option<(u32, u32)>,
}

/// A replica, copied out of the model.
struct Replica {
    labels: LabelText,
    info: LabelText,
    state: &'static str,
    verdict: &'static str,
    restarts: u32,
    exit_code: Option<i32>,
    oom_kills: Option<u64>,
    started_at: Option<f64>,
}

/// Writes the families `zv_service_*`, `zv_container_*` and `zv_runtime_up`.
pub fn expose(out: &mut Exposition, stacks: &Stacks) {
    let (services, mut replicas, ids, is_up) = stacks.with_model(|model| {
        let views: Vec<ServiceView<'_>> = model.services().collect();
        let all = || views.iter().flat_map(|service| &service.replicas);
        (
            views.iter().map(Service::new).collect::<Vec<_>>(),
            all().map(Replica::new).collect::<Vec<_>>(),
            all().map(|view| view.seen.id.clone()).collect::<Vec<_>>(),
            matches!(model.runtime(), RuntimeState::Up { .. }),
        )
    });
    for (replica, kills) in replicas.iter_mut().zip(stacks.collected().kills(ids.iter())) {
        replica.oom_kills = kills;
    }
    out.family("zv_runtime_up", MetricKind::Gauge, "Whether what runs the replicas can be asked.").sample(
        &LabelText::default(),
        &[],
        f64::from(u8::from(is_up)),
    );
    write_services(out, &services);
    write_replicas(out, &replicas);
}

impl Service {
    fn new(view: &ServiceView<'_>) -> Self {
        let is_known = view.status != ServiceStatus::Unknown;
        Self {
            labels: LabelText::of([("project", project(&view.key.stack)), ("service", &view.key.service)]),
            desired: view.desired.replicas,
            counted: is_known.then_some((view.running, view.healthy)),
        }
    }
}

impl Replica {
    fn new(view: &ReplicaView<'_>) -> Self {
        let seen = view.seen;
        let number = seen.number.to_string();
        let named = [
            ("name", seen.name.as_str()),
            ("project", project(&seen.key.stack)),
            ("service", &*seen.key.service),
            ("replica", number.as_str()),
        ];
        let version = seen.labels.get(VERSION_LABEL).map_or("", String::as_str);
        let more = [
            ("id", seen.id.as_str()),
            ("image", seen.image.as_str()),
            ("digest", seen.image_id.as_str()),
            ("version", version),
            ("one_off", if view.intent == Intent::OneOff { "true" } else { "" }),
        ];
        Self {
            labels: LabelText::of(named),
            info: LabelText::of(named.into_iter().chain(more)),
            state: if view.certain { state(seen.state) } else { "unknown" },
            verdict: view.verdict.map_or("unknown", verdict),
            restarts: view.restarts,
            exit_code: view.exit.and_then(|exit| exit.code),
            oom_kills: None,
            started_at: view.started_at.map(seconds),
        }
    }
}

fn state(state: State) -> &'static str {
    match state {
        State::Created => "created",
        State::Running => "running",
        State::Paused => "paused",
        State::Restarting => "restarting",
        State::Exited => "exited",
        State::Dead => "dead",
    }
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::None => "none",
        Verdict::Starting => "starting",
        Verdict::Healthy => "healthy",
        Verdict::Unhealthy => "unhealthy",
    }
}

fn write_services(out: &mut Exposition, services: &[Service]) {
    let mut family = out.family(
        "zv_service_replicas",
        MetricKind::Gauge,
        "Replicas of a service: desired, running, and healthy or up without a health check.",
    );
    for service in services {
        let mut write = |state, count: u32| {
            family.sample(&service.labels, &[("state", state)], f64::from(count));
        };
        write("desired", service.desired);
        if let Some((running, healthy)) = service.counted {
            write("running", running);
            write("healthy", healthy);
        }
    }
}

fn write_replicas(out: &mut Exposition, replicas: &[Replica]) {
    let mut info = out.family("zv_container_info", MetricKind::Info, "What a replica is made of; always 1.");
    for replica in replicas {
        info.sample(&replica.info, &[], 1.0);
    }
    states(
        out,
        replicas,
        "zv_container_state",
        "What the runtime says a replica does: 1 for the present state, 0 for the others.",
        &STATES,
        |replica| replica.state,
    );
    states(
        out,
        replicas,
        "zv_container_health",
        "The verdict of a replica's own health check: 1 for the present one, 0 for the others.",
        &VERDICTS,
        |replica| replica.verdict,
    );
    let mut one = |name, kind, help, of: &dyn Fn(&Replica) -> Option<f64>| {
        each(out, replicas, name, kind, help, of);
    };
    one(
        "zv_container_restarts_total",
        MetricKind::Counter,
        "Restarts of a replica by its runtime.",
        &|one| Some(f64::from(one.restarts)),
    );
    one("zv_container_exit_code", MetricKind::Gauge, "The exit code of a replica's last life.", &|one| {
        one.exit_code.map(f64::from)
    });
    one(
        "zv_container_oom_kills_total",
        MetricKind::Counter,
        "Processes of a replica that were killed for want of memory, as far as seen since the agent started.",
        &|one| one.oom_kills.map(|kills| kills as f64),
    );
    one(
        "zv_container_start_time_seconds",
        MetricKind::Gauge,
        "When a replica started last, in seconds since 1970.",
        &|one| one.started_at,
    );
}

fn each(
    out: &mut Exposition,
    replicas: &[Replica],
    name: &str,
    kind: MetricKind,
    help: &str,
    of: impl Fn(&Replica) -> Option<f64>,
) {
    let mut family = out.family(name, kind, help);
    for replica in replicas {
        if let Some(value) = of(replica) {
            family.sample(&replica.labels, &[], value);
        }
    }
}

fn states(
    out: &mut Exposition,
    replicas: &[Replica],
    name: &str,
    help: &str,
    all: &[&str],
    of: impl Fn(&Replica) -> &'static str,
) {
    let mut family = out.family(name, MetricKind::Gauge, help);
    for replica in replicas {
        let present = of(replica);
        for state in all {
            family.sample(&replica.labels, &[("state", state)], f64::from(u8::from(present == *state)));
        }
    }
}

#[cfg(test)]
mod tests;
