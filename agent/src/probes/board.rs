//! What is known of every probe.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use zv_probe::{Flip, Judge, Report, Verdict};

use super::history::History;
use super::wanted::{Owner, Spec, Wanted};

/// The words for verdicts, in the order in which they are counted.
pub(crate) const VERDICTS: [Verdict; 4] = [Verdict::Up, Verdict::Degraded, Verdict::Unknown, Verdict::Down];

/// All probes by id.
#[derive(Debug, Default)]
pub(super) struct Board {
    entries: BTreeMap<Arc<str>, Entry>,
}

/// One probe and what it found.
#[derive(Debug)]
struct Entry {
    spec: Arc<Spec>,
    judge: Judge,
    since: Option<DateTime<Utc>>,
    /// Of what stands.
    reason: String,
    history: History,
    counts: [u64; VERDICTS.len()],
    last: Option<Report>,
}

/// What a list of wanted probes changes.
#[derive(Debug, Default)]
pub(super) struct Turnover {
    pub(super) gone: Vec<Arc<str>>,
    /// New, or with another content than before.
    pub(super) fresh: Vec<Arc<Spec>>,
}

/// What a result changes.
#[derive(Debug)]
pub(super) struct Observed {
    pub(super) is_failing: bool,
    /// What stood before, where that changed, and for how long it did.
    pub(super) flip: Option<Flip>,
    /// It is the first verdict of this probe.
    pub(super) is_first: bool,
}

/// What others may see of a probe.
pub(crate) struct Seen<'a> {
    pub(crate) name: &'a str,
    pub(crate) kind: &'static str,
    pub(crate) target: &'a str,
    pub(crate) owner: Option<&'a Owner>,
    pub(crate) standing: Verdict,
    pub(crate) counts: [u64; VERDICTS.len()],
    pub(crate) last: Option<&'a Report>,
}

impl Board {
    /// Goes over to what is wanted. Whatever has the same content stays as it is.
    pub(super) fn turn_over(&mut self, wanted: &Wanted, now: Duration) -> Turnover {
        let gone: Vec<_> = self.entries.keys().filter(|id| !wanted.contains_key(*id)).cloned().collect();
        for id in &gone {
            self.entries.remove(id);
        }
        let mut fresh = Vec::new();
        for (id, spec) in wanted {
            let same = |entry: &Entry| entry.spec.fingerprint == spec.fingerprint;
            if self.entries.get(id).is_some_and(same) {
                continue;
            }
            self.entries.insert(Arc::clone(id), Entry::new(Arc::clone(spec), now));
            fresh.push(Arc::clone(spec));
        }
        Turnover { gone, fresh }
    }

    /// Takes a result, unless the probe has changed since it began.
    pub(super) fn observe(
        &mut self,
        spec: &Arc<Spec>,
        now: Duration,
        at: DateTime<Utc>,
        report: Report,
    ) -> Option<Observed> {
        let entry = self.entries.get_mut(&spec.id).filter(|entry| Arc::ptr_eq(&entry.spec, spec))?;
        let flip = entry.judge.observe(now, report.verdict);
        let is_first = flip.is_some() && entry.since.is_none();
        if flip.is_some() {
            entry.since = Some(at);
        }
        if flip.is_some() || report.verdict == entry.judge.standing() {
            entry.reason.clone_from(&report.reason);
        }
        let place = VERDICTS.iter().position(|verdict| *verdict == report.verdict);
        if let Some(count) = place.and_then(|place| entry.counts.get_mut(place)) {
            *count += 1;
        }
        entry.history.push(at, &report);
        entry.last = Some(report);
        Some(Observed { is_failing: entry.judge.is_failing(), flip, is_first })
    }

    pub(super) fn view(&self, id: &str, results: usize) -> Option<zv_api::Probe> {
        self.entries.get(id).map(|entry| entry.view(results))
    }

    pub(super) fn views(&self, results: usize) -> Vec<zv_api::Probe> {
        self.entries.values().map(|entry| entry.view(results)).collect()
    }

    pub(super) fn seen(&self) -> impl Iterator<Item = Seen<'_>> {
        self.entries.values().map(Entry::seen)
    }
}

impl Entry {
    fn new(spec: Arc<Spec>, now: Duration) -> Self {
        let judge = Judge::new(spec.pace.confirm, now);
        let reason = match &spec.target {
            Ok(_) => "not probed yet".to_owned(),
            Err(reason) => reason.clone(),
        };
        let (history, counts) = (History::default(), [0; VERDICTS.len()]);
        Self { spec, judge, since: None, reason, history, counts, last: None }
    }

    fn target(&self) -> &str {
        self.spec.target.as_ref().map_or("", |target| &target.name)
    }

    fn view(&self, results: usize) -> zv_api::Probe {
        let spec = &self.spec;
        let owner = spec.owner.as_ref();
        let counted = VERDICTS.iter().zip(self.counts);
        zv_api::Probe {
            id: spec.id.to_string(),
            name: spec.name.clone(),
            kind: spec.kind.to_owned(),
            target: self.target().to_owned(),
            stack: owner.map(|owner| owner.key.stack.to_string()),
            service: owner.map(|owner| owner.key.service.to_string()),
            replica: owner.map(|owner| owner.id.as_str().to_owned()),
            verdict: self.judge.standing().word().to_owned(),
            since: self.since,
            reason: self.reason.clone(),
            interval_seconds: spec.pace.schedule.interval(false).as_secs_f64(),
            confirm: spec.pace.confirm.to_string(),
            results: counted.map(|(verdict, count)| (verdict.word().to_owned(), count)).collect(),
            history: self.history.last(results),
        }
    }

    fn seen(&self) -> Seen<'_> {
        Seen {
            name: &self.spec.name,
            kind: self.spec.kind,
            target: self.target(),
            owner: self.spec.owner.as_ref(),
            standing: self.judge.standing(),
            counts: self.counts,
            last: self.last.as_ref(),
        }
    }
}
