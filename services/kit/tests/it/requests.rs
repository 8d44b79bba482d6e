//! Request ids and the shape of errors.

use crate::harness::Running;

#[tokio::test]
async fn a_sane_request_id_comes_back_and_any_other_is_replaced() {
    let service = Running::start([]).await;
    let mut client = service.client().await;
    let with = |id: &str| format!("GET /items/1 HTTP/1.1\r\nhost: x\r\nx-request-id: {id}\r\n\r\n");
    assert_eq!(client.ask(&with("trace-7/a")).await.headers["x-request-id"], "trace-7/a");
    for hostile in ["a b", "{\"a\":1} x", "caf\u{e9}", &"x".repeat(129)] {
        let reply = client.ask(&with(hostile)).await;
        assert_eq!(reply.status, 200);
        let id = &reply.headers["x-request-id"];
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    }
}

#[tokio::test]
async fn every_error_has_the_same_shape() {
    let service = Running::start([]).await;
    let json = "content-type: application/json\r\n";
    for (request, status, error) in [
        ("GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), 404, "not found"),
        ("DELETE /items/1 HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), 405, "method not allowed"),
        (
            format!("POST /echo HTTP/1.1\r\nhost: x\r\n{json}content-length: 1\r\n\r\n{{"),
            400,
            "Failed to parse the request body as JSON: EOF while parsing an object at line 1 column 1",
        ),
        (
            "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}".to_owned(),
            415,
            "Expected request with `Content-Type: application/json`",
        ),
    ] {
        let reply = service.client().await.ask(&request).await;
        assert_eq!(reply.status, status);
        assert_eq!(reply.json()["error"], error);
        assert_eq!(reply.json()["request_id"], reply.headers["x-request-id"].as_str());
    }
    let reply = service.client().await.ask("DELETE /items/1 HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(reply.headers["allow"], "GET,HEAD");
}
