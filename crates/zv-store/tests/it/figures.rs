//! What a store takes of disk, memory and time: `cargo test --release -p zv-store --test it figures -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use zv_model::{Labels, Matcher, Queryable, Sample, TimeRange};
use zv_store::{Options, SeriesRef, Source, Store};

const SERIES: usize = 10_000;
const STEP: i64 = 15_000;
const HOURS: i64 = 6;

/// A series as an agent has it: eight labels, of which one or two tell it from others.
fn labels(number: usize) -> Labels {
    let container = format!("shop-main-server-{}", number / 40);
    let name = format!("zv_container_metric_{}_total", number % 40);
    Labels::of([
        ("__name__", &*name),
        ("stack", "shop"),
        ("service", "main-server"),
        ("container", &container),
        ("host", "node-1.example.org"),
        ("job", "zv"),
        ("instance", "node-1.example.org:9100"),
        ("image", "registry.example.org/shop/main-server:1.42"),
    ])
}

/// Six of ten stand still or rise evenly; the rest are counters of bytes and seconds, and gauges.
fn value(number: usize, round: i64) -> f64 {
    let noise = (number as i64 * 7919 + round * 104_729) % 9973;
    match number % 10 {
        0..4 => 1.0,
        4..6 => (round * 15) as f64,
        6..8 => (round * 150_000 + noise) as f64,
        8 => noise as f64 / 100.0,
        _ if number % 20 == 9 => (round as f64 / 100.0).sin() * 50.0,
        _ => (round * 733_210 + noise * 10) as f64 / 1e6,
    }
}

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

fn bytes_below(folder: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(
            |entry| {
                if entry.path().is_dir() {
                    bytes_below(&entry.path())
                } else {
                    entry.metadata().unwrap().len()
                }
            },
        )
        .sum()
}

fn rate(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64() / 1e6
}

#[test]
#[ignore = "prints figures; build with --release"]
fn figures() {
    let folder = tempfile::tempdir().unwrap();
    let all: Vec<Labels> = (0..SERIES).map(labels).collect();
    let before = resident();
    let (mut store, _) = Store::open(folder.path(), &Options::default()).unwrap();
    let start = 1_700_006_400_000;
    let rounds = HOURS * 3_600_000 / STEP;
    let mut refs: Vec<SeriesRef> = Vec::new();
    let (mut by_labels, mut by_ref, mut slowest) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let (mut labels_count, mut ref_count) = (0, 0);
    for round in 0..rounds {
        let at = start + round * STEP;
        let begun = Instant::now();
        if round % 2 == 0 {
            refs.clear();
            for (number, labels) in all.iter().enumerate() {
                let sample = Sample { at, value: value(number, round) };
                refs.push(store.append(Source(1), labels, sample).unwrap().0);
            }
            store.commit();
            if round > 0 {
                by_labels += begun.elapsed();
                labels_count += SERIES;
            }
        } else {
            for (number, series) in refs.iter().enumerate() {
                store.append_to(*series, Sample { at, value: value(number, round) }).unwrap();
            }
            store.commit();
            by_ref += begun.elapsed();
            ref_count += SERIES;
        }
        let begun = Instant::now();
        if round % 20 == 0 {
            store.maintain(at).unwrap();
            slowest = slowest.max(begun.elapsed());
        }
    }
    let counters = store.reader();
    let counters = counters.counters();
    let in_blocks = counters.blocks.get() * SERIES as u64 * 480;
    println!("{SERIES} series, {HOURS} h, every {} s", STEP / 1000);
    println!("blocks: {:.2} bytes per sample", counters.block_bytes.get() as f64 / in_blocks as f64);
    println!("log: {:.2} bytes per sample", counters.wal_bytes.get() as f64 / counters.samples.get() as f64);
    println!("all files: {} bytes", bytes_below(folder.path()));
    println!("memory: {} bytes per active series", (resident() - before) / SERIES);
    println!(
        "append with log: {:.2} M/s by labels, {:.2} M/s by reference",
        rate(labels_count, by_labels),
        rate(ref_count, by_ref)
    );
    println!("longest maintain: {slowest:?}");
    store.close().unwrap();

    let begun = Instant::now();
    let (store, recovery) = Store::open(folder.path(), &Options::default()).unwrap();
    println!("open: {:?} for {} samples of the log", begun.elapsed(), recovery.samples);
    let reader = store.reader();
    let begun = Instant::now();
    let (mut samples, mut run) = (0, Vec::new());
    let range = TimeRange { from: start, to: start + HOURS * 3_600_000 };
    for mut selected in reader.select(range, &[Matcher::equal("job", "zv")]).unwrap() {
        run.clear();
        while selected.samples.next_run(&mut run).unwrap() {}
        samples += run.len();
    }
    println!("read: {samples} samples in {:?}, {:.1} M/s", begun.elapsed(), rate(samples, begun.elapsed()));

    let mut memory = Store::in_memory(&Options::default());
    let begun = Instant::now();
    for round in 0..200 {
        for (number, labels) in all.iter().enumerate() {
            memory
                .append(Source(1), labels, Sample { at: start + round * STEP, value: value(number, round) })
                .unwrap();
        }
        memory.commit();
    }
    println!("append in memory: {:.2} M/s by labels", rate(200 * SERIES, begun.elapsed()));
}
