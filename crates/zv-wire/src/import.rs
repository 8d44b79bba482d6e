//! Gathers the samples of a document by series, in portions, for whoever loads the past into a store.

use std::collections::{BTreeMap, HashMap};

use zv_model::{Labels, MetricKind, Sample, Timestamp};

use crate::Format;
use crate::parse::{Entry, Fault, ParseError, Parser};

/// What a document says of a family.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Family {
    pub kind: MetricKind,
    pub help: String,
    /// The empty text where it has none.
    pub unit: String,
}

/// Reads a document, portion by portion.
#[derive(Debug)]
pub struct Import<'a> {
    parser: Parser<'a>,
    /// The time of samples that have none; without it they are an error.
    default_at: Option<Timestamp>,
    /// The series by their text in the document.
    series: HashMap<&'a str, Known>,
    /// Counts the portions.
    portion: usize,
    families: BTreeMap<String, Family>,
}

/// Samples by series, in the order of their times.
pub type Portion = Vec<(Labels, Vec<Sample>)>;

#[derive(Debug)]
struct Known {
    labels: Labels,
    /// The last portion it was in, and its place there.
    portion: usize,
    place: usize,
}

impl<'a> Import<'a> {
    /// Begins to read a document.
    pub fn new(format: Format, document: &'a [u8], default_at: Option<Timestamp>) -> Self {
        let (series, families) = (HashMap::new(), BTreeMap::new());
        Self { parser: Parser::new(format, document), default_at, series, portion: 0, families }
    }

    /// Returns the next samples, about so many; none at the end. Series come in the order in which they stand in the
    /// document, and again in a later portion where they have samples there, too.
    pub fn next_portion(&mut self, samples: usize) -> Result<Portion, ParseError> {
        let mut portion = Portion::new();
        self.portion += 1;
        let mut gathered = 0;
        while gathered < samples {
            match self.parser.next_entry()? {
                Entry::Series(series) => {
                    let at = series.at.or(self.default_at);
                    let sample = at.map(|at| Sample { at, value: series.value });
                    let text = series.text();
                    let known = match self.series.get_mut(text) {
                        Some(known) => known,
                        None => {
                            let known = Known { labels: series.labels()?, portion: 0, place: 0 };
                            self.series.entry(text).or_insert(known)
                        }
                    };
                    let Some(sample) = sample else { return Err(self.no_time()) };
                    if known.portion != self.portion {
                        (known.portion, known.place) = (self.portion, portion.len());
                        portion.push((known.labels.clone(), Vec::new()));
                    }
                    portion[known.place].1.push(sample);
                    gathered += 1;
                }
                Entry::Type { family, kind } => {
                    self.families.entry(family.into_owned()).or_default().kind = kind;
                }
                Entry::Help { family, text } => {
                    self.families.entry(family.into_owned()).or_default().help = text.into_owned();
                }
                Entry::Unit { family, unit } => {
                    self.families.entry(family.into_owned()).or_default().unit = unit.to_owned();
                }
                Entry::Comment(_) => {}
                Entry::Eof => break,
            }
        }
        for (_, samples) in &mut portion {
            samples.sort_by_key(|sample| sample.at);
        }
        Ok(portion)
    }

    /// Returns what the document has said of families so far.
    pub fn families(&self) -> &BTreeMap<String, Family> {
        &self.families
    }

    fn no_time(&self) -> ParseError {
        ParseError { line: self.parser.line(), fault: Fault::Rule("a sample without a time".to_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: i64, value: f64) -> Sample {
        Sample { at, value }
    }

    #[test]
    fn samples_are_gathered_by_series() {
        let document = b"# HELP a_s A.\n# TYPE a_s gauge\n# UNIT a_s s\na_s{b=\"1\"} 1 3\na_s{b=\"2\"} 2 1\na_s{b=\"1\"} 3 2\n\
            a_s{b=\"1\",} 4 4\n# EOF\n";
        let mut import = Import::new(Format::OpenMetrics, document, None);
        let (one, two) =
            (Labels::of([("__name__", "a_s"), ("b", "1")]), Labels::of([("__name__", "a_s"), ("b", "2")]));
        let first = import.next_portion(3).unwrap();
        let expected =
            vec![(one.clone(), vec![sample(2000, 3.0), sample(3000, 1.0)]), (two, vec![sample(1000, 2.0)])];
        assert_eq!(first, expected);
        // Another text for the same series: the store puts them together.
        assert_eq!(import.next_portion(3).unwrap(), [(one, vec![sample(4000, 4.0)])]);
        assert_eq!(import.next_portion(3).unwrap(), []);
        let family = Family { kind: MetricKind::Gauge, help: "A.".to_owned(), unit: "s".to_owned() };
        assert_eq!(import.families(), &BTreeMap::from([("a_s".to_owned(), family)]));
    }

    #[test]
    fn samples_without_a_time_need_one() {
        let document = b"a 1 5\nb 2\n";
        let portion = Import::new(Format::Text, document, Some(7)).next_portion(9).unwrap();
        assert_eq!((portion[0].1[0].at, portion[1].1[0].at), (5, 7));
        let told = Import::new(Format::Text, document, None).next_portion(9).unwrap_err();
        assert_eq!(told.to_string(), "line 2: a sample without a time");
    }
}
