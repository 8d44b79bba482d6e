//! What the agent says of itself: counters that its tasks raise, and what the kernel knows of its process. Cheap to clone.

mod process;

use std::sync::Arc;
use std::time::Duration;

use prometheus::proto::{MetricFamily, MetricType};
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};
use zv_model::MetricKind;
use zv_wire::{Exposition, LabelText};

pub use process::expose as expose_process;

/// Rounds take from below a millisecond to, where something hangs, seconds.
const ROUND_BUCKETS: [f64; 7] = [0.0005, 0.001, 0.0025, 0.01, 0.05, 0.25, 2.0];

/// Why replicas were measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RoundKind {
    /// For the record.
    Recorded,
    /// For somebody who watches.
    Live,
    /// For a scrape or a passing look.
    Refresh,
}

/// The counters.
#[derive(Debug, Clone)]
pub struct Own {
    counters: Arc<Counters>,
}

#[derive(Debug)]
struct Counters {
    registry: Registry,
    rounds: IntCounterVec,
    round_seconds: Histogram,
    missed: IntCounter,
    measured: IntGaugeVec,
    deaths: IntCounter,
    deaths_lost: IntCounter,
    listeners: IntGauge,
    dropped: IntCounter,
    requests: IntCounterVec,
}

impl Default for Own {
    fn default() -> Self {
        Self::new()
    }
}

impl Own {
    /// Returns counters that begin at zero.
    pub fn new() -> Self {
        let registry = Registry::new();
        let build = sound(IntGaugeVec::new(
            Opts::new("zv_agent_build_info", "The version of the agent; always 1."),
            &["version"],
        ));
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        registered(&registry, build);
        let counter = |name: &str, help: &str| registered(&registry, sound(IntCounter::new(name, help)));
        let counters = Counters {
            rounds: registered(
                &registry,
                sound(IntCounterVec::new(
                    Opts::new("zv_agent_rounds_total", "Rounds of measuring, by what they were for."),
                    &["kind"],
                )),
            ),
            round_seconds: registered(
                &registry,
                sound(Histogram::with_opts(
                    HistogramOpts::new(
                        "zv_agent_round_duration_seconds",
                        "How long a round of measuring took.",
                    )
                    .buckets(ROUND_BUCKETS.to_vec()),
                )),
            ),
            missed: counter(
                "zv_agent_rounds_missed_total",
                "Rounds that were left out because the one before still ran.",
            ),
            measured: registered(
                &registry,
                sound(IntGaugeVec::new(
                    Opts::new(
                        "zv_agent_replicas_measured",
                        "Replicas that are measured, by whether their control groups are read or the engine is asked.",
                    ),
                    &["source"],
                )),
            ),
            deaths: counter("zv_agent_deaths_recorded_total", "Deaths of which a record was kept."),
            deaths_lost: counter("zv_agent_deaths_lost_total", "Deaths of which no record could be kept."),
            listeners: registered(
                &registry,
                sound(IntGauge::new("zv_agent_stream_listeners", "Those who follow the stream of events.")),
            ),
            dropped: counter(
                "zv_agent_stream_dropped_total",
                "Measurements that a listener of the stream was too slow for.",
            ),
            requests: registered(
                &registry,
                sound(IntCounterVec::new(
                    Opts::new("zv_agent_http_requests_total", "Requests answered, by route and status."),
                    &["route", "code"],
                )),
            ),
            registry: registry.clone(),
        };
        // What has not happened yet is zero, not absent: an increase from nothing would go unseen.
        for kind in [RoundKind::Recorded, RoundKind::Live, RoundKind::Refresh] {
            counters.rounds.with_label_values(&[kind.word()]);
        }
        Self { counters: Arc::new(counters) }
    }

