//! `/metrics` and the measurements on the stream, through the real routes.

use futures_util::StreamExt;
use zv_agent::collect::Collected;
use zv_agent::http::ReadRight;
use zv_agent::metrics::{Metrics, Part, Writer};
use zv_api::StatsPace;
use zv_api::client::EventBody;

use super::harness::{Setup, TOKEN, raw, request, status, within};

fn metrics() -> Metrics {
    let collected = Collected::default();
    let own = collected.own().clone();
    let sample = |name: &'static str| -> Writer {
        Box::new(move |out| {
            let mut family = out.family(name, zv_model::MetricKind::Counter, "A count.");
            family.sample(&zv_wire::LabelText::of([("name", "a\"b")]), &[], 2.0);
        })
    };
    let writers = vec![
        (Part::Cadvisor, sample("container_things_total")),
        (Part::Node, sample("node_things_total")),
        (Part::Zv, Box::new(move |out: &mut zv_wire::Exposition| own.expose(out)) as Writer),
    ];
    Metrics::new(collected, writers, || 0)
}

async fn scrape(setup: Setup, path: &str, headers: &str) -> String {
    let served = setup.serve();
    raw(served.tcp().await, &request("GET", path, headers, "")).await
}

fn plain() -> Setup {
    Setup { metrics: metrics(), ..Setup::plain() }
}

#[tokio::test]
async fn the_format_is_the_one_that_is_wished_for() {
    let prometheus =
        "Accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3\r\n";
    let (text, open) = ("text/plain; version=0.0.4", "application/openmetrics-text; version=1.0.0");
    for (headers, content, is_open) in [
        ("", text, false),
        ("Accept: */*\r\n", text, false),
        (prometheus, open, true),
        ("Accept: text/plain;q=0.2\r\nAccept: application/openmetrics-text\r\n", open, true),
        ("Accept: application/openmetrics-text;q=0.1, text/plain;q=0.9\r\n", text, false),
    ] {
        let answer = scrape(plain(), "/metrics", headers).await;
        assert_eq!(status(&answer), 200, "{answer}");
        let head = answer.to_lowercase();
        assert!(head.contains(&format!("content-type: {content}")), "{headers}: {answer}");
        assert!(head.contains("vary: accept"), "{answer}");
        assert_eq!(answer.contains("# EOF"), is_open, "{answer}");
        assert_eq!(answer.contains("# TYPE container_things counter"), is_open, "{answer}");
        assert!(answer.contains("container_things_total{name=\"a\\\"b\"} 2"), "{answer}");
        assert!(answer.contains("zv_agent_build_info{version="), "{answer}");
    }
}

#[tokio::test]
async fn parts_are_picked_by_name() {
    let one = scrape(plain(), "/metrics?collect[]=node", "").await;
    assert!(one.contains("node_things_total") && !one.contains("container_things"), "{one}");
    let encoded = scrape(plain(), "/metrics?collect%5B%5D=node&collect%5B%5D=cadvisor", "").await;
    assert!(encoded.contains("node_things_total") && encoded.contains("container_things_total"), "{encoded}");
    assert!(!encoded.contains("zv_agent"), "{encoded}");
    let none = scrape(plain(), "/metrics?collect[]=blackbox", "").await;
    assert_eq!(status(&none), 200, "{none}");
    for (query, sentence) in [
        ("collect[]=nodes", "must be one of cadvisor, node, blackbox, zv"),
        ("collect=node", "known are `collect[]`"),
    ] {
        let answer = scrape(plain(), &format!("/metrics?{query}"), "").await;
        assert_eq!(status(&answer), 400, "{answer}");
        assert!(answer.contains(sentence), "{answer}");
    }
}

#[tokio::test]
async fn reading_metrics_takes_the_right_to_read() {
    let guarded = || Setup { read: ReadRight::Token, ..plain() };
    assert_eq!(status(&scrape(guarded(), "/metrics", "").await), 401);
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    assert_eq!(status(&scrape(guarded(), "/metrics", &bearer).await), 200);
}

#[tokio::test]
async fn requests_are_counted_by_route_and_never_by_what_was_typed() {
    let served = plain().serve();
    for path in ["/api/zv/v1/deaths/d-9", "/api/zv/v1/deaths/d-1", "/no/such/place", "/-/healthy"] {
        raw(served.tcp().await, &request("GET", path, "", "")).await;
    }
    let text = raw(served.tcp().await, &request("GET", "/metrics", "", "")).await;
    for (route, code) in
        [("/api/zv/v1/deaths/{id}", 404), ("/api/zv/v1/deaths/{id}", 200), ("none", 404), ("/-/healthy", 200)]
    {
        let line = format!("zv_agent_http_requests_total{{code=\"{code}\",route=\"{route}\"}} 1");
        assert!(text.contains(&line), "{line}: {text}");
    }
    assert!(!text.contains("/no/such"), "{text}");
}

#[tokio::test]
async fn measurements_are_on_the_stream_where_they_are_asked_for() {
    let served = Setup::plain().serve();
    for pace in [StatsPace::Recorded, StatsPace::Live] {
        let mut events = served.client().events_with(None, Some(pace)).await.unwrap();
        let snapshot = within(events.next()).await.unwrap().unwrap();
        assert!(matches!(snapshot.body, EventBody::Snapshot(_)));
        let event = within(events.next()).await.unwrap().unwrap();
        let EventBody::Stats(stats) = event.body else { panic!("{event:?}") };
        assert_eq!(stats.replicas[pace.word()].cpu_cores, Some(0.5));
        assert_eq!(event.id, snapshot.id, "one resumes after what has a number");
    }
    let mut events = served.client().events(None).await.unwrap();
    within(events.next()).await.unwrap().unwrap();
    served.source.change();
    let event = within(events.next()).await.unwrap().unwrap();
    assert!(matches!(event.body, EventBody::Change(_)), "{event:?}");
    let wrong = raw(served.tcp().await, &request("GET", "/api/zv/v1/events?stats=often", "", "")).await;
    assert_eq!(status(&wrong), 400, "{wrong}");
    assert!(wrong.contains("`stats` must be recorded or live"), "{wrong}");
}

#[tokio::test]
async fn the_host_is_told() {
    let host = Setup::plain().serve().client().host().await.unwrap();
    assert_eq!((host.host.name.as_str(), host.kernel.as_deref()), ("web-1", Some("6.1.0")));
}
