//! `zv health-check`: how everything is, once, for cron, deploy scripts and monitoring plugins.
//!
//! The probes themselves are zv-probe's; here are the targets that were typed, what an agent or the engine says of
//! containers, the forms of output, and the memory that keeps cron from mailing the same thing twice.

mod args;
mod changes;
mod finding;
mod look;
mod outward;
mod probes;
mod project;
mod render;

pub use args::HealthCheckArgs;

use std::path::Path;

use tokio::time::Instant;

use crate::clock;
use crate::connect;
use crate::console::Console;
use crate::failure::{Failure, Outcome};
use args::{Format, Plan};
use changes::{Changes, Memory};
use finding::{Finding, Summary};

/// Runs the command. `state_home` is where this user's programs keep what they remember.
pub async fn run(
    args: &HealthCheckArgs,
    options: &connect::Options,
    state_home: Option<&Path>,
    console: &mut Console,
) -> Outcome {
    let checked = Box::pin(check(args, options, state_home, console)).await;
    match checked {
        Ok(0) => Ok(()),
        Ok(code) => Err(Failure::Ended(code)),
        Err(failure) => {
            let told = failure.to_string();
            if !told.is_empty() {
                console.error(&told);
            }
            Err(Failure::Ended(finding::COULD_NOT_TELL))
        }
    }
}

/// Says whether these are arguments of this command, which tells a mistake in them by an exit code of its own.
pub fn is_meant(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> bool {
    let understood = crate::args::definition().ignore_errors(true).try_get_matches_from(arguments);
    understood.is_ok_and(|matches| matches.subcommand_name() == Some("health-check"))
}

/// The exit code for arguments that were not understood.
pub const MISUNDERSTOOD: u8 = finding::COULD_NOT_TELL;

async fn check(
    args: &HealthCheckArgs,
    options: &connect::Options,
    state_home: Option<&Path>,
    console: &mut Console,
) -> Outcome<u8> {
    let begun = Instant::now();
    let plan = Plan::of(args, options)?;
    if let Some((_, project)) = &plan.project {
        for warning in &project.warnings {
            console.tell(&format!("Warning: {warning}."));
        }
    }
    let memory = args.only_changes.then(|| Memory::at(args.state.as_deref(), state_home)).transpose()?;
    let deadline = begun + args.deadline;
    let outward = outward::Outward::of(args, &plan)?;
    let (started, findings) =
        tokio::join!(outward.started(deadline), Box::pin(findings(args, options, &plan, deadline, console)),);
    let findings = findings?;
    let summary = Summary { at: clock::now(), seconds: begun.elapsed().as_secs_f64(), findings };
    let printed = match memory {
        Some(memory) => changes_alone(args, options, memory, &summary, console).await,
        None => print(args.format(options), &summary, console).and_then(|()| console.flush()),
    };
    for warning in started.into_iter().chain(outward.ended(&summary).await) {
        console.tell(&format!("Warning: {warning}."));
    }
    match printed {
        // Nobody reads the output; the exit code says it all the same.
        Ok(()) | Err(Failure::ReaderGone) => Ok(summary.code()),
        Err(failure) => Err(failure),
    }
}

/// Finds out how all targets are, in the order they were typed.
async fn findings(
    args: &HealthCheckArgs,
    options: &connect::Options,
    plan: &Plan,
    deadline: Instant,
    console: &mut Console,
) -> Outcome<Vec<Finding>> {
    let (probed, looked) = tokio::join!(
        probes::run(plan, &plan.probes, args, deadline),
        Box::pin(look::run(plan, args, options, deadline, console)),
    );
    let mut findings: Vec<(usize, Finding)> = probed.into_iter().chain(looked).collect();
    findings.sort_by_key(|(place, _)| *place);
    if findings.is_empty() {
        return Err(Failure::new("there is nothing to check: name targets, or start something"));
    }
    Ok(findings.into_iter().map(|(_, finding)| finding).collect())
}

fn print(format: Format, summary: &Summary, console: &mut Console) -> Outcome {
    match format {
        Format::Text => {
            let lines = render::text(summary, console.facts().width);
            console.lines(&lines)
        }
        Format::Json => console.json(&summary.showing(&summary.findings)),
        Format::Nagios => console.raw(render::nagios(summary).as_bytes()),
        Format::Junit => console.raw(render::junit(summary).as_bytes()),
    }
}

/// Prints what changed since the last run, and remembers this one. What could not be printed is not remembered: it is
/// told again.
async fn changes_alone(
    args: &HealthCheckArgs,
    options: &connect::Options,
    memory: Memory,
    summary: &Summary,
    console: &mut Console,
) -> Outcome {
    let mut locked = match memory.lock().await {
        Ok(locked) => locked,
        // Somebody who learns too much is better off than somebody who learns nothing.
        Err(failure) => {
            console.error(&failure.to_string());
            return print(args.format(options), summary, console).and_then(|()| console.flush());
        }
    };
    if let Some(warning) = locked.warning() {
        console.tell(&warning);
    }
    let Changes { told, state } = locked.compare(summary, args.remind);
    if !told.is_empty() {
        if args.format(options) == Format::Json {
            let findings: Vec<Finding> = told.iter().map(|change| change.finding.clone()).collect();
            console.json(&summary.showing(&findings))?;
        } else {
            console.lines(&render::changes(&told, summary.at))?;
        }
        console.flush()?;
    }
    // What cannot be remembered is told again by the next run.
    if let Err(failure) = locked.save(state) {
        console.error(&failure.to_string());
    }
    Ok(())
}
