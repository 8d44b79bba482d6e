//! What replicas and the host use: in the snapshot, on the stream, and in what remains of those that died.

use futures_util::StreamExt;
use rustix::process::Signal;
use tokio::time::timeout;
use zv_api::client::EventBody;
use zv_api::{StatsMessage, StatsPace};

use super::rig::{Agent, PATIENCE, POLITE, Place, eventually, kill, service, shell};

/// Returns the next measurement on the stream.
async fn measured(agent: &Agent, pace: StatsPace, wanted: impl Fn(&StatsMessage) -> bool) -> StatsMessage {
    let following = async {
        let mut events = agent.client.events_with(None, Some(pace)).await.unwrap();
        loop {
            match events.next().await.unwrap().unwrap().body {
                EventBody::Stats(stats) if wanted(&stats) => return *stats,
                _ => {}
            }
        }
    };
    timeout(PATIENCE, following).await.expect("it is measured")
}

#[tokio::test]
async fn what_a_replica_used_is_in_the_record_of_its_death() {
    let place = Place::of_stack(&shell("api", POLITE, "restart: always"));
    place.configure("collect: { interval: 1s }");
    let agent = place.start().await;
    let api = agent.until_running("api", 1).await.remove(0);
    let stats = measured(&agent, StatsPace::Recorded, |stats| {
        stats.replicas.get(&api.id).is_some_and(|usage| usage.cpu_cores.is_some())
    })
    .await;
    assert!(stats.replicas[&api.id].memory_bytes.is_some_and(|bytes| bytes > 0), "{stats:?}");
    let usage = eventually("its usage is in the snapshot", async || {
        let snapshot = agent.client.snapshot().await.ok()?;
        service(&snapshot, "api")?.usage.clone()
    })
    .await;
    assert!(usage.cpu_cores.is_some_and(|cores| cores >= 0.0), "{usage:?}");
    kill(api.pid.unwrap(), Signal::KILL);
    let death = agent.until_deaths("api", 1).await.remove(0);
    let record = agent.client.death(&death.id).await.unwrap();
    assert!(!record.stats.is_empty(), "{record:?}");
    assert!(record.stats.iter().all(|stats| stats.at <= death.exit.at), "{record:?}");
}

#[tokio::test]
async fn whoever_watches_is_told_every_second_whatever_the_record_does() {
    let place = Place::of_stack(&shell("api", POLITE, ""));
    place.configure("collect: { interval: 5m }");
    let agent = place.start().await;
    let api = agent.until_running("api", 1).await.remove(0);
    let mut events = agent.client.events_with(None, Some(StatsPace::Live)).await.unwrap();
    let mut told = 0;
    let following = async {
        while told < 4 {
            if let EventBody::Stats(stats) = events.next().await.unwrap().unwrap().body {
                assert!(stats.replicas.contains_key(&api.id), "{stats:?}");
                told += 1;
            }
        }
    };
    timeout(PATIENCE, following).await.expect("it is told");
    let host = agent.client.host().await.unwrap();
    let usage = host.usage.expect("this host can be seen");
    assert!(usage.memory_total_bytes.is_some_and(|bytes| bytes > 0) && host.kernel.is_some(), "{usage:?}");
}

#[tokio::test]
async fn a_reload_changes_how_often_is_measured_at_once() {
    let place = Place::of_stack(&shell("api", POLITE, ""));
    place.configure("collect: { interval: 5m }");
    let agent = place.start().await;
    agent.until_running("api", 1).await;
    place.configure("collect: { interval: 1s }");
    assert_eq!(agent.client.reload().await.unwrap(), "reloaded: collect.interval");
    let first = measured(&agent, StatsPace::Recorded, |_| true).await;
    measured(&agent, StatsPace::Recorded, |next| next.at > first.at).await;
}
