//! Places in the text of a query, for messages that point at what they mean.

/// A part of the text, in bytes. Places do not count when expressions are compared: two texts may mean the same.
#[derive(Debug, Clone, Copy, Default)]
pub struct Span {
    pub start: usize,
    pub end: usize,
}

impl Span {
    pub(crate) fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    pub(crate) fn to(self, end: Span) -> Self {
        Self { start: self.start, end: end.end }
    }
}

impl PartialEq for Span {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// Returns `line:column` of a place, both counted from one and the column in bytes, as Prometheus prints it.
pub(crate) fn line_and_column(text: &str, at: usize) -> String {
    let before = &text.as_bytes()[..at.min(text.len())];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    format!("{line}:{column}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_begin_at_one() {
        assert_eq!(line_and_column("a\nbc", 0), "1:1");
        assert_eq!(line_and_column("a\nbc", 3), "2:2");
        assert_eq!(line_and_column("a", 9), "1:2");
    }
}
