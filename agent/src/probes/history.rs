//! The last results of a probe, packed: there may be thousands of probes, and sixty results of each.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use zv_probe::{Phases, Report, Verdict};

/// The results kept of a probe.
const KEPT: usize = 60;
/// The outputs kept of a probe: the last ones.
const OUTPUTS_KEPT: usize = 3;
/// A phase that was not entered.
const NOT_ENTERED: u32 = u32::MAX;

/// The last results, oldest first.
#[derive(Debug, Default)]
pub(super) struct History {
    results: VecDeque<Packed>,
}

#[derive(Debug)]
struct Packed {
    at_ms: i64,
    verdict: Verdict,
    /// Shared with the result before where it is the same, as it is most of the time.
    reason: Arc<str>,
    duration_us: u32,
    phases_us: [u32; 5],
    http_status: Option<u16>,
    certificate_ends: Option<i64>,
    output: Option<Box<str>>,
}

impl History {
    /// Takes a result.
    pub(super) fn push(&mut self, at: DateTime<Utc>, report: &Report) {
        let last = self.results.back().map(|last| &last.reason);
        let reason = match last.filter(|last| ***last == *report.reason) {
            Some(same) => Arc::clone(same),
            None => report.reason.as_str().into(),
        };
        if self.results.len() == KEPT {
            self.results.pop_front();
        }
        self.results.push_back(Packed {
            at_ms: at.timestamp_millis(),
            verdict: report.verdict,
            reason,
            duration_us: micros(report.duration),
            phases_us: phases(&report.phases).map(|(_, time)| time.map_or(NOT_ENTERED, micros)),
            http_status: report.http_status,
            certificate_ends: report.certificate_ends,
            output: report.output.as_deref().map(Box::from),
        });
        let outputs = self
            .results
            .iter_mut()
            .rev()
            .filter_map(|result| result.output.is_some().then_some(&mut result.output));
        for output in outputs.skip(OUTPUTS_KEPT) {
            *output = None;
        }
    }

    /// Returns the last `count` results, newest last.
    pub(super) fn last(&self, count: usize) -> Vec<zv_api::ProbeResult> {
        let skipped = self.results.len().saturating_sub(count);
        self.results.iter().skip(skipped).map(Packed::unpacked).collect()
    }
}

impl Packed {
    fn unpacked(&self) -> zv_api::ProbeResult {
        let names = phases(&Phases::default()).map(|(name, _)| name);
        let entered = names.iter().zip(self.phases_us).filter(|(_, time)| *time != NOT_ENTERED);
        let phases: BTreeMap<String, f64> =
            entered.map(|(name, time)| ((*name).to_owned(), seconds(time))).collect();
        zv_api::ProbeResult {
            at: DateTime::from_timestamp_millis(self.at_ms).unwrap_or_default(),
            verdict: self.verdict.word().to_owned(),
            reason: self.reason.to_string(),
            duration_seconds: seconds(self.duration_us),
            phases,
            http_status: self.http_status,
            certificate_ends: self.certificate_ends.and_then(|ends| DateTime::from_timestamp(ends, 0)),
            output: self.output.as_deref().map(str::to_owned),
        }
    }
}

/// Returns the phases in their order, by name.
pub(crate) fn phases(phases: &Phases) -> [(&'static str, Option<Duration>); 5] {
    [
        ("resolve", phases.resolve),
        ("connect", phases.connect),
        ("tls", phases.tls),
        ("processing", phases.processing),
        ("transfer", phases.transfer),
    ]
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(NOT_ENTERED).min(NOT_ENTERED - 1)
}

fn seconds(micros: u32) -> f64 {
    f64::from(micros) / 1e6
}
