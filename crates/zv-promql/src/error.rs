//! What can go wrong with a query.

use zv_model::SelectError;

use crate::span::{Span, line_and_column};

/// A text is no query. Displayed as Prometheus does: `1:5: parse error: …`.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{place}: parse error: {message}")]
pub struct ParseError {
    /// Line and column, counted from one.
    place: String,
    pub message: String,
    pub span: Span,
}

impl ParseError {
    pub(crate) fn new(text: &str, span: Span, message: impl Into<String>) -> Self {
        let place =
            if text.is_empty() { "unknown position".to_owned() } else { line_and_column(text, span.start) };
        Self { place, message: message.into(), span }
    }
}

/// Why a query has no result.
#[derive(Debug, Clone, thiserror::Error)]
pub enum QueryError {
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The times or the form of the question make no sense.
    #[error("{0}")]
    BadData(String),
    /// The data does not fit the expression.
    #[error("{0}")]
    Execution(String),
    /// The answer or the way to it is larger than allowed.
    #[error("{0}")]
    Limit(String),
    #[error("expanding series: {0}")]
    Select(#[from] SelectError),
    #[error("query timed out in expression evaluation")]
    Timeout,
    #[error("query was canceled in expression evaluation")]
    Canceled,
}

impl QueryError {
    pub(crate) fn execution(message: impl Into<String>) -> Self {
        QueryError::Execution(message.into())
    }

    /// Returns the word that Prometheus' interface has for this kind of error.
    pub fn kind(&self) -> &'static str {
        match self {
            QueryError::Parse(_) | QueryError::BadData(_) => "bad_data",
            QueryError::Execution(_) | QueryError::Limit(_) | QueryError::Select(SelectError::Limit(_)) => {
                "execution"
            }
            QueryError::Select(SelectError::Unreadable { .. }) => "internal",
            QueryError::Timeout => "timeout",
            QueryError::Canceled => "canceled",
        }
    }
}
