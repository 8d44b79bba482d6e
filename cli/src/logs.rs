//! `zv logs`: the lines of all replicas of a service, across restarts.

pub mod format;

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Args;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use zv_api::{LogLine, LogQuery, Snapshot};

use crate::connect::{self, Agent, LogEvent};
use crate::console::Console;
use crate::failure::{Failure, Outcome};
use crate::logs::format::{Format, Prefixes};
use crate::span::{self, Moment};
use crate::{clock, names};

/// The last lines of each replica that are shown before new ones, where nobody asks for another number.
const FOLLOWED_TAIL: u32 = 100;
/// The bound on what is shown of each replica without following, where nobody asks for another number.
const WHOLE_TAIL: u32 = 10_000;
/// How long lines may wait for others before they are handed to the reader.
const FLUSH_AFTER: Duration = Duration::from_millis(20);

const AFTER_HELP: &str = "\
A line is shown as `REPLICA | text`, or as `REPLICA ! text` where it was written to stderr. On a terminal, escape \
sequences in a line are taken out, colours excepted; piped output has the lines as they were written.

With `-f` the last 100 lines of each replica come first, then new ones, across restarts, new replicas and restarts of \
the agent. Ctrl-C ends it with exit code 0, for that is how it is meant to end. Without `-f` the last 10000 lines of \
each replica are shown unless `--since` or `--tail` say otherwise.

Examples:
  zv logs orders                       the log of all replicas of one service
  zv logs -f orders payments           follow two services
  zv logs --since 10m --grep timeout   what said `timeout` in the last ten minutes, everywhere
  zv logs shop-orders-2 --tail 50      the last lines of one replica
  zv logs -f --json orders | jq -r .text";

/// Show or follow the logs of services
#[derive(Debug, Clone, Args)]
#[command(after_help = AFTER_HELP)]
pub struct LogsArgs {
    /// Services (`orders`, `shop/orders`) or one replica; all where none is named
    #[arg(value_name = "SERVICE")]
    pub names: Vec<String>,
    /// The stack, where a name is not unique on the host
    #[arg(long, short, value_name = "STACK")]
    pub stack: Option<String>,
    /// Go on with new lines
    #[arg(long, short)]
    pub follow: bool,
    /// Lines since then: an age (`10m`, `2h`) or a time (`2026-03-01T09:30:00Z`)
    #[arg(long, value_name = "TIME", value_parser = span::parse_moment)]
    pub since: Option<Moment>,
    /// The last lines of each replica, or `all`
    #[arg(long, short = 'n', value_name = "N|all", value_parser = parse_tail)]
    pub tail: Option<Tail>,
    /// Only lines that contain this text
    #[arg(long, value_name = "TEXT")]
    pub grep: Option<String>,
    /// Show when each line was written
    #[arg(long, short)]
    pub timestamps: bool,
    /// Show the lines without the replica's name
    #[arg(long)]
    pub no_prefix: bool,
}

/// How many of the last lines to start with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    Last(u32),
    All,
}

fn parse_tail(text: &str) -> Result<Tail, String> {
    match text {
        "all" => Ok(Tail::All),
        number => number.parse().map(Tail::Last).map_err(|_| "write a number of lines, or `all`".to_owned()),
    }
}

/// Runs the command.
pub async fn run(args: &LogsArgs, options: &connect::Options, console: &mut Console) -> Outcome {
    let agent = connect::connect(options, console).await?;
    let (query, only) = resolve(args, &agent, clock::now()).await?;
    let facts = console.facts();
    let format = Format {
        prefix: !args.no_prefix,
        timestamps: args.timestamps,
        json: options.json,
        palette: facts.palette,
        terminal: facts.width.is_some(),
    };
    show(agent.logs(query), &only, format, console, tokio::signal::ctrl_c()).await
}

/// Prints lines until the log ends or `interrupt` comes.
async fn show<T>(
    mut lines: BoxStream<'_, Outcome<LogEvent>>,
    only: &[Pair],
    format: Format,
    console: &mut Console,
    interrupt: impl Future<Output = T>,
) -> Outcome {
    let mut interrupt = pin!(interrupt);
    let mut prefixes = Prefixes::default();
    // Nothing waits while the log pauses: what was printed reaches the reader.
    let mut waiting = false;
    loop {
        let event = tokio::select! {
            biased;
            _ = &mut interrupt => break,
            event = lines.next() => event,
            () = tokio::time::sleep(FLUSH_AFTER), if waiting => {
                console.flush()?;
                waiting = false;
                continue;
            }
        };
        match event {
            Some(Ok(LogEvent::Line(line))) if !is_asked_for(&line, only) => {}
            Some(Ok(LogEvent::Line(line))) => {
                print(&line, format, &mut prefixes, console)?;
                waiting = true;
            }
            Some(Ok(LogEvent::Lost(reason))) => {
                console.flush()?;
                console.tell(&format!("The connection to the agent was lost ({reason}); trying again."));
            }
            Some(Ok(LogEvent::Back)) => console.tell("The connection to the agent is back."),
            Some(Err(failure)) => {
                console.flush()?;
                return Err(failure);
            }
            None => break,
        }
    }
    console.flush()
}

fn print(line: &LogLine, format: Format, prefixes: &mut Prefixes, console: &mut Console) -> Outcome {
    if format.json {
        return console.json_line(line);
    }
    console.raw(format.line(line, prefixes).as_bytes())
}

