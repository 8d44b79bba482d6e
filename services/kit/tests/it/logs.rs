//! What the log says, whoever sends what.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::harness::Running;

#[tokio::test]
async fn a_request_is_one_line_with_all_that_matters_and_no_query() {
    let service = Running::start([]).await;
    let mut client = service.client().await;
    client.ask("GET /items/7?token=hunter2 HTTP/1.1\r\nhost: x\r\nx-request-id: r-1\r\n\r\n").await;
    let line = service.log.line(|line| line["request_id"] == "r-1").await;
    let names: BTreeSet<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
    let expected =
        "time level service replica message request_id method route path status duration_ms bytes remote";
    assert_eq!(names, expected.split(' ').collect());
    assert_eq!(line["level"], "info");
    assert_eq!(line["service"], "tested");
    assert_eq!(line["replica"], "tested-1");
    assert_eq!(line["method"], "GET");
    assert_eq!(line["route"], "/items/{id}");
    assert_eq!(line["path"], "/items/7");
    assert_eq!(line["status"], 200);
    assert_eq!(line["bytes"], 4);
    assert!(line["duration_ms"].is_f64());
    assert!(line["remote"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert!(line["time"].as_str().unwrap().ends_with('Z'));
}

#[tokio::test]
async fn hostile_ids_and_paths_make_no_second_line() {
    let service = Running::start([]).await;
    for (path, id) in [
        ("/%0a{\"level\":\"error\"}", "a\tb"),
        ("/\"},{\"x\":\"", "\"}{\""),
        ("/\\n\\\"", "\\\"\\n"),
        ("/\u{e9}", "\u{e9}"),
        ("/a\u{7f}b", "x"),
    ] {
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-request-id: {id}\r\n\r\n");
        service.client().await.ask(&request).await;
    }
    service.get(&format!("/{}", "x".repeat(5000))).await;
    let long =
        service.log.line(|line| line["path"].as_str().is_some_and(|path| path.starts_with("/xxx"))).await;
    assert_eq!(long["path"].as_str().unwrap().len(), 1024);
    // Reading the lines checks that each is one object.
    let lines = service.log.lines();
    assert!(
        lines.iter().all(|line| matches!(line["message"].as_str(), Some("listening" | "request"))),
        "{lines:?}"
    );
    assert!(lines.iter().any(|line| line["path"] == "/%0a{\"level\":\"error\"}"), "{lines:?}");
}

#[tokio::test]
async fn what_machines_ask_every_second_is_logged_for_debugging_only() {
    let quiet = Running::start([]).await;
    let loud = Running::start([("LOG_LEVEL", "debug")]).await;
    for service in [&quiet, &loud] {
        for path in ["/health", "/ready", "/metrics", "/items/1"] {
            service.get(path).await;
        }
    }
    let requests = |lines: Vec<Value>| lines.iter().filter(|line| line["message"] == "request").count();
    quiet.log.line(|line| line["path"] == "/items/1").await;
    assert_eq!(requests(quiet.log.lines()), 1);
    loud.log.line(|line| line["path"] == "/items/1").await;
    assert_eq!(requests(loud.log.lines()), 4);
    assert_eq!(loud.log.line(|line| line["path"] == "/ready").await["level"], "debug");
}
