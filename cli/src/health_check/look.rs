//! Containers and services, as an agent or the engine of this host sees them.

use tokio::time::{Instant, sleep, timeout_at};
use zv_api::{Replica, RuntimeState, Service, Snapshot};
use zv_probe::{Target, Verdict};

use super::args::{HealthCheckArgs, Plan, fitted};
use super::finding::Finding;
use super::probes;
use crate::connect::{self, Agent};
use crate::console::Console;
use crate::failure::{Failure, Outcome};
use crate::{names, text};

/// More of what a health check printed is not repeated.
const OUTPUT: usize = 120;
const SILENCE: &str = "neither an agent nor the engine answers in time";

/// Looks at all that was named, or at everything; returns the findings with their places.
pub(super) async fn run(
    plan: &Plan,
    args: &HealthCheckArgs,
    options: &connect::Options,
    deadline: Instant,
    console: &mut Console,
) -> Vec<(usize, Finding)> {
    if plan.looks.is_empty() && plan.everything.is_none() && plan.project.is_none() {
        return Vec::new();
    }
    let mut options = options.clone();
    options.whole_host |= plan.project.is_some();
    let (agent, snapshot) = match timeout_at(deadline, Box::pin(first(&options, console))).await {
        Ok(Ok(first)) => first,
        Ok(Err(failure)) => return unknown(plan, &fragment(&failure)),
        Err(_) => return unknown(plan, SILENCE),
    };
    let asked = asked_by_labels(plan, args, &snapshot);
    let (looked, probed) = tokio::join!(
        timeout_at(deadline, Box::pin(attempts(plan, args, &agent, snapshot, deadline))),
        Box::pin(probes::run(plan, &asked.targets, args, deadline)),
    );
    let mut findings = match looked {
        Ok(Ok(findings)) => findings,
        Ok(Err(failure)) => unknown(plan, &fragment(&failure)),
        Err(_) => unknown(plan, SILENCE),
    };
    findings.extend(asked.mistakes);
    findings.extend(probed);
    // What belongs to one service comes in the order of the names, whoever answered first.
    findings.sort_by(|(one, a), (other, b)| {
        (one, a.seconds.is_some(), &a.target).cmp(&(other, b.seconds.is_some(), &b.target))
    });
    findings
}

async fn first(options: &connect::Options, console: &mut Console) -> Outcome<(Agent, Snapshot)> {
    let agent = connect::connect(options, console).await?;
    let snapshot = agent.snapshot().await?;
    Ok((agent, snapshot))
}

/// Says of everything that nobody knows.
fn unknown(plan: &Plan, reason: &str) -> Vec<(usize, Finding)> {
    let unknown = |name: &str| Finding::seen(name, Verdict::Unknown, reason);
    let named = plan.looks.iter().map(|(place, name)| (*place, unknown(&address(name))));
    let services = plan.project.iter().flat_map(|(first, project)| {
        project.services().map(move |(at, service)| (first + at, unknown(&address(&project.path(service)))))
    });
    let everything = plan.everything.map(|place| (place, unknown("docker://")));
    named.chain(services).chain(everything).collect()
}

/// What the labels of a compose file's containers ask for.
#[derive(Debug, Default)]
struct Asked {
    targets: Vec<(usize, Target)>,
    mistakes: Vec<(usize, Finding)>,
}

fn asked_by_labels(plan: &Plan, args: &HealthCheckArgs, snapshot: &Snapshot) -> Asked {
    let mut asked = Asked::default();
    let Some((first, project)) = &plan.project else { return asked };
    for (place, label) in project.labels(snapshot) {
        let name = label.name;
        match label.target {
            Ok(target) => asked.targets.push((first + place, Target { name, ..fitted(target, args) })),
            Err(mistake) => {
                asked.mistakes.push((first + place, Finding::seen(name, Verdict::Unknown, mistake)));
            }
        }
    }
    asked
}

