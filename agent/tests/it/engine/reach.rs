//! The agent over its unix socket, and the engine behind a proxy that only reads.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use zv_api::Action;

use super::lab::{Lab, SLEEP};
use crate::whole::rig::{client, request};

/// Forwards requests that only read, and refuses all others.
async fn read_only_proxy(listener: UnixListener, engine: String) {
    let mut connections = JoinSet::new();
    loop {
        let (mut client, _) = listener.accept().await.unwrap();
        let engine = engine.clone();
        connections.spawn(async move {
            let mut head = Vec::new();
            while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                if client.read_buf(&mut head).await? == 0 {
                    return Ok(());
                }
            }
            if head.starts_with(b"GET ") {
                let mut server = UnixStream::connect(engine).await?;
                server.write_all(&head).await?;
                copy_bidirectional(&mut client, &mut server).await?;
            } else {
                let refusal =
                    b"HTTP/1.1 403 Forbidden\r\ncontent-length: 9\r\nconnection: close\r\n\r\nread-only";
                client.write_all(refusal).await?;
            }
            Ok::<_, std::io::Error>(())
        });
    }
}

#[tokio::test]
async fn behind_a_proxy_that_only_reads_it_watches_and_says_which_right_it_lacks() {
    let Some(lab) = Lab::open("proxy").await else { return };
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("proxy.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let mut proxy = JoinSet::new();
    proxy.spawn(read_only_proxy(listener, lab.host.trim_start_matches("unix://").to_owned()));
    let place = lab.place_at(&format!("unix://{}", socket.display()));
    let agent = lab.agent(&place).await;
    let id = lab.run("web", &[], &SLEEP).await;
    agent.until_running("web", 1).await;
    for (action, route) in [
        (Action::Stop, "POST /containers/{id}/stop"),
        (Action::Restart, "POST /containers/{id}/restart"),
        (Action::Scale { replicas: 2 }, "POST /containers/create"),
    ] {
        let report = agent.client.act(&request(action, "web"), Duration::from_secs(60)).await.unwrap();
        let error = report.results[0].error.as_deref().unwrap_or_else(|| panic!("{action:?}: {report:?}"));
        assert!(error.contains(route), "{action:?}: {error}");
    }
    assert_eq!(agent.until_status("web", "ok").await.desired, 1, "what failed changes nothing");
    lab.docker(&["kill", &id]).await;
    agent.until_status("web", "down").await;
    agent.until_deaths("web", 1).await;
}

#[tokio::test]
async fn over_its_unix_socket_it_shows_and_acts() {
    let Some(lab) = Lab::open("socket").await else { return };
    let place = lab.place();
    let socket = place.path("run/zv.sock");
    place.configure_as(&format!(
        "stack: {{ project: {} }}\napi: {{ unix: {} }}\n",
        lab.project,
        socket.display()
    ));
    let agent = lab.agent(&place).await;
    let over_socket = client(&format!("unix://{}", socket.display()), Some(&agent.token));
    lab.run("web", &[], &SLEEP).await;
    agent.until_running("web", 1).await;
    let seen = over_socket.snapshot().await.unwrap();
    assert_eq!(seen.stacks[0].services[0].name, "web");
    over_socket.act(&request(Action::Stop, "web"), Duration::from_secs(60)).await.unwrap();
    agent.until_status("web", "stopped").await;
    let (status, text) = agent.end().await;
    assert!(status.success(), "{text:?}");
    assert!(!socket.exists(), "the socket goes with the agent");
}
