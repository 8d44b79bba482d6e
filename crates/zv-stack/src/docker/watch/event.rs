//! The engine's events: subscribing to those of use, and reading them.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::BytesMut;
use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use http_body_util::BodyExt as _;
use serde::Deserialize;
use tokio_util::codec::{Decoder, FramedRead, LinesCodec, LinesCodecError};
use tokio_util::io::StreamReader;

use crate::docker::engine::{ApiError, Engine, PING_TIMEOUT, escape};
use crate::docker::seen;
use crate::input::EventKind;
use crate::model::ReplicaId;

/// How far back the engine is asked: it keeps its last 256 events.
const BACK: i64 = 60 * 60;
const SECOND: i64 = 1_000_000_000;
/// The longest event that is read. It carries all labels of its container, those of a hostile image, too.
const EVENT_LIMIT: usize = 1024 * 1024;
/// What is subscribed to. The runs of health checks are events, too, and many: they are left out at the source.
const ACTIONS: [&str; 13] = [
    "create",
    "start",
    "die",
    "kill",
    "oom",
    "stop",
    "pause",
    "unpause",
    "health_status",
    "rename",
    "restart",
    "update",
    "destroy",
];

/// A subscription.
pub(super) struct Events {
    pub(super) stream: BoxStream<'static, Result<Message, String>>,
    pub(super) began: Began,
}

/// When a subscription began, by the engine's clock, in nanoseconds. The engine tells whole seconds only: the host's own
/// clock narrows that down, but may differ by a little.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Began {
    /// Not before this; what happened earlier is history.
    pub(super) earliest: i64,
    /// Most likely then: what happened later is new.
    pub(super) likely: i64,
}

impl Began {
    fn new(date: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Self {
        let now = now.timestamp_nanos_opt().unwrap_or(0);
        let earliest = date.and_then(|date| date.timestamp_nanos_opt()).unwrap_or(now - SECOND);
        Self { earliest, likely: now.clamp(earliest, earliest + SECOND) }
    }
}

/// One event of a container.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) id: ReplicaId,
    /// In the engine's nanoseconds.
    pub(super) nanos: i64,
    /// Absent where only an inspection tells what the event means.
    pub(super) kind: Option<EventKind>,
    /// Name, image and labels.
    pub(super) attributes: HashMap<String, String>,
}

impl Message {
    pub(super) fn at(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_nanos(self.nanos)
    }
}

/// Subscribes. Once this returns, nothing that happens is missed.
pub(super) async fn subscribe(engine: Arc<Engine>) -> Result<Events, ApiError> {
    let now = crate::clock::now();
    // The engine subscribes just after it has sent the head of its answer: what happens in between it keeps.
    let path = format!("/events?since={}&filters={}", now.timestamp() - BACK, filters());
    let response = engine.open(&path, PING_TIMEOUT).await?;
    let date = response.headers().get(hyper::header::DATE).and_then(|date| date.to_str().ok());
    let date = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok()).map(|date| date.to_utc());
    let body = response.into_body().into_data_stream().map_err(std::io::Error::other);
    let lines = FramedRead::new(StreamReader::new(body), Lines(LinesCodec::new_with_max_length(EVENT_LIMIT)));
    let messages = lines.filter_map(|line| {
        std::future::ready(match line {
            Ok(line) => parse(&line).map_err(|error| format!("an event cannot be read: {error}")).transpose(),
            Err(error) => Some(Err(format!("the stream of events broke off: {error}"))),
        })
    });
    Ok(Events { stream: messages.boxed(), began: Began::new(date, now) })
}

/// Passes over a line that is too long: the engine would only send it again to a new connection, and the next list
/// tells what it was about.
struct Lines(LinesCodec);

impl Decoder for Lines {
    type Item = String;
    type Error = LinesCodecError;

    fn decode(&mut self, bytes: &mut BytesMut) -> Result<Option<String>, LinesCodecError> {
        loop {
            match self.0.decode(bytes) {
                Err(LinesCodecError::MaxLineLengthExceeded) => {
                    tracing::warn!("an event of more than {EVENT_LIMIT} bytes is passed over");
                }
                other => return other,
            }
        }
    }
}

/// Asks for what happened before the subscription began. What cannot be had only costs knowing who stopped a container.
pub(super) async fn history(engine: Arc<Engine>, began: Began) -> Vec<Message> {
    let until = began.earliest / SECOND;
    let path = format!("/events?since={}&until={until}&filters={}", until - BACK, filters());
    match engine.get_text(&path, PING_TIMEOUT).await {
        Ok(text) => text.lines().filter_map(|line| parse(line).ok().flatten()).collect(),
        Err(error) => {
            tracing::debug!(%error, "the engine does not tell what happened before");
            Vec::new()
        }
    }
}

