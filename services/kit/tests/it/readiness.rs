//! Readiness from the start to the end of a service.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use zv_kit::{Ending, Readiness};

use crate::harness::{Running, until};

#[tokio::test]
async fn readiness_follows_gates_dependencies_and_draining_while_health_stays() {
    let readiness = Readiness::new();
    let gate = readiness.gate("migrations");
    let works = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&works);
    readiness.check("database", move || {
        let works = seen.load(Ordering::Relaxed);
        async move { if works { Ok(()) } else { Err("connection refused".to_owned()) } }
    });
    let mut service = Running::with([("DRAIN_LEAD", "60s"), ("DRAIN_GRACE", "60s")], readiness).await;

    let starting = service.get("/ready").await;
    assert_eq!(starting.status, 503);
    assert_eq!(starting.json(), json!({"status": "starting", "reasons": ["`migrations` is not done yet"]}));

    gate.open();
    let failing = service.get("/ready").await;
    assert_eq!(failing.status, 503);
    assert_eq!(
        failing.json(),
        json!({"status": "failing", "reasons": ["`database` fails: connection refused"]})
    );

    works.store(true, Ordering::Relaxed);
    until(async || service.get("/ready").await.status == 200).await;
    assert_eq!(service.get("/ready").await.json(), json!({"status": "ready", "reasons": []}));

    service.stop();
    until(async || service.get("/ready").await.status == 503).await;
    assert_eq!(service.get("/ready").await.json()["status"], "draining");
    let health = service.get("/health").await;
    assert_eq!(health.status, 200);
    assert_eq!(
        health.json(),
        json!({
            "status": "ok", "service": "tested", "version": "1.2.3", "replica": "tested-1",
            "uptime_seconds": health.json()["uptime_seconds"].as_u64().unwrap()
        })
    );

    let mut busy = service.client().await;
    busy.send(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    service.slow.begun.notified().await;
    service.force();
    assert!(matches!(service.ending().await, Ending::Forced { connections: 1.. }));
}
