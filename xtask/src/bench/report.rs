//! The figures as Markdown, and their place in docs/benchmarks.md.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

use super::Snapshots;
use super::commands::Commands;
use super::engine::Place;
use super::figures::Series;
use super::latency::Latency;
use super::scrape::Scrapes;
use super::window::Usage;
use crate::command::root;
use crate::say;

/// The steps of a curve.
const CURVE: usize = 6;
const FILE: &str = "docs/benchmarks.md";

/// Where the figures of one benchmark stand in the page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Marks(&'static str);

/// Of `bench agent`.
pub(super) const AGENT: Marks = Marks("agent");
/// Of `bench hour`.
pub(super) const HOUR: Marks = Marks("hour");
/// Of `bench probe`.
pub(super) const PROBE: Marks = Marks("probe");

impl Marks {
    fn begin(self) -> String {
        format!("<!-- bench {0}: begin, written by `cargo xtask bench {0} --write` -->\n", self.0)
    }

    fn end(self) -> String {
        format!("<!-- bench {}: end -->\n", self.0)
    }
}

/// Everything that was measured.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) place: Place,
    /// The idle agent, step by step.
    pub(super) idle: Vec<Idle>,
    /// The agent beside the docker commands.
    pub(super) beside: Vec<Usage>,
    /// The engine alone, with the agent, and with the docker commands too.
    pub(super) engines: [Usage; 3],
    pub(super) scrapes: Scrapes,
    pub(super) snapshots: Snapshots,
    pub(super) commands: Commands,
    pub(super) latency: Latency,
    pub(super) after_events: Usage,
}

/// The agent beside so many containers.
#[derive(Debug)]
pub(super) struct Idle {
    pub(super) containers: usize,
    /// From its start until it had told everything.
    pub(super) complete: Duration,
    pub(super) usage: Usage,
}

impl Report {
    pub(super) fn markdown(&self) -> String {
        let containers = self.idle.last().map_or(0, |idle| idle.containers);
        let Place { date, kernel, engine, cores } = &self.place;
        let mut text =
            format!("Measured on {date}: Linux {kernel}, Docker engine {engine}, {cores} cores.\n");
        for part in [
            format!(
                "A fresh agent with 50 probes every 10 s, step by step, the last one scraped every 15 s (MiB: min / median / max):\n\n{}",
                idle_table(&self.idle)
            ),
            self.peer_table(containers),
            self.engine_table(containers),
            self.latency_table(containers),
            self.command_table(containers),
            self.remarks(containers),
        ] {
            text.push('\n');
            text.push_str(&part);
        }
        text
    }

    fn peer_table(&self, containers: usize) -> String {
        let mut text = format!(
            "The agent beside the docker command, all at the same time, {containers} containers:\n\n"
        );
        text.push_str("| process | RSS MiB, median | anonymous | CPU, % of a core | CPU s / s watched | agent's RSS ÷ its | agent's CPU ÷ its |\n");
        text.push_str("|---|---:|---:|---:|---:|---:|---:|\n");
        let Some(agent) = self.beside.first() else { return text };
        for usage in &self.beside {
            row(
                &mut text,
                &[
                    format!("`{}`", usage.name),
                    format!("{:.1}", usage.rss.median()),
                    format!("{:.1}", usage.anonymous.median()),
                    format!("{:.2}", usage.cpu_percent()),
                    format!("{:.2} / {:.0}", usage.cpu_seconds, usage.seconds),
                    ratio(agent.rss.median(), usage.rss.median()),
                    ratio(agent.cpu_seconds, usage.cpu_seconds),
                ],
            );
        }
        text
    }

    fn engine_table(&self, containers: usize) -> String {
        let mut text =
            format!("What it costs the engine (dockerd and containerd), {containers} containers:\n\n");
        text.push_str(
            "| beside the engine | CPU, % of a core | more than alone | CPU s / s watched | RSS MiB, median |\n",
        );
        text.push_str("|---|---:|---:|---:|---:|\n");
        let alone = self.engines[0].cpu_percent();
        let names = ["nothing", "the agent", "the agent, `docker stats`, `docker events`"];
        for (name, usage) in names.into_iter().zip(&self.engines) {
            row(
                &mut text,
                &[
                    name.to_owned(),
                    format!("{:.2}", usage.cpu_percent()),
                    format!("{:+.2}", usage.cpu_percent() - alone),
                    format!("{:.2} / {:.0}", usage.cpu_seconds, usage.seconds),
                    format!("{:.0}", usage.rss.median()),
                ],
            );
        }
        text
    }

