//! A stack with a bit of everything, for the tests of this crate.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use zv_api::{Exit, Health, Host, Replica, RuntimeState, Service, Snapshot, Stack, Usage};

/// The moment all samples are told at.
pub(crate) fn now() -> DateTime<Utc> {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

/// Returns the moment so many seconds before [`now`].
pub(crate) fn ago(seconds: i64) -> DateTime<Utc> {
    now() - TimeDelta::seconds(seconds)
}

/// Returns a replica that is up and healthy for three hours.
pub(crate) fn replica(name: &str, number: u32) -> Replica {
    Replica {
        id: format!("{}", format_args!("{number}")).repeat(64),
        name: name.to_owned(),
        number,
        status: "healthy".into(),
        intent: "run".into(),
        state: "running".into(),
        image: "shop/orders:1.4".into(),
        image_id: "sha256:0123456789abcdef0123456789abcdef".into(),
        config_hash: None,
        version: None,
        ports: vec!["127.0.0.1:8080->8080/tcp".into()],
        addresses: Vec::new(),
        pid: Some(4242),
        created_at: Some(ago(10_800)),
        started_at: Some(ago(10_800)),
        exit: None,
        restarts: 0,
        usage: Some(usage()),
        health: Health { verdict: "healthy".into(), ..Health::default() },
        labels: BTreeMap::new(),
    }
}

/// Returns what a replica uses that has something to do.
pub(crate) fn usage() -> Usage {
    Usage {
        at: now(),
        cpu_cores: Some(0.034),
        memory_bytes: Some(312 << 20),
        memory_limit_bytes: Some(512 << 20),
        network_receive_bytes_per_second: Some(1536.0),
        network_transmit_bytes_per_second: Some(90.0),
        ..Usage::default()
    }
}

/// Returns a service that is ok with the given replicas.
pub(crate) fn service(stack: &str, name: &str, replicas: Vec<Replica>) -> Service {
    let up = u32::try_from(replicas.iter().filter(|r| r.state == "running").count()).unwrap();
    Service {
        stack: stack.to_owned(),
        name: name.to_owned(),
        status: "ok".into(),
        reason: None,
        desired: up,
        desired_source: "file".into(),
        running: up,
        healthy: up,
        depends_on: Vec::new(),
        restarts: replicas.iter().fold(0, |sum: u32, replica| sum.saturating_add(replica.restarts)),
        usage: (up > 0).then(usage),
        replicas,
    }
}

/// Returns a snapshot with the given stacks.
pub(crate) fn snapshot(stacks: Vec<Stack>) -> Snapshot {
    Snapshot {
        host: Host { id: "h1".into(), name: "web-1".into() },
        at: now(),
        version: "0.1.0".into(),
        seq: 7,
        runtime: RuntimeState::Up {
            kind: "docker".into(),
            version: "26.1.5".into(),
            api_version: "1.45".into(),
        },
        stacks,
        probes: Vec::new(),
    }
}

/// Returns two stacks: one replica of `orders` died for want of memory, `migrate` has finished, `mail` was stopped, and
/// there is a `db` in both.
pub(crate) fn shop() -> Snapshot {
    let mut dead = replica("shop-orders-2", 2);
    dead.id = "b2".repeat(32);
    dead.status = "exited".into();
    dead.state = "exited".into();
    dead.started_at = Some(ago(400));
    dead.exit = Some(Exit { at: ago(120), code: Some(137), oom: true });
    dead.restarts = 3;
    dead.usage = None;
    dead.health.verdict = "none".into();
    let mut orders = service("shop", "orders", vec![replica("shop-orders-1", 1), dead]);
    orders.status = "degraded".into();
    orders.reason = Some("shop-orders-2 exited with code 137 (out of memory) 2m ago".into());
    orders.desired = 2;

    let idle = |name: &str, status: &str| {
        let mut only = replica(&format!("shop-{name}-1"), 1);
        only.usage = None;
        only.id = format!("{name:a<64}");
        only.status = status.into();
        only.intent = status.into();
        only.state = "exited".into();
        only.exit = Some(Exit { at: ago(7_200), code: Some(0), oom: false });
        only.health.verdict = "none".into();
        let mut service = service("shop", name, vec![only]);
        service.status = status.into();
        service
    };
    let mut one_off = replica("shop-orders-run-1", 1);
    one_off.id = "c3".repeat(32);
    one_off.intent = "one-off".into();
    orders.replicas.push(one_off);

    let stack = |name: &str, services| Stack { name: name.to_owned(), services };
    snapshot(vec![
        stack("blog", vec![service("blog", "db", vec![replica("blog-db-1", 1)])]),
        stack(
            "shop",
            vec![
                service("shop", "db", vec![replica("shop-db-1", 1)]),
                idle("mail", "stopped"),
                idle("migrate", "finished"),
                orders,
            ],
        ),
    ])
}
