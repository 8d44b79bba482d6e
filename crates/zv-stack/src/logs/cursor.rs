//! How far a log was read, so that a reader that was cut off goes on without a lost or repeated line.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};

use super::LogLine;
use crate::model::ReplicaId;

/// The entries a cursor may have; more is refused.
const LIMIT: usize = 4096;

/// How far one replica was read: the time of its last line, and how many of its lines bear that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    pub at: DateTime<Utc>,
    pub lines: u32,
}

/// How far each replica was read. As text: `REPLICA@NANOSECONDS+LINES`, separated by commas.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cursor(BTreeMap<String, Mark>);

/// Why a text is no cursor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a cursor of this log")]
pub struct NotACursor(String);

impl Cursor {
    /// Returns how far this replica was read.
    pub fn mark(&self, id: &ReplicaId) -> Option<Mark> {
        self.0.get(id.short()).copied()
    }

    /// Returns the earliest time in it: a replica that it does not name has nothing older to tell.
    pub fn earliest(&self) -> Option<DateTime<Utc>> {
        self.0.values().map(|mark| mark.at).min()
    }

    /// Notes that this line was read.
    pub fn advance(&mut self, line: &LogLine) {
        let short = line.replica.short();
        let mark = match self.0.get_mut(short) {
            Some(mark) => mark,
            None => self.0.entry(short.to_owned()).or_insert(Mark { at: line.at, lines: 0 }),
        };
        if line.at > mark.at {
            *mark = Mark { at: line.at, lines: 0 };
        }
        mark.lines = mark.lines.saturating_add(u32::from(line.at == mark.at));
    }

    /// Forgets how far other replicas than these were read: they are gone, and would only make it longer and longer.
    pub(super) fn keep_only<'a>(&mut self, replicas: impl Iterator<Item = &'a ReplicaId>) {
        let kept: BTreeSet<&str> = replicas.map(ReplicaId::short).collect();
        self.0.retain(|replica, _| kept.contains(replica.as_str()));
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (replica, mark)) in self.0.iter().enumerate() {
            let separator = if at == 0 { "" } else { "," };
            let nanos = mark.at.timestamp_nanos_opt().unwrap_or(i64::MAX);
            write!(f, "{separator}{replica}@{nanos}+{}", mark.lines)?;
        }
        Ok(())
    }
}

impl FromStr for Cursor {
    type Err = NotACursor;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut marks = BTreeMap::new();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (replica, mark) =
                parse_entry(part).ok_or_else(|| NotACursor(part.chars().take(80).collect()))?;
            marks.insert(replica, mark);
            if marks.len() > LIMIT {
                return Err(NotACursor(format!("more than {LIMIT} entries")));
            }
        }
        Ok(Self(marks))
    }
}

fn parse_entry(part: &str) -> Option<(String, Mark)> {
    let (replica, rest) = part.rsplit_once('@')?;
    let (nanos, lines) = rest.split_once('+')?;
    let mark = Mark { at: DateTime::from_timestamp_nanos(nanos.parse().ok()?), lines: lines.parse().ok()? };
    (!replica.is_empty()).then(|| (replica.to_owned(), mark))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::logs::Output;

    fn line(replica: &str, nanos: i64) -> LogLine {
        let at = DateTime::from_timestamp_nanos(nanos);
        LogLine {
            replica: ReplicaId::new(replica),
            output: Output::Stdout,
            at,
            text: String::new(),
            cut: false,
        }
    }

    proptest! {
        #[test]
        fn survives_being_written_down(lines in proptest::collection::vec(("[a-z0-9@-]{1,20}", 0..50i64), 0..40)) {
            let mut cursor = Cursor::default();
            for (replica, nanos) in &lines {
                cursor.advance(&line(replica, *nanos));
            }
            prop_assert_eq!(cursor.to_string().parse::<Cursor>(), Ok(cursor));
        }

        #[test]
        fn refuses_garbage_calmly(text in ".{0,200}") {
            let _ = text.parse::<Cursor>();
        }
    }

    #[test]
    fn counts_lines_that_bear_the_same_time() {
        let mut cursor = Cursor::default();
        for (nanos, text) in [(7, "a@7+1"), (7, "a@7+2"), (9, "a@9+1"), (8, "a@9+1")] {
            cursor.advance(&line("a", nanos));
            assert_eq!(cursor.to_string(), text);
        }
        cursor.advance(&line("b", 8));
        assert_eq!(cursor.to_string(), "a@9+1,b@8+1");
        assert_eq!(cursor.earliest(), Some(DateTime::from_timestamp_nanos(8)));
    }
}
