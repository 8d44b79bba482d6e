//! Engines that do not answer, refuse, talk nonsense or vanish: everything else goes on.

use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::task::JoinSet;

use super::rig::{Agent, PROMPT, Place, down, eventually};

/// What a would-be engine does with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Silent,
    Garbage,
    /// Answers every request with a page of another program.
    Foreign,
    /// Begins an answer and never ends it.
    Unfinished,
    /// Hangs up at once.
    Rude,
}

/// Serves until it is dropped.
fn engine(socket: &Path, manner: Manner) -> JoinSet<()> {
    let listener = UnixListener::bind(socket).unwrap();
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            connections.spawn(async move {
                let mut request = [0; 4096];
                if manner == Manner::Rude {
                    return;
                }
                while stream.read(&mut request).await.is_ok_and(|count| count > 0) {
                    let answer: &[u8] = match manner {
                        Manner::Silent | Manner::Rude => b"",
                        Manner::Garbage => b"\x00\xff\x15\x03\x01 garbage \r\n\r\n garbage",
                        Manner::Foreign => {
                            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 15\r\n\r\n<html>hi</html>"
                        }
                        Manner::Unfinished => {
                            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99999\r\n\r\n[{"
                        }
                    };
                    if stream.write_all(answer).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    serving
}

fn place(socket: &str) -> Place {
    let place = Place::new().with(&["--runtime", "docker"]);
    let host = format!("unix://{}", place.path(socket).display());
    place.variable("DOCKER_HOST", &host)
}

/// Expects that the agent says the engine is down, with a reason, and that everything else answers at once.
async fn is_down_and_answers(agent: &Agent) -> String {
    agent.client.healthy().await.unwrap();
    let reason = agent.until("the engine is known to be down", down).await;
    eventually("it is ready", async || agent.client.ready().await.ok()).await;
    // Were each of them to wait for the engine, all together would take minutes.
    let many = async {
        for _ in 0..20 {
            let snapshot = agent.answers_promptly().await;
            assert!(down(&snapshot).is_some_and(|reason| reason.len() > 10), "{:?}", snapshot.runtime);
        }
    };
    tokio::time::timeout(2 * PROMPT, many).await.expect("the answers do not wait for the engine");
    agent.client.deaths(None, None, 10).await.unwrap();
    assert!(!reason.contains('\n') && reason.len() < 500, "a sentence: {reason}");
    reason
}

#[tokio::test]
async fn an_engine_that_is_no_engine_is_down_with_a_reason() {
    let manners = [Manner::Silent, Manner::Garbage, Manner::Foreign, Manner::Unfinished, Manner::Rude];
    let cases = manners.map(async |manner| {
        let place = place("docker.sock");
        let _engine = engine(&place.path("docker.sock"), manner);
        let agent = place.start().await;
        let reason = is_down_and_answers(&agent).await;
        println!("{manner:?}: {reason}");
        let (status, text) = agent.end().await;
        assert!(status.success(), "{manner:?}: {text:?}");
    });
    futures_util::future::join_all(cases).await;
}

#[tokio::test]
async fn an_engine_that_refuses_is_down_with_a_reason() {
    let place = place("docker.sock");
    // A socket file to which nobody listens any more.
    drop(std::os::unix::net::UnixListener::bind(place.path("docker.sock")).unwrap());
    let agent = place.start().await;
    let reason = is_down_and_answers(&agent).await;
    assert!(reason.contains("refused"), "{reason}");
}

#[tokio::test]
async fn an_engine_that_vanishes_and_changes_its_manner_is_followed() {
    let place = place("docker.sock");
    let socket = place.path("docker.sock");
    let agent = place.start().await;
    is_down_and_answers(&agent).await;
    for manner in [Manner::Garbage, Manner::Rude, Manner::Silent] {
        let served = engine(&socket, manner);
        agent.answers_promptly().await;
        drop(served);
        std::fs::remove_file(&socket).unwrap();
        is_down_and_answers(&agent).await;
    }
    let happenings = agent.client.happenings(100).await.unwrap().happenings;
    let downs = happenings.iter().filter(|happening| happening.kind == "runtime-down").count();
    assert_eq!(downs, 1, "told once: {happenings:#?}");
}
