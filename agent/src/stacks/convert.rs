//! From the words of the model to the shapes on the wire.

use chrono::{DateTime, Utc};
use serde::Serialize;
use zv_api as api;
use zv_stack::death::{DeathRecord, Summary};
use zv_stack::{Intent, Model, ReplicaView, RuntimeState, ServiceView, Verdict};

use crate::collect::{Latest, usage};

/// The label by which images tell their version.
const VERSION_LABEL: &str = "org.opencontainers.image.version";

pub(super) fn snapshot(
    model: &Model,
    latest: &Latest,
    host: &api::Host,
    seq: u64,
    at: DateTime<Utc>,
    probes: Vec<api::Probe>,
) -> api::Snapshot {
    let mut stacks: Vec<api::Stack> = Vec::new();
    for view in model.services() {
        match stacks.last_mut() {
            Some(stack) if *stack.name == *view.key.stack => stack.services.push(service(&view, latest)),
            _ => stacks.push(api::Stack {
                name: view.key.stack.to_string(),
                services: vec![service(&view, latest)],
            }),
        }
    }
    let version = env!("CARGO_PKG_VERSION").to_owned();
    api::Snapshot { host: host.clone(), at, version, seq, runtime: runtime(model.runtime()), stacks, probes }
}

pub(super) fn runtime(state: &RuntimeState) -> api::RuntimeState {
    match state.clone() {
        RuntimeState::Connecting => api::RuntimeState::Connecting,
        RuntimeState::Up { kind, version, api_version } => {
            api::RuntimeState::Up { kind, version, api_version }
        }
        RuntimeState::Down { since, reason } => api::RuntimeState::Down { since, reason },
    }
}

pub(super) fn service(view: &ServiceView<'_>, latest: &Latest) -> api::Service {
    let replicas: Vec<api::Replica> = view.replicas.iter().map(|view| replica(view, latest)).collect();
    let counts = |view: &ReplicaView<'_>| view.seen.state.is_up() && view.intent != Intent::OneOff;
    let running = view.replicas.iter().zip(&replicas).filter(|(view, _)| counts(view));
    api::Service {
        stack: view.key.stack.to_string(),
        name: view.key.service.to_string(),
        status: word(&view.status),
        reason: view.reason.clone(),
        desired: view.desired.replicas,
        desired_source: word(&view.desired.source),
        running: view.running,
        healthy: view.healthy,
        depends_on: view.depends_on.iter().map(ToString::to_string).collect(),
        restarts: view.replicas.iter().fold(0, |sum: u32, replica| sum.saturating_add(replica.restarts)),
        usage: usage::sum(running.map(|(_, replica)| replica.usage.as_ref())),
        replicas,
    }
}

fn replica(view: &ReplicaView<'_>, latest: &Latest) -> api::Replica {
    let seen = view.seen;
    let log = view.health.map(|health| health.log.iter().map(check).collect()).unwrap_or_default();
    api::Replica {
        id: seen.id.as_str().to_owned(),
        name: seen.name.clone(),
        number: seen.number,
        status: word(&view.status),
        intent: word(&view.intent),
        state: word(&seen.state),
        image: seen.image.clone(),
        image_id: seen.image_id.clone(),
        config_hash: seen.config_hash.clone(),
        version: seen.labels.get(VERSION_LABEL).cloned(),
        ports: seen.ports.clone(),
        addresses: seen.addresses.clone(),
        pid: view.pid,
        created_at: seen.created_at,
        started_at: view.started_at,
        exit: view.exit.map(exit),
        restarts: view.restarts,
        usage: latest.usage(&seen.id, view.pid).filter(|_| seen.state.is_up()).cloned(),
        health: api::Health {
            verdict: view.verdict.map_or_else(|| "unknown".to_owned(), |verdict| word(&verdict)),
            failing_streak: view.health.map_or(0, |health| health.failing_streak),
            log,
        },
        labels: seen.labels.clone(),
    }
}

fn check(check: &zv_stack::Check) -> api::Check {
    api::Check { at: check.at, exit_code: check.exit_code, output: check.output.clone() }
}

fn exit(exit: &zv_stack::Exit) -> api::Exit {
    api::Exit { at: exit.at, code: exit.code, oom: exit.oom }
}

pub(super) fn happening(happening: &zv_stack::Happening) -> api::Happening {
    api::Happening {
        at: happening.at,
        stack: happening.key.as_ref().map(|key| key.stack.to_string()),
        service: happening.key.as_ref().map(|key| key.service.to_string()),
        replica: happening.replica.as_ref().map(|id| id.as_str().to_owned()),
        name: happening.name.clone(),
        kind: word(&happening.kind),
        text: happening.text.clone(),
    }
}

pub(super) fn death_summary(summary: &Summary) -> api::DeathSummary {
    api::DeathSummary {
        id: summary.id.clone(),
        stack: summary.key.stack.to_string(),
        service: summary.key.service.to_string(),
        replica: summary.replica.as_str().to_owned(),
        name: summary.name.clone(),
        exit: exit(&summary.exit),
        wanted: summary.wanted,
    }
}

pub(super) fn death(record: DeathRecord) -> api::Death {
    let summary = death_summary(&record.summary);
    let (key, name) = (&record.summary.key, &record.summary.name);
    let logs = record.logs.into_iter().map(|line| log_line(line, key, name)).collect();
    let verdict = match record.health.verdict {
        Verdict::None => "none".to_owned(),
        verdict => word(&verdict),
    };
    api::Death {
        host: record.host,
        image: record.image,
        image_id: record.image_id,
        started_at: record.started_at,
        restarts: record.restarts,
        health: api::Health {
            verdict,
            failing_streak: record.health.failing_streak,
            log: record.health.log.iter().map(check).collect(),
        },
        logs,
        stats: record.stats.iter().map(stats).collect(),
        inspect: record.inspect,
        summary,
    }
}

pub(super) fn log_line(
    line: zv_stack::logs::LogLine,
    key: &zv_stack::ServiceKey,
    name: &str,
) -> api::LogLine {
    api::LogLine {
        stack: key.stack.to_string(),
        service: key.service.to_string(),
        replica: line.replica.as_str().to_owned(),
        name: name.to_owned(),
        output: word(&line.output),
        at: line.at,
        text: line.text,
        cut: line.cut,
    }
}

fn stats(stats: &zv_stack::stats::Stats) -> api::Stats {
    api::Stats {
        at: stats.at,
        cpu_seconds: stats.cpu_seconds,
        memory_bytes: stats.memory_bytes,
        memory_limit_bytes: stats.memory_limit_bytes,
        network_receive_bytes: stats.network_receive_bytes,
        network_transmit_bytes: stats.network_transmit_bytes,
        processes: stats.processes,
    }
}

/// Returns the word by which a plain enum is written on the wire: the model's own serialization is the one list of words.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(_) | Err(_) => unreachable!("enums without fields are written as one word"),
    }
}
