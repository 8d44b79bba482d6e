//! One family: its metadata, and the samples that belong to its kind.

use std::collections::HashSet;

use zv_model::MetricKind;

use super::group::{Group, Key};
use super::{Broken, Sample, suffixes};

/// A family while it is read.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) name: String,
    kind: Option<MetricKind>,
    unit: Option<String>,
    has_help: bool,
    /// The metrics that ended.
    ended: HashSet<Key>,
    group: Option<Group>,
}

impl Family {
    pub(super) fn new(name: &str) -> Self {
        let (name, ended) = (name.to_owned(), HashSet::new());
        Self { name, kind: None, unit: None, has_help: false, ended, group: None }
    }

    fn kind_or_unknown(&self) -> MetricKind {
        self.kind.unwrap_or_default()
    }

    fn check_first(&self, is_repeated: bool, what: &str) -> Result<(), Broken> {
        if is_repeated {
            return Err(format!("{what} of `{}` stands there twice", self.name));
        }
        if self.group.is_some() {
            return Err(format!("{what} of `{}` stands behind its samples", self.name));
        }
        Ok(())
    }

    pub(super) fn help(&mut self) -> Result<(), Broken> {
        self.check_first(self.has_help, "HELP")?;
        self.has_help = true;
        Ok(())
    }

    pub(super) fn kind(&mut self, kind: MetricKind) -> Result<(), Broken> {
        self.check_first(self.kind.is_some(), "TYPE")?;
        self.kind = Some(kind);
        self.check_unit()
    }

    pub(super) fn unit(&mut self, unit: &str) -> Result<(), Broken> {
        self.check_first(self.unit.is_some(), "UNIT")?;
        self.unit = Some(unit.to_owned());
        self.check_unit()
    }

    fn check_unit(&self) -> Result<(), Broken> {
        let has_unit = self.unit.as_ref().is_some_and(|unit| !unit.is_empty());
        match self.kind_or_unknown() {
            kind @ (MetricKind::Info | MetricKind::StateSet) if has_unit => {
                Err(format!("`{}` has a unit, but is of type {kind}", self.name))
            }
            _ => Ok(()),
        }
    }

    /// Returns how a sample's name ends behind the family's; `None` where it is of another family.
    pub(super) fn suffix(&self, sample: &str) -> Option<&'static str> {
        let suffix = sample.strip_prefix(self.name.as_str())?;
        suffixes(self.kind_or_unknown()).iter().copied().find(|known| *known == suffix)
    }

    /// Returns all names that nothing else may have.
    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        let also = suffixes(self.kind_or_unknown()).iter().filter(|suffix| !suffix.is_empty());
        also.map(|suffix| format!("{}{suffix}", self.name)).chain([self.name.clone()])
    }

    pub(super) fn sample(&mut self, suffix: &'static str, sample: &Sample<'_>) -> Result<(), Broken> {
        let kind = self.kind_or_unknown();
        check_labels(&self.name, kind, suffix, sample)?;
        check_value(kind, suffix, sample)?;
        let takes_exemplar = matches!(
            (kind, suffix),
            (MetricKind::Counter, "_total") | (MetricKind::Histogram | MetricKind::GaugeHistogram, "_bucket")
        );
        if sample.has_exemplar && !takes_exemplar {
            return Err(format!("`{}` is of a type that has no exemplars", sample.name));
        }
        let key = self.key(suffix, sample);
        if self.group.as_ref().is_none_or(|group| group.key != key) {
            self.end_group()?;
            if self.ended.contains(&key) {
                return Err(format!("samples of one metric of `{}` do not stand together", self.name));
            }
            let is_histogram = matches!(kind, MetricKind::Histogram | MetricKind::GaugeHistogram);
            self.group = Some(Group::new(key, is_histogram));
        }
        self.group.as_mut().map_or(Ok(()), |group| group.sample(suffix, sample))
    }

    /// Returns what makes the metric that a sample belongs to.
    fn key(&self, suffix: &str, sample: &Sample<'_>) -> Key {
        let own = match (self.kind_or_unknown(), suffix) {
            (MetricKind::Histogram | MetricKind::GaugeHistogram, "_bucket") => "le",
            (MetricKind::Summary, "") => "quantile",
            (MetricKind::StateSet, _) => &self.name,
            _ => "",
        };
        let labels = sample.labels.iter().filter(|(name, _)| name != own);
        labels.map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    pub(super) fn end_group(&mut self) -> Result<(), Broken> {
        let Some(group) = self.group.take() else { return Ok(()) };
        group.check().map_err(|broken| format!("`{}`: {broken}", self.name))?;
        self.ended.insert(group.key);
        Ok(())
    }
}

fn check_labels(family: &str, kind: MetricKind, suffix: &str, sample: &Sample<'_>) -> Result<(), Broken> {
    match (kind, suffix) {
        (MetricKind::Histogram | MetricKind::GaugeHistogram, "_bucket") => {
            let bound = sample.label("le").ok_or("a bucket without `le`")?;
            let number: f64 = bound.parse().unwrap_or(f64::NAN);
            if number.is_nan() || (number.is_infinite() && bound != "+Inf") {
                return Err(format!("`{bound}` is no upper bound of a bucket"));
            }
        }
        (MetricKind::Summary, "") => {
            let quantile = sample.label("quantile").ok_or("a quantile without `quantile`")?;
            if !quantile.parse().is_ok_and(|quantile: f64| (0.0..=1.0).contains(&quantile)) {
                return Err(format!("`{quantile}` is no quantile between 0 and 1"));
            }
        }
        (MetricKind::StateSet, _) if sample.label(family).is_none() => {
            return Err(format!("a state without the label `{family}`"));
        }
        _ => {}
    }
    Ok(())
}

fn check_value(kind: MetricKind, suffix: &str, sample: &Sample<'_>) -> Result<(), Broken> {
    let value = sample.value;
    let is_sound = match (kind, suffix) {
        (MetricKind::Info, _) => value == 1.0,
        (MetricKind::StateSet, _) => value == 0.0 || value == 1.0,
        (_, "_total" | "_bucket" | "_count" | "_gcount") => value >= 0.0,
        // Whether it may be negative, the buckets tell.
        (MetricKind::Histogram | MetricKind::GaugeHistogram, "_sum" | "_gsum") => !value.is_nan(),
        (MetricKind::Summary, "_sum") => value >= 0.0,
        (MetricKind::Summary, "") => value >= 0.0 || value.is_nan(),
        _ => true,
    };
    if is_sound { Ok(()) } else { Err(format!("`{}` cannot be {value}", sample.name)) }
}