    fn latency_table(&self, containers: usize) -> String {
        let latency = &self.latency;
        let count = latency.kernel.len();
        let mut text = format!(
            "From an event to the stream, {count} kills and {count} starts, {containers} containers (ms):\n\n"
        );
        text.push_str("| from → to | median | p95 | max |\n|---|---:|---:|---:|\n");
        for (name, series, digits) in [
            ("kill -9 → a pidfd held by the measuring process", &latency.kernel, 2),
            ("kill -9 → the agent's stream", &latency.agent_died, 2),
            ("kill -9 → the engine's stream", &latency.engine_died, 2),
            ("*agent ÷ engine*", &latency.died_ratio, 3),
            ("kill -9 → the exit code on the agent's stream", &latency.agent_code, 2),
            ("*agent ÷ engine*", &latency.code_ratio, 3),
            ("start requested → the engine's stream", &latency.engine_started, 2),
            ("start requested → the agent's stream", &latency.agent_started, 2),
            ("*agent ÷ engine*", &latency.started_ratio, 3),
        ] {
            let value = |value: f64| format!("{value:.digits$}");
            let cells =
                [name.to_owned(), value(series.median()), value(series.percentile(95)), value(series.max())];
            row(&mut text, &cells);
        }
        text
    }

    fn command_table(&self, containers: usize) -> String {
        let Commands { asking_the_agent, alone, docker } = &self.commands;
        let count = docker.len();
        let mut text = format!("Commands, {count} runs of each in turn, {containers} containers (ms):\n\n");
        text.push_str(
            "| command | median | p95 | max | median ÷ that of `docker ps` |\n|---|---:|---:|---:|---:|\n",
        );
        for (name, series) in [
            ("`zv ps`, asking the agent", asking_the_agent),
            ("`zv ps`, without an agent", alone),
            ("`docker ps --all`", docker),
        ] {
            let value = |value: f64| format!("{value:.0}");
            row(
                &mut text,
                &[
                    name.to_owned(),
                    value(series.median()),
                    value(series.percentile(95)),
                    value(series.max()),
                    ratio(series.median(), docker.median()),
                ],
            );
        }
        text
    }

    fn remarks(&self, containers: usize) -> String {
        let Snapshots { bytes, times } = &self.snapshots;
        let (scrapes, after) = (&self.scrapes, &self.after_events);
        format!(
            "A scrape of {containers} containers is {:.0} KiB, {} samples, and took {:.1} ms (median of {}; p95 {:.1}, max {:.1}; {} failed).\n\
             A snapshot of {containers} containers is {:.0} KiB of JSON and took {:.1} ms (median of {}; max {:.1}).\n\
             After the kills and starts the agent's RSS was {:.1} MiB, of it {:.1} anonymous.\n",
            scrapes.bytes as f64 / 1024.0,
            scrapes.samples,
            scrapes.times.median(),
            scrapes.times.len(),
            scrapes.times.percentile(95),
            scrapes.times.max(),
            scrapes.failures,
            *bytes as f64 / 1024.0,
            times.median(),
            times.len(),
            times.max(),
            after.rss.median(),
            after.anonymous.median(),
        )
    }
}

/// What a long watch saw: two agents at once, beside `docker stats`.
#[derive(Debug)]
pub(super) struct Long {
    pub(super) place: Place,
    pub(super) agents: Vec<Idle>,
    pub(super) docker: Usage,
    pub(super) engine: Usage,
    pub(super) scrapes: Scrapes,
}

impl Long {
    pub(super) fn markdown(&self) -> String {
        let Place { date, kernel, engine, cores } = &self.place;
        let minutes = self.docker.seconds / 60.0;
        let Scrapes { bytes, samples, times, failures } = &self.scrapes;
        format!(
            "Measured on {date} for {minutes:.0} minutes: Linux {kernel}, Docker engine {engine}, {cores} cores.\n\n\
             Two agents and a `docker stats` at once (MiB: min / median / max):\n\n{}\n\
             RSS / anonymous (MiB) in the course of that time:\n\n{}\n{}\n\
             A scrape of all containers was {:.0} KiB, {samples} samples, and took {:.1} ms (median of {}; p95 {:.1}, max {:.1}; \
             {failures} failed).\n",
            idle_table(&self.agents),
            self.curve_table(),
            self.peer_table(),
            *bytes as f64 / 1024.0,
            times.median(),
            times.len(),
            times.percentile(95),
            times.max(),
        )
    }

