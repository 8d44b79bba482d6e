//! Holds a document to the letter of OpenMetrics 1.0, where scrapers are lenient: for those who write one.

mod family;
mod group;

use std::borrow::Cow;
use std::collections::HashSet;

use zv_model::MetricKind;
use zv_model::labels::{METRIC_NAME, is_plain_label_name, is_plain_metric_name};

use crate::Format;
use crate::parse::{Entry, Exemplar, Fault, ParseError, Parser, Series};
use family::Family;

/// Returns the first mistake of a document.
pub fn check(document: &[u8]) -> Result<(), ParseError> {
    let mut parser = Parser::new(Format::OpenMetrics, document);
    let mut linter = Linter::default();
    loop {
        let outcome = match parser.next_entry()? {
            Entry::Series(series) => linter.sample(&series),
            Entry::Help { family, .. } => linter.metadata(&family, Family::help),
            Entry::Type { family, kind } => linter.metadata(&family, |family| family.kind(kind)),
            Entry::Unit { family, unit } => linter.metadata(&family, |family| family.unit(unit)),
            // Its reader has already refused those.
            Entry::Comment(_) => Ok(()),
            Entry::Eof => {
                let end = linter.end_family();
                return end.map_err(|rule| ParseError { line: parser.line(), fault: Fault::Rule(rule) });
            }
        };
        outcome.map_err(|rule| ParseError { line: parser.line(), fault: Fault::Rule(rule) })?;
    }
}

/// What a rule says of a document that breaks it.
type Broken = String;

#[derive(Debug, Default)]
struct Linter {
    /// The names of all families that ended, and of what may be a sample of them.
    taken: HashSet<String>,
    family: Option<Family>,
}

impl Linter {
    fn metadata(
        &mut self,
        name: &str,
        note: impl FnOnce(&mut Family) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        if !is_plain_metric_name(name) {
            return Err(format!("`{name}` is no name of a family"));
        }
        note(self.family_of(|family| family.name == name, name)?)
    }

    fn sample(&mut self, series: &Series<'_, '_>) -> Result<(), Broken> {
        let sample = Sample::of(series)?;
        let family = self.family_of(|family| family.suffix(&sample.name).is_some(), &sample.name)?;
        let suffix = family.suffix(&sample.name).unwrap_or_default();
        family.sample(suffix, &sample)
    }

    /// Returns the family that is being read if it is the one; ends it and begins another if not.
    fn family_of(&mut self, is_it: impl Fn(&Family) -> bool, name: &str) -> Result<&mut Family, Broken> {
        if !self.family.as_ref().is_some_and(is_it) {
            self.end_family()?;
        }
        Ok(self.family.get_or_insert_with(|| Family::new(name)))
    }

    fn end_family(&mut self) -> Result<(), Broken> {
        let Some(mut family) = self.family.take() else { return Ok(()) };
        family.end_group()?;
        for name in family.names() {
            if let Some(name) = self.taken.replace(name) {
                return Err(format!("`{name}` was in the document before"));
            }
        }
        Ok(())
    }
}

/// A sample, with what the rules look at.
#[derive(Debug)]
struct Sample<'a> {
    name: Cow<'a, str>,
    /// Sorted by name, without the empty ones.
    labels: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    value: f64,
    at: Option<zv_model::Timestamp>,
    has_exemplar: bool,
}

impl<'a> Sample<'a> {
    fn of(series: &Series<'a, '_>) -> Result<Self, Broken> {
        let name = series.name();
        if !is_plain_metric_name(&name) {
            return Err(format!("`{name}` is no name of a metric"));
        }
        if series.text().ends_with(",}") {
            return Err("a comma without a label behind it".to_owned());
        }
        let labels = sorted(series.written_pairs().collect())?;
        if let Some(exemplar) = &series.exemplar {
            check_exemplar(exemplar)?;
        }
        let has_exemplar = series.exemplar.is_some();
        Ok(Self { name, labels, value: series.value, at: series.at, has_exemplar })
    }

    fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }
}

type Pairs<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

fn sorted(mut labels: Pairs<'_>) -> Result<Pairs<'_>, Broken> {
    labels.sort();
    if let Some(two) = labels.windows(2).find(|two| two[0].0 == two[1].0) {
        return Err(format!("label `{}` stands there twice", two[0].0));
    }
    let is_name = |name: &str| is_plain_label_name(name) && name != METRIC_NAME;
    if let Some((name, _)) = labels.iter().find(|(name, _)| !is_name(name)) {
        return Err(format!("`{name}` is no name of a label"));
    }
    labels.retain(|(_, value)| !value.is_empty());
    Ok(labels)
}

fn check_exemplar(exemplar: &Exemplar<'_, '_>) -> Result<(), Broken> {
    const LONGEST: usize = 128;
    let characters = exemplar.pairs().map(|(name, value)| name.chars().count() + value.chars().count());
    if characters.sum::<usize>() > LONGEST {
        return Err(format!("an exemplar's labels may have {LONGEST} characters together"));
    }
    sorted(exemplar.pairs().collect()).map(drop)
}

/// Returns what the names of a family's samples may end in.
fn suffixes(kind: MetricKind) -> &'static [&'static str] {
    match kind {
        MetricKind::Counter => &["_total", "_created"],
        MetricKind::Histogram => &["_bucket", "_sum", "_count", "_created"],
        MetricKind::GaugeHistogram => &["_bucket", "_gsum", "_gcount"],
        MetricKind::Summary => &["", "_sum", "_count", "_created"],
        MetricKind::Info => &["_info"],
        MetricKind::Gauge | MetricKind::StateSet | MetricKind::Unknown => &[""],
    }
}

#[cfg(test)]
mod tests;
