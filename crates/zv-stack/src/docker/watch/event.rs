//! The engine's events: subscribing to those of use, and reading them.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use http_body_util::BodyExt as _;
use serde::Deserialize;
use tokio_util::codec::{FramedRead, LinesCodec};
use tokio_util::io::StreamReader;

use crate::docker::engine::{ApiError, Engine, PING_TIMEOUT, escape};
use crate::docker::seen;
use crate::input::EventKind;
use crate::model::ReplicaId;

/// How far back the engine is asked: it keeps its last 256 events.
const BACK: i64 = 60 * 60;
/// The longest event that is read.
const EVENT_LIMIT: usize = 1024 * 1024;
/// What is subscribed to. The runs of health checks are events, too, and many: they are left out at the source.
const ACTIONS: [&str; 12] = [
    "create",
    "start",
    "die",
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
    /// The engine's own time as the subscription began, in whole seconds; 0 where it did not say.
    pub(super) began: i64,
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
    let filters = serde_json::json!({"type": ["container"], "event": ACTIONS}).to_string();
    let since = crate::clock::now().timestamp() - BACK;
    let path = format!("/events?since={since}&filters={}", escape(&filters));
    let response = engine.open(&path, PING_TIMEOUT).await?;
    let date = response.headers().get(hyper::header::DATE).and_then(|date| date.to_str().ok());
    let began = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok()).map_or(0, |at| at.timestamp());
    let body = response.into_body().into_data_stream().map_err(std::io::Error::other);
    let lines = FramedRead::new(StreamReader::new(body), LinesCodec::new_with_max_length(EVENT_LIMIT));
    let messages = lines.filter_map(|line| {
        std::future::ready(match line {
            Ok(line) => parse(&line).map_err(|error| format!("an event cannot be read: {error}")).transpose(),
            Err(error) => Some(Err(format!("the stream of events broke off: {error}"))),
        })
    });
    Ok(Events { stream: messages.boxed(), began })
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
    fn lines_that_say_nothing() {
        assert!(parse("").unwrap().is_none());
        assert!(parse(r#"{"Type":"daemon","Action":"reload"}"#).unwrap().is_none());
        assert!(parse("{").is_err());
    }
}
