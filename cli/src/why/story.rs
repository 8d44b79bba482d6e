//! The story of a service, from what the agent knows to lines for a person.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::Value;
use zv_api::{Check, Death, Health, Replica, RuntimeState, Service, Stats};

use crate::failure::sentence;
use crate::names::Found;
use crate::paint::{Line, Style};
use crate::why::{exit, spark};
use crate::{span, text, words};

/// The health checks that are shown of a replica.
const CHECKS: usize = 3;
/// The lines that are shown of a health check's output.
const CHECK_LINES: usize = 4;

/// All that is told from.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub now: DateTime<Utc>,
    pub runtime: &'a RuntimeState,
    /// As it was typed.
    pub name: &'a str,
    /// Absent where it was removed and only its deaths are known.
    pub found: Option<Found<'a>>,
    /// Newest first.
    pub deaths: &'a [Death],
    /// There are more deaths on record.
    pub more: bool,
    /// How many log lines to show of each death.
    pub lines: usize,
    /// The agent that keeps the records, where it is not this process.
    pub agent: Option<&'a str>,
    /// Paragraphs are wrapped to it.
    pub width: Option<usize>,
}

/// Tells the story.
pub fn tell(facts: &Facts<'_>) -> Vec<Line> {
    let mut lines = match facts.found {
        Some(found) => now(found, facts),
        None => {
            let gone = "  is not there any more; its deaths are still on record";
            vec![Line::of(facts.name, Style::Strong).with(gone, Style::Plain)]
        }
    };
    if facts.deaths.is_empty() {
        lines.push(Line::new());
        lines.push(Line::plain("No death is on record."));
    }
    for (at, death) in facts.deaths.iter().enumerate() {
        lines.push(Line::new());
        death_of(&mut lines, death, at == 0, facts);
    }
    if facts.more {
        lines.push(Line::new());
        let text =
            format!("There are earlier deaths: `--last {}` tells more.", facts.deaths.len().max(1) * 3);
        lines.push(Line::of(text, Style::Faint));
    }
    lines
}

/// Tells how the service is now, and each of its replicas or the one that was named.
fn now(found: Found<'_>, facts: &Facts<'_>) -> Vec<Line> {
    let mut lines = vec![headline(found.service)];
    if let Some(reason) = &found.service.reason {
        // It starts with a name, which keeps its look.
        lines.push(Line::of("└ ", Style::Faint).with(reason, Style::Plain).fit(facts.width));
    }
    if let RuntimeState::Down { since, reason } = facts.runtime {
        let since = span::short(facts.now - *since);
        let text = format!("the runtime cannot be asked for {since} ({reason}): what follows was seen last");
        paragraph(&mut lines, "", &text, facts.width);
    }
    lines.push(Line::new());
    lines.push(Line::of("Now", Style::Strong));
    let replicas = found.replica.map_or(found.service.replicas.as_slice(), std::slice::from_ref);
    for replica in replicas {
        now_of(&mut lines, replica, facts);
    }
    if replicas.is_empty() {
        lines.push(Line::plain("  It has no replica."));
    }
    lines
}

fn headline(service: &Service) -> Line {
    let title = Line::of(format!("{}/{}", service.stack, service.name), Style::Strong)
        .with("  ", Style::Plain)
        .with(words::marked(&service.status), words::mark(&service.status).style);
    if service.status == "finished" {
        return title.with("  it was to run once, and has", Style::Plain);
    }
    let running = if service.status == "unknown" { "?".to_owned() } else { service.running.to_string() };
    title.with(
        format!("  {running} of {} running{}", service.desired, source(&service.desired_source)),
        Style::Plain,
    )
}

/// Says where the desired number comes from.
fn source(desired: &str) -> &'static str {
    match desired {
        "scaled" => " (scaled by a person)",
        "label" => " (label `zv.replicas`)",
        "file" => " (compose file)",
        "highest-seen" => " (a guess: the most seen since the last deploy)",
        _ => "",
    }
}

