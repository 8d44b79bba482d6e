//! The query of a request: every name must be known, so that a misspelt filter never means "no filter".

use std::str::FromStr;

use axum::extract::Query;
use axum::http::{HeaderMap, Uri};
use chrono::{DateTime, Utc};

use crate::stacks::Refusal;

/// Where a stream is to go on, as a query parameter: browsers send the header, people type this.
pub(super) const LAST_EVENT_ID: &str = "last_event_id";
/// A log's cursor names a place in each of its replicas.
const CURSOR_LIMIT: usize = 24 * 1024;

/// The parameters of one request.
#[derive(Debug)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    /// Reads the query of `uri`, which may hold the `known` names only.
    pub(super) fn read(uri: &Uri, known: &[&str]) -> Result<Self, Refusal> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|error| Refusal::Bad(format!("the query cannot be read: {error}")))?;
        match pairs.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            None => Ok(Self(pairs)),
            Some((name, _)) if known.is_empty() => {
                Err(Refusal::Bad(format!("there is no parameter `{name}` here; there is none at all")))
            }
            Some((name, _)) => Err(Refusal::Bad(format!(
                "there is no parameter `{name}` here; known are `{}`",
                known.join("`, `")
            ))),
        }
    }

    /// Returns all values of a parameter that may be repeated; empty ones count as absent.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        let values = self.0.iter().filter(|(given, _)| given == name).map(|(_, value)| value.as_str());
        values.filter(|value| !value.is_empty()).collect()
    }

    /// Returns the value of a parameter that is given at most once.
    pub(super) fn one(&self, name: &str) -> Result<Option<&str>, Refusal> {
        match self.all(name)[..] {
            [] => Ok(None),
            [value] => Ok(Some(value)),
            _ => Err(Refusal::Bad(format!("give `{name}` once"))),
        }
    }

    /// Returns a number from 1 to `most`, or `default`.
    pub(super) fn limit(&self, name: &str, default: usize, most: usize) -> Result<usize, Refusal> {
        match self.parsed(name, &format!("a number from 1 to {most}"))? {
            None => Ok(default),
            Some(number) if (1..=most).contains(&number) => Ok(number),
            Some(_) => Err(Refusal::Bad(format!("`{name}` must be a number from 1 to {most}"))),
        }
    }

    /// Returns whether a parameter is `true`.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Refusal> {
        Ok(self.parsed(name, "true or false")?.unwrap_or(false))
    }

    /// Returns a count.
    pub(super) fn count(&self, name: &str) -> Result<Option<u32>, Refusal> {
        self.parsed(name, "a whole number")
    }

    /// Returns a moment.
    pub(super) fn time(&self, name: &str) -> Result<Option<DateTime<Utc>>, Refusal> {
        self.parsed(name, "a time like 2026-01-31T12:00:00Z")
    }

    /// Returns where to resume: the header `Last-Event-ID`, else the parameter.
    pub(super) fn cursor(&self, headers: &HeaderMap) -> Result<Option<String>, Refusal> {
        let unusable = || Refusal::Bad("this event id is not one of this agent's".to_owned());
        let given = match headers.get("last-event-id") {
            Some(value) => Some(value.to_str().map_err(|_| unusable())?),
            None => self.one(LAST_EVENT_ID)?,
        };
        let given = given.filter(|id| !id.is_empty());
        if given.is_some_and(|id| id.len() > CURSOR_LIMIT || id.chars().any(char::is_control)) {
            return Err(unusable());
        }
        Ok(given.map(str::to_owned))
    }

    fn parsed<T: FromStr>(&self, name: &str, expected: &str) -> Result<Option<T>, Refusal> {
        let Some(value) = self.one(name)? else { return Ok(None) };
        let parsed = value.parse().map_err(|_| Refusal::Bad(format!("`{name}` must be {expected}")))?;
        Ok(Some(parsed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(query: &str) -> Params {
        let uri = format!("/x?{query}").parse().unwrap();
        Params::read(&uri, &["service", "limit", "since", "follow", LAST_EVENT_ID]).unwrap()
    }

    fn sentence<T: std::fmt::Debug>(outcome: Result<T, Refusal>) -> String {
        outcome.unwrap_err().to_string()
    }

    #[test]
    fn a_misspelt_name_is_refused_with_the_known_ones() {
        let uri = "/x?servce=a".parse().unwrap();
        let refused = sentence(Params::read(&uri, &["service", "stack"]));
        assert_eq!(refused, "there is no parameter `servce` here; known are `service`, `stack`");
        assert!(sentence(Params::read(&uri, &[])).contains("none at all"));
    }

    #[test]
    fn values_are_decoded_and_checked() {
        let given = params("service=a%20b&service=c&service=&limit=7&follow=true&since=2026-01-31T12:00:00Z");
        assert_eq!(given.all("service"), ["a b", "c"]);
        assert_eq!(given.limit("limit", 50, 1000).unwrap(), 7);
        assert!(given.flag("follow").unwrap());
        assert_eq!(given.time("since").unwrap().unwrap().timestamp(), 1_769_860_800);
        assert_eq!(sentence(given.one("service")), "give `service` once");
        for wrong in ["limit=0", "limit=1001", "limit=many", "limit=-1"] {
            let refused = sentence(params(wrong).limit("limit", 50, 1000));
            assert_eq!(refused, "`limit` must be a number from 1 to 1000", "{wrong}");
        }
        assert!(sentence(params("since=yesterday").time("since")).contains("2026-01-31T12:00:00Z"));
        assert_eq!(params("").limit("limit", 50, 1000).unwrap(), 50);
    }

    #[test]
    fn the_header_wins_over_the_parameter() {
        let mut headers = HeaderMap::new();
        assert_eq!(params("last_event_id=a-1").cursor(&headers).unwrap().as_deref(), Some("a-1"));
        headers.insert("last-event-id", "a-2".parse().unwrap());
        assert_eq!(params("last_event_id=a-1").cursor(&headers).unwrap().as_deref(), Some("a-2"));
        assert!(params("last_event_id=a%0Ab").cursor(&HeaderMap::new()).is_err());
        assert!(
            params(&format!("last_event_id={}", "x".repeat(CURSOR_LIMIT + 1)))
                .cursor(&HeaderMap::new())
                .is_err()
        );
    }
}
