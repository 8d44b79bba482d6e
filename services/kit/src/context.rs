//! What a handler can know of the service it belongs to and the request it answers.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;

use crate::error::Error;
use crate::log::Log;

/// The header in which a request's id comes and goes.
pub(crate) const REQUEST_ID: &str = "x-request-id";

/// Who answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub service: &'static str,
    pub version: &'static str,
    pub replica: String,
    /// RFC 3339, UTC.
    pub started_at: String,
}

/// What a handler takes as an argument to know where and for whom it works.
#[derive(Debug, Clone)]
pub struct Context {
    pub identity: Arc<Identity>,
    /// As taken over from the client or made here: visible ASCII, at most 128 bytes.
    pub request_id: Arc<str>,
    pub log: Log,
}

impl<S: Send + Sync> FromRequestParts<S> for Context {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Error> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| Error::internal("the router is not served by the kit"))
    }
}

/// Makes ids of requests that came without one: 128 bits, keyed at random when the process starts.
#[derive(Debug, Default)]
pub(crate) struct RequestIds {
    key: RandomState,
    next: AtomicU64,
}

impl RequestIds {
    /// Takes the client's id over where it is fit to be logged, or makes one.
    pub(crate) fn of(&self, headers: &HeaderMap) -> Arc<str> {
        let given = headers.get(REQUEST_ID).and_then(|value| std::str::from_utf8(value.as_bytes()).ok());
        let sane = given
            .filter(|id| (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()));
        sane.map_or_else(|| self.make(), Arc::from)
    }

    fn make(&self) -> Arc<str> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        format!("{:016x}{:016x}", self.key.hash_one((0u8, number)), self.key.hash_one((1u8, number))).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_of(given: &[u8]) -> Arc<str> {
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID, axum::http::HeaderValue::from_bytes(given).unwrap());
        RequestIds::default().of(&headers)
    }

    #[test]
    fn a_sane_id_is_taken_over_and_any_other_replaced() {
        assert_eq!(&*id_of(b"abc-123"), "abc-123");
        assert_eq!(id_of(&[b'a'; 128]).len(), 128);
        let long = [b'a'; 129];
        for hostile in [&b""[..], b"a b", b"a\tb", b"caf\xc3\xa9", b"\xff", &long] {
            let made = id_of(hostile);
            assert!(made.len() == 32 && made.bytes().all(|byte| byte.is_ascii_hexdigit()), "{made}");
        }
    }

    #[test]
    fn made_ids_differ() {
        let ids = RequestIds::default();
        let made: std::collections::BTreeSet<_> = (0..1000).map(|_| ids.make()).collect();
        assert_eq!(made.len(), 1000);
    }
}
