//! `zv stop`, `start`, `restart` and `scale`.

use serde_json::Value;

use crate::agent::{Agent, Script, TOKEN};
use crate::zv::{Ended, command, zv};

fn with_token(arguments: &[&str], agent: &Agent) -> Ended {
    let url = agent.url();
    let mut all = arguments.to_vec();
    all.extend(["--agent", url.as_str()]);
    Ended::of(&command(&all).env("ZV_TOKEN", TOKEN).output().unwrap())
}

#[test]
fn each_replica_is_reported() {
    let script = Script::shop();
    let agent = Agent::start(&script);
    let shown = with_token(&["stop", "orders", "--grace", "1m"], &agent).done();
    assert_eq!(shown, "✓ shop-orders-1 stopped\n✓ shop-orders-2 stopped\n");
    assert_eq!(script.asked(), [r#"Stop Some("shop")/orders Some(60)"#]);
    let scaled = with_token(&["scale", "orders=3", "--json"], &agent).done();
    let reports: Value = serde_json::from_str(&scaled).unwrap();
    assert_eq!(reports[0]["service"], "orders");
    assert_eq!(script.asked(), [r#"Scale { replicas: 3 } Some("shop")/orders None"#]);
}

#[test]
fn one_failure_ends_with_1_and_the_rest_is_done() {
    let script = Script::shop();
    let agent = Agent::start(&script);
    let failed = with_token(&["stop", "orders", "--grace", "0"], &agent);
    assert_eq!(failed.code, Some(1));
    assert_eq!(
        failed.out,
        "✓ shop-orders-1 stopped\n✖ shop-orders-2 could not be stopped: no answer within 10s\n"
    );
    script.asked();
    let failed = with_token(&["restart", "shop/db", "orders"], &agent);
    assert_eq!(failed.code, Some(1));
    assert!(failed.err.contains("is being changed by somebody else"), "{}", failed.err);
    assert!(failed.out.contains("✓ shop-orders-1 restarted"), "{}", failed.out);
    assert_eq!(script.asked().len(), 2);
}

#[test]
fn nothing_is_done_while_a_name_is_unclear() {
    let script = Script::shop();
    let agent = Agent::start(&script);
    let refused = with_token(&["stop", "orders", "db"], &agent);
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("  blog/db\n  shop/db"), "{}", refused.err);
    assert!(script.asked().is_empty());
}

#[test]
fn without_a_token_the_error_says_where_one_comes_from() {
    let agent = Agent::start(&Script::shop());
    let refused = zv(&["start", "orders", "--agent", &agent.url()]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("--token-file FILE"), "{}", refused.err);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
    zv(&["start", "orders", "--agent", &agent.url(), "--token-file", file.to_str().unwrap()]).done();
}

#[test]
fn the_command_without_zv_is_told_on_demand() {
    let agent = Agent::start(&Script::shop());
    let told = with_token(&["restart", "orders", "--replica", "shop-orders-1", "-v"], &agent);
    assert_eq!(told.err, "The same: docker restart shop-orders-1\n");
}
