//! What an agent that was killed still knows when it is back.

use std::os::unix::process::ExitStatusExt;

use rustix::process::Signal;
use zv_api::Action;

use super::rig::{Agent, ORPHANS, POLITE, Place, eventually, kill, service, shell};

/// Kills the agent as nobody can prepare for, and starts it again.
async fn killed_and_back(place: &Place, mut agent: Agent) -> Agent {
    agent.process.signal(Signal::KILL);
    assert_eq!(agent.process.ended().await.signal(), Some(9));
    place.is_empty_within(ORPHANS).await;
    place.start().await
}

/// Waits until wishes on disk mention all of `words`.
async fn written_down(place: &Place, words: &[&str]) {
    eventually("the wishes are on disk", async || {
        let text = std::fs::read_to_string(place.store().join("wishes.json")).ok()?;
        words.iter().all(|word| text.contains(word)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn death_records_survive() {
    let place = Place::of_stack(&shell("api", POLITE, "restart: always"));
    let agent = place.start().await;
    for count in 1..=3 {
        let pid = agent.until_running("api", 1).await[0].pid.unwrap();
        kill(pid, Signal::KILL);
        agent.until_deaths("api", count).await;
    }
    let before = agent.client.deaths(None, None, 100).await.unwrap().deaths;
    // Its file, too: what is listed may still be on its way to the disk.
    eventually("the records are on disk", async || {
        let files = std::fs::read_dir(place.store().join("deaths")).ok()?.flatten();
        (files.filter(|file| file.path().extension().is_some_and(|end| end == "json")).count() == 3)
            .then_some(())
    })
    .await;
    let host = agent.client.snapshot().await.unwrap().host;
    let agent = killed_and_back(&place, agent).await;
    assert_eq!(agent.client.snapshot().await.unwrap().host, host);
    let after = agent.client.deaths(None, None, 100).await.unwrap().deaths;
    assert_eq!(after[after.len() - 3..], before);
    for summary in &before {
        let death = agent.client.death(&summary.id).await.unwrap();
        assert!(death.logs.iter().any(|line| line.text == "up"), "{death:?}");
    }
}

#[tokio::test]
async fn what_was_scaled_is_as_many_again() {
    let place =
        Place::of_stack(&(shell("api", POLITE, "replicas: 2") + &shell("few", POLITE, "replicas: 3")));
    let agent = place.start().await;
    agent.until_running("api", 2).await;
    agent.until_running("few", 3).await;
    agent.act(Action::Scale { replicas: 4 }, "api").await;
    agent.act(Action::Scale { replicas: 1 }, "few").await;
    written_down(&place, &["\"scaled\":4", "\"scaled\":1"]).await;
    let agent = killed_and_back(&place, agent).await;
    agent.until_running("api", 4).await;
    agent.until_running("few", 1).await;
    for (name, desired) in [("api", 4), ("few", 1)] {
        let service = agent.until_status(name, "ok").await;
        assert_eq!((service.desired, service.desired_source.as_str()), (desired, "scaled"), "{service:#?}");
    }
}

#[tokio::test]
async fn what_was_stopped_stays_stopped() {
    let place = Place::of_stack(&(shell("api", POLITE, "restart: always") + &shell("other", POLITE, "")));
    let agent = place.start().await;
    agent.until_running("api", 1).await;
    agent.until_running("other", 1).await;
    agent.act(Action::Stop, "api").await;
    agent.until_status("api", "stopped").await;
    written_down(&place, &["\"stopped\":[\"local-shop-api-1\"]"]).await;
    let agent = killed_and_back(&place, agent).await;
    agent.until_status("other", "ok").await;
    agent.until_status("api", "stopped").await;
    let snapshot = agent.client.snapshot().await.unwrap();
    assert!(service(&snapshot, "api").unwrap().replicas.iter().all(|replica| replica.pid.is_none()));
    agent.act(Action::Start, "api").await;
    agent.until_status("api", "ok").await;
    let (status, _) = agent.end().await;
    assert!(status.success());

    // An agent that ends stops everything; that is nobody's wish for the next time.
    let agent = place.start().await;
    agent.until_status("api", "ok").await;
    agent.until_status("other", "ok").await;
}
