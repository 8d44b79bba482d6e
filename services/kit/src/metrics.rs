//! The metrics every service has: requests by route (rate, errors, duration), the log's losses, the process.

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use crate::error::Error;
use crate::process::Process;

/// The content type of the text format.
pub(crate) const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Seconds. Fine below 10 ms, where these services answer; the last is the default request timeout.
const BUCKETS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// The kit's own metrics in a service's registry.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    pub(crate) registry: Registry,
    pub(crate) in_flight: IntGauge,
    pub(crate) connections: IntGauge,
    pub(crate) log_dropped: IntCounter,
    requests: IntCounterVec,
    seconds: HistogramVec,
    info: IntGaugeVec,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let registry = Registry::new();
        let seconds = HistogramOpts::new(
            "http_request_duration_seconds",
            "Time from a request's head to the end of its answer.",
        );
        let requests = Opts::new("http_requests_total", "Requests answered; code 499 is a client that left.");
        let info = Opts::new("service_info", "Always 1; its labels say what runs here.");
        register(&registry, Process::new());
        Self {
            in_flight: register(
                &registry,
                valid(IntGauge::new("http_requests_in_flight", "Requests being answered.")),
            ),
            connections: register(&registry, valid(IntGauge::new("http_connections", "Open connections."))),
            log_dropped: register(
                &registry,
                valid(IntCounter::new(
                    "log_lines_dropped_total",
                    "Log lines lost to a slow or closed reader.",
                )),
            ),
            requests: register(&registry, valid(IntCounterVec::new(requests, &["method", "route", "code"]))),
            seconds: register(
                &registry,
                valid(HistogramVec::new(seconds.buckets(BUCKETS.to_vec()), &["method", "route"])),
            ),
            info: register(&registry, valid(IntGaugeVec::new(info, &["service", "version", "replica"]))),
            registry,
        }
    }

    /// Says what runs here.
    pub(crate) fn identify(&self, service: &str, version: &str, replica: &str) {
        self.info.with_label_values(&[service, version, replica]).set(1);
    }

    /// Counts one request. `method` and `route` come from small fixed sets.
    pub(crate) fn observe(&self, method: &str, route: &str, code: u16, took: Duration) {
        let mut digits = [b'0'; 3];
        for (digit, weight) in digits.iter_mut().zip([100, 10, 1]) {
            *digit += u8::try_from(code / weight % 10).unwrap_or(0);
        }
        let code = std::str::from_utf8(&digits).unwrap_or("000");
        self.requests.with_label_values(&[method, route, code]).inc();
        self.seconds.with_label_values(&[method, route]).observe(took.as_secs_f64());
    }

    /// Renders all metrics in the text format.
    pub(crate) fn text(&self) -> Result<String, Error> {
        Ok(TextEncoder::new().encode_to_string(&self.registry.gather())?)
    }
}

/// Unwraps a metric of this file: names and labels are constants.
fn valid<T>(metric: prometheus::Result<T>) -> T {
    metric.expect("names and labels of the kit's metrics are valid")
}

/// Registers a metric of this file; the registry is new, so nothing can be in the way.
fn register<T: Collector + Clone + 'static>(registry: &Registry, metric: T) -> T {
    registry.register(Box::new(metric.clone())).expect("names of the kit's metrics are distinct");
    metric
}
