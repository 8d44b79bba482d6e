//! `zv why`: the story of a service's last deaths, and how it is now.

pub mod exit;
pub mod spark;
pub mod story;

use clap::Args;
use serde::Serialize;
use zv_api::{Death, DeathSummary, Service};

use crate::connect::{self, Agent};
use crate::console::Console;
use crate::failure::Outcome;
use crate::names::{self, Found};

/// How many death records are looked through for those of one replica.
const LOOKED_THROUGH: u32 = 200;

const AFTER_HELP: &str = "\
The agent keeps a record of every death: exit code, whether memory ran out, the last health checks, the last 200 log \
lines, the last minutes of measurements and the engine's own description, also after the container is removed. This \
command tells the last one; `--json` prints the records whole.

Examples:
  zv why orders                 the last death of the service, and its state now
  zv why shop-orders-2          of one replica
  zv why orders --last 3        the last three deaths
  zv why orders --lines 100     with more of the log
  zv why orders --json | jq '.deaths[0].inspect.State'";

/// Tell why a service or a replica died, restarted or is unhealthy
#[derive(Debug, Clone, Args)]
#[command(after_help = AFTER_HELP)]
pub struct WhyArgs {
    /// A service (`orders`, `shop/orders`) or a replica (its name, or the start of its id)
    #[arg(value_name = "SERVICE|REPLICA")]
    pub name: String,
    /// The stack, where the name is not unique on the host
    #[arg(long, short, value_name = "STACK")]
    pub stack: Option<String>,
    /// How many deaths to tell, newest first
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub last: u32,
    /// How many of the last log lines to show
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub lines: usize,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report<'a> {
    /// Absent where only its deaths are still known.
    service: Option<&'a Service>,
    deaths: &'a [Death],
}

/// Runs the command.
pub async fn run(args: &WhyArgs, options: &connect::Options, console: &mut Console) -> Outcome {
    let agent = connect::connect(options, console).await?;
    let snapshot = agent.snapshot().await?;
    let (found, mut summaries) = match names::find(&snapshot, &args.name, args.stack.as_deref()) {
        Ok(found) => (Some(found), deaths_of(&agent, found, args.last).await?),
        // What was removed since is no longer in the stack; its deaths are still on record.
        Err(unknown) => match deaths_by_name(&agent, args).await? {
            deaths if deaths.is_empty() => return Err(unknown),
            deaths => (None, deaths),
        },
    };
    let told = usize::try_from(args.last).unwrap_or(usize::MAX);
    let more = summaries.len() > told;
    summaries.truncate(told);
    let mut deaths = Vec::new();
    for summary in &summaries {
        deaths.push(agent.death(&summary.id).await?);
    }
    if options.json {
        return console.json(&Report { service: found.map(|found| found.service), deaths: &deaths });
    }
    let lines = story::tell(&story::Facts {
        now: snapshot.at,
        runtime: &snapshot.runtime,
        name: &args.name,
        found,
        deaths: &deaths,
        more,
        lines: args.lines,
        agent: agent.address(),
        width: console.facts().width,
    });
    console.lines(&lines)
}

/// Returns the deaths of a service, or of one replica of it: at least one more than is told, where there are more.
async fn deaths_of(agent: &Agent, found: Found<'_>, last: u32) -> Outcome<Vec<DeathSummary>> {
    // Deaths are listed by service: those of one replica are picked from many.
    let limit = if found.replica.is_some() { LOOKED_THROUGH } else { last + 1 };
    let service = found.service;
    let mut deaths = agent.deaths(Some(&service.stack), Some(&service.name), limit).await?;
    if let Some(replica) = found.replica {
        deaths.retain(|death| death.replica == replica.id);
    }
    Ok(deaths)
}

/// Returns the deaths on record under a name that stands for nothing any more: a service, or else a replica.
async fn deaths_by_name(agent: &Agent, args: &WhyArgs) -> Outcome<Vec<DeathSummary>> {
    let (stack, service) = match args.name.rsplit_once('/') {
        Some((stack, service)) => (Some(stack), service),
        None => (args.stack.as_deref(), args.name.as_str()),
    };
    let deaths = agent.deaths(stack, Some(service), LOOKED_THROUGH).await?;
    if !deaths.is_empty() {
        return Ok(deaths);
    }
    let mut deaths = agent.deaths(args.stack.as_deref(), None, LOOKED_THROUGH).await?;
    deaths.retain(|death| names::is_named(&death.name, &death.replica, &args.name));
    Ok(deaths)
}
