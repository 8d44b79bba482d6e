//! Why a document cannot be read.

/// Why a document cannot be read, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {fault}")]
pub struct ParseError {
    /// Counted from 1.
    pub line: usize,
    pub fault: Fault,
}

/// What is wrong. Texts of the document are cut to a few characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("expected {expected}, found {found}")]
    Expected { expected: &'static str, found: String },
    #[error("`{0}` is no number")]
    Number(String),
    #[error("`{0}` is no time")]
    Time(String),
    #[error("`{0}` is no type of metric")]
    Type(String),
    #[error("unit `{unit}` is not how `{family}` ends")]
    Unit { family: String, unit: String },
    #[error("a series without a metric's name")]
    NoName,
    #[error("the metric's name stands there twice")]
    SecondName,
    #[error("label `{0}` stands there twice")]
    SecondLabel(String),
    #[error("a label without a name")]
    UnnamedLabel,
    #[error("not UTF-8")]
    NotUtf8,
    #[error("the document does not end with `# EOF`")]
    NoEof,
    #[error("something follows `# EOF`")]
    AfterEof,
    #[error("{what} is longer than {limit} bytes")]
    TooLong { what: &'static str, limit: usize },
    #[error("more than {limit} labels")]
    TooManyLabels { limit: usize },
    /// What only the strict reader minds.
    #[error("{0}")]
    Rule(String),
}

impl Fault {
    /// Says whether it is a limit that was met, and no mistake in the document.
    pub fn is_limit(&self) -> bool {
        matches!(self, Fault::TooLong { .. } | Fault::TooManyLabels { .. })
    }
}

/// Returns the beginning of a text, for an error.
pub(crate) fn excerpt(text: &str) -> String {
    const LONGEST: usize = 40;
    let mut out = String::new();
    for c in text.chars().take(LONGEST) {
        if c.is_control() { out.extend(c.escape_debug()) } else { out.push(c) }
    }
    if text.chars().nth(LONGEST).is_some() {
        out.push('…');
    }
    out
}
