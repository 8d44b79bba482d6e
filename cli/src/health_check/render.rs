//! The forms of output: a table and sentences for people, a line for Nagios, XML for continuous integration.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
use zv_probe::Verdict;

use super::changes::{Change, Kind};
use super::finding::{Finding, Summary};
use crate::paint::{Line, Style};
use crate::span;
use crate::table::{Align, Cell, Column, Row, Shrink, Table};
use crate::words::{self, Mark};

const NOTHING: &str = "–";

fn mark(verdict: Verdict) -> Mark {
    words::mark(if verdict == Verdict::Up { "ok" } else { verdict.word() })
}

fn marked(verdict: Verdict) -> String {
    format!("{} {verdict}", mark(verdict).glyph)
}

/// Returns the table, with a line below it where there is more than one target.
pub(super) fn text(summary: &Summary, width: Option<usize>) -> Vec<Line> {
    let column = |title, align, shrinks| Column { title, align, shrinks, dropped: None };
    let shrink = |comfortable, least| Some(Shrink { comfortable, least });
    let mut table = Table::new(vec![
        column("STATUS", Align::Left, None),
        column("TARGET", Align::Left, shrink(30, 16)),
        column("TIME", Align::Right, None),
        column("WHY", Align::Left, shrink(30, 10)),
    ]);
    for finding in &summary.findings {
        table.push(Row::Cells(vec![
            Cell::new(marked(finding.verdict), mark(finding.verdict).style),
            Cell::new(&finding.target, Style::Strong),
            Cell::new(finding.seconds.map_or_else(|| NOTHING.to_owned(), time), Style::Faint),
            Cell::new(why(finding), Style::Plain),
        ]));
    }
    let mut lines = table.render(width);
    if summary.findings.len() > 1 {
        lines.push(Line::of(summary.counts(), Style::Faint));
    }
    lines
}

fn why(finding: &Finding) -> String {
    match (finding.attempts, finding.verdict) {
        (0 | 1, _) => finding.reason.clone(),
        (attempts, Verdict::Up | Verdict::Degraded) => format!("{} (at attempt {attempts})", finding.reason),
        (attempts, _) => format!("{} (after {attempts} attempts)", finding.reason),
    }
}

fn time(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.0} ms", seconds * 1000.0) } else { format!("{seconds:.1} s") }
}

/// Returns a sentence for each change, and when that was: mails are read later.
pub(super) fn changes(told: &[Change], at: DateTime<Utc>) -> Vec<Line> {
    let mut lines: Vec<Line> = told.iter().map(change).collect();
    lines.push(Line::of(format!("At {}.", at.to_rfc3339_opts(SecondsFormat::Secs, true)), Style::Faint));
    lines
}

fn change(change: &Change) -> Line {
    let Change { finding, kind } = change;
    let verdict = finding.verdict;
    let how = match kind {
        Kind::First => format!(" is {verdict}"),
        Kind::Changed { from, stood } => {
            format!(" is {verdict}, after {} of being {from}", span::short(*stood))
        }
        Kind::Still { stands } => format!(" is still {verdict}, for {} now", span::short(*stands)),
    };
    let reason = why(finding);
    let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    Line::of(mark(verdict).glyph, mark(verdict).style)
        .with(" ", Style::Plain)
        .with(&finding.target, Style::Strong)
        .with(how, mark(verdict).style)
        .with(reason, Style::Plain)
}

/// Returns what a plugin of Nagios prints: the verdict in a line with the times behind a bar, then a line for each.
pub(super) fn nagios(summary: &Summary) -> String {
    let word = match summary.verdict() {
        Verdict::Up => "OK",
        Verdict::Degraded => "WARNING",
        Verdict::Down => "CRITICAL",
        Verdict::Unknown => "UNKNOWN",
    };
    let worst = summary.findings.iter().find(|finding| finding.verdict == summary.verdict());
    let worst = worst.filter(|finding| finding.verdict != Verdict::Up);
    let worst = worst.map(|finding| format!(": {} {}", finding.target, finding.reason)).unwrap_or_default();
    let mut text = plain(&format!("ZV {word} - {}{worst}", summary.counts()));
    let times = summary.findings.iter().filter_map(|finding| {
        // A label has neither quotes nor an equals sign in it.
        let label = plain(&finding.target).replace('\'', "''").replace('=', ":");
        Some(format!("'{label}'={:.6}s", finding.seconds?))
    });
    let times: Vec<String> = times.collect();
    if !times.is_empty() {
        text.push_str(" | ");
        text.push_str(&times.join(" "));
    }
    text.push('\n');
    for finding in &summary.findings {
        text.push_str(&plain(&format!("{} {}: {}", finding.verdict, finding.target, why(finding))));
        text.push('\n');
    }
    text
}

