//! `zv ps`: what runs, and what should.

pub mod table;
mod usage;

use clap::Args;
use zv_api::{RuntimeState, Service, Snapshot, Stack};

use crate::console::Console;
use crate::failure::{Failure, Outcome};
use crate::{connect, names, words};

const AFTER_HELP: &str = "\
Reading the table:
  ✓ ok          as many healthy replicas as desired
  ◌ starting    not yet healthy for the first time
  ▲ degraded    fewer healthy replicas than desired
  ✖ down        none works: not up, or not healthy
  ■ stopped     a person stopped it
  ▪ finished    it was to run once, and has
  ? unknown     the runtime cannot be asked
  2/3           replicas: running/desired
  2/3?          the 3 is a guess: the most seen since the last deploy
  ?/3           how many run cannot be seen now
  –             none is to run any more; below CPU, MEMORY, NET: not known
  UP            since the replica that was started last
  CPU           100% is one processor in full use
  MEMORY        in use, without the cache that can be dropped/limit
  NET           bytes per second received/sent

The label `zv.replicas`, or `deploy.replicas` in a compose file that zv can read, turns a guess into knowledge.

The exit code is 0 also when something is down: this command shows and does not judge. It is 1 when nothing can be seen.

Examples:
  zv ps                       everything on this host
  zv ps shop                  one stack
  zv ps shop/orders -r        one service, replica by replica
  zv ps --problems            only what needs somebody
  zv ps --json | jq '.stacks[].services[] | select(.status != \"ok\") | .name'";

/// Show stacks, services and their state
#[derive(Debug, Clone, Args)]
#[command(after_help = AFTER_HELP)]
pub struct PsArgs {
    /// Stacks, services (`orders`, `shop/orders`) or replicas to show; everything where none is named
    #[arg(value_name = "STACK|SERVICE")]
    pub names: Vec<String>,
    /// Show one-off containers (`compose run`) too
    #[arg(long, short)]
    pub all: bool,
    /// Show each replica below its service
    #[arg(long, short)]
    pub replicas: bool,
    /// Show only services that are degraded, down or unknown
    #[arg(long, short)]
    pub problems: bool,
}

/// Runs the command.
pub async fn run(args: &PsArgs, options: &connect::Options, console: &mut Console) -> Outcome {
    let agent = connect::connect(options, console).await?;
    agent.measure().await;
    let snapshot = agent.snapshot().await?;
    let selected = select(&snapshot, args)?;
    if options.json {
        console.json(&selected)?;
    } else {
        let width = console.facts().width;
        let mut lines = table::render(&selected, args, width);
        if args.names.is_empty()
            && let Some(host) = agent.host(&snapshot).await
        {
            lines.extend(usage::host(&snapshot.host.name, &host).map(|line| line.fit(width)));
        }
        console.lines(&lines)?;
    }
    // Nothing is known because nobody could be asked: that is not an empty host.
    let is_blind = snapshot.stacks.is_empty() && !matches!(snapshot.runtime, RuntimeState::Up { .. });
    if is_blind { Err(Failure::Told) } else { Ok(()) }
}

/// Returns the part of the snapshot that was asked for. A name that matches nothing is an error.
pub fn select(snapshot: &Snapshot, args: &PsArgs) -> Outcome<Snapshot> {
    let matches = |service: &Service, name: &str| {
        service.stack == name
            || names::is_service(service, name)
            || service.replicas.iter().any(|replica| names::is_replica(replica, name))
    };
    for name in &args.names {
        if !names::services(snapshot).any(|service| matches(service, name)) {
            return Err(names::unknown(snapshot, name, None));
        }
    }
    let stacks = snapshot.stacks.iter().filter_map(|stack| {
        let services: Vec<Service> = stack
            .services
            .iter()
            .filter(|service| args.names.is_empty() || args.names.iter().any(|name| matches(service, name)))
            .filter(|service| !args.problems || words::is_problem(&service.status))
            .filter_map(|service| without_one_offs(service, args.all))
            .collect();
        (!services.is_empty()).then(|| Stack { name: stack.name.clone(), services })
    });
    Ok(Snapshot { stacks: stacks.collect(), ..snapshot.clone() })
}

/// Returns the service without its one-off replicas, or nothing where it has no others.
fn without_one_offs(service: &Service, all: bool) -> Option<Service> {
    let mut service = service.clone();
    let before = service.replicas.len();
    if !all {
        service.replicas.retain(|replica| replica.intent != "one-off");
    }
    (before == 0 || !service.replicas.is_empty() || service.desired > 0).then_some(service)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn args(names: &[&str]) -> PsArgs {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        PsArgs { names, all: false, replicas: false, problems: false }
    }

    fn names_of(snapshot: &Snapshot) -> Vec<String> {
        names::services(snapshot).map(|service| format!("{}/{}", service.stack, service.name)).collect()
    }

    #[test]
    fn names_select_stacks_services_and_replicas() {
        for (names, expected) in [
            (&["blog"][..], &["blog/db"][..]),
            (&["db"], &["blog/db", "shop/db"]),
            (&["shop/db"], &["shop/db"]),
            (&["shop-orders-2"], &["shop/orders"]),
            (&["orders", "mail"], &["shop/mail", "shop/orders"]),
        ] {
            assert_eq!(names_of(&select(&samples::shop(), &args(names)).unwrap()), expected);
        }
        assert!(select(&samples::shop(), &args(&["oders"])).unwrap_err().to_string().contains("`orders`"));
    }

    #[test]
    fn problems_leave_out_what_nobody_must_look_at() {
        let selected = select(&samples::shop(), &PsArgs { problems: true, ..args(&[]) }).unwrap();
        assert_eq!(names_of(&selected), ["shop/orders"]);
    }

    #[test]
    fn one_off_replicas_are_shown_on_demand() {
        let replicas = |all| {
            let selected = select(&samples::shop(), &PsArgs { all, ..args(&["orders"]) }).unwrap();
            selected.stacks[0].services[0].replicas.len()
        };
        assert_eq!((replicas(false), replicas(true)), (2, 3));
    }
}
