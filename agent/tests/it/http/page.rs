//! The status page.

use chrono::TimeDelta;
use zv_api::{RuntimeState, Stack};

use super::fake::{at, service, snapshot};
use super::harness::{Setup, raw, request, status};

#[tokio::test]
async fn everything_on_the_page_is_escaped() {
    let served = Setup::plain().serve();
    let hostile = "<script>alert(1)</script>";
    let mut shown = snapshot(vec![service(hostile, "degraded", Some("\"'><img src=x onerror=alert(1)>"))]);
    shown.host.name = hostile.to_owned();
    shown.version = hostile.to_owned();
    shown.stacks[0].name = hostile.to_owned();
    shown.stacks[0].services[0].status = hostile.to_owned();
    shown.runtime = RuntimeState::Down { since: at(-90), reason: hostile.to_owned() };
    served.source.show(shown);
    served.source.happened(hostile, hostile, at(-1));
    let answer = raw(served.tcp().await, &request("GET", "/", "", "")).await;
    assert_eq!(status(&answer), 200);
    let lower = answer.to_lowercase();
    assert!(!lower.contains("<script") && !lower.contains("<img"), "{answer}");
    assert_eq!(answer.matches("&lt;script&gt;").count(), 9, "{answer}");
    assert!(lower.contains("content-security-policy: default-src 'none'"), "{answer}");
    assert!(lower.contains("content-type: text/html; charset=utf-8"), "{answer}");
}

#[tokio::test]
async fn a_person_sees_what_is_wrong() {
    let served = Setup::plain().serve();
    served.source.show(example());
    served.source.happened("healthy", "shop-api-2 is healthy", at(-4000));
    served.source.happened("died", "shop-payments-1 exited with code 137 (out of memory)", at(-75));
    served.source.happened("started", "shop-payments-1 started again", at(-70));
    let answer = raw(served.tcp().await, &request("GET", "/", "", "")).await;
    for expected in [
        "<title>✕ web-1 · zv</title>",
        "● docker</b> 28.5.1",
        "payments",
        "✕</span> down",
        "0/2",
        "exited with code 137 (out of memory)",
        "1m ago",
        "finished",
    ] {
        assert!(answer.contains(expected), "{expected}: {answer}");
    }
    // Left there to be looked at with a browser.
    let kept = concat!(env!("CARGO_TARGET_TMPDIR"), "/status.html");
    std::fs::write(kept, answer.split_once("\r\n\r\n").unwrap().1).unwrap();
}

fn example() -> zv_api::Snapshot {
    let mut payments =
        service("payments", "down", Some("payments-1 exited with code 137 (out of memory) 1m ago"));
    payments.healthy = 0;
    let mut migrate = service("migrate", "finished", None);
    (migrate.desired, migrate.healthy) = (1, 0);
    let mut shown = snapshot(vec![
        service("api", "ok", None),
        service("comments", "degraded", Some("comments-2 is unhealthy: GET /health answers 503 since 3m")),
        service("media", "starting", Some("media-2 has not passed its first check yet")),
        migrate,
        payments,
    ]);
    let mut old = service("worker", "stopped", Some("stopped by a person 2h ago"));
    (old.desired, old.healthy) = (0, 0);
    let unknown = service("queue", "unknown", Some("the engine does not answer"));
    shown.stacks.push(Stack { name: "batch".to_owned(), services: vec![old, unknown] });
    shown.at += TimeDelta::seconds(1);
    shown
}
