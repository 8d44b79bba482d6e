//! `zv doctor`: what the agent can and cannot see on this host, and how to mend it.
//!
//! Each module looks at one area and judges what it saw; looking and judging are apart where looking is more than a call.
//! All of it runs at once, under one deadline: what hangs is a finding.

mod agent;
mod configuration;
mod containers;
mod engine;
mod finding;
mod here;
mod host;
mod listening;
mod render;
mod store;

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::time::{Instant, timeout_at};
use zv_agent::config::{Config, Place};

use crate::connect;
use crate::console::Console;
use crate::failure::{Failure, Outcome};
use crate::{clock, span};
use finding::{Area, Finding, Findings, Level};
use here::Here;
use render::Report;

const AFTER_HELP: &str = "\
Everything is looked at as the user who calls this: where the agent runs as another, call it as that one. Nothing is \
changed. For an agent in a container, run it with the options of that container:
  docker run --rm --pid host -v /sys/fs/cgroup:/sys/fs/cgroup:ro … -v /usr/bin/zv:/zv:ro --entrypoint /zv zv-agent doctor

Exit codes: 0 nothing is wrong (there may be notes), 1 there are problems, 2 the command was not understood.

Examples:
  zv doctor                                    this host, as this user
  sudo zv doctor                               as an agent of the system sees it
  DOCKER_HOST=tcp://socket-proxy:2375 zv doctor        which rights a socket proxy grants
  zv doctor --json | jq -r '.checks[] | select(.status == \"problem\") | .advice'";

/// Say what an agent can and cannot see on this host, and how to mend it
#[derive(Debug, Clone, Args)]
#[command(after_help = AFTER_HELP)]
pub struct DoctorArgs {
    /// The time for everything; what takes longer is told as that
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = span::positive)]
    pub deadline: Duration,
    /// The engine's address; else as the agent finds it
    #[arg(long, value_name = "URL")]
    pub docker_host: Option<String>,
    /// A context of the docker command
    #[arg(long, value_name = "NAME", conflicts_with = "docker_host")]
    pub docker_context: Option<String>,
}

/// Runs the command.
pub async fn run(args: &DoctorArgs, options: &connect::Options, console: &mut Console) -> Outcome {
    let deadline = Instant::now() + args.deadline;
    console.progress("Looking …");
    let report = Box::pin(examine(args, options, deadline)).await;
    console.progress("");
    if options.json {
        console.json(&report)?;
    } else {
        console.lines(&render::lines(&report))?;
    }
    if report.status == Level::Problem { Err(Failure::Told) } else { Ok(()) }
}

async fn examine(args: &DoctorArgs, options: &connect::Options, deadline: Instant) -> Report {
    let look = blocking(deadline, Area::Configuration, "user", Here::look);
    let here = match look.await {
        Ok(here) => Arc::new(here),
        Err(hung) => return report("somebody".to_owned(), false, hung),
    };
    let reading = {
        let (args, file, here) = (args.clone(), options.config.clone(), Arc::clone(&here));
        blocking(deadline, Area::Configuration, "file", move || {
            configuration::read(&args, file.as_deref(), &here)
        })
    };
    let (mut findings, config) = match reading.await {
        Ok(read) => (read.findings, read.config.map(Arc::new)),
        Err(hung) => (hung, None),
    };
    let given = |config: &Arc<Config>| *config.place("collect.host_root") != Place::Default;
    let host_root_is_given = config.as_ref().is_some_and(given);
    let (agents, engines, names, certificates) = tokio::join!(
        Box::pin(agent_side(options, config.clone(), &here, deadline)),
        Box::pin(engine_side(config, &here, deadline)),
        Box::pin(host::names(deadline)),
        blocking(deadline, Area::Host, "certificates", host::certificates),
    );
    findings.extend(agents.into_iter().chain(engines));
    findings.extend(host::file_systems(&here, host_root_is_given));
    findings.extend(names);
    findings.extend(certificates.unwrap_or_else(|hung| hung));
    report(here.user.clone(), here.contained, findings)
}

fn report(user: String, contained: bool, mut checks: Vec<Finding>) -> Report {
    checks.sort_by_key(|finding| finding.area);
    Report { version: env!("CARGO_PKG_VERSION"), user, contained, status: finding::worst(&checks), checks }
}

/// The agent, and what can only be judged with it: who looks, where it listens, what it keeps.
async fn agent_side(
    options: &connect::Options,
    config: Option<Arc<Config>>,
    here: &Arc<Here>,
    deadline: Instant,
) -> Vec<Finding> {
    let looking = Box::pin(agent::look(options, config.as_deref(), here));
    let (mut findings, found) = match timeout_at(deadline, looking).await {
        Ok(found) => found,
        Err(_) => (hung(Area::Agent, "answers"), agent::Found::default()),
    };
    findings.extend(here::judge(here, found.uid));
    let Some(config) = config else { return findings };
    let store = {
        let (config, here) = (Arc::clone(&config), Arc::clone(here));
        blocking(deadline, Area::Store, "folder", move || store::look(&config, &here))
    };
    let listening = {
        let here = Arc::clone(here);
        blocking(deadline, Area::Listening, "address", move || {
            listening::look(&config, found.address.as_deref(), &here)
        })
    };
    let (store, listening) = tokio::join!(store, listening);
    findings.extend(store.unwrap_or_else(|hung| hung));
    findings.extend(listening.unwrap_or_else(|hung| hung));
    findings
}

/// The engine, and what can only be judged with it: its containers, and the clock beside its own.
async fn engine_side(config: Option<Arc<Config>>, here: &Arc<Here>, deadline: Instant) -> Vec<Finding> {
    let (mut findings, told) = match &config {
        Some(config) => {
            let asking = Box::pin(engine::ask(config, here, deadline));
            timeout_at(deadline, asking).await.unwrap_or_else(|_| (hung(Area::Engine, "answers"), None))
        }
        None => (Vec::new(), None),
    };
    let info = told.as_ref().and_then(|told| told.info.as_ref());
    findings.extend(host::clock(clock::now(), info.and_then(|info| info.system_time)));
    let judging = {
        let here = Arc::clone(here);
        blocking(deadline, Area::Containers, "cgroups", move || {
            let running = told.as_ref().map(|told| told.running.as_slice()).unwrap_or_default();
            let seen = containers::look(&here.mounts, running);
            containers::judge(&seen, told.as_ref(), &here)
        })
    };
    findings.extend(judging.await.unwrap_or_else(|hung| hung));
    findings
}

/// Runs what may hang with a disk or a mount on a thread of its own, and tells where it did.
async fn blocking<T: Send + 'static>(
    deadline: Instant,
    area: Area,
    check: &'static str,
    looking: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Vec<Finding>> {
    match timeout_at(deadline, tokio::task::spawn_blocking(looking)).await {
        Ok(Ok(looked)) => Ok(looked),
        Ok(Err(broken)) => {
            let mut findings = Findings::of(area);
            findings.problem(
                check,
                format!("the check broke off: {broken}"),
                "report it: this is a fault of zv",
            );
            Err(findings.all)
        }
        Err(_) => Err(hung(area, check)),
    }
}

fn hung(area: Area, check: &'static str) -> Vec<Finding> {
    let mut findings = Findings::of(area);
    let advice =
        "something here hangs: a disk, a mount, the engine; give it more time with --deadline 60s to be sure";
    findings.problem(check, "no answer within the deadline", advice);
    findings.all
}