fn filters() -> String {
    escape(&serde_json::json!({"type": ["container"], "event": ACTIONS}).to_string())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Raw {
    #[serde(default)]
    action: String,
    actor: Option<Actor>,
    #[serde(default, rename = "timeNano")]
    nanos: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Actor {
    #[serde(rename = "ID")]
    id: String,
    #[serde(default)]
    attributes: HashMap<String, String>,
}

/// Reads one event; `None` where it is of no use.
pub(super) fn parse(line: &str) -> Result<Option<Message>, serde_json::Error> {
    if line.trim().is_empty() {
        return Ok(None);
    }
    let raw: Raw = serde_json::from_str(line)?;
    let Some(Actor { id, attributes }) = raw.actor else { return Ok(None) };
    let attribute = |name: &str| attributes.get(name).map(String::as_str);
    let (action, argument) = raw.action.split_once(": ").unwrap_or((&raw.action, ""));
    let kind = match action {
        "create" => Some(EventKind::Created),
        "start" => Some(EventKind::Started { pid: None }),
        "die" => Some(EventKind::Died { code: attribute("exitCode").and_then(|code| code.parse().ok()) }),
        "kill" => Some(EventKind::Killed),
        "oom" => Some(EventKind::OutOfMemory),
        "stop" => Some(EventKind::Stopped),
        "pause" => Some(EventKind::Paused),
        "unpause" => Some(EventKind::Unpaused),
        "destroy" => Some(EventKind::Removed),
        "rename" => attribute("name").map(|name| EventKind::Renamed(name.trim_start_matches('/').to_owned())),
        "health_status" if matches!(argument, "healthy" | "unhealthy" | "starting") => {
            Some(EventKind::Health(seen::verdict(argument)))
        }
        "restart" | "update" | "health_status" => None,
        _ => return Ok(None),
    };
    Ok(Some(Message { id: ReplicaId::new(id), nanos: raw.nanos, kind, attributes }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Verdict;

    fn kind(action: &str) -> Option<Option<EventKind>> {
        let line = format!(
            r#"{{"status":"x","Type":"container","Action":"{action}","Actor":{{"ID":"c","Attributes":{{"exitCode":"137","name":"new","oldName":"/old"}}}},"time":1,"timeNano":1000000001}}"#
        );
        parse(&line).unwrap().map(|message| message.kind)
    }

    #[test]
    fn events_of_use_are_read() {
        assert_eq!(kind("die"), Some(Some(EventKind::Died { code: Some(137) })));
        assert_eq!(kind("health_status: unhealthy"), Some(Some(EventKind::Health(Verdict::Unhealthy))));
        assert_eq!(kind("rename"), Some(Some(EventKind::Renamed("new".into()))));
        assert_eq!(kind("update"), Some(None));
        assert_eq!(kind("exec_start: /check"), None);
        assert_eq!(kind("attach"), None);
    }

    #[test]
    fn the_hosts_clock_narrows_the_beginning_down_within_the_engines_second() {
        let at = |nanos| DateTime::from_timestamp_nanos(nanos);
        let began = |now| Began::new(Some(at(10 * SECOND)), at(now));
        assert_eq!(began(10 * SECOND + 5), Began { earliest: 10 * SECOND, likely: 10 * SECOND + 5 });
        assert_eq!(began(99 * SECOND).likely, 11 * SECOND);
        assert_eq!(began(SECOND).likely, 10 * SECOND);
    }

    #[tokio::test]
    async fn an_event_that_is_too_long_does_not_end_the_stream() {
        let text = format!("first\n{}\nlast\n", "x".repeat(EVENT_LIMIT + 3));
        let codec = Lines(LinesCodec::new_with_max_length(EVENT_LIMIT));
        let lines: Vec<_> = FramedRead::new(text.as_bytes(), codec).collect().await;
        let lines: Vec<_> = lines.into_iter().map(Result::unwrap).collect();
        assert_eq!(lines, ["first", "last"]);
    }

    #[test]
    fn lines_that_say_nothing() {
        assert!(parse("").unwrap().is_none());
        assert!(parse(r#"{"Type":"daemon","Action":"reload"}"#).unwrap().is_none());
        assert!(parse("{").is_err());
    }
}
