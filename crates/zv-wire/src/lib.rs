//! Prometheus' formats both ways: [`expose`] writes the text format 0.0.4 and OpenMetrics 1.0 for whoever scrapes, [`parse`]
//! reads both, [`lint`] holds documents to the letter of OpenMetrics, [`import`]
//! gathers their samples by series; [`relabel`] changes the labels of targets and series; [`remote`] holds
//! the messages of remote write.
//!
//! Pure: text in, text out.

pub mod expose;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod import;
pub mod lint;
mod negotiate;
pub mod parse;
pub mod relabel;
pub mod remote;

pub use expose::{Exposition, Family, Format, LabelText};
pub use parse::{Entry, Limits, ParseError, Parser, Series};
