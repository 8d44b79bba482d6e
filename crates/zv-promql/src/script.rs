//! Runs test scripts of Prometheus (promqltest): series are loaded, expressions evaluated, results compared.
//!
//! What needs native histograms or syntax that is not part of the float language is skipped, and counted by reason.

mod case;
mod check;
mod classic;
mod read;
mod sequence;

use std::collections::BTreeMap;

use crate::engine;
use read::Command;

/// How scripts are run.
#[derive(Debug, Clone)]
pub struct Options {
    pub engine: engine::Options,
    /// A case that says nothing about warnings and infos must have none, as in Prometheus up to 3.5.
    pub is_strict: bool,
}

impl Default for Options {
    /// The options of Prometheus' own runner.
    fn default() -> Self {
        let engine =
            engine::Options { delayed_name_removal: true, max_samples: 10_000, ..engine::Options::default() };
        Self { engine, is_strict: false }
    }
}

/// What came of a script.
#[derive(Debug, Clone, Default)]
pub struct Report {
    pub name: String,
    pub passed: usize,
    /// Of those that passed, how many select native histograms, too: what is said about these was not compared.
    pub passed_on_floats: usize,
    /// Of those that passed, how many were about converted histograms and were read as being about the classic ones.
    pub passed_as_classic: usize,
    pub failures: Vec<Failure>,
    /// How many cases were skipped, by reason.
    pub skipped: BTreeMap<&'static str, usize>,
}

/// A case that failed, or a line that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Counted from one.
    pub line: usize,
    /// The line itself.
    pub quoted: String,
    pub message: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: {}\n    {}", self.line, self.quoted, self.message)
    }
}

impl Report {
    /// Returns the number of cases that were skipped.
    pub fn skipped_count(&self) -> usize {
        self.skipped.values().sum()
    }

    pub fn is_good(&self) -> bool {
        self.failures.is_empty()
    }
}

/// Runs a script. After a failure it goes on with the next case; a line that cannot be read ends it.
pub fn run(name: &str, text: &str, options: &Options) -> Report {
    let mut report = Report { name: name.to_owned(), ..Report::default() };
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let fail = |line: usize, message: String| {
        let quoted = lines.get(line - 1).map_or_else(String::new, |line| (*line).to_owned());
        Failure { line, quoted, message }
    };
    let mut state = case::State::new(options);
    let mut reader = read::Reader::new(&lines);
    loop {
        match reader.next_command() {
            Ok(None) => return report,
            Ok(Some(Command::Clear)) => state.clear(),
            Ok(Some(Command::Load(load))) => state.load(&load),
            Ok(Some(Command::Eval(eval))) => match state.eval(&eval) {
                Ok(case::Verdict::Passed) => report.passed += 1,
                Ok(case::Verdict::PassedOnFloats) => {
                    report.passed += 1;
                    report.passed_on_floats += 1;
                }
                Ok(case::Verdict::PassedAsClassic) => {
                    report.passed += 1;
                    report.passed_as_classic += 1;
                }
                Ok(case::Verdict::Skipped(reason)) => *report.skipped.entry(reason).or_default() += 1,
                Err(message) => report.failures.push(fail(eval.line, message)),
            },
            Err((line, message)) => {
                report.failures.push(fail(line, message));
                return report;
            }
        }
    }
}

#[cfg(test)]
mod tests;
