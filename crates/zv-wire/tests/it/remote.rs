//! Remote write against Prometheus: it takes what is encoded here, and what it sends is understood.

use std::collections::BTreeMap;
use std::sync::mpsc;

use zv_model::{Labels, MetricKind, STALE_NAN, Sample};
use zv_wire::remote::v1::{Encoder, Exemplar, Item, Limits, Message, Metadata};
use zv_wire::remote::{CONTENT_ENCODING, VERSION_HEADER, Version, unpack};

use crate::lab::{PATIENCE, Prometheus, listen, serve};

fn headers() -> [(&'static str, &'static str); 3] {
    [
        ("Content-Encoding", CONTENT_ENCODING),
        ("Content-Type", Version::V1.content_type()),
        (VERSION_HEADER, Version::V1.header()),
    ]
}

fn write(prometheus: &Prometheus, encoder: &mut Encoder) -> (u16, String) {
    let mut body = Vec::new();
    encoder.finish(&mut body).unwrap();
    let (status, answer) = prometheus.request("POST", "/api/v1/write", &headers(), &body).unwrap();
    (status, String::from_utf8(answer).unwrap())
}

#[test]
fn prometheus_takes_what_is_written() {
    let Some(prometheus) = Prometheus::start("global: { scrape_interval: 1h }\n") else { return };
    let now = prometheus.data("/api/v1/query?query=time()")["result"][0].as_f64().unwrap();
    let now = (now * 1000.0) as i64;
    let labels = |name: &str| Labels::of([("__name__", name), ("a", "b\"é\n"), ("zone", "eu")]);
    let mut encoder = Encoder::default();
    let values = [1.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1e-300, 9_007_199_254_740_993.0];
    for (place, value) in values.into_iter().enumerate() {
        let samples = [Sample { at: now - 2000, value: 7.0 }, Sample { at: now - 1000, value }];
        let exemplars = [Exemplar { labels: vec![("id", "1")], value: 0.5, at: now - 1000 }];
        encoder.series_with(&labels(&format!("m{place}")), &samples, &exemplars);
    }
    let gone = [Sample { at: now - 2000, value: 7.0 }, Sample { at: now - 1000, value: STALE_NAN }];
    encoder.series(&labels("gone"), &gone);
    encoder.metadata(&Metadata { family: "m0", kind: MetricKind::Gauge, help: "Some.", unit: "s" });
    assert_eq!(write(&prometheus, &mut encoder), (204, String::new()));

    let seconds = now as f64 / 1000.0;
    let query =
        |expression: &str| prometheus.data(&format!("/api/v1/query?query={expression}&time={seconds}"));
    for (place, value) in values.into_iter().enumerate() {
        let answer = query(&format!("m{place}"));
        let one = &answer["result"][0];
        assert_eq!(one["metric"]["a"], "b\"é\n");
        let found: f64 = one["value"][1].as_str().unwrap().parse().unwrap();
        assert!(found.to_bits() == value.to_bits() || (found.is_nan() && value.is_nan()), "{found} {value}");
    }
    assert_eq!(query("gone")["result"].as_array().unwrap().len(), 0, "a stale series");
    assert_eq!(query("gone[1m]")["result"][0]["values"].as_array().unwrap().len(), 1);
}

#[test]
fn what_prometheus_sends_is_understood() {
    let (tell, told) = mpsc::channel();
    let receiver = listen(move |request| {
        // The test may be over.
        tell.send(request).ok();
        ("text/plain", Vec::new())
    });
    let document = "# HELP m_seconds_total Help \\n.\n# TYPE m_seconds_total counter\nm_seconds_total{b=\"2\",a=\"é\"} 1.5\n\
         m_seconds_total{b=\"\"} NaN\n";
    let scraped = serve(vec![("text/plain", document.into())]);
    let configuration = format!(
        "global: {{ scrape_interval: 1s, scrape_timeout: 1s }}\n\
         scrape_configs: [{{ job_name: lab, metrics_path: /0, static_configs: [{{ targets: ['{scraped}'] }}] }}]\n\
         remote_write: [{{ url: 'http://{receiver}/write', metadata_config: {{ send_interval: 1s }} }}]\n"
    );
    let Some(_prometheus) = Prometheus::start(&configuration) else { return };
    let (mut series, mut metadata) = (BTreeMap::new(), Vec::new());
    while series.len() < 7 || metadata.is_empty() {
        let request = told.recv_timeout(PATIENCE).unwrap();
        assert_eq!(request.path, "/write");
        for (name, value) in headers() {
            assert_eq!(request.header(&name.to_ascii_lowercase()), Some(value));
        }
        let message = unpack(&request.body, 1 << 24).unwrap();
        let mut message = Message::new(&message, Limits::default());
        while let Some(item) = message.next_item().unwrap() {
            match item {
                Item::Series(one) => {
                    assert!(one.pairs.is_sorted());
                    series.insert(one.labels().unwrap(), one.samples[0]);
                }
                Item::Metadata(one) => metadata.push((one.family.to_owned(), one.kind, one.help.to_owned())),
            }
        }
    }
    assert_eq!(metadata[0], ("m_seconds_total".to_owned(), MetricKind::Counter, "Help \n.".to_owned()));
    let instance = scraped.to_string();
    let usual = [("__name__", "m_seconds_total"), ("instance", instance.as_str()), ("job", "lab")];
    let full = Labels::of(usual.into_iter().chain([("a", "é"), ("b", "2")]));
    assert_eq!(series[&full].value, 1.5);
    assert_eq!(series[&Labels::of(usual)].value.to_bits(), zv_model::NORMAL_NAN.to_bits());
}
