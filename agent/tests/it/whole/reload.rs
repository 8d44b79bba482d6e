//! A configuration that is read again: all of it, or nothing.

use rustix::process::Signal;
use zv_api::client::ClientError;
use zv_api::{Action, LogQuery};

use super::rig::{Agent, POLITE, Place, eventually, request, service, shell};

async fn refusal(agent: &Agent) -> String {
    match agent.client.reload().await.unwrap_err() {
        ClientError::Refused { status: 400, problem } => problem,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_change_of_the_stack_file_leaves_the_unchanged_alone() {
    let stack =
        |replicas: u32| shell("api", POLITE, &format!("replicas: {replicas}")) + &shell("worker", POLITE, "");
    let place = Place::of_stack(&stack(1));
    let agent = place.start().await;
    let api = agent.until_running("api", 1).await.remove(0);
    let worker = agent.until_running("worker", 1).await.remove(0);
    place.deploy(&stack(2));
    assert_eq!(agent.client.reload().await.unwrap(), "reloaded: stack.file");
    let after = agent.until_running("api", 2).await;
    assert_eq!(after[0].pid, api.pid);
    assert_eq!(agent.until_running("worker", 1).await[0].pid, worker.pid);
    assert_eq!(agent.until_status("api", "ok").await.desired, 2);
    assert_eq!(agent.client.reload().await.unwrap(), "the configuration is the same");

    let changed = stack(2).replace("echo up", "echo anew");
    place.deploy(&(shell("api", POLITE, "replicas: 2") + &changed[changed.find("    worker").unwrap()..]));
    agent.process.signal(Signal::HUP);
    agent
        .until("the changed one was replaced", |snapshot| {
            let pid = service(snapshot, "worker")?.replicas.first()?.pid?;
            (Some(pid) != worker.pid).then_some(())
        })
        .await;
    assert_eq!(agent.until_running("api", 2).await[0].pid, api.pid);
}

#[tokio::test]
async fn another_stack_file_is_taken_in_place_of_the_first() {
    let place = Place::new();
    let stack = |name: &str| format!("name: shop\nx-zv:\n  local:\n{}", shell(name, POLITE, ""));
    std::fs::write(place.path("one.yaml"), stack("one")).unwrap();
    std::fs::write(place.path("two.yaml"), stack("two")).unwrap();
    place.configure("stack: { runtime: local, file: one.yaml }");
    let agent = place.start().await;
    agent.until_running("one", 1).await;
    place.configure("stack: { runtime: local, file: two.yaml }");
    assert_eq!(agent.client.reload().await.unwrap(), "reloaded: stack.file");
    agent.until_running("two", 1).await;
    agent.until("the first has gone", |snapshot| service(snapshot, "one").is_none().then_some(())).await;
}

#[tokio::test]
async fn levels_and_limits_change_while_it_runs() {
    let place = Place::of_stack(&shell("api", POLITE, "restart: always"));
    place.configure("log: { level: error }");
    let mut process = place.spawn();
    // Nothing is said at this level, so the address is found another way.
    let address = eventually("a listening socket", async || listening(process.pid())).await;
    let token =
        eventually("a token", async || std::fs::read_to_string(place.store().join("token")).ok()).await;
    let client = super::rig::client(&format!("http://{address}"), Some(token.trim()));
    place.configure("log: { level: info }\nstore: { deaths: { keep: 1 } }\nshutdown_grace: 20s");
    let done = client.reload().await.unwrap();
    for key in ["store.deaths", "log.level", "shutdown_grace"] {
        assert!(done.contains(key), "{done}");
    }
    process.said("what it says at the new level", |line| line.contains("reloaded: ").then_some(())).await;
    eventually("the service is there", async || {
        let snapshot = client.snapshot().await.unwrap();
        service(&snapshot, "api").filter(|api| api.running == 1).map(drop)
    })
    .await;
    for round in 1..=3 {
        client.act(&request(Action::Restart, "api"), super::rig::PATIENCE).await.unwrap();
        eventually("the newest alone is kept", async || {
            let happenings = client.happenings(100).await.unwrap().happenings;
            let died = happenings.iter().filter(|happening| happening.kind == "died").count();
            (died >= round && client.deaths(None, None, 100).await.unwrap().deaths.len() == 1).then_some(())
        })
        .await;
    }
    process.signal(Signal::TERM);
    assert!(process.ended().await.success());
}

/// Finds the address on which a process listens.
fn listening(pid: u32) -> Option<std::net::SocketAddr> {
    let sockets: Vec<String> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .ok()?
        .flatten()
        .filter_map(|entry| Some(std::fs::read_link(entry.path()).ok()?.to_str()?.to_owned()))
        .collect();
    let table = std::fs::read_to_string(format!("/proc/{pid}/net/tcp")).ok()?;
    let port = table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let own = sockets.contains(&format!("socket:[{}]", fields.get(9)?));
        let (_, port) = fields.get(1)?.split_once(':')?;
        (own && fields[3] == "0A").then(|| u16::from_str_radix(port, 16).ok())?
    })?;
    Some(([127, 0, 0, 1], port).into())
}

