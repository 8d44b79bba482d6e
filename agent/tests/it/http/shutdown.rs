//! The end: no new peers, streams end, requests finish within the grace, the rest is cut.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;
use zv_agent::http::Drained;
use zv_api::LogQuery;
use zv_api::client::ClientError;

use super::fake::Log;
use super::harness::{Setup, TOKEN, request, rest, status, within};

fn restart() -> String {
    let headers = format!("Authorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n");
    request("POST", "/api/zv/v1/actions", &headers, r#"{"action":{"name":"restart"},"service":"api"}"#)
}

#[tokio::test]
async fn open_streams_and_idle_connections_end_at_once() {
    let mut served = Setup::plain().serve();
    let mut events = served.client().events(None).await.unwrap();
    within(events.next()).await.unwrap().unwrap();
    let mut more = served.unix_client(None).events(None).await.unwrap();
    within(more.next()).await.unwrap().unwrap();
    let query = LogQuery { follow: true, ..LogQuery::default() };
    let mut lines = served.client().logs(&query, None).await.unwrap();
    within(lines.next()).await.unwrap().unwrap();
    let idle = served.tcp().await;
    served.begin_stop();
    assert_eq!(served.stopped().await, Drained::Cleanly);
    assert!(within(events.next()).await.is_none());
    assert!(within(more.next()).await.is_none());
    assert_eq!(rest(idle).await, "");
}

#[tokio::test]
async fn a_request_under_way_is_finished_and_no_other_is_taken() {
    let mut served = Setup::plain().serve();
    served.source.hold_actions();
    let mut acting = served.tcp().await;
    acting.write_all(restart().as_bytes()).await.unwrap();
    within(served.source.actions_begun(1)).await;
    served.begin_stop();
    let client = served.client();
    within(async {
        while !matches!(client.healthy().await, Err(ClientError::Connect { .. })) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    served.source.release_actions();
    assert_eq!(status(&rest(acting).await), 200);
    assert_eq!(served.stopped().await, Drained::Cleanly);
}

#[tokio::test]
async fn what_outlasts_the_grace_is_cut_and_counted() {
    let mut served = Setup { grace: Duration::from_millis(100), ..Setup::plain() }.serve();
    served.source.hold_actions();
    let mut acting = served.tcp().await;
    acting.write_all(restart().as_bytes()).await.unwrap();
    within(served.source.actions_begun(1)).await;
    served.source.write(Log::Endless(4000));
    let mut deaf = served.unix().await;
    deaf.write_all(request("GET", "/api/zv/v1/logs?follow=true", "", "").as_bytes()).await.unwrap();
    super::harness::until(|| served.source.asked().iter().any(|asked| asked.starts_with("logs"))).await;
    served.begin_stop();
    assert_eq!(served.stopped().await, Drained::Cut { connections: 2 });
    assert_eq!(rest(acting).await, "");
}
