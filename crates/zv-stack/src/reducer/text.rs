//! The sentences of the model.

use super::view::ReplicaView;
use crate::model::{Exit, ReplicaStatus};

/// The longest piece of a health check's output in a sentence.
const OUTPUT_IN_SENTENCE: usize = 120;

/// Returns how a replica ended: `exited with code 137 (out of memory)`.
pub fn exit_text(exit: &Exit) -> String {
    let Some(code) = exit.code else { return "ended, its exit code is not known yet".to_owned() };
    let meaning = match code {
        _ if exit.oom => Some("out of memory"),
        126 => Some("the program could not be executed"),
        127 => Some("the program was not found"),
        130 => Some("SIGINT"),
        131 => Some("SIGQUIT"),
        132 => Some("SIGILL"),
        134 => Some("SIGABRT"),
        135 => Some("SIGBUS"),
        136 => Some("SIGFPE"),
        137 => Some("SIGKILL"),
        139 => Some("SIGSEGV"),
        143 => Some("SIGTERM"),
        _ => None,
    };
    match meaning {
        Some(meaning) => format!("exited with code {code} ({meaning})"),
        None => format!("exited with code {code}"),
    }
}

/// Returns why a replica is not well: `orders-2 exited with code 137 (out of memory)`.
pub(super) fn replica_reason(replica: &ReplicaView<'_>) -> String {
    let name = &replica.seen.name;
    match replica.status {
        ReplicaStatus::CrashLoop => match replica.exit {
            Some(exit) => format!("{name} is in a crash loop: it last {}", exit_text(exit)),
            None => format!("{name} is in a crash loop"),
        },
        ReplicaStatus::Exited => match replica.exit {
            Some(exit) => format!("{name} {}", exit_text(exit)),
            None => format!("{name} has exited"),
        },
        ReplicaStatus::Restarting => match replica.exit {
            Some(exit) => format!("{name} is restarting: it {}", exit_text(exit)),
            None => format!("{name} is restarting"),
        },
        ReplicaStatus::Unhealthy => unhealthy_reason(name, replica),
        ReplicaStatus::Paused => format!("{name} is paused"),
        ReplicaStatus::Healthy
        | ReplicaStatus::Running
        | ReplicaStatus::Starting
        | ReplicaStatus::Created
        | ReplicaStatus::Finished
        | ReplicaStatus::Stopped
        | ReplicaStatus::Unknown => name.clone(),
    }
}

fn unhealthy_reason(name: &str, replica: &ReplicaView<'_>) -> String {
    let failing = replica.health.map_or(0, |health| health.failing_streak);
    let output = replica.health.and_then(|health| health.log.last()).map_or("", |check| check.output.trim());
    let first_line = output.lines().next().unwrap_or_default();
    let end = first_line.char_indices().nth(OUTPUT_IN_SENTENCE).map_or(first_line.len(), |(at, _)| at);
    match (failing, &first_line[..end]) {
        (0, "") => format!("{name} is unhealthy"),
        (0, output) => format!("{name} is unhealthy: {output}"),
        (failing, "") => format!("{name} is unhealthy, {failing} checks failed in a row"),
        (failing, output) => format!("{name} is unhealthy, {failing} checks failed in a row: {output}"),
    }
}
