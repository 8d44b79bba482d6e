//! What Prometheus sees.

use std::collections::{BTreeMap, BTreeSet};

use crate::harness::{Running, until};

/// Parses the text format as strictly as these metrics need it: name, labels, value; types before samples.
fn parse(text: &str) -> BTreeMap<String, f64> {
    let mut typed = BTreeSet::new();
    let mut samples = BTreeMap::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect(line);
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(typed.insert(name.to_owned()), "typed twice: {line}");
            continue;
        }
        if line.starts_with("# HELP ") {
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect(line);
        let name = series.split('{').next().unwrap();
        let family =
            ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        assert!(typed.contains(family) || typed.contains(name), "no type: {line}");
        assert!(samples.insert(series.to_owned(), value.parse().expect(line)).is_none(), "twice: {line}");
    }
    samples
}

async fn scrape(service: &Running) -> BTreeMap<String, f64> {
    let reply = service.get("/metrics").await;
    assert_eq!(reply.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    parse(&reply.body)
}

#[tokio::test]
async fn requests_are_counted_by_method_route_and_code() {
    let service = Running::start([]).await;
    let mut client = service.client().await;
    for path in ["/items/1", "/items/2?token=x", "/nowhere", "/panic"] {
        client.get(path).await;
    }
    let requests =
        |code, route| format!("http_requests_total{{code=\"{code}\",method=\"GET\",route=\"{route}\"}}");
    let mut samples = BTreeMap::new();
    until(async || {
        samples = scrape(&service).await;
        samples.contains_key(&requests(500, "/panic"))
    })
    .await;
    assert_eq!(samples[&requests(200, "/items/{id}")], 2.0);
    assert_eq!(samples[&requests(404, "none")], 1.0);
    assert_eq!(samples["http_request_duration_seconds_count{method=\"GET\",route=\"/items/{id}\"}"], 2.0);
    let infinite = "http_request_duration_seconds_bucket{method=\"GET\",route=\"/items/{id}\",le=\"+Inf\"}";
    assert_eq!(samples[infinite], 2.0);
    assert_eq!(samples["service_info{replica=\"tested-1\",service=\"tested\",version=\"1.2.3\"}"], 1.0);
    assert_eq!(samples["http_requests_in_flight"], 1.0, "the scrape itself");
    assert_eq!(samples["log_lines_dropped_total"], 0.0);
    assert!(samples["http_connections"] >= 2.0);
    assert!(samples["process_resident_memory_bytes"] > 0.0);
    assert!(samples["process_cpu_seconds_total"] >= 0.0);
}

#[tokio::test]
async fn no_client_can_make_new_series() {
    let service = Running::start([]).await;
    let mut client = service.client().await;
    for number in 0..200 {
        client.get(&format!("/random/{number}")).await;
        client.get(&format!("/items/{number}")).await;
        client.ask(&format!("M{number} /items/{number} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
    }
    let samples = scrape(&service).await;
    let routes: BTreeSet<&str> =
        samples.keys().filter_map(|series| series.split("route=\"").nth(1)?.split('"').next()).collect();
    let methods: BTreeSet<&str> =
        samples.keys().filter_map(|series| series.split("method=\"").nth(1)?.split('"').next()).collect();
    assert!(routes.is_subset(&BTreeSet::from(["none", "/items/{id}", "/metrics"])), "{routes:?}");
    assert!(methods.is_subset(&BTreeSet::from(["GET", "other"])), "{methods:?}");
}

#[tokio::test]
async fn a_client_that_leaves_is_counted_and_no_longer_in_flight() {
    let service = Running::start([]).await;
    let mut client = service.client().await;
    client.send(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    service.slow.begun.notified().await;
    assert_eq!(scrape(&service).await["http_requests_in_flight"], 2.0);
    drop(client);
    until(async || scrape(&service).await["http_requests_in_flight"] == 1.0).await;
    let left = "http_requests_total{code=\"499\",method=\"GET\",route=\"/slow\"}";
    assert_eq!(scrape(&service).await[left], 1.0);
}
