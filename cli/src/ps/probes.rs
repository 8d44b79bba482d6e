//! What `zv ps` says of probes: those that are not up, and how many are.

use zv_api::{Probe, Snapshot};

use crate::paint::{Line, Style};
use crate::{names, span, words};

/// Returns a line for each probe that is not up, and one for the others. Where only some services are shown, only the
/// probes that belong to their replicas are.
pub(super) fn lines(shown: &Snapshot, only_of_shown: bool) -> impl Iterator<Item = Line> {
    let belongs = |probe: &&Probe| {
        !only_of_shown
            || names::services(shown).any(|service| {
                probe.stack.as_ref() == Some(&service.stack) && probe.service.as_ref() == Some(&service.name)
            })
    };
    let (up, others): (Vec<&Probe>, Vec<&Probe>) =
        shown.probes.iter().filter(belongs).partition(|probe| probe.verdict == "up");
    let sum = match (up.len(), others.len()) {
        (0, 0) => None,
        (up, 0) => Some(Line::of(format!("Probes: {up} up"), Style::Faint)),
        (up, others) => Some(Line::of(format!("Probes: {up} up, {others} not:"), Style::Warn)),
    };
    let others: Vec<Line> = others.into_iter().map(|probe| line(probe, shown)).collect();
    sum.into_iter().chain(others)
}

fn line(probe: &Probe, shown: &Snapshot) -> Line {
    let since = probe.since.map_or(String::new(), |since| format!(" {}", span::brief(shown.at - since)));
    let reason = if probe.reason.is_empty() { &probe.target } else { &probe.reason };
    Line::of(format!("  {} ", probe.name), Style::Strong)
        .with(words::marked(&probe.verdict), words::mark(&probe.verdict).style)
        .with(format!("{since}: {reason}"), Style::Plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn probe(name: &str, service: Option<&str>, verdict: &str) -> Probe {
        Probe {
            id: name.into(),
            name: name.into(),
            kind: "http".into(),
            target: "http://api/health".into(),
            stack: service.map(|_| "shop".into()),
            service: service.map(Into::into),
            replica: None,
            verdict: verdict.into(),
            since: None,
            reason: "connection refused".into(),
            interval_seconds: 10.0,
            confirm: "1 of 1".into(),
            results: std::collections::BTreeMap::new(),
            history: Vec::new(),
        }
    }

    #[test]
    fn what_is_not_up_has_a_line_and_the_rest_is_counted() {
        let mut shown = samples::shop();
        let text = |shown: &Snapshot, only| lines(shown, only).map(|line| line.text()).collect::<Vec<_>>();
        assert_eq!(text(&shown, false), Vec::<String>::new());
        shown.probes = vec![probe("web", None, "up"), probe("api", Some("orders"), "down")];
        let all = ["Probes: 1 up, 1 not:", "  api ✖ down: connection refused"];
        assert_eq!(text(&shown, false), all);
        assert_eq!(text(&shown, true), ["Probes: 0 up, 1 not:", all[1]]);
        shown.probes.pop();
        assert_eq!(text(&shown, false), ["Probes: 1 up"]);
    }
}