/// A bar begins the times, and nothing here may act on a terminal.
fn plain(text: &str) -> String {
    crate::text::clean(text).replace('|', "/")
}

/// Returns a run as JUnit's XML.
pub(super) fn junit(summary: &Summary) -> String {
    let tests = summary.findings.len();
    let (failures, errors) =
        (summary.count(Verdict::Down) + summary.count(Verdict::Degraded), summary.count(Verdict::Unknown));
    let at = summary.at.format("%Y-%m-%dT%H:%M:%S");
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let suite = format!(
        "name=\"zv health-check\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"0\" \
         timestamp=\"{at}\" time=\"{:.6}\"",
        summary.seconds
    );
    writeln!(text, "<testsuites>\n  <testsuite {suite}>").expect("writing to a string cannot fail");
    for finding in &summary.findings {
        let case = format!(
            "name=\"{}\" classname=\"zv.health-check\" time=\"{:.6}\"",
            xml(&finding.target),
            finding.seconds.unwrap_or_default()
        );
        let fault = match finding.verdict {
            Verdict::Up => None,
            Verdict::Degraded | Verdict::Down => Some("failure"),
            Verdict::Unknown => Some("error"),
        };
        match fault {
            None => writeln!(text, "    <testcase {case}/>"),
            Some(fault) => writeln!(
                text,
                "    <testcase {case}>\n      <{fault} type=\"{}\" message=\"{}\"/>\n    </testcase>",
                finding.verdict,
                xml(&why(finding))
            ),
        }
        .expect("writing to a string cannot fail");
    }
    text.push_str("  </testsuite>\n</testsuites>\n");
    text
}

/// Escapes text for XML; characters that XML cannot hold are cleaned away before.
fn xml(text: &str) -> String {
    let mut escaped = String::new();
    for c in crate::text::clean(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::paint::{Palette, render};
    use crate::samples;

    fn summary() -> Summary {
        let findings = vec![
            Finding { seconds: Some(0.0123), ..Finding::seen("http://a/?b=c", Verdict::Up, "200 OK") },
            Finding {
                attempts: 3,
                ..Finding::seen("docker://shop/db", Verdict::Down, "exit \"<1>\" | \u{1b}[2J")
            },
        ];
        Summary { at: samples::now(), seconds: 0.5, findings }
    }

    #[test]
    fn people_get_a_table() {
        let shown = render(&text(&summary(), Some(200)), Palette::Mono);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[0], "STATUS  TARGET             TIME  WHY");
        assert_eq!(lines[1], "✓ up    http://a/?b=c     12 ms  200 OK");
        assert!(lines[2].starts_with("✖ down  docker://shop/db      –  exit \"<1>\" | "), "{}", lines[2]);
        assert!(lines[2].ends_with("(after 3 attempts)"), "{}", lines[2]);
        assert_eq!(lines[3], "1 down, 1 up");
    }

    #[test]
    fn nagios_gets_a_line_with_times_behind_the_only_bar() {
        let shown = nagios(&summary());
        let first = shown.lines().next().unwrap();
        assert!(first.starts_with("ZV CRITICAL - 1 down, 1 up: docker://shop/db exit \"<1>\" / "), "{first}");
        assert!(first.ends_with(" | 'http://a/?b:c'=0.012300s"), "{first}");
        assert_eq!(shown.matches('|').count(), 1);
        assert!(!shown.contains('\u{1b}'));
    }

    #[test]
    fn junit_is_well_formed() {
        let shown = junit(&summary());
        assert!(shown.contains("tests=\"2\" failures=\"1\" errors=\"0\""), "{shown}");
        assert!(shown.contains("message=\"exit &quot;&lt;1&gt;&quot; | "), "{shown}");
        assert!(!shown.contains('\u{1b}'));
    }

    #[test]
    fn changes_are_sentences() {
        let finding = summary().findings[1].clone();
        let told = |kind| change(&Change { finding: finding.clone(), kind }).text();
        let hours = TimeDelta::hours(3);
        assert!(told(Kind::First).starts_with("✖ docker://shop/db is down: exit"));
        let changed = told(Kind::Changed { from: "up".into(), stood: hours });
        assert!(changed.starts_with("✖ docker://shop/db is down, after 3h of being up: "), "{changed}");
        assert!(told(Kind::Still { stands: hours }).contains("is still down, for 3h now"));
    }
}
