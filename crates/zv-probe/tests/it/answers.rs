//! What is kept of an answer, and of whom it is asked.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use zv_probe::{Report, Target, Verdict};

use crate::common::{Server, closed_port, probe, run, target};

/// Sends back what it hears, as a page with this status.
async fn echo(status: u16) -> Server {
    Server::start(move |mut stream| async move {
        let mut heard = vec![0; 8 * 1024];
        if let Ok(length) = stream.read(&mut heard).await {
            let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.ok();
            stream.write_all(&heard[..length]).await.ok();
        }
    })
    .await
}

#[tokio::test]
async fn the_answer_of_one_that_is_not_up_is_kept_without_our_secrets() {
    let server = echo(500).await;
    let report = probe(&format!("http://me:hunter2@{}/?api_key=s3cret", server.address)).await;
    let output = report.output.unwrap();
    assert!(output.starts_with("GET /?api_key=*** HTTP/1.1\\r\n"), "{output}");
    assert!(output.contains("authorization: ***\\r\n"), "{output}");
    assert!(report.reason.contains("answers 500") && !report.reason.contains("s3cret"), "{}", report.reason);
    assert!(!report.mismatched);
    assert_eq!(probe(&echo(200).await.url("http")).await.output, None);
}

#[tokio::test]
async fn an_answer_is_cut_and_made_harmless() {
    let server = Server::saying([b"\x1b[31m".as_slice(), &[b'x'; 100_000]].concat()).await;
    let report = probe(&format!("tcp://{}?send=hi&expect=220", server.address)).await;
    let output = report.output.unwrap();
    assert!(output.starts_with("\\u{1b}[31mxxx") && output.ends_with('…'), "{output}");
    assert!(output.len() <= Report::OUTPUT_LIMIT);
    assert!(report.mismatched && report.reason.len() < 600, "{}", report.reason);
}

#[tokio::test]
async fn what_was_answered_before_the_deadline_is_kept() {
    let server = Server::start(|mut stream| async move {
        if matches!(stream.read(&mut [0; 4096]).await, Ok(1..)) {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nthe beginning").await.ok();
        }
        std::future::pending::<()>().await;
    })
    .await;
    let mut target = target(&server.url("http"));
    target.timeout = std::time::Duration::from_millis(500);
    let report = run(&target).await;
    assert_eq!((report.verdict, report.output.as_deref()), (Verdict::Down, Some("the beginning")));
    assert_eq!(report.http_status, Some(200));
}

#[tokio::test]
async fn one_of_several_addresses_is_enough() {
    let server = Server::saying("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    // Nobody listens at the first address; the second one is the server's.
    let at = format!("http://127.0.0.9:{}/", server.address.port());
    let mut target = Target::parse(&at).unwrap();
    assert_eq!(run(&target).await.verdict, Verdict::Down);
    target.addresses = ["127.0.0.9", "127.0.0.1"].map(|address| address.parse().unwrap()).to_vec();
    let report = run(&target).await;
    assert_eq!((report.verdict, report.peer), (Verdict::Up, Some(server.address)), "{}", report.reason);
    target.check = Target::parse(&format!("http://{}/", closed_port().await)).unwrap().check;
    target.addresses = vec!["127.0.0.9".parse().unwrap()];
    assert_eq!(run(&target).await.verdict, Verdict::Down);
}
