//! What hostile and broken clients and handlers cannot do.

use crate::harness::Running;

fn post(path: &str, headers: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{headers}\r\n")
}

#[tokio::test]
async fn a_client_that_never_completes_its_request_is_dropped_while_others_are_served() {
    let service = Running::start([("IDLE_TIMEOUT", "200ms")]).await;
    let mut slow = service.client().await;
    slow.send(b"GET /items/1 HTTP/1.1\r\nx-a: ").await;
    assert_eq!(service.get("/items/1").await.status, 200);
    assert!(slow.is_closed().await);
}

#[tokio::test]
async fn a_client_without_room_waits_until_one_leaves() {
    let service = Running::start([("MAX_CONNECTIONS", "1"), ("IDLE_TIMEOUT", "100ms")]).await;
    let mut first = service.client().await;
    assert_eq!(first.get("/items/1").await.status, 200);
    assert_eq!(service.get("/items/2").await.status, 200);
    assert!(first.is_closed().await);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_announced_or_not() {
    let service = Running::start([("MAX_BODY", "1KiB")]).await;
    let announced = service.client().await.ask(&post("/echo", "content-length: 1025\r\n")).await;
    assert_eq!(announced.status, 413);
    assert_eq!(announced.json()["error"], "the body is larger than 1024 bytes");
    for path in ["/echo", "/raw"] {
        let mut client = service.client().await;
        client.send(post(path, "transfer-encoding: chunked\r\n").as_bytes()).await;
        client.send(format!("401\r\n{}\r\n", "1".repeat(0x401)).as_bytes()).await;
        let reply = client.reply().await;
        assert_eq!(reply.status, 413, "{path}");
        assert_eq!(reply.json()["request_id"], reply.headers["x-request-id"].as_str());
    }
    let text = format!("\"{}\"", "1".repeat(1022));
    let fits = service.client().await.ask(&(post("/echo", "content-length: 1024\r\n") + &text)).await;
    assert_eq!((fits.status, fits.body), (200, text));
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_the_clients_fault_and_a_slow_handler_the_services() {
    let service = Running::start([("REQUEST_TIMEOUT", "100ms")]).await;
    let unsent = service.client().await.ask(&(post("/echo", "content-length: 9\r\n") + "[1")).await;
    assert_eq!(unsent.status, 408);
    assert_eq!(unsent.json()["error"], "the request's body did not arrive in time");
    let slow = service.get("/slow").await;
    assert_eq!(slow.status, 503);
    assert_eq!(slow.json()["error"], "the request took too long");
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_dropped() {
    let service = Running::start([("WRITE_TIMEOUT", "200ms")]).await;
    let mut deaf = service.client().await;
    deaf.send(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let line = service.log.line(|line| line["path"] == "/endless").await;
    assert_eq!(line["status"], 499);
    assert!(line["bytes"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn a_panic_is_an_answer_and_tells_nothing() {
    let service = Running::start([]).await;
    let mut client = service.client().await;
    for path in ["/panic", "/broken"] {
        let reply = client.get(path).await;
        assert_eq!(reply.status, 500);
        assert_eq!(reply.json()["error"], "internal server error");
        assert!(!reply.body.contains("hunter2"), "{reply:?}");
        let id = reply.headers["x-request-id"].as_str();
        let line = service.log.line(|line| line["request_id"] == id).await;
        assert_eq!(line["level"], "error");
        assert!(line["error"].as_str().unwrap().contains("hunter2"), "the log has the cause: {line}");
    }
    assert_eq!(client.get("/items/1").await.status, 200, "the same connection goes on");
}
