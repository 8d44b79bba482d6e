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
use self::report::{Idle, Long, Report};
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
    let report =
        threads.block_on(with_engine(&plan, async |engine| measure(&plan, &programs, engine).await))?;
    let text = report.markdown();
    say(&text);
    if plan.write { report::write(report::AGENT, &text) } else { Ok(()) }
}

/// Watches agents beside `docker stats` for long, prints how their memory grew, and with `--write` keeps it.
pub(crate) fn hour(args: &[&str]) -> Result<()> {
    let plan = Plan::parse(&[&["--minutes", "60"], args].concat(), docker_host())?;
    note("building the agent, the command line and the program that the containers run");
    let programs = Programs::build()?;
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let text =
        threads.block_on(with_engine(&plan, async |engine| watch_long(&plan, &programs, engine).await))?;
    let text = text.markdown();
    say(&text);
    if plan.write { report::write(report::HOUR, &text) } else { Ok(()) }
}

/// Measures with an engine, and removes the containers however that ended.
async fn with_engine<T>(plan: &Plan, measure: impl AsyncFnOnce(&mut Engine) -> Result<T>) -> Result<T> {
    let mut engine = Engine::connect(&plan.host).await?;
    engine.claim(plan.force).await?;
    let measured = tokio::select! {
        measured = measure(&mut engine) => measured,
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

/// Watches two agents, one with fewer containers, beside `docker stats`.
async fn watch_long(plan: &Plan, programs: &Programs, engine: &mut Engine) -> Result<Long> {
    let place = engine.place().await?;
    engine.import(&programs.subject).await?;
    engine.grow_to(plan.containers).await?;
    let web = Web::start(true).await?;
    let setup = setup(plan, &web);
    let fewer = plan.containers.min(FEWER);
    let agent = Agent::start(&programs.agent, &setup)?;
    let other = Agent::start(&programs.agent, &Setup { projects: engine::projects(fewer), ..setup })?;
    let scraper = Scraper::start(agent.address());
    let docker = engine.command(&["stats"])?;
    let stats = Group::one("docker stats", docker.id().context("docker stats ended at once")?);
    let watched = [(&other, fewer), (&agent, plan.containers)];
    let (agents, mut others) =
        settle_and_watch(&watched, vec![stats, engine.group()?], plan.window()).await?;
    let engine = others.pop().context("the engine was not watched")?;
    let docker = others.pop().context("docker stats was not watched")?;
    let scrapes = scraper.scrapes();
    other.stop().await?;
    agent.stop().await?;
    Ok(Long { place, agents, docker, engine, scrapes })
}

/// What the agents have to do beside watching containers.
fn setup<'a>(plan: &'a Plan, web: &Web) -> Setup<'a> {
    Setup {
        engine: &plan.host,
        probes: vec![web.address; PROBES],
        every_seconds: PROBE_EVERY_SECONDS,
        timeout_seconds: 5,
        ..Setup::default()
    }
}

async fn measure(plan: &Plan, programs: &Programs, engine: &mut Engine) -> Result<Report> {
    let place = engine.place().await?;
    engine.import(&programs.subject).await?;
    let web = Web::start(true).await?;
    let setup = setup(plan, &web);
    let mut idle = Vec::new();
    for count in STEPS.into_iter().filter(|count| *count < plan.containers) {
        engine.grow_to(count).await?;
        let agent = Agent::start(&programs.agent, &setup)?;
        let engine_group = vec![engine.group()?];
        idle.extend(settle_and_watch(&[(&agent, count)], engine_group, plan.short_window()).await?.0);
        agent.stop().await?;
    }
    engine.grow_to(plan.containers).await?;

    note("watching the engine without an agent");
    tokio::time::sleep(SETTLE).await;
    let engine_alone = observe(&mut [engine.group()?], plan.half_window()).await?.remove(0);
    let agent = Agent::start(&programs.agent, &setup)?;
    let scraper = Scraper::start(agent.address());
    let watched = [(&agent, plan.containers)];
    let (last, mut others) = settle_and_watch(&watched, vec![engine.group()?], plan.window()).await?;
    let engine_with_agent = others.pop().context("the engine was not watched")?;
    idle.extend(last);

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
        beside,
        engines: [engine_alone, engine_with_agent, engine_with_peers],
        scrapes,
        snapshots,
        commands,
        latency,
        after_events,
    })
}

/// Waits until each agent knows its containers, leaves them alone for a moment, and then watches them and the others.
async fn settle_and_watch(
    agents: &[(&Agent, usize)],
    others: Vec<Group>,
    length: Duration,
) -> Result<(Vec<Idle>, Vec<window::Usage>)> {
    let mut completes = Vec::new();
    for (agent, count) in agents {
        let complete = agent.wait_until_complete(*count).await?;
        note(&format!("{count} containers: complete after {complete:?}, watching for {length:?}"));
        completes.push(complete);
    }
    tokio::time::sleep(SETTLE).await;
    let mut groups: Vec<Group> =
        agents.iter().map(|(agent, _)| Group::one("zv-agent", agent.pid())).chain(others).collect();
    let mut usages = observe(&mut groups, length).await?;
    let others = usages.split_off(agents.len());
    let each = agents.iter().zip(completes).zip(usages);
    let idle =
        each.map(|(((_, containers), complete), usage)| Idle { containers: *containers, complete, usage });
    Ok((idle.collect(), others))
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
