//! `cargo xtask bench agent`: what the idle agent costs beside several hundred containers, and how fast it tells of an
//! event. What it measures and how is explained in docs/benchmarks.md.

mod agent;
mod commands;
mod engine;
mod figures;
mod latency;
mod listen;
mod plan;
mod probe;
mod process;
mod programs;
mod report;
mod scrape;
mod web;
mod window;

use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};

use self::agent::{Agent, Setup, Snapshots};
use self::engine::Engine;
use self::plan::Plan;
use self::programs::Programs;
use self::report::{Idle, Report};
use self::scrape::Scraper;
use self::web::Web;
use self::window::{Group, observe};
use crate::say;

pub(crate) use self::probe::run as probe;

/// How long an agent that knows everything is left alone before it is measured.
const SETTLE: Duration = Duration::from_secs(10);
/// Kills and as many starts whose way to the stream is timed.
const EVENTS: usize = 100;
/// Containers before the last step.
const STEPS: [usize; 3] = [0, 30, 100];
/// What the agent probes while it is watched, and how often.
const PROBES: usize = 50;
const PROBE_EVERY_SECONDS: u32 = 10;
/// Beside the agent that watches everything, one watches the projects of so many containers.
const FEWER: usize = 100;

/// Measures, prints, and with `--write` keeps what came of it.
pub(crate) fn agent(args: &[&str]) -> Result<()> {
    let plan = Plan::parse(args, docker_host())?;
    note("building the agent, the command line and the program that the containers run");
    let programs = Programs::build()?;
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let report = threads.block_on(run(&plan, &programs))?;
    let text = report.markdown();
    say(&text);
    if plan.write { report::write(report::AGENT, &text) } else { Ok(()) }
}

/// Measures, and removes the containers however that ended.
async fn run(plan: &Plan, programs: &Programs) -> Result<Report> {
    let mut engine = Engine::connect(&plan.host).await?;
    engine.claim(plan.force).await?;
    let measured = tokio::select! {
        measured = measure(plan, programs, &mut engine) => measured,
        signal = interrupted() => signal.and_then(|()| bail!("interrupted")),
    };
    note("removing the containers");
    let removed = tokio::select! {
        removed = engine.remove_all() => removed,
        signal = interrupted() => signal.and_then(|()| bail!("interrupted again")),
    };
    removed.with_context(|| format!("containers with the label `{}` may be left", engine::LABEL))?;
    measured
}

async fn measure(plan: &Plan, programs: &Programs, engine: &mut Engine) -> Result<Report> {
    let place = engine.place().await?;
    engine.import(&programs.subject).await?;
    let web = Web::start(true).await?;
    let setup = Setup {
        engine: &plan.host,
        probes: vec![web.address; PROBES],
        every_seconds: PROBE_EVERY_SECONDS,
        timeout_seconds: 5,
        ..Setup::default()
    };
    let mut idle = Vec::new();
    for count in STEPS.into_iter().filter(|count| *count < plan.containers) {
        engine.grow_to(count).await?;
        let agent = Agent::start(&programs.agent, &setup)?;
        idle.extend(settle_and_watch(&[(&agent, count)], engine, plan.short_window()).await?.0);
        agent.stop().await?;
    }
    engine.grow_to(plan.containers).await?;

    note("watching the engine without an agent");
    tokio::time::sleep(SETTLE).await;
    let engine_alone = observe(&mut [engine.group()?], plan.half_window()).await?.remove(0);
    let agent = Agent::start(&programs.agent, &setup)?;
    let fewer = plan.containers.min(FEWER);
    let projects = engine::projects(fewer);
    let other = Agent::start(&programs.agent, &Setup { projects, ..setup.clone() })?;
    let scraper = Scraper::start(agent.address());
    let watched = [(&other, fewer), (&agent, plan.containers)];
    let (long, engine_with_agent) = settle_and_watch(&watched, engine, plan.window()).await?;
    other.stop().await?;

    note("watching the agent beside `docker stats` and `docker events`");
    let peers = [engine.command(&["stats"])?, engine.command(&["events"])?];
    let mut groups = vec![Group::one("zv-agent", agent.pid())];
    for (peer, name) in peers.iter().zip(["docker stats", "docker events"]) {
        groups.push(Group::one(name, peer.id().context("a docker command ended at once")?));
    }
    groups.push(engine.group()?);
    let mut beside = observe(&mut groups, plan.half_window()).await?;
    let engine_with_peers = beside.pop().context("the engine was not watched")?;
    drop(peers);
    let scrapes = scraper.scrapes();
    drop(scraper);

    let snapshots = agent.time_snapshots().await?;
    let commands = commands::measure(&programs.cli, &agent, &plan.host).await?;
    let latency = latency::measure(&agent, engine, EVENTS).await?;
    let after_events = observe(&mut [Group::one("zv-agent", agent.pid())], SETTLE).await?.remove(0);
    agent.stop().await?;
    Ok(Report {
        place,
        idle,
        long,
        beside,
        engines: [engine_alone, engine_with_agent, engine_with_peers],
        scrapes,
        snapshots,
        commands,
        latency,
        after_events,
    })
}

/// Waits until each agent knows its containers, leaves them alone for a moment, and then watches them and the engine.
async fn settle_and_watch(
    agents: &[(&Agent, usize)],
    engine: &Engine,
    length: Duration,
) -> Result<(Vec<Idle>, window::Usage)> {
    let mut completes = Vec::new();
    for (agent, count) in agents {
        let complete = agent.wait_until_complete(&engine.containers()[..*count]).await?;
        note(&format!("{count} containers: complete after {complete:?}, watching for {length:?}"));
        completes.push(complete);
    }
    tokio::time::sleep(SETTLE).await;
    let mut groups: Vec<Group> =
        agents.iter().map(|(agent, _)| Group::one("zv-agent", agent.pid())).collect();
    groups.push(engine.group()?);
    let mut usages = observe(&mut groups, length).await?;
    let engine_usage = usages.pop().context("the engine was not watched")?;
    let each = agents.iter().zip(completes).zip(usages);
    let idle =
        each.map(|(((_, containers), complete), usage)| Idle { containers: *containers, complete, usage });
    Ok((idle.collect(), engine_usage))
}

/// Waits for Ctrl-C, or for being asked to end.
async fn interrupted() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => Ok(pressed?),
        _ = terminate.recv() => Ok(()),
    }
}

#[expect(clippy::disallowed_methods, reason = "where this program reads the environment, once")]
fn docker_host() -> Option<String> {
    std::env::var("DOCKER_HOST").ok()
}

/// Says how far it is, beside the result.
#[expect(clippy::print_stderr, reason = "this is a program for a terminal")]
fn note(text: &str) {
    eprintln!("bench: {text}");
}
