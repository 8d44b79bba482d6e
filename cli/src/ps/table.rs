//! The table of `zv ps`, from a snapshot to lines.

use chrono::{DateTime, TimeDelta, Utc};
use zv_api::{Exit, Replica, RuntimeState, Service, Snapshot};

use crate::paint::{Line, Style};
use crate::ps::PsArgs;
use crate::ps::usage::Used;
use crate::table::{Align, Cell, Column, Dropped, Row, Shrink, Table};
use crate::{names, span, words};

/// Shown where there is nothing to say.
const NOTHING: &str = "–";

/// Renders the services of a snapshot in at most `width` columns.
pub fn render(snapshot: &Snapshot, args: &PsArgs, width: Option<usize>) -> Vec<Line> {
    let mut lines: Vec<Line> = runtime(snapshot).into_iter().map(|line| line.fit(width)).collect();
    if names::services(snapshot).next().is_none() {
        lines.push(nothing(snapshot, args).fit(width));
        return lines;
    }
    let mut table = Table::new(columns(args.replicas));
    for service in names::services(snapshot) {
        let style = words::is_idle(&service.status).then_some(Style::Faint);
        push(&mut table, service_row(service, snapshot.at), style, args.replicas);
        if let Some(reason) = service.reason.as_deref().filter(|_| style.is_none()) {
            table.push(Row::Remark(
                Line::of("  └ ", Style::Faint).with(reason, words::mark(&service.status).style),
            ));
        }
        // One-off containers are here only where they were asked for.
        let shown = |replica: &&Replica| args.replicas || replica.intent == "one-off";
        for replica in service.replicas.iter().filter(shown) {
            push(&mut table, replica_row(replica, snapshot.at), idle_replica(replica), args.replicas);
        }
    }
    lines.extend(table.render(width));
    lines
}

fn columns(ports: bool) -> Vec<Column> {
    let column = |title, shrinks, dropped| Column { title, align: Align::Left, shrinks, dropped };
    let number = |title, dropped| Column { align: Align::Right, ..column(title, None, dropped) };
    let shrink = |comfortable, least| Some(Shrink { comfortable, least });
    let mut columns = vec![
        column("STACK", shrink(12, 6), Some(Dropped::Late(6))),
        column("SERVICE", shrink(24, 10), None),
        column("STATUS", None, None),
        number("REPLICAS", Some(Dropped::Late(10))),
        column("HEALTH", None, Some(Dropped::Early(4))),
        number("CPU", Some(Dropped::Late(9))),
        number("MEMORY", Some(Dropped::Late(8))),
        number("NET", Some(Dropped::Early(3))),
        number("RESTARTS", Some(Dropped::Late(5))),
        number("UP", Some(Dropped::Late(7))),
        column("IMAGE", shrink(16, 8), Some(Dropped::Early(2))),
    ];
    if ports {
        columns.push(column("PORTS", shrink(12, 12), Some(Dropped::Early(1))));
    }
    columns
}

/// The cells of one row, in the order of [`columns`].
struct Cells {
    stack: Cell,
    name: Cell,
    status: Cell,
    replicas: Cell,
    health: Cell,
    used: Used,
    restarts: Cell,
    up: Cell,
    image: Cell,
    ports: Cell,
}

fn push(table: &mut Table, cells: Cells, style: Option<Style>, ports: bool) {
    let Cells { stack, name, status, replicas, health, used, restarts, up, image, ports: published } = cells;
    let Used { cpu, memory, net } = used;
    let mut row = vec![stack, name, status, replicas, health, cpu, memory, net, restarts, up, image];
    if ports {
        row.push(published);
    }
    if let Some(style) = style {
        row = row.into_iter().map(|cell| cell.styled(style)).collect();
    }
    table.push(Row::Cells(row));
}

fn service_row(service: &Service, now: DateTime<Utc>) -> Cells {
    let counted = || service.replicas.iter().filter(|replica| replica.intent != "one-off");
    let restarts: u64 = counted().map(|replica| u64::from(replica.restarts)).sum();
    let up = counted().filter_map(|replica| uptime(replica, now)).min();
    let (health, health_style) = service_health(service);
    Cells {
        stack: Cell::new(&service.stack, Style::Plain),
        name: Cell::new(&service.name, Style::Strong),
        status: Cell::new(words::marked(&service.status), words::mark(&service.status).style),
        replicas: Cell::new(replicas(service), if short(service) { Style::Warn } else { Style::Plain }),
        health: Cell::new(health, health_style),
        used: Used::of(service.usage.as_ref()),
        restarts: restarts_cell(restarts),
        up: Cell::new(up.map_or_else(|| NOTHING.to_owned(), span::brief), Style::Plain),
        image: Cell::new(images(service), Style::Faint),
        ports: Cell::new("", Style::Plain),
    }
}

