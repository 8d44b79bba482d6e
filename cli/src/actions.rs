//! `zv stop`, `start`, `restart` and `scale`: what a person asks of a service, and what came of it.

pub mod report;

use std::time::Duration;

use clap::Args;
use zv_api::{Action, ActionRequest, Snapshot};

use crate::connect;
use crate::console::Console;
use crate::failure::{Failure, Outcome};
use crate::{names, span};

const STOP_HELP: &str = "\
Each replica is asked to end (its stop signal), gets its grace, and is killed then. A service stopped this way is shown \
as stopped and counts as no outage. The exit code is 1 when a replica could not be stopped.

Examples:
  zv stop orders
  zv stop orders --grace 30s
  zv stop orders --replica shop-orders-2
  zv stop db --stack shop";

const START_HELP: &str = "\
Replicas that run are left alone. The exit code is 1 when a replica could not be started.

Examples:
  zv start orders
  zv start shop-orders-2";

const RESTART_HELP: &str = "\
The replicas are stopped and started in place; their containers stay. The exit code is 1 when one could not be restarted.

Examples:
  zv restart orders
  zv restart orders --replica shop-orders-2 --grace 5s";

const SCALE_HELP: &str = "\
Replicas are added after the highest number and removed from the highest number on. The exit code is 1 when a service \
could not be scaled; the others are scaled all the same.

Examples:
  zv scale orders=3
  zv scale shop/orders=3 shop/mail=0";

/// What `stop` and `restart` take.
#[derive(Debug, Clone, Args)]
#[command(after_help = STOP_HELP)]
pub struct StopArgs {
    #[command(flatten)]
    pub target: Target,
    /// How long a replica may take to end before it is killed; its own grace where not given
    #[arg(long, value_name = "SPAN", value_parser = parse_grace)]
    pub grace: Option<Duration>,
}

/// What `restart` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = RESTART_HELP)]
pub struct RestartArgs {
    #[command(flatten)]
    pub target: Target,
    /// How long a replica may take to end before it is killed; its own grace where not given
    #[arg(long, value_name = "SPAN", value_parser = parse_grace)]
    pub grace: Option<Duration>,
}

/// What `start` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = START_HELP)]
pub struct StartArgs {
    #[command(flatten)]
    pub target: Target,
}

/// What an action is for.
#[derive(Debug, Clone, Args)]
pub struct Target {
    /// Services (`orders`, `shop/orders`) or replicas
    #[arg(value_name = "SERVICE", required = true)]
    pub names: Vec<String>,
    /// The stack, where a name is not unique on the host
    #[arg(long, short, value_name = "STACK")]
    pub stack: Option<String>,
    /// Only this replica of the service: its name or the start of its id
    #[arg(long, short, value_name = "REPLICA")]
    pub replica: Option<String>,
}

/// What `scale` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = SCALE_HELP)]
pub struct ScaleArgs {
    /// Services and how many replicas each should have
    #[arg(value_name = "SERVICE=N", required = true, value_parser = parse_scale)]
    pub scales: Vec<Scale>,
    /// The stack, where a name is not unique on the host
    #[arg(long, short, value_name = "STACK")]
    pub stack: Option<String>,
}

/// One `SERVICE=N`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scale {
    pub name: String,
    pub replicas: u32,
}

fn parse_scale(text: &str) -> Result<Scale, String> {
    let (name, replicas) = text.split_once('=').ok_or("write SERVICE=N, like `orders=3`")?;
    if name.is_empty() {
        return Err("write SERVICE=N, like `orders=3`".to_owned());
    }
    let replicas = replicas.parse().map_err(|_| format!("`{replicas}` is not a number of replicas"))?;
    Ok(Scale { name: name.to_owned(), replicas })
}

/// The wire knows whole seconds.
fn parse_grace(text: &str) -> Result<Duration, String> {
    let grace = span::parse(text)?;
    if grace.subsec_nanos() > 0 {
        return Err(format!("`{text}` is not a whole number of seconds"));
    }
    Ok(grace)
}

