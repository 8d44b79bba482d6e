//! The client of the agent: over TCP, TLS, a unix socket or any stream that a connector opens.
//!
//! Every call is one connection. Nothing is spawned: a call's future, or the stream it returns, drives its connection,
//! and dropping it closes that.

mod backoff;
mod connect;
mod endpoint;
mod error;
mod exchange;
mod forever;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod sse;
mod streams;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use hyper::StatusCode;
use serde::de::DeserializeOwned;

use crate::{
    ActionReport, ActionRequest, BASE, Change, Death, Deaths, Happenings, HostReport, LogLine, LogQuery,
    Probe, Probes, Snapshot, StatsMessage, StatsPace,
};

pub use connect::{Connector, Io};
pub use endpoint::{Endpoint, EndpointError};
pub use error::ClientError;

use connect::Transport;
use exchange::{Answer, Call};

/// How long an answer may take to begin.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// How long a body may pause.
const PAUSE: Duration = Duration::from_secs(30);
/// A stream's server gives a sign of life every 15 seconds.
const STREAM_PAUSE: Duration = Duration::from_secs(45);
const BODY_LIMIT: usize = 64 * 1024 * 1024;

/// A client of one agent. Clones share what it takes to connect.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    transport: Transport,
    token: Option<String>,
}

/// One message of the event stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Given to [`Client::events`], it resumes after this message.
    pub id: String,
    pub body: EventBody,
}

/// A snapshot replaces all that was known; a change follows what came before it; measurements replace those before.
#[derive(Debug, Clone, PartialEq)]
pub enum EventBody {
    Snapshot(Box<Snapshot>),
    Change(Box<Change>),
    Stats(Box<StatsMessage>),
}

/// What [`Client::events_forever`] yields.
#[derive(Debug)]
pub enum Notice {
    /// The agent answers; events follow.
    Connected,
    Event(Event),
    /// What was known may be old from now on.
    Disconnected {
        error: ClientError,
        retry_in: Duration,
    },
}

/// One line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Given to [`Client::logs`] with the same query, it resumes after this line.
    pub cursor: String,
    pub line: LogLine,
}

impl Client {
    /// Returns a client of the agent at `endpoint`. Reads certificates where it takes any; connects to nothing yet.
    pub fn new(endpoint: Endpoint, token: Option<String>) -> Result<Self, ClientError> {
        let transport = Transport::new(endpoint)?;
        Ok(Self { shared: Arc::new(Shared { transport, token }) })
    }

    /// Returns the endpoint as a person writes it.
    pub fn endpoint(&self) -> &str {
        self.shared.transport.name()
    }

    /// Says whether the agent answers at all.
    pub async fn healthy(&self) -> Result<(), ClientError> {
        self.ask(Call::get("/-/healthy")).await?.bytes().await.map(drop)
    }

    /// Says whether the agent knows the state of its runtime.
    pub async fn ready(&self) -> Result<(), ClientError> {
        self.ask(Call::get("/-/ready")).await?.bytes().await.map(drop)
    }

    /// Returns all that is known now.
    pub async fn snapshot(&self) -> Result<Snapshot, ClientError> {
        self.get("/stack", &Query::new()).await
    }

    /// Returns what is known of the host.
    pub async fn host(&self) -> Result<HostReport, ClientError> {
        self.get("/host", &Query::new()).await
    }

    /// Returns the last things that happened, oldest first.
    pub async fn happenings(&self, limit: usize) -> Result<Happenings, ClientError> {
        self.get("/happenings", &Query::new().with("limit", &limit)).await
    }

    /// Lists deaths, newest first.
    pub async fn deaths(
        &self,
        stack: Option<&str>,
        service: Option<&str>,
        limit: usize,
    ) -> Result<Deaths, ClientError> {
        let query = Query::new().maybe("stack", stack).maybe("service", service).with("limit", &limit);
        self.get("/deaths", &query).await
    }

    /// Reads one death record.
    pub async fn death(&self, id: &str) -> Result<Death, ClientError> {
        self.get(&format!("/deaths/{}", encoded(id)), &Query::new()).await
    }

    /// Lists the probes with their last results.
    pub async fn probes(&self) -> Result<Probes, ClientError> {
        self.get("/probes", &Query::new()).await
    }

    /// Reads one probe with all results that are kept.
    pub async fn probe(&self, id: &str) -> Result<Probe, ClientError> {
        self.get(&format!("/probes/{}", encoded(id)), &Query::new()).await
    }

    /// Carries out an action; `patience` bounds the wait for all of it.
    pub async fn act(
        &self,
        request: &ActionRequest,
        patience: Duration,
    ) -> Result<ActionReport, ClientError> {
        let body = serde_json::to_vec(request).map_err(|source| ClientError::Unwritable { source })?;
        let call = Call::post(format!("{BASE}/actions"), Bytes::from(body)).patient(patience);
        self.ask(call).await?.json("the report of an action").await
    }