fn replica_row(replica: &Replica, now: DateTime<Utc>) -> Cells {
    let mark = words::mark(&replica.status);
    let exit = replica.exit.as_ref().filter(|_| replica.state != "running" && replica.state != "paused");
    let status = words::marked(&replica.status);
    let status = match exit {
        Some(exit) if exit.oom => format!("{status} out of memory"),
        // That what was meant to end did so with success goes without saying.
        Some(Exit { code: Some(code), .. }) if *code != 0 || replica.status == "exited" => {
            format!("{status} {code}")
        }
        _ => status,
    };
    let health_style = if replica.health.verdict == "unhealthy" { Style::Bad } else { Style::Plain };
    let time = match (uptime(replica, now), exit) {
        (Some(up), _) => span::brief(up),
        (None, Some(exit)) => format!("{} ago", span::brief(now - exit.at)),
        (None, None) => NOTHING.to_owned(),
    };
    Cells {
        stack: Cell::new("", Style::Plain),
        name: Cell::new(format!("  {}", replica.name), Style::Plain),
        status: Cell::new(status, mark.style),
        replicas: Cell::new("", Style::Plain),
        health: Cell::new(
            if is_up(replica) { words::health(replica) } else { NOTHING.to_owned() },
            health_style,
        ),
        used: Used::of(replica.usage.as_ref()),
        restarts: restarts_cell(u64::from(replica.restarts)),
        up: Cell::new(time, Style::Plain),
        image: Cell::new(words::image(replica), Style::Faint),
        ports: Cell::new(replica.ports.join(", "), Style::Plain),
    }
}

fn restarts_cell(restarts: u64) -> Cell {
    Cell::new(restarts.to_string(), if restarts > 0 { Style::Warn } else { Style::Faint })
}

fn is_up(replica: &Replica) -> bool {
    matches!(replica.state.as_str(), "running" | "paused")
}

fn idle_replica(replica: &Replica) -> Option<Style> {
    (!is_up(replica) && matches!(replica.intent.as_str(), "stopped" | "finished" | "one-off"))
        .then_some(Style::Faint)
}

/// Returns how long the replica is up; nothing where it is not, or where that cannot be seen now.
fn uptime(replica: &Replica, now: DateTime<Utc>) -> Option<TimeDelta> {
    let seen_up = is_up(replica) && replica.status != "unknown";
    replica.started_at.filter(|_| seen_up).map(|started| now - started)
}

fn short(service: &Service) -> bool {
    service.running < service.desired && words::is_problem(&service.status)
}

/// Returns running and desired replicas, and says where either is not known for sure.
fn replicas(service: &Service) -> String {
    if service.status == "finished" {
        // It has done its work: nothing is missing.
        return NOTHING.to_owned();
    }
    let running = if service.status == "unknown" { "?".to_owned() } else { service.running.to_string() };
    let guess = if service.desired_source == "highest-seen" { "?" } else { "" };
    format!("{running}/{}{guess}", service.desired)
}

/// Returns the worst verdict among the replicas that are up, with how many share it.
fn service_health(service: &Service) -> (String, Style) {
    if service.status == "unknown" {
        return ("unknown".to_owned(), Style::Warn);
    }
    let up: Vec<&str> = service
        .replicas
        .iter()
        .filter(|replica| is_up(replica) && replica.intent != "one-off")
        .map(|replica| replica.health.verdict.as_str())
        .collect();
    let count = |verdict: &str| up.iter().filter(|other| **other == verdict).count();
    for (verdict, style) in [("unhealthy", Style::Bad), ("unknown", Style::Warn), ("starting", Style::Warn)] {
        match count(verdict) {
            0 => {}
            1 if up.len() == 1 => return (verdict.to_owned(), style),
            count => return (format!("{count} {verdict}"), style),
        }
    }
    match (up.len(), count("healthy")) {
        (0, _) => (NOTHING.to_owned(), Style::Plain),
        (_, 0) => ("no check".to_owned(), Style::Faint),
        (_, _) => ("healthy".to_owned(), Style::Good),
    }
}

/// Returns the image most replicas run, and how many others there are.
fn images(service: &Service) -> String {
    let mut images: Vec<String> = service.replicas.iter().map(words::image).collect();
    images.dedup();
    let mut others = images.clone();
    others.sort_unstable();
    others.dedup();
    match (images.first(), others.len()) {
        (None, _) => NOTHING.to_owned(),
        (Some(image), 1) => image.clone(),
        (Some(image), count) => format!("{image} +{}", count - 1),
    }
}

/// Returns a line where the runtime cannot be asked: what follows may no longer be true.
fn runtime(snapshot: &Snapshot) -> Option<Line> {
    match &snapshot.runtime {
        RuntimeState::Up { .. } => None,
        RuntimeState::Connecting => Some(Line::of("? The runtime has not answered yet.", Style::Warn)),
        RuntimeState::Down { since, reason } => {
            let since = span::short(snapshot.at - *since);
            let follows = if snapshot.stacks.is_empty() { "" } else { " What follows was seen last." };
            Some(Line::of(
                format!("? The runtime cannot be asked for {since}: {reason}.{follows}"),
                Style::Warn,
            ))
        }
    }
}

fn nothing(snapshot: &Snapshot, args: &PsArgs) -> Line {
    let text = match &snapshot.runtime {
        _ if args.problems => "No problems.",
        RuntimeState::Up { .. } => {
            "Nothing runs here. Start a stack with `docker compose up -d`, or look at one with `zv demo`."
        }
        RuntimeState::Connecting | RuntimeState::Down { .. } => {
            "Nothing is known yet. `zv demo` shows a stack without an engine."
        }
    };
    Line::plain(text)
}

#[cfg(test)]
mod tests;