#[tokio::test]
async fn mistakes_change_nothing_and_are_all_told() {
    let place = Place::of_stack(&shell("api", POLITE, ""));
    let mut agent = place.start().await;
    let pid = agent.until_running("api", 1).await[0].pid;
    place.configure_as(
        "api:\n  unix: off\n  lisen: x\nlog: { level: loud }\nstore: { deaths: { keep: many } }\n",
    );
    place.deploy(&shell("other", POLITE, ""));
    let told = refusal(&agent).await;
    for expected in ["zv.yaml:3", "`lisen`", "`listen`", "zv.yaml:4", "loud", "zv.yaml:5", "many"] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
    assert!(told.lines().count() >= 3, "one line each: {told}");
    agent.process.signal(Signal::HUP);
    agent.process.said("the mistakes, again", |line| line.contains("not reloaded").then_some(())).await;
    assert_eq!(agent.until_running("api", 1).await[0].pid, pid);

    place.configure("log: { level: debug }");
    place.deploy("    api:\n      command: [sh]\n    other:\n      commnd: [sh]\n");
    let told = refusal(&agent).await;
    assert!(told.contains("stack.yaml:7") && told.contains("commnd"), "{told}");
    assert_eq!(agent.until_running("api", 1).await[0].pid, pid);

    place.deploy(&shell("api", POLITE, ""));
    assert_eq!(
        agent.client.reload().await.unwrap(),
        "reloaded: log.level",
        "nothing of it was in force before"
    );
}

#[tokio::test]
async fn what_needs_a_restart_is_refused_in_a_sentence() {
    let place = Place::of_stack(&shell("api", POLITE, ""));
    let agent = place.start().await;
    agent.until_running("api", 1).await;
    place.configure("global: { external_labels: { host: other } }\nlog: { format: json, level: debug }\n");
    let told = refusal(&agent).await;
    for key in ["global.external_labels.host", "log.format"] {
        assert!(told.contains(&format!("`{key}` changed, which needs a restart of the agent")), "{told}");
    }
    assert!(!told.contains("log.level"));
    place.configure("");
    assert_eq!(agent.client.reload().await.unwrap(), "the configuration is the same");
}

#[tokio::test]
async fn a_new_token_is_in_force_and_the_old_one_is_not() {
    let place = Place::of_stack(&shell("api", POLITE, ""));
    let agent = place.start().await;
    agent.until_running("api", 1).await;
    let mut lines = agent.client.logs(&LogQuery { follow: true, ..LogQuery::default() }, None).await.unwrap();
    let token = "another-token-of-enough-length";
    place.set_token(token);
    let done = agent.client.reload().await.unwrap();
    assert!(done.contains("api.token_file") && !done.contains(token), "{done}");
    let refused = agent.client.act(&request(Action::Restart, "api"), super::rig::PATIENCE).await;
    assert!(matches!(refused, Err(ClientError::Unauthorized { .. })), "{refused:?}");
    let new = agent.client_with(token);
    new.act(&request(Action::Restart, "api"), super::rig::PATIENCE).await.unwrap();
    assert!(futures_util::StreamExt::next(&mut lines).await.unwrap().is_ok(), "streams go on");

    for (wrong, complaint) in [("", "token"), ("tiny", "too short"), ("with spaces in the middle", "spaces")]
    {
        place.set_token(wrong);
        let refused = new.reload().await.unwrap_err().to_string();
        assert!(refused.contains(complaint), "{refused}");
        assert!(wrong.is_empty() || !refused.contains(wrong), "{refused}");
    }
    new.act(&request(Action::Restart, "api"), super::rig::PATIENCE)
        .await
        .expect("the last good token is in force");
    let text = agent.process.text().join("\n");
    assert!(!text.contains(token) && !text.contains(&agent.token), "no token is ever told");
}

#[tokio::test]
async fn a_token_file_that_is_open_to_all_is_refused_and_changes_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::of_stack(&shell("api", POLITE, ""));
    let agent = place.start().await;
    agent.until_running("api", 1).await;
    place.set_token("another-token-of-enough-length");
    let file = place.store().join("token");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let told = refusal(&agent).await;
    assert!(told.contains("chmod o="), "{told}");
    agent.act(Action::Restart, "api").await;
}
