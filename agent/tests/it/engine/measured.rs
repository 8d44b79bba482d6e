//! Containers are measured by their control groups: also while the engine is away.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use zv_api::StatsPace;
use zv_api::client::EventBody;

use super::lab::{Lab, SLEEP};
use super::own::OwnEngine;
use crate::whole::rig::{Agent, PATIENCE, down, eventually};

/// For so long the engine is away.
const AWAY: Duration = Duration::from_secs(20);

/// Scrapes the agent.
async fn scrape(agent: &Agent) -> String {
    let mut stream = tokio::net::TcpStream::connect(agent.address).await.unwrap();
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

/// Returns the value of the first series of this name that carries this label.
fn value(text: &str, name: &str, label: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.starts_with(&format!("{name}{{")) && line.contains(label))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[tokio::test]
async fn while_the_engine_is_away_containers_are_measured_on() {
    let Some(mut engine) = OwnEngine::start().await else { return };
    let lab = Lab::at(&engine.host(), "measured");
    lab.images().await;
    let place = lab.place();
    let agent = lab.agent(&place).await;
    lab.run("web", &["--memory", "64m"], &SLEEP).await;
    agent.until_running("web", 1).await;
    let label = "service=\"web\"";
    let limit = eventually("it is measured", async || {
        value(&scrape(&agent).await, "container_spec_memory_limit_bytes", label)
    })
    .await;
    assert_eq!(limit, f64::from(64 << 20));
    assert_eq!(value(&scrape(&agent).await, "zv_container_state", "state=\"running\""), Some(1.0));

    engine.stop().await;
    agent.until("the engine is away", down).await;
    let away = tokio::time::Instant::now();
    let seen =
        async || value(&scrape(&agent).await, "container_last_seen", label).expect("it is still measured");
    let (first, mut scrapes) = (seen().await, 0);
    let mut live = agent.client.events_with(None, Some(StatsPace::Live)).await.unwrap();
    while away.elapsed() < AWAY {
        let event = tokio::time::timeout(PATIENCE, live.next()).await.unwrap().unwrap().unwrap();
        let EventBody::Stats(stats) = event.body else { continue };
        assert_eq!(stats.replicas.len(), 1, "{stats:?}");
        seen().await;
        scrapes += 1;
    }
    let last = seen().await;
    println!("{scrapes} measurements while the engine was away, over {} s", last - first);
    assert!(scrapes >= 10, "{scrapes}");
    assert!(last - first >= 10.0, "{first} {last}");
    let text = scrape(&agent).await;
    assert_eq!(value(&text, "zv_container_state", "state=\"unknown\""), Some(1.0), "{text}");
    assert!(text.contains("\nzv_runtime_up 0"), "{text}");
    assert!(
        !text.lines().any(|line| line.starts_with("zv_service_replicas") && line.contains("running")),
        "{text}"
    );

    engine.resume().await;
    agent.until_status("web", "ok").await;
    let text = scrape(&agent).await;
    assert!(text.contains("\nzv_runtime_up 1"), "{text}");
    assert_eq!(value(&text, "zv_container_state", "state=\"running\""), Some(1.0), "{text}");
    drop((live, agent, lab));
    engine.stop().await;
}

#[tokio::test]
async fn a_stopped_container_stays_with_its_exit_code_and_is_not_measured() {
    let Some(lab) = Lab::open("stays").await else { return };
    let place = lab.place();
    let agent = lab.agent(&place).await;
    let id = lab.run("web", &[], &SLEEP).await;
    agent.until_running("web", 1).await;
    let usage = eventually("its usage is in the snapshot", async || {
        let snapshot = agent.client.snapshot().await.ok()?;
        let service =
            snapshot.stacks.iter().flat_map(|stack| &stack.services).find(|one| one.name == "web")?;
        service.usage.clone()
    })
    .await;
    assert!(usage.memory_bytes.is_some(), "{usage:?}");
    lab.docker(&["kill", &id]).await;
    let label = "service=\"web\"";
    eventually("its exit code is told", async || {
        value(&scrape(&agent).await, "zv_container_exit_code", label).filter(|code| *code == 137.0)
    })
    .await;
    let text = scrape(&agent).await;
    assert_eq!(value(&text, "container_memory_working_set_bytes", label), None, "{text}");
    assert_eq!(value(&text, "zv_container_state", "state=\"exited\""), Some(1.0), "{text}");
    assert_eq!(value(&text, "zv_service_replicas", "state=\"desired\""), Some(1.0), "{text}");
}
