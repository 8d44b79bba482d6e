//! PromQL: the float part of Prometheus 3.5.
//!
//! [`Query::parse`] reads an expression, [`Engine::instant`] and [`Engine::range`] evaluate it over anything that can be
//! queried. Nothing here reads a clock, a file or the environment: times and limits are arguments, and whoever asks may stop
//! an evaluation at any time. [`script`] runs Prometheus' own test scripts.

mod annotations;
pub mod ast;
mod engine;
mod error;
mod eval;
mod function;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod memory;
mod parse;
mod print;
mod quote;
pub mod script;
mod span;
mod value;

pub use annotations::Remark;
pub use engine::{Answer, Engine, Options, Query, Stop};
pub use error::{ParseError, QueryError};
pub use function::{Function, all as functions};
pub use parse::{ParseOptions, labels as parse_labels, matchers as parse_matchers};
pub use print::pretty;
pub use span::Span;
pub use value::{Value, VectorElement, WrittenSeries, almost_equal};