/// Tells how a replica is now.
fn now_of(lines: &mut Vec<Line>, replica: &Replica, facts: &Facts<'_>) {
    let mark = words::mark(&replica.status);
    let mut line = Line::of("  ", Style::Plain)
        .with(mark.glyph, mark.style)
        .with(format!(" {}  ", replica.name), Style::Strong)
        .with(&replica.status, mark.style);
    let up = matches!(replica.state.as_str(), "running" | "paused");
    match (&replica.started_at, &replica.exit) {
        (Some(started), _) if up => {
            line = line.with(format!(", up {}", span::short(facts.now - *started)), Style::Plain);
        }
        (_, Some(exit)) if !up => {
            let ago = span::short(facts.now - exit.at);
            line = line.with(format!(", ended {ago} ago with {}", words::exit(exit)), Style::Plain);
        }
        _ => {}
    }
    let wanted = match replica.intent.as_str() {
        "stopped" => ", stopped by a person",
        "finished" => ", it was to run once",
        "one-off" => ", a one-off",
        _ => "",
    };
    line = line.with(wanted, Style::Plain);
    line = match replica.restarts {
        0 => line,
        1 => line.with(", restarted once", Style::Warn),
        restarts => line.with(format!(", restarted {restarts} times"), Style::Warn),
    };
    lines.push(line);
    if up && replica.health.verdict == "unhealthy" {
        health_of(lines, &replica.health, "    ", facts);
    }
}

fn health_of(lines: &mut Vec<Line>, health: &Health, indent: &str, facts: &Facts<'_>) {
    let streak = match health.failing_streak {
        0 => String::new(),
        1 => ", it failed once".to_owned(),
        streak => format!(", it failed {streak} times in a row"),
    };
    lines.push(Line::plain(format!(
        "{indent}Health check: {}{streak}{}",
        health.verdict,
        colon(&health.log)
    )));
    // A check that passes has little to tell.
    let checks = if health.verdict == "healthy" && health.failing_streak == 0 { 1 } else { CHECKS };
    let skipped = health.log.len().saturating_sub(checks);
    for check in &health.log[skipped..] {
        let style = if check.exit_code == 0 { Style::Good } else { Style::Bad };
        let verdict =
            if check.exit_code == 0 { "passed".to_owned() } else { format!("exit {}", check.exit_code) };
        let mut output = check.output.lines().map(str::trim_end).filter(|line| !line.is_empty());
        let first = text::harmless(output.next().unwrap_or("(no output)"), text::Colours::Strip).into_owned();
        lines.push(
            Line::of(format!("{indent}  {} ", time(check.at)), Style::Faint)
                .with(verdict, style)
                .with(format!(": {first}"), Style::Plain)
                .fit(facts.width),
        );
        for line in output.take(CHECK_LINES - 1) {
            let line = text::harmless(line, text::Colours::Strip);
            lines.push(Line::plain(format!("{indent}           {line}")).fit(facts.width));
        }
    }
}

fn colon(log: &[Check]) -> &'static str {
    if log.is_empty() { "" } else { ":" }
}

/// Tells one death.
fn death_of(lines: &mut Vec<Line>, death: &Death, newest: bool, facts: &Facts<'_>) {
    let summary = &death.summary;
    let ago = span::short(facts.now - summary.exit.at);
    let title = if newest { "Last death" } else { "Before that" };
    lines.push(
        Line::of(format!("{title}: {}", summary.name), Style::Strong)
            .with(format!(", {ago} ago ({})", stamp(summary.exit.at)), Style::Plain),
    );
    paragraph(lines, "  ", &what_happened(death), facts.width);
    usage_of(lines, &death.stats, facts);
    if !matches!(death.health.verdict.as_str(), "none" | "") || !death.health.log.is_empty() {
        health_of(lines, &death.health, "  ", facts);
    }
    logs_of(lines, death, facts);
    let image =
        if death.image_id.is_empty() { String::new() } else { format!(" ({})", digest(&death.image_id)) };
    lines.push(Line::of(format!("  Image: {}{image}", death.image), Style::Faint).fit(facts.width));
    lines.push(Line::of(format!("  The full record: {}", record(death, facts)), Style::Faint));
}

/// Returns the sentences on what happened.
fn what_happened(death: &Death) -> String {
    let summary = &death.summary;
    let mut text = sentence(&exit::meaning(&summary.exit, summary.wanted));
    let after = death.started_at.map(|started| match summary.exit.at - started {
        moment if moment < TimeDelta::seconds(1) => "less than a second".to_owned(),
        longer => span::short(longer),
    });
    let restarts = match death.restarts {
        0 => None,
        1 => Some("it had been restarted once before".to_owned()),
        restarts => Some(format!("it had been restarted {restarts} times before")),
    };
    match (after, restarts) {
        (Some(after), Some(restarts)) => text.push_str(&format!(" It had run for {after}; {restarts}.")),
        (Some(after), None) => text.push_str(&format!(" It had run for {after}.")),
        (None, Some(restarts)) => text.push_str(&format!(" {}", sentence(&restarts))),
        (None, None) => {}
    }
    text.push_str(if summary.wanted { " Somebody asked for it." } else { " Nobody asked for it." });
    text
}

