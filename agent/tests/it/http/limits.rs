//! Peers that are slow, greedy, too many or half gone disturb nobody else.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use zv_agent::http::Limits;
use zv_api::LogQuery;

use super::fake::Log;
use super::harness::{Setup, TOKEN, raw, request, rest, status, until, within};

const SHORT: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_head_that_never_ends_is_cut_off() {
    let served = Setup { limits: Limits { header: SHORT, ..Limits::STANDARD }, ..Setup::plain() }.serve();
    let mut dripping = served.tcp().await;
    dripping.write_all(b"GET /api/zv/v1/stack HTTP/1.1\r\nHost: localhost\r\nX-A: ").await.unwrap();
    let silent = served.tcp().await;
    served.client().snapshot().await.unwrap();
    rest(dripping).await;
    rest(silent).await;
}

#[tokio::test]
async fn a_connection_between_two_requests_does_not_last() {
    let served = Setup { limits: Limits { header: SHORT, ..Limits::STANDARD }, ..Setup::plain() }.serve();
    let kept = "GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(status(&raw(served.tcp().await, kept).await), 200);
}

#[tokio::test]
async fn a_client_that_never_reads_is_dropped_and_delays_nobody() {
    let served = Setup { limits: Limits { stall: SHORT, ..Limits::STANDARD }, ..Setup::plain() }.serve();
    served.source.write(Log::Endless(4000));
    let asked = request("GET", "/api/zv/v1/logs?follow=true", "", "");
    let mut tcp = served.tcp().await;
    tcp.write_all(asked.as_bytes()).await.unwrap();
    let mut unix = served.unix().await;
    unix.write_all(asked.as_bytes()).await.unwrap();
    until(|| served.source.open_logs() == 2).await;
    served.client().snapshot().await.unwrap();
    let mut reader = served.client().logs(&LogQuery::default(), None).await.unwrap();
    for _ in 0..1000 {
        within(reader.next()).await.unwrap().unwrap();
    }
    drop(reader);
    until(|| served.source.open_logs() == 0).await;
    // What was sent before the server gave them up is still there to read, and has an end.
    for stream in [Box::new(tcp) as Box<dyn tokio::io::AsyncRead + Unpin>, Box::new(unix)] {
        let answer = rest(stream).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn a_head_and_a_body_have_a_largest_size() {
    let served = Setup::plain().serve();
    let long = format!("X-Long: {}\r\n", "x".repeat(40_000));
    assert_eq!(status(&raw(served.tcp().await, &request("GET", "/", &long, "")).await), 431);
    let many = "X-Many: 1\r\n".repeat(200);
    assert_eq!(status(&raw(served.tcp().await, &request("GET", "/", &many, "")).await), 431);
    let announced = format!(
        "POST /api/zv/v1/actions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: application/json\r\nConnection: close\r\nContent-Length: 2000000\r\n\r\n"
    );
    let mut announcing = served.tcp().await;
    announcing.write_all(announced.as_bytes()).await.unwrap();
    announcing.write_all(&[b' '; 1_000_000]).await.unwrap();
    announcing.write_all(&[b' '; 100_000]).await.ok();
    let mut answer = [0; 12];
    within(announcing.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
    served.client().snapshot().await.unwrap();
}

#[tokio::test]
async fn what_is_not_http_is_turned_away() {
    let served = Setup::plain().serve();
    let answer = raw(served.tcp().await, "\x16\x03\x01 this is no HTTP at all\r\n\r\n").await;
    assert_eq!(status(&answer), 400);
}

#[tokio::test]
async fn a_client_that_has_said_all_still_gets_its_answer() {
    let served = Setup::plain().serve();
    served.source.hold_actions();
    let headers = format!("Authorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n");
    let body = r#"{"action":{"name":"restart"},"service":"api"}"#;
    let mut half = served.tcp().await;
    half.write_all(request("POST", "/api/zv/v1/actions", &headers, body).as_bytes()).await.unwrap();
    half.shutdown().await.unwrap();
    within(served.source.actions_begun(1)).await;
    served.source.release_actions();
    assert_eq!(status(&rest(half).await), 200);
}

#[tokio::test]
async fn too_many_at_one_address_are_told_so_and_lock_out_no_other() {
    let served = Setup::plain().serve();
    let mut idle = Vec::new();
    for _ in 0..300 {
        idle.push(served.tcp().await);
    }
    served.unix_client(None).snapshot().await.unwrap();
    let refused = served.client().snapshot().await.unwrap_err();
    assert_eq!(refused.status(), Some(503), "{refused}");
    assert!(refused.to_string().contains("too many connections") && refused.is_passing(), "{refused}");
    drop(idle);
    within(async { while served.client().snapshot().await.is_err() {} }).await;
}