    /// Makes the agent read its configuration again; returns what it says it did.
    pub async fn reload(&self) -> Result<String, ClientError> {
        let answer = self.ask(Call::post("/-/reload", Bytes::new())).await?.bytes().await?;
        Ok(String::from_utf8_lossy(&answer).trim_end().to_owned())
    }

    /// Streams changes after `last_event_id`, or a snapshot and what follows it, over one connection. The stream ends
    /// when the agent shuts down, and after an error.
    pub async fn events(
        &self,
        last_event_id: Option<&str>,
    ) -> Result<BoxStream<'static, Result<Event, ClientError>>, ClientError> {
        self.events_with(last_event_id, None).await
    }

    /// The same, with measurements where a pace for them is given. An agent measures every second only for as long as
    /// somebody follows [`StatsPace::Live`].
    pub async fn events_with(
        &self,
        last_event_id: Option<&str>,
        stats: Option<StatsPace>,
    ) -> Result<BoxStream<'static, Result<Event, ClientError>>, ClientError> {
        let query = Query::new().maybe("stats", stats.map(StatsPace::word));
        let call = Call::get(query.at(&format!("{BASE}/events"))).resuming(last_event_id);
        Ok(streams::events(self.ask(call).await?))
    }

    /// Streams changes for as long as it is polled: connects again, with a growing pause, and resumes.
    pub fn events_forever(&self) -> BoxStream<'static, Notice> {
        forever::events(self.clone(), None)
    }

    /// The same, with measurements at a pace.
    pub fn events_forever_with(&self, stats: StatsPace) -> BoxStream<'static, Notice> {
        forever::events(self.clone(), Some(stats))
    }

    /// Streams log lines over one connection; `cursor` resumes an earlier stream of the same query.
    pub async fn logs(
        &self,
        query: &LogQuery,
        cursor: Option<&str>,
    ) -> Result<BoxStream<'static, Result<LogEntry, ClientError>>, ClientError> {
        let mut asked = Query::new()
            .maybe("stack", query.stack.as_deref())
            .maybe("replica", query.replica.as_deref())
            .maybe("since", query.since.map(|since| since.to_rfc3339()))
            .maybe("tail", query.tail)
            .maybe("follow", query.follow.then_some(true))
            .maybe("grep", query.grep.as_deref());
        for service in &query.services {
            asked = asked.with("service", service);
        }
        let call = Call::get(asked.at(&format!("{BASE}/logs"))).resuming(cursor);
        Ok(streams::logs(self.ask(call).await?, query.follow))
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, query: &Query) -> Result<T, ClientError> {
        let call = Call::get(query.at(&format!("{BASE}{path}")));
        self.ask(call).await?.json("an answer of the agent").await
    }

    async fn ask(&self, call: Call) -> Result<Answer, ClientError> {
        let answer = exchange::send(&self.shared.transport, self.shared.token.as_deref(), call).await?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let (status, endpoint) = (answer.status(), answer.endpoint().clone());
        let problem = answer.problem().await;
        Err(match status {
            StatusCode::UNAUTHORIZED => {
                ClientError::Unauthorized { endpoint, offered: self.shared.token.is_some(), problem }
            }
            _ => ClientError::Refused { status: status.as_u16(), problem },
        })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = self.shared.token.as_ref().map(|_| "***");
        f.debug_struct("Client").field("endpoint", &self.endpoint()).field("token", &token).finish()
    }
}

/// A query string in the making.
struct Query(String);

impl Query {
    fn new() -> Self {
        Self(String::new())
    }

    fn with(mut self, name: &str, value: &impl ToString) -> Self {
        self.0.push(if self.0.is_empty() { '?' } else { '&' });
        self.0.push_str(name);
        self.0.push('=');
        self.0.push_str(&encoded(&value.to_string()));
        self
    }

    fn maybe(self, name: &str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.with(name, &value),
            None => self,
        }
    }

    fn at(&self, path: &str) -> String {
        format!("{path}{}", self.0)
    }
}

/// Percent-encodes all that is not plain in every part of a URL.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_carries_any_text() {
        let query = Query::new().with("grep", &"a&b=ü c+%").maybe("tail", Some(3)).maybe("x", None::<u8>);
        assert_eq!(query.at("/logs"), "/logs?grep=a%26b%3D%C3%BC%20c%2B%25&tail=3");
    }

    #[test]
    fn the_token_is_not_printed() {
        let client = Client::new(Endpoint::parse("localhost").unwrap(), Some("s3cret".to_owned())).unwrap();
        assert_eq!(
            format!("{client:?}"),
            r#"Client { endpoint: "http://localhost:9780", token: Some("***") }"#
        );
    }
}
