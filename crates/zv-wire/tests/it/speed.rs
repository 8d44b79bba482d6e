//! Prints how fast it is. Asked for by name: `cargo test --release -p zv-wire --test it -- --ignored --nocapture`.

#![expect(clippy::print_stdout, reason = "a measurement is printed")]

use std::time::Instant;

use zv_model::{MetricKind, Sample};
use zv_wire::remote::unpack;
use zv_wire::remote::v1::{Encoder, Item, Limits, Message};
use zv_wire::{Entry, Exposition, Format, LabelText, Parser};

const FAMILIES: usize = 40;
const CONTAINERS: usize = 300;

/// Writes what a host with 300 containers tells.
fn host(format: Format, labels: &[LabelText], names: &[String], round: usize, expected: usize) -> String {
    let mut out = Exposition::new(format, expected);
    for (place, name) in names.iter().enumerate() {
        let kind = if place % 2 == 0 { MetricKind::Counter } else { MetricKind::Gauge };
        let mut family = out.family(name, kind, "What a container used.");
        for (container, labels) in labels.iter().enumerate() {
            let number = ((container + 1) * (place + 1) * (round + 1)) as f64;
            let value = if place % 4 < 2 { number * 4096.0 } else { number / 1.7 };
            let device = [("device", "eth0")];
            family.sample(labels, if place % 8 == 0 { &device } else { &[] }, value);
        }
    }
    out.finish()
}

fn labels() -> Vec<LabelText> {
    let of = |container| {
        let (name, id) = (format!("shop-main-server-{container}"), format!("/docker/{container:064x}"));
        LabelText::of([
            ("id", id.as_str()),
            ("image", "registry.example/shop/main-server:1.27.3"),
            ("name", name.as_str()),
            ("project", "shop"),
            ("service", "main-server"),
            ("replica", "3"),
        ])
    };
    (0..CONTAINERS).map(of).collect()
}

fn names() -> Vec<String> {
    let suffix = |place| if place % 2 == 0 { "_seconds_total" } else { "_bytes" };
    (0..FAMILIES).map(|place| format!("container_example_{place}{}", suffix(place))).collect()
}

fn report(what: &str, bytes: usize, since: Instant) {
    let seconds = since.elapsed().as_secs_f64();
    println!(
        "{what}: {:.0} MB/s, {:.2} ms a scrape",
        bytes as f64 / seconds / 1e6,
        seconds * 1e3 / ROUNDS as f64
    );
}

const ROUNDS: usize = 100;

#[test]
#[ignore = "prints a speed, asserts nothing"]
fn writing() {
    let (labels, names) = (labels(), names());
    let size = host(Format::OpenMetrics, &labels, &names, 0, 0).len();
    let (begin, mut bytes) = (Instant::now(), 0);
    for round in 0..ROUNDS {
        bytes += host(Format::OpenMetrics, &labels, &names, round, size + size / 8).len();
    }
    report("writing", bytes, begin);
}

#[test]
#[ignore = "prints a speed, asserts nothing"]
fn reading() {
    for format in [Format::Text, Format::OpenMetrics] {
        let document = host(format, &labels(), &names(), 0, 0);
        let (begin, mut sum, mut keys) = (Instant::now(), 0.0, 0);
        for _ in 0..ROUNDS {
            let mut parser = Parser::new(format, document.as_bytes());
            while let Entry::Series(_) | Entry::Help { .. } | Entry::Type { .. } = {
                let entry = parser.next_entry().unwrap();
                if let Entry::Series(series) = &entry {
                    sum += series.value;
                    keys += series.text().len();
                }
                entry
            } {}
        }
        assert!(sum > 0.0 && keys > 0);
        report(&format!("reading {format:?}"), document.len() * ROUNDS, begin);
    }
}

#[test]
#[ignore = "prints a speed, asserts nothing"]
fn pushing() {
    let document = host(Format::Text, &labels(), &names(), 0, 0);
    let (mut parser, mut series) = (Parser::new(Format::Text, document.as_bytes()), Vec::new());
    loop {
        match parser.next_entry().unwrap() {
            Entry::Series(one) => series.push((one.labels().unwrap(), one.value)),
            Entry::Eof => break,
            _ => {}
        }
    }
    let (mut encoder, mut bodies) = (Encoder::default(), Vec::new());
    let (begin, mut samples, mut bytes) = (Instant::now(), 0, 0);
    for round in 0..ROUNDS as i64 {
        for batch in series.chunks(2000) {
            for (labels, value) in batch {
                encoder.series(labels, &[Sample { at: 1_700_000_000_000 + round, value: *value }]);
            }
            let mut body = Vec::new();
            bytes += encoder.len();
            encoder.finish(&mut body).unwrap();
            samples += batch.len();
            if round == 0 {
                bodies.push(body);
            }
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    let packed = bodies.iter().map(Vec::len).sum::<usize>() / series.len();
    println!(
        "encoding and packing: {:.2} s a million samples, {packed} bytes each",
        seconds / samples as f64 * 1e6
    );
    report("encoding and packing", bytes, begin);
    let (begin, mut samples) = (Instant::now(), 0);
    for _ in 0..ROUNDS / 10 {
        for body in &bodies {
            let message = unpack(body, usize::MAX).unwrap();
            let mut message = Message::new(&message, Limits::default());
            while let Some(item) = message.next_item().unwrap() {
                if let Item::Series(one) = item {
                    samples += one.samples.len();
                    assert!(!one.labels().unwrap().is_empty());
                }
            }
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    println!(
        "unpacking and decoding, labels made: {:.2} s a million samples",
        seconds / samples as f64 * 1e6
    );
}
