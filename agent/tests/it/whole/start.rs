//! What an agent makes of how it was started.

use std::os::unix::process::ExitStatusExt;

use rustix::process::Signal;
use tokio::process::Command;

use super::rig::{POLITE, Place, down, shell};

#[tokio::test]
async fn without_any_configuration_it_watches_and_says_what_it_misses() {
    let place = Place::new();
    std::fs::remove_file(place.path("zv.yaml")).unwrap();
    // Not as root, who would use folders of the whole host.
    let program = place.path("zv-agent");
    std::fs::copy(env!("CARGO_BIN_EXE_zv-agent"), &program).unwrap();
    let mut command = Command::new(&program);
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(place.path(""), Some(65534), Some(65534)).unwrap();
        command.uid(65534).gid(65534);
    }
    let place =
        place.variable("ZV_LISTEN", "127.0.0.1:0").variable("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let mut process = place.launch(&mut command);
    let address: String = process
        .said("the address", |line| {
            Some(line.split_once("listening address=")?.1.split(' ').next()?.to_owned())
        })
        .await;
    process.said("that it is ready", |line| line.contains("ready").then_some(())).await;
    let token = std::fs::read_to_string(place.path(".local/state/zv/token")).unwrap();
    let client = super::rig::client(&format!("http://{address}"), Some(token.trim()));
    let reason = down(&client.snapshot().await.unwrap()).expect("there is no engine");
    assert!(reason.contains("cannot reach the engine"), "{reason}");
    process.signal(Signal::TERM);
    assert!(process.ended().await.success(), "{:?}", process.text());
}

#[tokio::test]
async fn auto_takes_the_stack_file_where_no_engine_is_named() {
    if std::path::Path::new("/var/run/docker.sock").exists() {
        println!("skipped: this host has an engine");
        return;
    }
    let place = Place::new();
    place.deploy(&shell("api", POLITE, ""));
    let file = place.path("stack.yaml").display().to_string();
    let place = place.with(&["--file", &file]);
    let agent = place.start().await;
    agent.until_running("api", 1).await;
    drop(agent);
    let place = place.variable("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let agent = place.start().await;
    let reason = agent.until("the engine that was named", down).await;
    assert!(reason.contains("cannot reach the engine"), "{reason}");
}

#[tokio::test]
async fn an_unknown_option_is_a_usage_mistake() {
    let place = Place::new().with(&["--lisen", "127.0.0.1:1"]);
    let mut process = place.spawn();
    assert_eq!(process.ended().await.code(), Some(2));
    let [line] = &process.text()[..] else { panic!("one sentence: {:?}", process.text()) };
    assert!(line.contains("`--lisen` is not an option") && line.contains("--help"), "{line}");
}

#[tokio::test]
async fn a_port_in_use_is_one_sentence_and_a_failure() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let place = Place::of_stack(&shell("api", POLITE, "")).with(&["--listen", &address]);
    let mut process = place.spawn();
    assert_eq!(process.ended().await.code(), Some(1));
    let text = process.text();
    let complaints: Vec<&String> = text.iter().filter(|line| line.starts_with("zv-agent: ")).collect();
    let [line] = complaints[..] else { panic!("one sentence: {text:?}") };
    assert!(line.contains(&address) && line.contains("in use"), "{line}");
    assert!(place.processes().is_empty(), "nothing was started");
}

#[tokio::test]
async fn every_mistake_of_a_configuration_is_told_with_its_line() {
    let place = Place::of_stack(&shell("api", POLITE, ""));
    place.configure_as("api:\n  unix: off\n  lisen: x\nlog: { level: loud }\nshutdown_grace: 2h\n");
    let mut process = place.spawn();
    let status = process.ended().await;
    assert_eq!((status.code(), status.signal()), (Some(1), None));
    let text = process.text().join("\n");
    for expected in ["zv.yaml:3", "`listen`", "zv.yaml:4", "loud", "zv.yaml:5", "shutdown_grace"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}
