//! `zv ps` and `zv why`.

use serde_json::Value;
use zv_api::Snapshot;

use crate::agent::{Agent, Script};
use crate::zv::{Ended, command, zv};

#[test]
fn ps_shows_the_table_and_json_shows_the_snapshot() {
    let script = Script::shop();
    let agent = Agent::start(&script);
    let shown = zv(&["ps", "--agent", &agent.url()]).done();
    assert!(shown.contains("shop   orders   ▲ degraded       1/2"), "{shown}");
    assert!(shown.contains("  └ shop-orders-2 exited with code 137 (out of memory) 2m ago\n"), "{shown}");
    assert!(!shown.contains('\u{1b}'), "a pipe gets no colours");

    let json = zv(&["ps", "orders", "--json", "--agent", &agent.url()]).done();
    let snapshot: Snapshot = serde_json::from_str(&json).unwrap();
    assert_eq!(snapshot.stacks.len(), 1);
    assert_eq!(snapshot.stacks[0].services[0].name, "orders");
}

#[test]
fn the_agent_is_named_by_the_environment_and_reached_by_its_socket() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("zv.sock");
    let _agent = Agent::serve(&Script::shop(), "127.0.0.1:0".parse().unwrap(), Some(socket.clone()));
    let url = format!("unix://{}", socket.display());
    let output = command(&["ps", "--problems"]).env("ZV_AGENT", url).output().unwrap();
    let shown = Ended::of(&output).done();
    assert!(shown.contains("orders") && !shown.contains("db"), "{shown}");
}

#[test]
fn colours_can_be_forced_and_forbidden() {
    let agent = Agent::start(&Script::shop());
    let url = agent.url();
    let shown = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut all = vec!["ps", "--agent", url.as_str()];
        all.extend(arguments);
        let output = command(&all).envs(variables.iter().copied()).output().unwrap();
        Ended::of(&output).done()
    };
    assert!(shown(&[], &[("CLICOLOR_FORCE", "1")]).contains("\u{1b}[33m▲ degraded\u{1b}[0m"));
    assert!(!shown(&["--no-color"], &[("CLICOLOR_FORCE", "1")]).contains('\u{1b}'));
    assert!(!shown(&[], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]).contains('\u{1b}'));
}

#[test]
fn hostile_names_do_not_act_on_the_terminal() {
    let script = Script::shop();
    script.change(|snapshot| {
        let service = &mut snapshot.stacks[0].services[0];
        service.name = "d\u{1b}[2Jb\u{1b}]0;owned\u{7}".into();
        service.reason = Some("\u{9b}31m\nforged line".into());
        service.status = "down".into();
    });
    let agent = Agent::start(&script);
    let shown = zv(&["ps", "-r", "--agent", &agent.url()]).done();
    assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
    assert!(!shown.contains("\nforged"), "{shown:?}");
}

#[test]
fn why_tells_the_story_of_a_service_and_of_a_replica() {
    let agent = Agent::start(&Script::shop());
    for name in ["orders", "shop/orders", "shop-orders-2"] {
        let shown = zv(&["why", name, "--agent", &agent.url()]).done();
        assert!(shown.contains("Last death: shop-orders-2, 2m ago"), "{shown}");
        assert!(shown.contains("It ran out of memory and the kernel killed it (exit code 137)."), "{shown}");
        assert!(shown.contains("| the last words"), "{shown}");
        assert!(shown.contains(&format!("{}/api/zv/v1/deaths/d-1", agent.url())), "{shown}");
    }
    let shown = zv(&["why", "shop-orders-1", "--agent", &agent.url()]).done();
    assert!(shown.contains("No death is on record."), "{shown}");
    let json: Value =
        serde_json::from_str(&zv(&["why", "orders", "--json", "--agent", &agent.url()]).done()).unwrap();
    assert_eq!(json["deaths"][0]["exit"]["code"], 137);
}

#[test]
fn why_tells_of_what_was_removed() {
    let script = Script::shop();
    script.change(|snapshot| snapshot.stacks.clear());
    let agent = Agent::start(&script);
    for name in ["orders", "shop/orders", "shop-orders-2"] {
        let shown = zv(&["why", name, "--agent", &agent.url()]).done();
        assert!(shown.starts_with(&format!("{name}  is not there any more")), "{shown}");
        assert!(shown.contains("| the last words"), "{shown}");
    }
}

#[test]
fn an_unknown_or_unclear_name_ends_with_1_and_says_what_there_is() {
    let agent = Agent::start(&Script::shop());
    let unknown = zv(&["why", "oders", "--agent", &agent.url()]);
    assert_eq!(unknown.code, Some(1));
    assert_eq!(unknown.err, "error: Nothing is called `oders`: did you mean `orders`?\n");
    let unclear = zv(&["why", "db", "--agent", &agent.url()]);
    assert_eq!(unclear.code, Some(1));
    assert!(unclear.err.ends_with("\n  blog/db\n  shop/db\n"), "{}", unclear.err);
}

#[test]
fn without_an_agent_an_engine_that_is_away_is_not_an_empty_host() {
    let dir = tempfile::tempdir().unwrap();
    let alone = |arguments: &[&str]| {
        let mut all = arguments.to_vec();
        all.extend(["--agent", "none"]);
        let mut command = command(&all);
        command.env("DOCKER_HOST", format!("unix://{}/docker.sock", dir.path().display()));
        Ended::of(&command.env("ZV_STORE", dir.path()).output().unwrap())
    };
    let blind = alone(&["ps"]);
    assert_eq!(blind.code, Some(1), "{blind:?}");
    assert!(blind.out.starts_with("? The runtime cannot be asked for "), "{}", blind.out);
    let blind = alone(&["why", "orders"]);
    assert_eq!(blind.code, Some(1), "{blind:?}");
    assert!(blind.err.contains("`orders` is known, and the runtime cannot be asked: "), "{}", blind.err);
    let refused = alone(&["ps", "--config", "/nowhere/zv.yaml"]);
    assert!(refused.err.contains("`/nowhere/zv.yaml` does not exist"), "{}", refused.err);
}

#[test]
fn a_look_starts_no_local_stack() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("zv.yaml");
    std::fs::write(&config, "stack: { runtime: local, file: compose.yaml }\n").unwrap();
    std::fs::write(dir.path().join("compose.yaml"), "services: {}\n").unwrap();
    let refused = zv(&["ps", "--agent", "none", "--config", config.to_str().unwrap()]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("a local stack runs only while its agent does"), "{}", refused.err);
}

#[test]
fn an_agent_that_is_not_there_is_told_with_what_to_do() {
    let gone = zv(&["ps", "--agent", "http://127.0.0.1:1"]);
    assert_eq!(gone.code, Some(1));
    assert!(gone.err.contains("connection refused; is the agent running?"), "{}", gone.err);
    let wrong = zv(&["ps", "--agent", "ftp://somewhere"]);
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
    assert!(wrong.err.contains("unix:///PATH"), "{}", wrong.err);
}
