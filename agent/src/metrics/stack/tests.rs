//! What is written of services and replicas, with a model that is fed by hand.

use chrono::DateTime;
use zv_stack::{Exit, ReplicaId};
use zv_wire::Format;

use super::*;
use crate::stacks::tests::{feed, lose, replica, stacks_in};

fn written(stacks: &Stacks) -> String {
    let mut out = Exposition::new(Format::Text, 0);
    expose(&mut out, stacks);
    out.finish()
}

fn has(text: &str, line: &str) {
    assert!(text.lines().any(|one| one == line), "{line}: {text}");
}

fn shop() -> Stacks {
    let stacks = stacks_in(None);
    let mut dead = replica("api", 2);
    dead.state = State::Exited;
    let details = dead.details.as_mut().unwrap();
    details.pid = None;
    details.restart_count = 4;
    details.exit =
        Some(Exit { at: DateTime::from_timestamp(1_700_000_050, 0).unwrap(), code: Some(137), oom: true });
    dead.labels.insert(VERSION_LABEL.into(), "1.4.2".into());
    let mut checked = replica("api", 1);
    checked.verdict = Verdict::Unhealthy;
    feed(&stacks, vec![checked, dead]);
    stacks
}

#[test]
fn those_that_ended_stay_with_how_they_did() {
    let stacks = shop();
    stacks.collected().kill_told(&ReplicaId::new("api-2"));
    let text = written(&stacks);
    let dead = r#"name="shop-api-2",project="shop",service="api",replica="2""#;
    has(&text, "zv_runtime_up 1");
    has(&text, &format!(r#"zv_container_state{{{dead},state="exited"}} 1"#));
    has(&text, &format!(r#"zv_container_state{{{dead},state="running"}} 0"#));
    has(&text, &format!("zv_container_exit_code{{{dead}}} 137"));
    has(&text, &format!("zv_container_restarts_total{{{dead}}} 4"));
    has(&text, &format!("zv_container_oom_kills_total{{{dead}}} 1"));
    has(&text, &format!("zv_container_start_time_seconds{{{dead}}} 1700000000"));
    has(&text, &format!(r#"zv_container_info{{{dead},id="api-2",image="i",version="1.4.2"}} 1"#));
    let alive = r#"name="shop-api-1",project="shop",service="api",replica="1""#;
    has(&text, &format!(r#"zv_container_health{{{alive},state="unhealthy"}} 1"#));
    has(&text, &format!(r#"zv_container_health{{{alive},state="healthy"}} 0"#));
    assert!(!text.contains(&format!("zv_container_oom_kills_total{{{alive}}}")), "nobody knows: {text}");
    let service = r#"project="shop",service="api""#;
    has(&text, &format!(r#"zv_service_replicas{{{service},state="running"}} 1"#));
    has(&text, &format!(r#"zv_service_replicas{{{service},state="healthy"}} 0"#));
    let of_one = text.lines().filter(|line| line.contains(dead)).count();
    assert_eq!(of_one, 17, "seven states, five verdicts, and five more");
}

#[test]
fn what_cannot_be_seen_is_unknown_and_not_counted() {
    let stacks = shop();
    lose(&stacks);
    let text = written(&stacks);
    let alive = r#"name="shop-api-1",project="shop",service="api",replica="1""#;
    has(&text, "zv_runtime_up 0");
    has(&text, &format!(r#"zv_container_state{{{alive},state="unknown"}} 1"#));
    has(&text, &format!(r#"zv_container_state{{{alive},state="running"}} 0"#));
    has(&text, &format!(r#"zv_container_health{{{alive},state="unknown"}} 1"#));
    has(&text, r#"zv_service_replicas{project="shop",service="api",state="desired"} 2"#);
    assert!(!text.contains(r#"state="running"} 1"#), "{text}");
    let counted = text.lines().filter(|line| line.starts_with("zv_service_replicas{")).count();
    assert_eq!(counted, 1, "{text}");
}