async fn attempts(
    plan: &Plan,
    args: &HealthCheckArgs,
    agent: &Agent,
    mut snapshot: Snapshot,
    deadline: Instant,
) -> Outcome<Vec<(usize, Finding)>> {
    let mut attempt = 1;
    loop {
        let mut findings = look(plan, &snapshot);
        let is_well = |finding: &Finding| matches!(finding.verdict, Verdict::Up | Verdict::Degraded);
        let all_well = findings.iter().all(|(_, finding)| is_well(finding));
        if all_well || attempt > args.retries || Instant::now() + args.retry_pause >= deadline {
            for (_, finding) in &mut findings {
                finding.attempts = attempt;
            }
            return Ok(findings);
        }
        sleep(args.retry_pause).await;
        snapshot = agent.snapshot().await?;
        attempt += 1;
    }
}

fn look(plan: &Plan, snapshot: &Snapshot) -> Vec<(usize, Finding)> {
    let mut findings: Vec<(usize, Finding)> =
        plan.looks.iter().map(|(place, name)| (*place, named(snapshot, name))).collect();
    if let Some((first, project)) = &plan.project {
        findings.extend(project.judge(snapshot).into_iter().map(|(place, finding)| (first + place, finding)));
    }
    if let Some(first) = plan.everything {
        let all = everything(snapshot).into_iter().enumerate();
        findings.extend(all.map(|(place, finding)| (first + place, finding)));
    }
    findings
}

