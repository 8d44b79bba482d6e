//! What a person asks for, from the request to the processes.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use zv_api::client::ClientError;
use zv_api::{Action, LogQuery, What};

use super::rig::{POLITE, Place, STUBBORN, client, is_alive, kill, request, service, shell};

#[tokio::test]
async fn stop_start_restart_and_scale_reach_the_processes() {
    let place = Place::of_stack(&shell("api", POLITE, "replicas: 2, restart: always"));
    let agent = place.start().await;
    let before = agent.until_running("api", 2).await;

    let report = agent.act(Action::Stop, "api").await;
    assert_eq!(report.results.len(), 2);
    let stopped = agent.until_status("api", "stopped").await;
    assert!(stopped.replicas.iter().all(|replica| replica.intent == "stopped"), "{stopped:#?}");
    assert!(before.iter().all(|replica| !is_alive(replica.pid.unwrap())));

    agent.act(Action::Start, "api").await;
    agent.until_status("api", "ok").await;

    agent.act(Action::Scale { replicas: 3 }, "api").await;
    let three = agent.until_running("api", 3).await;
    let scaled = agent.until_status("api", "ok").await;
    assert_eq!((scaled.desired, scaled.desired_source.as_str()), (3, "scaled"));
    agent.act(Action::Scale { replicas: 1 }, "api").await;
    let one = agent.until_running("api", 1).await;
    assert_eq!(one[0].pid, three[0].pid, "the lowest number stays");
    let scaled = agent.until_status("api", "ok").await;
    assert_eq!(scaled.desired, 1);
    for death in agent.until_deaths("api", 4).await {
        assert!(death.wanted, "{death:?}");
    }
}

#[tokio::test]
async fn a_restart_goes_one_by_one() {
    let place = Place::of_stack(&shell("api", POLITE, "replicas: 3"));
    let agent = place.start().await;
    let before = agent.until_running("api", 3).await;
    let mut events = agent.client.events(None).await.unwrap();
    let watching = async {
        let mut least = usize::MAX;
        let mut restarted = 0;
        while restarted < 3 {
            let event = futures_util::StreamExt::next(&mut events).await.unwrap().unwrap();
            let zv_api::client::EventBody::Change(change) = event.body else { continue };
            match change.what {
                What::Service { service } => {
                    least = least.min(service.replicas.iter().filter(|one| one.pid.is_some()).count());
                }
                What::Happened { happening } if happening.kind == "started" => restarted += 1,
                _ => {}
            }
        }
        least
    };
    let (least, _) = tokio::join!(watching, agent.act(Action::Restart, "api"));
    assert_eq!(least, 2, "the others serve meanwhile");
    let after = agent.until_running("api", 3).await;
    assert!(before.iter().zip(&after).all(|(before, after)| before.pid != after.pid));
}

#[tokio::test]
async fn acting_needs_the_token_and_looking_does_not() {
    let place = Place::of_stack(&shell("api", POLITE, ""));
    let agent = place.start().await;
    let pid = agent.until_running("api", 1).await[0].pid.unwrap();
    for token in [None, Some("not-the-token-of-this-agent")] {
        let stranger = client(&format!("http://{}", agent.address), token);
        stranger.snapshot().await.unwrap();
        let refused = stranger.act(&request(Action::Stop, "api"), Duration::from_secs(30)).await.unwrap_err();
        assert!(matches!(refused, ClientError::Unauthorized { .. }), "{refused}");
        assert!(matches!(stranger.reload().await, Err(ClientError::Unauthorized { .. })));
    }
    assert!(is_alive(pid));
    let ghost = agent.client.act(&request(Action::Stop, "apo"), Duration::from_secs(30)).await.unwrap_err();
    assert!(ghost.to_string().contains("There is no service `apo`: there is shop/api."), "{ghost}");
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_cancels_nothing() {
    // The first replica takes a while to stop; the second one's turn comes when nobody waits any more.
    let place = Place::of_stack(&shell("slow", STUBBORN, "replicas: 2, stop_grace: 1s"));
    let agent = place.start().await;
    let before = agent.until_running("slow", 2).await;
    let body = serde_json::to_string(&request(Action::Restart, "slow")).unwrap();
    let mut connection = TcpStream::connect(agent.address).await.unwrap();
    let head = format!(
        "POST /api/zv/v1/actions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Authorization: Bearer {}\r\nContent-Length: {}\r\n\r\n",
        agent.token,
        body.len()
    );
    connection.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let asked = |text: &str| text == "restart was asked for";
    super::rig::eventually("the action has begun", async || {
        let happenings = agent.client.happenings(100).await.unwrap().happenings;
        happenings.iter().any(|one| one.kind == "action" && asked(&one.text)).then_some(())
    })
    .await;
    drop(connection);
    agent
        .until("both were restarted", |snapshot| {
            let replicas = &service(snapshot, "slow")?.replicas;
            let anew = |one: &&zv_api::Replica| {
                let pid = before.iter().find(|old| old.name == one.name)?.pid;
                (one.pid.is_some() && one.pid != pid).then_some(())
            };
            (replicas.iter().filter(|one| anew(one).is_some()).count() == 2).then_some(())
        })
        .await;
}

#[tokio::test]
async fn a_death_nobody_asked_for_is_an_outage_with_a_record() {
    let script = "echo about to fail; echo badly >&2; while :; do sleep 1 & wait $!; done";
    let place = Place::of_stack(&shell("api", script, "restart: \"no\""));
    let agent = place.start().await;
    let pid = agent.until_running("api", 1).await[0].pid.unwrap();
    let query = LogQuery { follow: true, grep: Some("badly".to_owned()), ..LogQuery::default() };
    let mut lines = agent.client.logs(&query, None).await.unwrap();
    futures_util::StreamExt::next(&mut lines).await.unwrap().unwrap();
    kill(pid, rustix::process::Signal::KILL);
    let service = agent.until_status("api", "down").await;
    assert!(service.reason.as_deref().is_some_and(|reason| reason.contains("137")), "{service:#?}");
    let summary = agent.until_deaths("api", 1).await.remove(0);
    assert!(!summary.wanted);
    assert_eq!(summary.exit.code, Some(137));
    let death = agent.client.death(&summary.id).await.unwrap();
    let texts: Vec<&str> = death.logs.iter().map(|line| line.text.as_str()).collect();
    assert!(texts.contains(&"about to fail") && texts.contains(&"badly"), "{texts:?}");
    assert!(death.inspect.is_some());
}