/// Tells what the replica used in its last minutes.
fn usage_of(lines: &mut Vec<Line>, stats: &[Stats], facts: &Facts<'_>) {
    let memory: Vec<Option<f64>> =
        stats.iter().map(|stats| stats.memory_bytes.map(|bytes| bytes as f64)).collect();
    let known: Vec<u64> = stats.iter().filter_map(|stats| stats.memory_bytes).collect();
    let limit = stats.iter().rev().find_map(|stats| stats.memory_limit_bytes);
    if let (Some(first), Some(last), Some(highest)) = (known.first(), known.last(), known.iter().max()) {
        let top = limit.unwrap_or(*highest).max(*highest);
        let of = limit.map(|limit| format!(" of {}", words::bytes(limit))).unwrap_or_default();
        let share = limit.filter(|limit| *limit > 0).map(|limit| last.saturating_mul(100) / limit);
        let share = share.map(|share| format!(" ({share}%)")).unwrap_or_default();
        let curve = spark::line(&memory, top as f64);
        let text =
            format!("  Memory:    {curve} {} → {}{of}{share}", words::bytes(*first), words::bytes(*last));
        lines.push(Line::plain(text).fit(facts.width));
    }
    let processor = spark::processor(stats);
    let known: Vec<f64> = processor.iter().flatten().copied().collect();
    if let (Some(first), Some(last)) = (known.first(), known.last()) {
        let top = known.iter().copied().fold(1.0, f64::max);
        let curve = spark::line(&processor, top);
        let text = format!("  Processor: {curve} {:.0}% → {:.0}% of one core", first * 100.0, last * 100.0);
        lines.push(Line::plain(text).fit(facts.width));
    }
    if let Some(processes) = stats.iter().rev().find_map(|stats| stats.processes).filter(|count| *count > 1) {
        lines.push(Line::plain(format!("  Processes: {processes} at the end")));
    }
}

fn logs_of(lines: &mut Vec<Line>, death: &Death, facts: &Facts<'_>) {
    if death.logs.is_empty() {
        let removing = |inspect: &Value| inspect.pointer("/State/Status").is_some_and(|s| s == "removing");
        let is_gone = death.inspect.as_ref().is_none_or(removing);
        let text = if is_gone {
            "  Its log could not be kept: it was removed, or may not be read."
        } else {
            "  No line of its log could be read."
        };
        lines.push(Line::plain(text));
        return;
    }
    let skipped = death.logs.len().saturating_sub(facts.lines);
    let shown = &death.logs[skipped..];
    match (shown.len(), skipped) {
        (0, _) => return,
        (count, 0) => lines.push(Line::plain(format!("  Its last {}:", log_lines(count)))),
        (count, _) => lines.push(Line::plain(format!(
            "  Its last {count} of {} that were kept:",
            log_lines(death.logs.len())
        ))),
    }
    for line in shown {
        let text = text::harmless(&line.text, text::Colours::Strip);
        let (bar, style) = if line.output == "stderr" { ("!", Style::Bad) } else { ("|", Style::Faint) };
        lines.push(
            Line::of(format!("    {} ", time(line.at)), Style::Faint)
                .with(bar, style)
                .with(format!(" {text}"), Style::Plain),
        );
    }
}

fn log_lines(count: usize) -> String {
    if count == 1 { "log line".to_owned() } else { format!("{count} log lines") }
}

/// Says where the whole record is.
fn record(death: &Death, facts: &Facts<'_>) -> String {
    let id = &death.summary.id;
    let command = format!("`zv why {}/{} --json`", death.summary.stack, death.summary.service);
    match facts.agent {
        Some(agent) if agent.starts_with("http") => {
            format!("{command}, or {}{}/deaths/{id}", agent.trim_end_matches('/'), zv_api::BASE)
        }
        _ => format!("{command}, kept as {id}"),
    }
}

fn digest(id: &str) -> String {
    let hex = id.strip_prefix("sha256:").unwrap_or(id);
    hex.get(..12).unwrap_or(hex).to_owned()
}

fn paragraph(lines: &mut Vec<Line>, indent: &str, fragment: &str, width: Option<usize>) {
    let text = sentence(&text::clean(fragment));
    let max = width.map_or(usize::MAX, |width| width.saturating_sub(indent.len()).max(1));
    lines.extend(text::wrap(&text, max).into_iter().map(|line| Line::plain(format!("{indent}{line}"))));
}

fn time(at: DateTime<Utc>) -> String {
    at.format("%H:%M:%S").to_string()
}

fn stamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests;
