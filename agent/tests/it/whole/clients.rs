//! HTTP clients that do not read: the others do not notice.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::BoxStream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use zv_api::client::{ClientError, Event, EventBody};
use zv_api::{Action, What};

use super::rig::{Agent, PATIENCE, PROMPT, Place, kill, service, shell};

const CLIENTS: usize = 200;
/// Far above what the agent needs, far below what unbounded queues would take.
const MORE_MEMORY: u64 = 128 * 1024 * 1024;

const BIG: usize = 10;

/// Opens a stream, reads the beginning of its answer and nothing more. Little fits between it and the agent.
async fn deaf(agent: &Agent, path: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(agent.address).await.unwrap();
    let request = format!("GET /api/zv/v1/{path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = [0; 15];
    timeout(PATIENCE, stream.read_exact(&mut head)).await.expect("an answer").unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    stream
}

/// Reads events until so many replicas of a service were reported to have done this.
async fn told(
    events: &mut BoxStream<'static, Result<Event, ClientError>>,
    kind: &str,
    times: usize,
) -> usize {
    let (mut read, mut seen) = (0, 0);
    while seen < times {
        let event = timeout(PATIENCE, events.next()).await.expect("every change is told").unwrap().unwrap();
        read += 1;
        let EventBody::Change(change) = event.body else { continue };
        let What::Happened { happening } = change.what else { continue };
        seen += usize::from(happening.kind == kind && happening.service.as_deref() == Some("big"));
    }
    read
}

#[tokio::test]
async fn two_hundred_that_never_read_delay_and_cost_nobody_else() {
    // Labels make every change of the service a large message.
    let label = "x".repeat(2048);
    let noisy =
        "while :; do i=0; while [ $i -lt 20 ]; do i=$((i+1)); echo line $i of noise; done; sleep 0.1; done";
    let stack =
        shell("big", "exec sleep 100000", &format!("replicas: {BIG}, labels: {{ zv.note: \"{label}\" }}"))
            + &shell("noisy", noisy, "");
    let place = Place::of_stack(&stack);
    let agent = place.start().await;
    agent.until_running("big", BIG).await;
    let before = agent.process.resident();
    let _deaf = join_all((0..CLIENTS).map(async |number| match number % 4 {
        0 => deaf(&agent, "logs?follow=true").await,
        _ => deaf(&agent, "events").await,
    }))
    .await;

    let mut events = agent.client.events(None).await.unwrap();
    let (mut slowest, mut read) = (Duration::ZERO, 0);
    for round in 0..5 {
        let snapshot = agent.answers_promptly().await;
        let victim = service(&snapshot, "big").unwrap().replicas[round].pid.unwrap();
        let began = Instant::now();
        kill(victim, rustix::process::Signal::KILL);
        read += told(&mut events, "died", 1).await;
        slowest = slowest.max(began.elapsed());
        // A burst: each replica ends, is noted as stopped, and starts.
        let (_, burst) = tokio::join!(agent.act(Action::Restart, "big"), told(&mut events, "started", BIG));
        read += burst;
    }
    assert!(slowest < PROMPT, "{slowest:?}");
    agent.until_status("big", "ok").await;
    let after = agent.process.resident();
    let (before_mib, after_mib) = (before >> 20, after >> 20);
    println!(
        "{CLIENTS} deaf clients, {read} messages: {before_mib} MiB before, {after_mib} MiB after, slowest {slowest:?}"
    );
    assert!(read > 200, "bursts: {read}");
    assert!(after < before + MORE_MEMORY, "{before} → {after}");
    let (status, text) = agent.end().await;
    assert!(status.success(), "{text:?}");
    assert!(place.processes().is_empty());
}
