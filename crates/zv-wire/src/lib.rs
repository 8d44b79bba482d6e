//! Prometheus' formats: [`expose`] writes the text format 0.0.4 and OpenMetrics 1.0, for whoever scrapes.
//!
//! Pure: text in, text out.

pub mod expose;
mod negotiate;

pub use expose::{Exposition, Family, Format, LabelText};
