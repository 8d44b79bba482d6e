//! What a run found: one finding for each target, and what they come to.

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use zv_probe::{Report, Verdict};

/// The exit code where nobody knows.
pub(super) const COULD_NOT_TELL: u8 = 3;

/// Where the time of a probe went, in seconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Phases {
    #[serde(skip_serializing_if = "Option::is_none")]
    resolve: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connect: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    processing: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transfer: Option<f64>,
}

/// How one target is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Finding {
    /// Without secrets.
    pub(super) target: String,
    #[serde(rename = "status", serialize_with = "as_word")]
    pub(super) verdict: Verdict,
    pub(super) reason: String,
    /// How long the last attempt took; absent for what was not asked itself.
    #[serde(rename = "duration_seconds")]
    pub(super) seconds: Option<f64>,
    pub(super) attempts: u32,
    #[serde(rename = "phases_seconds", skip_serializing_if = "Option::is_none")]
    pub(super) phases: Option<Phases>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) http_status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) certificate_ends_at: Option<DateTime<Utc>>,
}

fn as_word<S: Serializer>(verdict: &Verdict, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(verdict.word())
}

impl Finding {
    /// Returns what was found without asking the target itself.
    pub(super) fn seen(target: impl Into<String>, verdict: Verdict, reason: impl Into<String>) -> Self {
        Self {
            target: target.into(),
            verdict,
            reason: reason.into(),
            seconds: None,
            attempts: 1,
            phases: None,
            http_status: None,
            certificate_ends_at: None,
        }
    }

    /// Returns what a probe found.
    pub(super) fn probed(target: &str, report: Report, attempts: u32) -> Self {
        let seconds = |time: Option<std::time::Duration>| time.map(|time| time.as_secs_f64());
        let phases = Phases {
            resolve: seconds(report.phases.resolve),
            connect: seconds(report.phases.connect),
            tls: seconds(report.phases.tls),
            processing: seconds(report.phases.processing),
            transfer: seconds(report.phases.transfer),
        };
        Self {
            seconds: Some(report.duration.as_secs_f64()),
            attempts,
            phases: Some(phases),
            http_status: report.http_status,
            certificate_ends_at: report.certificate_ends.and_then(|ends| DateTime::from_timestamp(ends, 0)),
            ..Self::seen(target, report.verdict, report.reason)
        }
    }
}

/// A whole run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Summary {
    pub(super) at: DateTime<Utc>,
    pub(super) seconds: f64,
    pub(super) findings: Vec<Finding>,
}

impl Summary {
    /// Returns the worst verdict.
    pub(super) fn verdict(&self) -> Verdict {
        self.findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Unknown)
    }

    /// Returns the exit code.
    pub(super) fn code(&self) -> u8 {
        code(self.verdict())
    }

    pub(super) fn count(&self, verdict: Verdict) -> usize {
        self.findings.iter().filter(|finding| finding.verdict == verdict).count()
    }

    /// Returns how many are how: `2 up, 1 down`.
    pub(super) fn counts(&self) -> String {
        let all = [Verdict::Down, Verdict::Unknown, Verdict::Degraded, Verdict::Up];
        let counted = all.into_iter().map(|verdict| (self.count(verdict), verdict));
        let told =
            counted.filter(|(count, _)| *count > 0).map(|(count, verdict)| format!("{count} {verdict}"));
        told.collect::<Vec<_>>().join(", ")
    }
}

/// Returns the exit code of a verdict.
pub(super) fn code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Up => 0,
        Verdict::Degraded => 1,
        Verdict::Down => 2,
        Verdict::Unknown => COULD_NOT_TELL,
    }
}

/// A run as programs read it, with all targets or some of them.
#[derive(Debug, Serialize)]
pub(super) struct Shown<'a> {
    at: DateTime<Utc>,
    /// Of the whole run, whichever targets are shown.
    status: &'static str,
    exit_code: u8,
    duration_seconds: f64,
    targets: &'a [Finding],
}

impl Summary {
    /// Returns the run with these of its targets.
    pub(super) fn showing<'a>(&self, targets: &'a [Finding]) -> Shown<'a> {
        let (status, exit_code) = (self.verdict().word(), self.code());
        Shown { at: self.at, status, exit_code, duration_seconds: self.seconds, targets }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn the_worst_target_counts_and_down_is_worse_than_unknown() {
        for (verdicts, code, counts) in [
            (&[Verdict::Up, Verdict::Up][..], 0, "2 up"),
            (&[Verdict::Up, Verdict::Degraded], 1, "1 degraded, 1 up"),
            (&[Verdict::Degraded, Verdict::Unknown], 3, "1 unknown, 1 degraded"),
            (&[Verdict::Unknown, Verdict::Down, Verdict::Up], 2, "1 down, 1 unknown, 1 up"),
            (&[], 3, ""),
        ] {
            let findings = verdicts.iter().map(|verdict| Finding::seen("x", *verdict, "")).collect();
            let summary = Summary { at: samples::now(), seconds: 0.1, findings };
            assert_eq!((summary.code(), summary.counts().as_str()), (code, counts));
        }
    }
}
