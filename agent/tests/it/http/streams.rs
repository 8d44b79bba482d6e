//! Server-sent events: changes and logs, and how they go on where they were cut.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::time::Instant;
use zv_agent::http::{Drained, Face, Readiness, Rights, SharedRights, in_process, router};
use zv_api::LogQuery;
use zv_api::client::{ClientError, EventBody, Notice};

use super::fake::{Fake, Log};
use super::harness::{Setup, raw, request, until, within};

#[tokio::test]
async fn a_snapshot_comes_first_and_changes_follow() {
    let served = Setup::plain().serve();
    let mut events = served.client().events(None).await.unwrap();
    let first = within(events.next()).await.unwrap().unwrap();
    assert!(matches!(first.body, EventBody::Snapshot(snapshot) if snapshot.host.name == "web-1"));
    served.source.change();
    let second = within(events.next()).await.unwrap().unwrap();
    assert_eq!(second.id, "e-1");
    assert!(matches!(second.body, EventBody::Change(change) if change.seq == 1));
}

#[tokio::test]
async fn a_stream_resumes_after_the_last_event_by_header_and_by_parameter() {
    let served = Setup::plain().serve();
    for _ in 0..3 {
        served.source.change();
    }
    let mut events = served.client().events(Some("e-1")).await.unwrap();
    let mut ids = Vec::new();
    while ids.len() < 2 {
        ids.push(within(events.next()).await.unwrap().unwrap().id);
    }
    assert_eq!(ids, ["e-2", "e-3"]);
    let mut plain = served.tcp().await;
    let path = "/api/zv/v1/events?last_event_id=e-2";
    plain.write_all(request("GET", path, "", "").as_bytes()).await.unwrap();
    until(|| served.source.asked().contains(&"events after Some(\"e-2\")".to_owned())).await;
}

#[tokio::test]
async fn a_stream_that_never_ends_reconnects_and_misses_nothing() {
    let served = Setup::plain().serve();
    let address = served.address();
    let mut notices = served.client().events_forever();
    assert!(matches!(within(notices.next()).await, Some(Notice::Connected)));
    assert!(matches!(within(notices.next()).await, Some(Notice::Event(event)) if event.id == "e-0"));
    drop(served);
    let Some(Notice::Disconnected { error, .. }) = within(notices.next()).await else { panic!("it was cut") };
    assert!(error.is_passing(), "{error}");
    let again = Setup { addresses: vec![address], ..Setup::plain() }.serve();
    again.source.change();
    let event = within(async {
        loop {
            match notices.next().await {
                Some(Notice::Event(event)) => return event,
                Some(Notice::Connected | Notice::Disconnected { .. }) => {}
                None => panic!("this stream has no end"),
            }
        }
    });
    assert_eq!(event.await.id, "e-1");
    assert_eq!(again.source.asked(), ["events after Some(\"e-0\")"]);
}

#[tokio::test]
async fn a_listener_that_left_is_noticed() {
    let served = Setup::plain().serve();
    let mut events = served.client().events(None).await.unwrap();
    within(events.next()).await.unwrap().unwrap();
    assert_eq!(served.source.listeners(), 1);
    drop(events);
    // The first write to a closed peer is answered with a reset; the next one fails.
    until(|| {
        served.source.change();
        served.source.listeners() == 0
    })
    .await;
}

#[tokio::test]
async fn a_log_comes_to_its_end_and_resumes() {
    let served = Setup::plain().serve();
    let query = LogQuery {
        stack: Some("shop".to_owned()),
        services: vec!["api".to_owned(), "a&b".to_owned()],
        replica: Some("r".to_owned()),
        since: Some(super::fake::at(0)),
        tail: Some(9),
        follow: false,
        grep: Some("x y+z".to_owned()),
    };
    let client = served.client();
    let cursors = async |cursor| {
        let lines = client.logs(&query, cursor).await.unwrap();
        within(lines.map(|line| line.unwrap().cursor).collect::<Vec<_>>()).await
    };
    assert_eq!(cursors(None).await, ["c-1", "c-2", "c-3"]);
    assert_eq!(cursors(Some("c-2")).await, ["c-3"]);
    let asked = served.source.asked();
    assert_eq!(asked[0], format!("logs {query:?} after None"));
    assert_eq!(asked[1], format!("logs {query:?} after Some(\"c-2\")"));
}

#[tokio::test]
async fn a_followed_log_waits_for_more() {
    let mut served = Setup::plain().serve();
    let query = LogQuery { follow: true, ..LogQuery::default() };
    let mut lines = served.client().logs(&query, None).await.unwrap();
    for expected in ["00000001", "00000002", "00000003"] {
        assert_eq!(within(lines.next()).await.unwrap().unwrap().line.text, expected);
    }
    served.begin_stop();
    assert!(within(lines.next()).await.is_none());
}

#[tokio::test]
async fn a_log_that_is_cut_says_so() {
    let mut served = Setup::plain().serve();
    served.source.write(Log::Endless(100));
    let mut lines = served.client().logs(&LogQuery::default(), None).await.unwrap();
    within(lines.next()).await.unwrap().unwrap();
    served.begin_stop();
    let last = within(lines.fold(None, |_, line| async { Some(line) })).await.unwrap();
    assert!(matches!(&last, Err(ClientError::Lost { .. })), "{last:?}");
}

#[tokio::test]
async fn a_mistake_in_one_request_ends_that_one_only() {
    let served = Setup::plain().serve();
    served.source.write(Log::Panics);
    let answer = raw(served.tcp().await, &request("GET", "/api/zv/v1/logs", "", "")).await;
    assert!(!answer.contains("event: end"), "{answer}");
    served.client().snapshot().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_news_gives_a_sign_of_life() {
    let source = Fake::new();
    let rights = SharedRights::new(Rights::in_process());
    let (readiness, metrics) = (Readiness::default(), Default::default());
    let face = Face { source, rights, readiness, metrics, reload: None };
    let (dialler, server) = in_process::pair();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = server.serve(router(face), async { drop(stopped.await) }, Duration::from_secs(1));
    let listening = async {
        let mut stream = dialler.dial().await.unwrap();
        let path = "/api/zv/v1/logs?follow=true&service=api&last_event_id=c-3";
        stream.write_all(request("GET", path, "", "").as_bytes()).await.unwrap();
        let mut head = BufReader::new(stream);
        let start = Instant::now();
        for signs in 1..=4 {
            let mut line = String::new();
            while line.trim_end() != ":" {
                line.clear();
                head.read_line(&mut line).await.unwrap();
            }
            assert_eq!(start.elapsed().as_secs(), 15 * signs);
        }
        stop.send(()).unwrap();
    };
    let (drained, ()) = tokio::join!(serving, listening);
    assert_eq!(drained, Drained::Cleanly);
}