/// Turns the arguments into what the agent is asked for; names are checked first, for a typing mistake would show nothing.
async fn resolve(args: &LogsArgs, agent: &Agent, now: DateTime<Utc>) -> Outcome<(LogQuery, Vec<Pair>)> {
    let mut query = query(args, now);
    if args.names.is_empty() && args.stack.is_none() {
        return Ok((query, Vec::new()));
    }
    let snapshot = agent.snapshot().await?;
    if let Some(stack) = &args.stack
        && !snapshot.stacks.iter().any(|known| known.name == *stack)
    {
        return Err(names::unknown(&snapshot, stack, None));
    }
    let only = select(&mut query, args, &snapshot)?;
    Ok((query, only))
}

/// Returns the query without its names.
fn query(args: &LogsArgs, now: DateTime<Utc>) -> LogQuery {
    let tail = match (args.tail, args.since, args.follow) {
        (Some(Tail::Last(lines)), _, _) => Some(lines),
        (Some(Tail::All), _, _) | (None, Some(_), _) => None,
        (None, None, true) => Some(FOLLOWED_TAIL),
        (None, None, false) => Some(WHOLE_TAIL),
    };
    LogQuery {
        stack: args.stack.clone(),
        since: args.since.map(|since| since.resolve(now)),
        tail,
        follow: args.follow,
        grep: args.grep.clone(),
        ..LogQuery::default()
    }
}

/// Fills in the names: services by their own names, or one replica. What the agent cannot be asked for in one question,
/// services of several stacks, is returned as the pairs to pick.
fn select(query: &mut LogQuery, args: &LogsArgs, snapshot: &Snapshot) -> Outcome<Vec<Pair>> {
    let mut pairs = Vec::new();
    for name in &args.names {
        let found = names::find(snapshot, name, args.stack.as_deref())?;
        if let Some(replica) = found.replica {
            if args.names.len() > 1 {
                return Err(Failure::Usage(format!(
                    "`{name}` is a replica: name it alone, or name services"
                )));
            }
            query.replica = Some(replica.id.clone());
        }
        pairs.push(Pair { stack: found.service.stack.clone(), service: found.service.name.clone() });
    }
    pairs.sort_unstable();
    pairs.dedup();
    query.services = pairs.iter().map(|pair| pair.service.clone()).collect();
    query.services.sort_unstable();
    query.services.dedup();
    match pairs.first() {
        Some(first) if pairs.iter().all(|pair| pair.stack == first.stack) => {
            query.stack = Some(first.stack.clone());
            Ok(Vec::new())
        }
        _ => Ok(pairs),
    }
}

/// A service and its stack.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Pair {
    stack: String,
    service: String,
}

fn is_asked_for(line: &LogLine, only: &[Pair]) -> bool {
    only.is_empty() || only.iter().any(|pair| pair.stack == line.stack && pair.service == line.service)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn args(names: &[&str]) -> LogsArgs {
        LogsArgs {
            names: names.iter().map(|&name| name.to_owned()).collect(),
            stack: None,
            follow: false,
            since: None,
            tail: None,
            grep: None,
            timestamps: false,
            no_prefix: false,
        }
    }

    #[test]
    fn the_tail_depends_on_what_is_asked_for() {
        let since = Some(Moment::Ago(Duration::from_secs(600)));
        for (follow, since, tail, expected) in [
            (false, None, None, Some(10_000)),
            (true, None, None, Some(100)),
            (true, since, None, None),
            (false, since, Some(Tail::Last(5)), Some(5)),
            (true, None, Some(Tail::All), None),
        ] {
            let args = LogsArgs { follow, since, tail, ..args(&[]) };
            assert_eq!(query(&args, samples::now()).tail, expected, "{args:?}");
        }
        let args = LogsArgs { since, ..args(&[]) };
        assert_eq!(query(&args, samples::now()).since, Some(samples::ago(600)));
    }

    #[test]
    fn names_become_services_of_their_stack_or_one_replica() {
        let selected = |names: &[&str]| {
            let args = args(names);
            let mut query = query(&args, samples::now());
            select(&mut query, &args, &samples::shop()).map(|only| (query, only))
        };
        let (query, only) = selected(&["orders", "mail", "shop/orders"]).unwrap();
        assert!(only.is_empty());
        assert_eq!((query.stack.as_deref(), query.services.len()), (Some("shop"), 2));
        let (query, _) = selected(&["shop-orders-2"]).unwrap();
        assert_eq!(query.replica.as_deref(), Some("b2".repeat(32).as_str()));
        assert_eq!(query.services, ["orders"]);
        assert_eq!(selected(&["shop-orders-2", "mail"]).unwrap_err().code(), crate::failure::USAGE);
        assert!(selected(&["db"]).unwrap_err().to_string().contains("blog/db"));
    }

    #[test]
    fn services_of_several_stacks_are_picked_from_what_is_asked_for_at_once() {
        let args = args(&["blog/db", "orders"]);
        let mut query = query(&args, samples::now());
        let only = select(&mut query, &args, &samples::shop()).unwrap();
        assert_eq!(
            (query.stack, query.services.as_slice()),
            (None, &["db".to_owned(), "orders".to_owned()][..])
        );
        let line = |stack: &str, service: &str| format::samples::line(stack, service, "text");
        assert!(is_asked_for(&line("blog", "db"), &only) && is_asked_for(&line("shop", "orders"), &only));
        assert!(!is_asked_for(&line("shop", "db"), &only));
    }

    #[test]
    fn a_tail_is_a_number_or_all() {
        assert_eq!(parse_tail("all"), Ok(Tail::All));
        assert_eq!(parse_tail("7"), Ok(Tail::Last(7)));
        assert!(parse_tail("-1").unwrap_err().contains("`all`"));
    }
}