/// Returns a failure as a reason, in one line.
fn fragment(failure: &Failure) -> String {
    let told = match failure {
        Failure::Usage(text) => text.clone(),
        Failure::Failed(error) => format!("{error:#}"),
        other => other.to_string(),
    };
    told.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

pub(super) fn address(name: &str) -> String {
    format!("docker://{name}")
}

/// Judges every service. What a person stopped is as that person wants it.
fn everything(snapshot: &Snapshot) -> Vec<Finding> {
    let mut findings: Vec<Finding> = names::services(snapshot)
        .map(|service| {
            let (verdict, reason) = service_verdict(service, false);
            Finding::seen(address(&format!("{}/{}", service.stack, service.name)), verdict, reason)
        })
        .collect();
    if let Some(reason) = blindness(snapshot) {
        findings.push(Finding::seen("docker://", Verdict::Unknown, reason));
    }
    findings
}

/// Says why the runtime cannot be asked, where it cannot.
pub(super) fn blindness(snapshot: &Snapshot) -> Option<String> {
    match &snapshot.runtime {
        RuntimeState::Up { .. } => None,
        RuntimeState::Connecting => Some("the runtime has not answered yet".to_owned()),
        RuntimeState::Down { reason, .. } => Some(format!("the runtime cannot be asked: {reason}")),
    }
}

/// Judges what has this name.
fn named(snapshot: &Snapshot, name: &str) -> Finding {
    let (verdict, reason) = match names::find(snapshot, name, None) {
        Ok(found) => match found.replica {
            Some(replica) => replica_verdict(replica),
            None => service_verdict(found.service, true),
        },
        Err(failure) => {
            let exists = names::services(snapshot).any(|service| {
                names::is_service(service, name)
                    || service.replicas.iter().any(|replica| names::is_replica(replica, name))
            });
            // A name that stands for two things, or nobody to ask, says nothing about it; a container that is gone does.
            let verdict =
                if exists || blindness(snapshot).is_some() { Verdict::Unknown } else { Verdict::Down };
            (verdict, fragment(&failure))
        }
    };
    Finding::seen(address(name), verdict, reason)
}

/// Judges a service; one that was stopped is down only for whoever asks for it by name.
pub(super) fn service_verdict(service: &Service, is_named: bool) -> (Verdict, String) {
    let replicas = || format!("{} of {} healthy", service.healthy, service.desired);
    let reason = |usual: String| service.reason.clone().unwrap_or(usual);
    match service.status.as_str() {
        "ok" => (Verdict::Up, replicas()),
        "finished" => (Verdict::Up, reason("has run and finished".to_owned())),
        "stopped" if is_named => (Verdict::Down, reason("somebody stopped it".to_owned())),
        "stopped" => (Verdict::Up, reason("somebody stopped it".to_owned())),
        "starting" => (Verdict::Degraded, reason(format!("starting: {}", replicas()))),
        "degraded" => (Verdict::Degraded, reason(replicas())),
        "down" => (Verdict::Down, reason(replicas())),
        _ => (Verdict::Unknown, reason("its state cannot be seen".to_owned())),
    }
}

/// Judges one container.
fn replica_verdict(replica: &Replica) -> (Verdict, String) {
    let exit = replica.exit.as_ref().map(|exit| match exit.code {
        _ if exit.oom => "out of memory".to_owned(),
        Some(code) => format!("exit code {code}"),
        None => "exit code unknown".to_owned(),
    });
    let ended = |word: &str| exit.clone().map_or_else(|| word.to_owned(), |exit| format!("{word}: {exit}"));
    match replica.status.as_str() {
        "healthy" | "running" => (Verdict::Up, replica.status.clone()),
        "finished" => (Verdict::Up, "has run and finished".to_owned()),
        "starting" | "created" => (Verdict::Degraded, replica.status.clone()),
        "stopped" => (Verdict::Down, "somebody stopped it".to_owned()),
        "unhealthy" => {
            let said = replica.health.log.last().map(|check| text::clean(check.output.trim()).into_owned());
            let said = said.filter(|said| !said.is_empty());
            let said = said.map(|said| format!(": {}", text::fit(&said, OUTPUT))).unwrap_or_default();
            (Verdict::Down, format!("unhealthy{said}"))
        }
        status @ ("restarting" | "exited" | "crash-loop") => (Verdict::Down, ended(status)),
        "paused" => (Verdict::Down, "paused".to_owned()),
        _ => (Verdict::Unknown, "its state cannot be seen".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn verdict_of(name: &str) -> (Verdict, String) {
        let finding = named(&samples::shop(), name);
        (finding.verdict, finding.reason)
    }

    #[test]
    fn services_and_containers_are_judged_by_what_is_known_of_them() {
        assert_eq!(verdict_of("shop/db").0, Verdict::Up);
        assert_eq!(verdict_of("shop/orders").0, Verdict::Degraded);
        let (verdict, reason) = verdict_of("shop-orders-2");
        assert!(verdict != Verdict::Up && !reason.is_empty(), "{verdict} {reason}");
        let (verdict, reason) = verdict_of("shop/oders");
        assert_eq!(verdict, Verdict::Down);
        assert!(reason.contains("`orders`"), "{reason}");
    }

    #[test]
    fn a_name_that_stands_for_two_things_is_not_guessed() {
        let (verdict, reason) = verdict_of("db");
        assert_eq!(verdict, Verdict::Unknown);
        assert!(reason.contains("blog/db shop/db"), "{reason}");
    }

    #[test]
    fn a_stopped_service_is_down_for_whoever_names_it() {
        let mut service = samples::service("shop", "mail", Vec::new());
        service.status = "stopped".into();
        assert_eq!(service_verdict(&service, true).0, Verdict::Down);
        assert_eq!(service_verdict(&service, false).0, Verdict::Up);
        service.status = "from a newer agent".into();
        assert_eq!(service_verdict(&service, false).0, Verdict::Unknown);
    }

    #[test]
    fn nothing_is_called_healthy_that_cannot_be_seen() {
        let mut snapshot = samples::shop();
        snapshot.runtime = RuntimeState::Down { since: samples::now(), reason: "gone".into() };
        assert_eq!(named(&snapshot, "oders").verdict, Verdict::Unknown);
        let all = everything(&snapshot);
        assert!(all.iter().any(|finding| finding.reason.contains("cannot be asked: gone")));
    }
}