    /// Shows how memory grows: some looks, evenly spread.
    fn curve_table(&self) -> String {
        let longest = self.docker.curve.len();
        let marks: Vec<usize> = (0..=CURVE).map(|mark| mark * longest.saturating_sub(1) / CURVE).collect();
        let mut text = "| containers |".to_owned();
        for mark in &marks {
            let _ = write!(text, " {:.0} min |", *mark as f64 / 60.0);
        }
        let _ = writeln!(text, "\n|---:|{}", "---:|".repeat(marks.len()));
        let agents = self.agents.iter().map(|idle| (idle.containers.to_string(), &idle.usage));
        for (name, usage) in agents.chain([("`docker stats`".to_owned(), &self.docker)]) {
            let at = |mark: &usize| {
                let (rss, anonymous) = usage.curve.get(*mark).copied().unwrap_or((f64::NAN, f64::NAN));
                format!("{rss:.1} / {anonymous:.1}")
            };
            let cells: Vec<String> = std::iter::once(name).chain(marks.iter().map(at)).collect();
            row(&mut text, &cells);
        }
        text
    }

    fn peer_table(&self) -> String {
        let mut text =
            "| process | RSS MiB, median | CPU, % of a core | agent's RSS ÷ its | agent's CPU ÷ its |\n"
                .to_owned();
        text.push_str("|---|---:|---:|---:|---:|\n");
        let Some(agent) = self.agents.last().map(|idle| &idle.usage) else { return text };
        for (name, usage) in [
            ("`zv-agent`, all containers", agent),
            ("`docker stats`", &self.docker),
            ("the engine", &self.engine),
        ] {
            row(
                &mut text,
                &[
                    name.to_owned(),
                    format!("{:.1}", usage.rss.median()),
                    format!("{:.2}", usage.cpu_percent()),
                    ratio(agent.rss.median(), usage.rss.median()),
                    ratio(agent.cpu_seconds, usage.cpu_seconds),
                ],
            );
        }
        text
    }
}

fn idle_table(steps: &[Idle]) -> String {
    let mut text = "| containers | RSS | of it anonymous | of it file | peak RSS | CPU, % of a core | per container | CPU s / s watched | threads | open files | start → complete |\n".to_owned();
    text.push_str("|---:|---|---|---|---:|---:|---:|---:|---:|---:|---:|\n");
    for Idle { containers, complete, usage } in steps {
        let each = match *containers {
            0 => "–".to_owned(),
            count => format!("{:.4}", usage.cpu_percent() / count as f64),
        };
        row(
            &mut text,
            &[
                containers.to_string(),
                spread(&usage.rss),
                spread(&usage.anonymous),
                spread(&usage.file),
                format!("{:.1}", usage.peak),
                format!("{:.2}", usage.cpu_percent()),
                each,
                format!("{:.2} / {:.0}", usage.cpu_seconds, usage.seconds),
                format!("{:.0}", usage.threads.median()),
                format!("{:.0}", usage.open_files.median()),
                format!("{:.0} ms", complete.as_secs_f64() * 1000.0),
            ],
        );
    }
    text
}

pub(super) fn row(text: &mut String, cells: &[String]) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}

fn spread(series: &Series) -> String {
    format!("{:.1} / {:.1} / {:.1}", series.min(), series.median(), series.max())
}

pub(super) fn ratio(of: f64, by: f64) -> String {
    if by > 0.0 { format!("{:.3}", of / by) } else { "–".to_owned() }
}

/// Puts the figures between the markers of the page.
pub(super) fn write(marks: Marks, figures: &str) -> Result<()> {
    let path = root().join(FILE);
    let page = fs::read_to_string(&path).with_context(|| format!("cannot read {FILE}"))?;
    let page = replaced(&page, marks, figures).with_context(|| format!("{FILE} lost its markers"))?;
    fs::write(&path, page).with_context(|| format!("cannot write {FILE}"))?;
    say(&format!("{FILE} was written"));
    Ok(())
}

fn replaced(page: &str, marks: Marks, figures: &str) -> Option<String> {
    let (begin, end) = (marks.begin(), marks.end());
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{figures}\n{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_between_the_markers_is_replaced() {
        let (begin, end) = (AGENT.begin(), AGENT.end());
        let page = format!("# A\n\n{begin}old\n{end}\nrest\n");
        let once = replaced(&page, AGENT, "new\n").unwrap();
        assert_eq!(once, format!("# A\n\n{begin}\nnew\n\n{end}\nrest\n"));
        assert_eq!(replaced(&once, AGENT, "new\n").unwrap(), once);
        assert_eq!(replaced(&once, PROBE, "new"), None);
    }

    #[test]
    fn the_page_has_its_place_for_figures() {
        let page = fs::read_to_string(root().join(FILE)).unwrap();
        assert!(replaced(&page, AGENT, "").is_some());
        assert!(replaced(&page, HOUR, "").is_some());
        assert!(replaced(&page, PROBE, "").is_some());
    }

    #[test]
    fn nothing_is_divided_by_nothing() {
        assert_eq!((ratio(1.0, 2.0), ratio(1.0, 0.0)), ("0.500".to_owned(), "–".to_owned()));
    }
}