    pub(crate) fn round(&self, kind: RoundKind, took: Duration) {
        self.counters.rounds.with_label_values(&[kind.word()]).inc();
        self.counters.round_seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn round_missed(&self) {
        self.counters.missed.inc();
    }

    pub(crate) fn replicas_measured(&self, here: usize, asked: usize) {
        for (source, count) in [("cgroup", here), ("engine", asked)] {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.counters.measured.with_label_values(&[source]).set(count);
        }
    }

    pub(crate) fn death_recorded(&self) {
        self.counters.deaths.inc();
    }

    pub(crate) fn death_lost(&self) {
        self.counters.deaths_lost.inc();
    }

    pub(crate) fn stream_dropped(&self, count: u64) {
        self.counters.dropped.inc_by(count);
    }

    /// Counts a listener for as long as what is returned lives.
    pub(crate) fn listening(&self) -> Listening {
        self.counters.listeners.inc();
        Listening(self.counters.listeners.clone())
    }

    /// Counts a request. `route` is one of the routes there are, never what somebody typed.
    pub(crate) fn request(&self, route: &str, code: u16) {
        self.counters.requests.with_label_values(&[route, &code.to_string()]).inc();
    }

    /// Writes all of it.
    pub fn expose(&self, out: &mut Exposition) {
        for family in self.counters.registry.gather() {
            write(out, &family);
        }
        expose_process(out);
    }
}

impl RoundKind {
    fn word(self) -> &'static str {
        match self {
            RoundKind::Recorded => "recorded",
            RoundKind::Live => "live",
            RoundKind::Refresh => "refresh",
        }
    }
}

/// One who follows the stream.
#[derive(Debug)]
pub(crate) struct Listening(IntGauge);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn sound<T>(made: prometheus::Result<T>) -> T {
    made.expect("names and labels stand above, and a test makes all of them")
}

fn registered<T: prometheus::core::Collector + Clone + 'static>(registry: &Registry, metric: T) -> T {
    registry.register(Box::new(metric.clone())).expect("each name stands above once");
    metric
}

/// Writes one family of the registry.
fn write(out: &mut Exposition, family: &MetricFamily) {
    let kind = match family.get_field_type() {
        MetricType::COUNTER => MetricKind::Counter,
        MetricType::HISTOGRAM => MetricKind::Histogram,
        MetricType::GAUGE if family.name().ends_with("_info") => MetricKind::Info,
        MetricType::GAUGE => MetricKind::Gauge,
        MetricType::SUMMARY | MetricType::UNTYPED => return,
    };
    let mut written = out.family(family.name(), kind, family.help());
    for metric in family.get_metric() {
        let labels = LabelText::of(metric.get_label().iter().map(|pair| (pair.name(), pair.value())));
        match kind {
            MetricKind::Counter => written.sample(&labels, &[], metric.get_counter().get_value()),
            MetricKind::Histogram => {
                let histogram = metric.get_histogram();
                let count = histogram.get_sample_count() as f64;
                for bucket in histogram.get_bucket() {
                    let bound = bucket.upper_bound().to_string();
                    written.part("_bucket", &labels, &[("le", &bound)], bucket.cumulative_count() as f64);
                }
                written.part("_bucket", &labels, &[("le", "+Inf")], count);
                written.part("_sum", &labels, &[], histogram.get_sample_sum());
                written.part("_count", &labels, &[], count);
            }
            _ => written.sample(&labels, &[], metric.get_gauge().get_value()),
        }
    }
}

#[cfg(test)]
mod tests {
    use zv_wire::Format;

    use super::*;

    #[test]
    fn what_happened_is_counted_and_what_did_not_is_zero() {
        let own = Own::new();
        own.round(RoundKind::Live, Duration::from_millis(2));
        own.request("/metrics", 200);
        own.replicas_measured(3, 1);
        let listening = own.listening();
        let mut out = Exposition::new(Format::Text, 0);
        own.expose(&mut out);
        let text = out.finish();
        for line in [
            "zv_agent_rounds_total{kind=\"live\"} 1",
            "zv_agent_rounds_total{kind=\"recorded\"} 0",
            "zv_agent_round_duration_seconds_bucket{le=\"0.0025\"} 1",
            "zv_agent_round_duration_seconds_bucket{le=\"0.001\"} 0",
            "zv_agent_rounds_missed_total 0",
            "zv_agent_replicas_measured{source=\"cgroup\"} 3",
            "zv_agent_stream_listeners 1",
            "zv_agent_http_requests_total{route=\"/metrics\",code=\"200\"} 1",
        ] {
            // The registry sorts labels by name.
            let sorted = line.replace("route=\"/metrics\",code=\"200\"", "code=\"200\",route=\"/metrics\"");
            assert!(text.contains(&sorted), "{sorted}: {text}");
        }
        for name in ["process_resident_memory_bytes", "process_open_fds", "process_threads"] {
            assert!(text.contains(&format!("\n{name} ")), "{name}: {text}");
        }
        drop(listening);
        assert_eq!(own.counters.listeners.get(), 0);
    }
}
