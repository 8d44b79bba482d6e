//! What is being done and what came of it, in words.

use zv_api::{Action, ActionReport, ActionRequest, RuntimeState, Snapshot};

use crate::names;
use crate::paint::{Line, Style};

/// Returns what a request asks for while it is carried out: `Stopping shop/orders`.
pub fn doing(request: &ActionRequest) -> String {
    let verb = match request.action {
        Action::Start => "Starting",
        Action::Stop => "Stopping",
        Action::Restart => "Restarting",
        Action::Scale { .. } => "Scaling",
    };
    let stack = request.stack.as_deref().map(|stack| format!("{stack}/")).unwrap_or_default();
    format!("{verb} {stack}{}", request.service)
}

/// Returns one line for each replica, or for the service where it was scaled.
pub fn lines(request: &ActionRequest, report: &ActionReport) -> Vec<Line> {
    let (done, infinitive) = match request.action {
        Action::Start => ("started".to_owned(), "started"),
        Action::Stop => ("stopped".to_owned(), "stopped"),
        Action::Restart => ("restarted".to_owned(), "restarted"),
        Action::Scale { replicas: 1 } => ("has 1 replica".to_owned(), "scaled"),
        Action::Scale { replicas } => (format!("has {replicas} replicas"), "scaled"),
    };
    if report.results.is_empty() {
        let text = format!("{}/{} has no replica: nothing to do", report.stack, report.service);
        return vec![Line::of("– ", Style::Faint).with(text, Style::Plain)];
    }
    let lines = report.results.iter().map(|result| match &result.error {
        None => Line::of("✓ ", Style::Good).with(format!("{} {done}", result.name), Style::Plain),
        Some(error) => Line::of("✖ ", Style::Bad)
            .with(format!("{} could not be {infinitive}: {error}", result.name), Style::Plain),
    });
    lines.collect()
}

/// Returns the command that does the same without zv, for those who want to know.
pub fn equivalent(request: &ActionRequest, snapshot: &Snapshot) -> String {
    let is_docker = matches!(&snapshot.runtime, RuntimeState::Up { kind, .. } if kind == "docker");
    if !is_docker {
        return "The processes of a local stack have no other command.".to_owned();
    }
    let grace = request.grace_seconds.map(|seconds| format!(" --time {seconds}")).unwrap_or_default();
    let verb = match request.action {
        Action::Start => "start".to_owned(),
        Action::Stop => format!("stop{grace}"),
        Action::Restart => format!("restart{grace}"),
        Action::Scale { replicas } => {
            let project = request.stack.as_deref().unwrap_or_default();
            let service = &request.service;
            return format!(
                "Much the same: docker compose --project-name {project} up --detach --no-recreate --scale {service}={replicas} {service}"
            );
        }
    };
    let services = names::services(snapshot).filter(|service| {
        Some(service.stack.as_str()) == request.stack.as_deref() && service.name == request.service
    });
    let replicas: Vec<&str> = services
        .flat_map(|service| &service.replicas)
        .filter(|replica| replica.intent != "one-off")
        .filter(|replica| request.replica.as_deref().is_none_or(|wanted| replica.id == wanted))
        .map(|replica| replica.name.as_str())
        .collect();
    format!("The same: docker {verb} {}", replicas.join(" "))
}

#[cfg(test)]
mod tests {
    use zv_api::ActionResult;

    use super::*;
    use crate::paint::{self, Palette};
    use crate::samples;

    fn request(action: Action) -> ActionRequest {
        ActionRequest {
            action,
            stack: Some("shop".into()),
            service: "orders".into(),
            replica: None,
            grace_seconds: Some(5),
        }
    }

    fn shown(action: Action, results: &[(&str, Option<&str>)]) -> String {
        let results = results
            .iter()
            .map(|(name, error)| ActionResult { name: (*name).to_owned(), error: error.map(str::to_owned) });
        let report =
            ActionReport { stack: "shop".into(), service: "orders".into(), results: results.collect() };
        paint::render(&lines(&request(action), &report), Palette::Mono)
    }

    #[test]
    fn each_replica_has_its_line() {
        assert_eq!(
            shown(Action::Stop, &[("orders-1", None), ("orders-2", Some("no answer within 10s"))]),
            "✓ orders-1 stopped\n✖ orders-2 could not be stopped: no answer within 10s\n"
        );
        assert_eq!(shown(Action::Scale { replicas: 1 }, &[("orders", None)]), "✓ orders has 1 replica\n");
        assert_eq!(shown(Action::Start, &[]), "– shop/orders has no replica: nothing to do\n");
        assert_eq!(shown(Action::Restart, &[("\u{1b}[2J", None)]), "✓ \u{fffd}[2J restarted\n");
    }

    #[test]
    fn the_command_without_zv_leaves_one_offs_alone() {
        let snapshot = samples::shop();
        assert_eq!(
            equivalent(&request(Action::Stop), &snapshot),
            "The same: docker stop --time 5 shop-orders-1 shop-orders-2"
        );
        assert!(
            equivalent(&request(Action::Scale { replicas: 3 }), &snapshot)
                .contains("--scale orders=3 orders")
        );
    }
}
