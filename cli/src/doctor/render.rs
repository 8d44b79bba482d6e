//! What the doctor says, for people: grouped by area, each finding with its glyph and word, and what to do below it.

use serde::Serialize;

use super::finding::{self, Finding, Level};
use crate::paint::{Line, Style};
use crate::text;

/// Where the text of a finding begins.
const INDENT: usize = 2;

/// A whole run, as programs read it.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) version: &'static str,
    pub(super) user: String,
    /// This process runs in a container.
    pub(super) contained: bool,
    pub(super) status: Level,
    pub(super) checks: Vec<Finding>,
}

fn mark(level: Level) -> (&'static str, Style) {
    match level {
        Level::Ok => ("✓", Style::Good),
        Level::Note => ("▲", Style::Warn),
        Level::Problem => ("✖", Style::Bad),
    }
}

/// Returns the report in lines. A long line is wrapped by the terminal: a command must be copied whole.
pub(super) fn lines(report: &Report) -> Vec<Line> {
    let place = if report.contained { "in a container" } else { "on the host" };
    let mut lines = vec![
        Line::of(format!("zv {}", report.version), Style::Strong)
            .with(format!(", as {} {place}", report.user), Style::Plain),
    ];
    let words = report.checks.iter().map(|finding| text::width(finding.check)).max().unwrap_or(0);
    let mut area = None;
    for finding in &report.checks {
        if area != Some(finding.area) {
            area = Some(finding.area);
            lines.push(Line::new());
            lines.push(Line::of(finding.area.title(), Style::Strong));
        }
        lines.extend(of_finding(finding, words));
    }
    lines.push(Line::new());
    let (glyph, style) = mark(report.status);
    let counts = finding::counts(&report.checks);
    lines.push(Line::of(glyph, style).with(format!(" {counts}."), Style::Plain));
    lines
}

fn of_finding(finding: &Finding, words: usize) -> impl Iterator<Item = Line> + use<> {
    let (glyph, style) = mark(finding.status);
    let line = Line::plain(" ".repeat(INDENT))
        .with(format!("{glyph} {:<7}", finding.status.word()), style)
        .with(format!("  {:<words$}  ", finding.check), Style::Plain)
        .with(&finding.found, Style::Plain);
    let advice = finding.advice.as_ref().map(|advice| {
        let before = " ".repeat(INDENT + 2 + 7 + 2 + words);
        Line::plain(before).with("  → ", Style::Strong).with(advice, Style::Plain)
    });
    std::iter::once(line).chain(advice)
}
