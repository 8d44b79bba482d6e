//! `zv logs`.

use std::io::Read;
use std::process::Stdio;

use zv_api::LogLine;

use crate::agent::{Agent, Script};
use crate::zv::{Running, command, zv};

#[test]
fn lines_have_their_replica_in_front_and_names_are_checked() {
    let script = Script::shop();
    script.log(&["one", "two"]);
    let agent = Agent::start(&script);
    let url = agent.url();
    assert_eq!(zv(&["logs", "orders", "--agent", &url]).done(), "shop-orders-1 | one\nshop-orders-1 | two\n");
    assert_eq!(script.asked(), [r#"logs of Some("shop") ["orders"] after None"#]);
    assert_eq!(
        zv(&["logs", "--no-prefix", "-t", "--agent", &url]).done().lines().next().unwrap(),
        "2026-03-01T12:00:00.000Z one"
    );
    let unknown = zv(&["logs", "oders", "--agent", &url]);
    assert_eq!((unknown.code, unknown.out.as_str()), (Some(1), ""));
    assert!(unknown.err.contains("`orders`"), "{}", unknown.err);
}

#[test]
fn json_has_one_line_for_each_line() {
    let script = Script::shop();
    script.log(&["one", "t\u{1b}[2Jwo"]);
    let agent = Agent::start(&script);
    let out = zv(&["logs", "--json", "--agent", &agent.url()]).done();
    let lines: Vec<LogLine> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[1].text, "t\u{1b}[2Jwo");
    assert!(!out.contains('\u{1b}'));
}

#[test]
fn following_outlives_the_agent_and_ends_well_with_ctrl_c() {
    let script = Script::shop();
    script.log(&["one"]);
    let agent = Agent::start(&script);
    let address = agent.address;
    let running = Running::start(&["logs", "-f", "--no-prefix", "orders", "--agent", &agent.url()]);
    assert_eq!(running.out(), "one");
    script.log(&["two"]);
    assert_eq!(running.out(), "two");

    drop(agent);
    assert!(running.err().starts_with("The connection to the agent was lost ("));
    script.log(&["three"]);
    let _agent = Agent::serve(&script, address, None);
    assert_eq!(running.err(), "The connection to the agent is back.");
    assert_eq!(running.out(), "three");
    assert!(script.asked().last().unwrap().ends_with(r#"after Some("2")"#));
    assert_eq!(running.interrupt(), Some(0));
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let script = Script::shop();
    let lines: Vec<String> = (0..20_000).map(|number| format!("line {number} {}", "x".repeat(100))).collect();
    script.log(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    let agent = Agent::start(&script);
    let mut child = command(&["logs", "--agent", &agent.url()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut beginning = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut beginning).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}