/// What was typed, whichever command it was.
#[derive(Debug, Clone, Copy)]
pub enum Typed<'a> {
    Stop(&'a StopArgs),
    Start(&'a StartArgs),
    Restart(&'a RestartArgs),
    Scale(&'a ScaleArgs),
}

/// Runs the command.
pub async fn run(typed: Typed<'_>, options: &connect::Options, console: &mut Console) -> Outcome {
    let agent = connect::connect(options, console).await?;
    options.check_action(&agent)?;
    let snapshot = agent.snapshot().await?;
    // All names are understood before anything is done.
    let requests = requests(typed, &snapshot)?;
    let mut reports = Vec::new();
    let mut failures = Vec::new();
    for request in requests {
        console.progress(&format!("{}…", report::doing(&request)));
        let answer = agent.act(&request, replicas(&request, &snapshot)).await;
        console.progress("");
        match answer {
            Ok(answer) => {
                if !options.json {
                    console.lines(&report::lines(&request, &answer))?;
                    console.flush()?;
                }
                reports.push(answer);
            }
            Err(failure) => {
                console.error(&failure.to_string());
                failures.push(failure);
            }
        }
        if options.verbose > 0 {
            console.tell(&report::equivalent(&request, &snapshot));
        }
    }
    if options.json {
        console.json(&reports)?;
    }
    let failed = reports.iter().flat_map(|report| &report.results).any(|result| result.error.is_some());
    if failed || !failures.is_empty() { Err(Failure::Told) } else { Ok(()) }
}

/// Returns how many replicas a request is for, as far as that is known.
fn replicas(request: &ActionRequest, snapshot: &Snapshot) -> usize {
    let known = names::services(snapshot)
        .filter(|service| Some(&service.stack) == request.stack.as_ref() && service.name == request.service)
        .map(|service| service.replicas.len())
        .sum();
    match request.action {
        _ if request.replica.is_some() => 1,
        Action::Scale { replicas } => usize::try_from(replicas).unwrap_or(usize::MAX).max(known),
        Action::Start | Action::Stop | Action::Restart => known,
    }
}

/// Returns one request for each name, with the stack always set.
fn requests(typed: Typed<'_>, snapshot: &Snapshot) -> Outcome<Vec<ActionRequest>> {
    match typed {
        Typed::Stop(args) => targets(Action::Stop, &args.target, args.grace, snapshot),
        Typed::Start(args) => targets(Action::Start, &args.target, None, snapshot),
        Typed::Restart(args) => targets(Action::Restart, &args.target, args.grace, snapshot),
        Typed::Scale(args) => args.scales.iter().map(|scale| scaled(scale, args, snapshot)).collect(),
    }
}

fn targets(
    action: Action,
    target: &Target,
    grace: Option<Duration>,
    snapshot: &Snapshot,
) -> Outcome<Vec<ActionRequest>> {
    if target.replica.is_some() && target.names.len() > 1 {
        return Err(Failure::Usage("--replica goes with one service".to_owned()));
    }
    let request = |name: &String| {
        let found = names::find(snapshot, name, target.stack.as_deref())?;
        let replica = match (&target.replica, found.replica) {
            (Some(wanted), _) => {
                let known = found.service.replicas.iter().find(|replica| names::is_replica(replica, wanted));
                Some(known.ok_or_else(|| no_replica(wanted, found.service))?.id.clone())
            }
            (None, replica) => replica.map(|replica| replica.id.clone()),
        };
        Ok(ActionRequest {
            action,
            stack: Some(found.service.stack.clone()),
            service: found.service.name.clone(),
            replica,
            grace_seconds: grace.map(|grace| grace.as_secs()),
        })
    };
    target.names.iter().map(request).collect()
}

fn no_replica(wanted: &str, service: &zv_api::Service) -> Failure {
    let names: Vec<String> = service.replicas.iter().map(|replica| format!("`{}`", replica.name)).collect();
    let known =
        if names.is_empty() { "it has none".to_owned() } else { format!("it has {}", names.join(", ")) };
    Failure::new(format!("`{}/{}` has no replica `{wanted}`: {known}", service.stack, service.name))
}

fn scaled(scale: &Scale, args: &ScaleArgs, snapshot: &Snapshot) -> Outcome<ActionRequest> {
    let found = names::find(snapshot, &scale.name, args.stack.as_deref())?;
    if found.replica.is_some() {
        return Err(Failure::Usage(format!("`{}` is a replica: a service is scaled", scale.name)));
    }
    Ok(ActionRequest {
        action: Action::Scale { replicas: scale.replicas },
        stack: Some(found.service.stack.clone()),
        service: found.service.name.clone(),
        replica: None,
        grace_seconds: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{failure, samples};

    fn target(names: &[&str], replica: Option<&str>) -> Target {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        Target { names, stack: None, replica: replica.map(str::to_owned) }
    }

    fn stop(target: Target) -> Outcome<Vec<ActionRequest>> {
        let args = StopArgs { target, grace: Some(Duration::from_secs(5)) };
        requests(Typed::Stop(&args), &samples::shop())
    }

    #[test]
    fn every_request_names_its_stack() {
        let made = stop(target(&["orders", "blog/db"], None)).unwrap();
        let names: Vec<_> = made.iter().map(|r| (r.stack.as_deref().unwrap(), r.service.as_str())).collect();
        assert_eq!(names, [("shop", "orders"), ("blog", "db")]);
        assert!(made.iter().all(|request| request.grace_seconds == Some(5) && request.replica.is_none()));
    }

    #[test]
    fn a_replica_is_named_by_itself_or_with_its_service() {
        for target in [target(&["shop-orders-2"], None), target(&["orders"], Some("shop-orders-2"))] {
            let made = stop(target).unwrap();
            assert_eq!(made[0].replica.as_deref(), Some("b2".repeat(32).as_str()));
        }
    }

    #[test]
    fn what_is_not_clear_is_refused_before_anything_is_done() {
        let refused = stop(target(&["orders", "db"], None)).unwrap_err();
        assert!(refused.to_string().contains("blog/db"), "{refused}");
        let refused = stop(target(&["orders"], Some("shop-orders-9"))).unwrap_err();
        assert!(refused.to_string().contains("it has `shop-orders-1`"), "{refused}");
        let refused = stop(target(&["orders", "mail"], Some("x"))).unwrap_err();
        assert_eq!(refused.code(), failure::USAGE);
        let args = ScaleArgs { scales: vec![parse_scale("shop-orders-2=3").unwrap()], stack: None };
        assert_eq!(requests(Typed::Scale(&args), &samples::shop()).unwrap_err().code(), failure::USAGE);
    }

    #[test]
    fn scales_are_a_name_and_a_number() {
        assert_eq!(parse_scale("shop/orders=3"), Ok(Scale { name: "shop/orders".into(), replicas: 3 }));
        for wrong in ["orders", "=3", "orders=", "orders=-1", "orders=many"] {
            assert!(parse_scale(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_grace_is_in_whole_seconds() {
        assert_eq!(parse_grace("1m"), Ok(Duration::from_secs(60)));
        assert!(parse_grace("1500ms").unwrap_err().contains("whole number"));
    }
}
