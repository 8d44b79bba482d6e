//! Says of a label's value whether it is wanted: `=`, `!=`, `=~`, `!~`.

use std::fmt;
use std::sync::Arc;

use regex::Regex;

use crate::labels::Labels;
use crate::pattern::{self, PatternError};

/// How a matcher compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MatchOp {
    Equal,
    NotEqual,
    Matches,
    MatchesNot,
}

impl MatchOp {
    /// Returns the sign for it.
    pub fn sign(self) -> &'static str {
        match self {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Matches => "=~",
            MatchOp::MatchesNot => "!~",
        }
    }
}

/// A matcher's pattern is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{pattern}` is no regular expression")]
pub struct MatcherError {
    pattern: String,
    #[source]
    cause: PatternError,
}

/// Accepts or refuses the value of one label. A label that is not there has the empty text for its value.
#[derive(Clone)]
pub struct Matcher {
    pub name: Arc<str>,
    pub op: MatchOp,
    /// The text to compare with, or the pattern as it was written.
    pub value: Arc<str>,
    test: Test,
}

#[derive(Clone)]
enum Test {
    Text,
    /// The pattern names all texts it matches.
    OneOf(Arc<[Box<str>]>),
    /// Whatever the value is.
    Anything,
    /// Whatever the value is, but there must be one.
    Something,
    Pattern {
        prefix: Box<str>,
        regex: Regex,
    },
}

impl Matcher {
    /// Returns the matcher; fails where a pattern is needed and `value` is none.
    pub fn new(
        name: impl Into<Arc<str>>,
        op: MatchOp,
        value: impl Into<Arc<str>>,
    ) -> Result<Self, MatcherError> {
        let value = value.into();
        let test = match op {
            MatchOp::Equal | MatchOp::NotEqual => Test::Text,
            MatchOp::Matches | MatchOp::MatchesNot => {
                test_of(&value).map_err(|cause| MatcherError { pattern: value.to_string(), cause })?
            }
        };
        Ok(Self { name: name.into(), op, value, test })
    }

    /// Returns the matcher `name="value"`.
    pub fn equal(name: impl Into<Arc<str>>, value: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), op: MatchOp::Equal, value: value.into(), test: Test::Text }
    }

    /// Says whether the value is wanted.
    pub fn accepts(&self, value: &str) -> bool {
        let is_so = match &self.test {
            Test::Text => value == &*self.value,
            Test::OneOf(texts) => texts.iter().any(|text| **text == *value),
            Test::Anything => true,
            Test::Something => !value.is_empty(),
            Test::Pattern { prefix, regex } => value.starts_with(&**prefix) && regex.is_match(value),
        };
        is_so == matches!(self.op, MatchOp::Equal | MatchOp::Matches)
    }

    /// Says whether a set of labels is wanted.
    pub fn accepts_labels(&self, labels: &Labels) -> bool {
        self.accepts(labels.get(&self.name))
    }

    /// Returns all values that it accepts, where it names them: an index then need not be walked.
    pub fn accepted_values(&self) -> Option<Vec<&str>> {
        match (self.op, &self.test) {
            (MatchOp::Equal, _) => Some(vec![&self.value]),
            (MatchOp::Matches, Test::OneOf(texts)) => Some(texts.iter().map(|text| &**text).collect()),
            _ => None,
        }
    }

    /// Returns what every accepted value begins with; the empty text where nothing is known.
    pub fn prefix(&self) -> &str {
        match (self.op, &self.test) {
            (MatchOp::Equal, _) => &self.value,
            (MatchOp::Matches, Test::Pattern { prefix, .. }) => prefix,
            _ => "",
        }
    }
}

fn test_of(pattern: &str) -> Result<Test, PatternError> {
    match pattern {
        ".*" => return Ok(Test::Anything),
        ".+" => return Ok(Test::Something),
        _ => {}
    }
    let is_literal = |text: &str| !text.chars().any(|c| r"\.+*?()|[]{}^$".contains(c));
    if pattern.split('|').all(is_literal) {
        return Ok(Test::OneOf(pattern.split('|').map(Box::from).collect()));
    }
    let regex = pattern::compile_whole(pattern)?;
    Ok(Test::Pattern { prefix: literal_prefix(pattern).into(), regex })
}

/// Returns the text in front of the first character that means something, without the last one if that may be repeated.
/// A pattern with alternatives has none.
fn literal_prefix(pattern: &str) -> &str {
    if pattern.contains('|') {
        return "";
    }
    let Some(end) = pattern.find(|c| r"\.+*?()|[]{}^$".contains(c)) else { return pattern };
    let prefix = &pattern[..end];
    if pattern[end..].starts_with(['*', '?', '+', '{']) {
        let last = prefix.char_indices().next_back().map_or(0, |(at, _)| at);
        return &prefix[..last];
    }
    prefix
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.op, &self.value) == (&other.name, other.op, &other.value)
    }
}

impl Eq for Matcher {}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{:?}", self.name, self.op.sign(), self.value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn accepts(op: MatchOp, pattern: &str, value: &str) -> bool {
        Matcher::new("l", op, pattern).unwrap().accepts(value)
    }

    #[test]
    fn each_sign_does_what_it_says() {
        for (op, pattern, value, expected) in [
            (MatchOp::Equal, "a", "a", true),
            (MatchOp::Equal, "", "", true),
            (MatchOp::NotEqual, "a", "a", false),
            (MatchOp::NotEqual, "a", "", true),
            (MatchOp::Matches, "a|b", "b", true),
            (MatchOp::Matches, "a|b", "ab", false),
            (MatchOp::Matches, "a||b", "", true),
            (MatchOp::Matches, ".*", "", true),
            (MatchOp::Matches, ".+", "", false),
            (MatchOp::Matches, "api-.*", "api-\n1", true),
            (MatchOp::Matches, "ab*", "a", true),
            (MatchOp::Matches, "abc{0}", "ab", true),
            (MatchOp::MatchesNot, "api-.*", "web", true),
            (MatchOp::MatchesNot, ".*", "", false),
        ] {
            assert_eq!(accepts(op, pattern, value), expected, "{} {pattern:?} on {value:?}", op.sign());
        }
    }

    #[test]
    fn an_index_learns_what_it_can() {
        let matcher = |pattern| Matcher::new("l", MatchOp::Matches, pattern).unwrap();
        assert_eq!(matcher("a|b").accepted_values(), Some(vec!["a", "b"]));
        assert_eq!(matcher("api-.*").prefix(), "api-");
        assert_eq!(matcher("(?i)api").prefix(), "");
        assert_eq!(matcher("api-[12]|web").prefix(), "");
        assert!(Matcher::new("l", MatchOp::Matches, "(").unwrap_err().to_string().contains("`(`"));
    }

    proptest! {
        #[test]
        fn shortcuts_agree_with_the_engine(pattern in "[ab.|*+?()\\[\\]]{0,8}", value in "[ab]{0,4}") {
            let Ok(matcher) = Matcher::new("l", MatchOp::Matches, pattern.as_str()) else { return Ok(()) };
            let plain = pattern::compile_whole(&pattern).unwrap();
            prop_assert_eq!(matcher.accepts(&value), plain.is_match(&value), "{}", pattern);
            if matcher.accepts(&value) {
                prop_assert!(value.starts_with(matcher.prefix()));
            }
        }
    }
}
