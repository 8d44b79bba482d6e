//! How an agent ends, and what it takes with it.

use std::os::unix::process::ExitStatusExt;

use futures_util::StreamExt;
use rustix::process::Signal;
use tokio::time::timeout;

use super::rig::{ORPHANS, PATIENCE, POLITE, Place, STUBBORN, shell};

#[tokio::test]
async fn sigterm_stops_the_replicas_and_records_them_as_wanted() {
    let stack = shell("api", POLITE, "replicas: 2, restart: always")
        + &shell("stubborn", STUBBORN, "restart: always, stop_grace: 1s");
    let place = Place::of_stack(&stack);
    let mut agent = place.start().await;
    agent.until_running("api", 2).await;
    agent.until_running("stubborn", 1).await;
    let mut events = agent.client.events(None).await.unwrap();
    let mut lines = agent.until_up(3).await;
    agent.process.signal(Signal::TERM);
    let rest = async {
        while events.next().await.is_some_and(|event| event.is_ok()) {}
        while lines.next().await.is_some_and(|line| line.is_ok()) {}
    };
    timeout(PATIENCE, rest).await.expect("the streams end");
    let status = agent.process.ended().await;
    assert!(status.success(), "{status}: {:?}", agent.process.text());
    assert!(place.processes().is_empty(), "left behind: {:?}", place.processes());

    let agent = place.start().await;
    for (service, count, code) in [("api", 2, 0), ("stubborn", 1, 137)] {
        for death in agent.until_deaths(service, count).await {
            assert!(death.wanted, "{death:?}");
            assert_eq!(death.exit.code, Some(code), "{death:?}");
        }
    }
}

#[tokio::test]
async fn a_second_signal_ends_at_once_as_a_failure() {
    let place = Place::of_stack(&shell("stubborn", STUBBORN, "stop_grace: 1h"));
    place.configure("shutdown_grace: 1h");
    let mut agent = place.start().await;
    agent.until_running("stubborn", 1).await;
    drop(agent.until_up(1).await);
    agent.process.signal(Signal::TERM);
    agent.process.said("that it ends", |line| line.contains("shutting down").then_some(())).await;
    agent.process.signal(Signal::INT);
    let status = agent.process.ended().await;
    assert_eq!(status.code(), Some(1), "{:?}", agent.process.text());
    assert!(agent.process.text().iter().any(|line| line.contains("a second signal (SIGINT)")));
    place.is_empty_within(ORPHANS).await;
}

#[tokio::test]
async fn sigkill_leaves_no_process_behind() {
    let grandchildren =
        "(setsid sh -c 'while :; do sleep 1; done' &); trap '' TERM; while :; do sleep 1; done";
    let stack = shell("api", POLITE, "replicas: 2") + &shell("deep", grandchildren, "");
    let place = Place::of_stack(&stack);
    let mut agent = place.start().await;
    agent.until_running("api", 2).await;
    agent.until_running("deep", 1).await;
    agent.process.signal(Signal::KILL);
    assert_eq!(agent.process.ended().await.signal(), Some(9));
    place.is_empty_within(ORPHANS).await;
}

#[tokio::test]
async fn a_grace_that_is_over_cuts_what_is_left() {
    let place = Place::of_stack(&shell("stubborn", STUBBORN, "stop_grace: 1h"));
    place.configure("shutdown_grace: 1s");
    let agent = place.start().await;
    agent.until_running("stubborn", 1).await;
    drop(agent.until_up(1).await);
    let (status, text) = agent.end().await;
    assert!(status.success(), "{text:?}");
    assert!(text.iter().any(|line| line.contains("replicas were still running")), "{text:?}");
    place.is_empty_within(ORPHANS).await;
}

#[tokio::test]
async fn a_signal_ends_it_in_the_middle_of_a_reload() {
    let place = Place::of_stack(&shell("stubborn", STUBBORN, "stop_grace: 1h"));
    place.configure("shutdown_grace: 1s");
    let mut agent = place.start().await;
    agent.until_running("stubborn", 1).await;
    drop(agent.until_up(1).await);
    // The reload waits for a replica that takes its time.
    place.deploy(&shell("other", POLITE, ""));
    agent.process.signal(Signal::HUP);
    agent
        .until("the replica on its way out", |snapshot| super::rig::service(snapshot, "other").map(drop))
        .await;
    agent.process.signal(Signal::TERM);
    agent.process.said("that it ends", |line| line.contains("asked to end").then_some(())).await;
    agent.process.ended().await;
    place.is_empty_within(ORPHANS).await;
}
