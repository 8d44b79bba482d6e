//! Whole scrapes: shared, quick with many replicas, and such as Prometheus' own tool has nothing to say against.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use zv_stack::ReplicaId;

use super::containers::tests::everything;
use super::*;
use crate::collect::usage::usage;
use crate::collect::{HostMeasured, Measured};
use crate::stacks::Stacks;
use crate::stacks::tests::{feed, replica, stacks_in};

/// Returns stacks with so many replicas that run and are measured.
fn busy(count: u32) -> Stacks {
    let stacks = stacks_in(None);
    feed(&stacks, (1..=count).map(|number| replica("api", number)).collect());
    let measured = (1..=count).map(|number| {
        let measurement = everything();
        let usage = usage(&measurement, None);
        let pid = Some(4_000_000 + number);
        (
            ReplicaId::new(format!("api-{number}")),
            Arc::new(Measured { pid, asked: false, measurement, usage }),
        )
    });
    stacks.collected().update(|latest| {
        latest.replicas = measured.collect();
        latest.began = Some(Instant::now());
        let measurement =
            crate::collect::host::HostMeter::new(Default::default()).measure(crate::clock::now());
        latest.host = Some(Arc::new(HostMeasured { usage: measurement.usage(None), measurement }));
    });
    stacks
}

#[tokio::test(start_paused = true)]
async fn those_who_scrape_at_once_share_one_text() {
    let written = Arc::new(AtomicUsize::new(0));
    let (counted, version) = (Arc::clone(&written), Arc::new(AtomicUsize::new(0)));
    let write: Writer = Box::new(move |out| {
        counted.fetch_add(1, Ordering::AcqRel);
        out.family("a", zv_model::MetricKind::Gauge, "A.").sample(&Default::default(), &[], 1.0);
    });
    let collected = Collected::default();
    collected.update(|latest| latest.began = Some(Instant::now()));
    let told = Arc::clone(&version);
    let metrics =
        Metrics::new(collected.clone(), vec![(Part::Zv, write)], move || told.load(Ordering::Acquire) as u64);
    let scrape = || metrics.scrape(Format::Text, Parts::all());
    let (one, other) = tokio::join!(scrape(), scrape());
    assert_eq!((&one, written.load(Ordering::Acquire)), (&other, 1));
    assert_eq!(one.as_ptr(), other.as_ptr());
    metrics.scrape(Format::OpenMetrics, Parts::all()).await;
    assert_eq!(written.load(Ordering::Acquire), 2, "the other format is another text");
    version.fetch_add(1, Ordering::AcqRel);
    scrape().await;
    assert_eq!(written.load(Ordering::Acquire), 3, "something changed");
    tokio::time::advance(SHARED).await;
    scrape().await;
    assert_eq!(written.load(Ordering::Acquire), 4, "it is old");
    let mut parts = Parts::default();
    parts.insert(Part::Node);
    assert_eq!(metrics.scrape(Format::Text, parts).await, "");
    assert_eq!(written.load(Ordering::Acquire), 4);
}

#[tokio::test]
async fn three_hundred_replicas_are_written_in_no_time() {
    let stacks = busy(300);
    let metrics = Metrics::of(&stacks);
    metrics.scrape(Format::OpenMetrics, Parts::all()).await;
    let began = Instant::now();
    let text = metrics.scrape(Format::Text, Parts::all()).await;
    let took = began.elapsed();
    let text = std::str::from_utf8(&text).unwrap();
    let series = text.lines().filter(|line| !line.starts_with('#')).count();
    println!("300 replicas, {series} series, {} bytes: {took:?}", text.len());
    let containers = text.lines().filter(|line| line.starts_with("container_")).count();
    assert_eq!(containers, 300 * 40);
    let mut families: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let count = families.len();
    families.sort_unstable();
    families.dedup();
    assert_eq!(families.len(), count, "each family comes once");
}

#[tokio::test]
async fn a_part_is_served_by_its_name() {
    let metrics = Metrics::of(&busy(1));
    for (part, prefixes) in
        [(Part::Cadvisor, &["container_"][..]), (Part::Node, &["node_"]), (Part::Zv, &["zv_", "process_"])]
    {
        let mut parts = Parts::default();
        parts.insert(part);
        let text = metrics.scrape(Format::Text, parts).await;
        let text = std::str::from_utf8(&text).unwrap();
        let mut samples = text.lines().filter(|line| !line.starts_with('#')).peekable();
        assert!(samples.peek().is_some(), "{part:?}");
        for line in samples {
            assert!(prefixes.iter().any(|prefix| line.starts_with(prefix)), "{part:?}: {line}");
        }
    }
}

/// Finds Prometheus' tool: at `ZV_PROMTOOL`, else in the path.
fn promtool() -> Option<PathBuf> {
    let named = std::env::var_os("ZV_PROMTOOL").map(PathBuf::from);
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let mut found = std::env::split_paths(&folders).map(|folder| folder.join("promtool"));
    let tool = named.or_else(|| found.find(|path| path.is_file()));
    if tool.is_none() {
        assert!(std::env::var_os("ZV_REQUIRE_SERVERS").is_none(), "promtool is required; set ZV_PROMTOOL");
        println!("skipped: promtool is neither in the path nor named by ZV_PROMTOOL");
    }
    tool
}

#[tokio::test]
async fn prometheus_own_tool_reads_it_and_has_nothing_to_say_of_our_names() {
    let Some(tool) = promtool() else { return };
    let stacks = busy(2);
    stacks.collected().kill_told(&ReplicaId::new("api-1"));
    let metrics = Metrics::of(&stacks);
    metrics.own().request("/metrics", 200);
    let text = metrics.scrape(Format::Text, Parts::all()).await;
    let mut child = Command::new(tool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&text).unwrap();
    let output = child.wait_with_output().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // 3 is for lints, of which names that are others' have some; 1 is for what cannot be read.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{said}");
    let ours: Vec<&str> =
        said.lines().filter(|line| line.starts_with("zv_") || line.contains("error")).collect();
    assert!(ours.is_empty(), "{ours:#?}");
}
