//! Server-sent events: what the source streams, until it ends or the server drains.

use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::stacks::{Body, LogMessage, Message};

/// A comment this often tells both sides, and what lies between them, that the stream lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Streams changes; ends with `draining`.
pub(super) fn events(messages: BoxStream<'static, Message>, draining: CancellationToken) -> Response {
    respond(messages.map(|message| message_event(&message)), draining)
}

/// Streams log lines; a log that does not follow ends with `event: end`, unless it is cut by `draining`.
pub(super) fn logs(
    lines: BoxStream<'static, LogMessage>,
    follow: bool,
    draining: CancellationToken,
) -> Response {
    let end = stream::iter((!follow).then(|| Ok(Event::default().event("end").data("{}"))));
    let lines = lines.map(|entry| event("line", &entry.cursor, &entry.line));
    respond(lines.chain(end), draining)
}

fn respond<S>(events: S, draining: CancellationToken) -> Response
where
    S: Stream<Item = Result<Event, axum::Error>> + Send + 'static,
{
    // After an error nothing that follows would make sense: the connection is cut and the client resumes.
    let events = events
        .inspect(|event| {
            if let Err(error) = event {
                tracing::error!(%error, "an event cannot be written as JSON");
            }
        })
        .take_until(draining.cancelled_owned());
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

fn message_event(message: &Message) -> Result<Event, axum::Error> {
    match &message.body {
        // Without an id: who comes back is told the next one, not this again.
        Body::Stats(json) => Ok(Event::default().event("stats").data(&**json)),
        Body::Snapshot(snapshot) => event("snapshot", &message.id, snapshot),
        Body::Change(change) => Ok(Event::default().event("change").id(&message.id).data(&change.json)),
    }
}

fn event(name: &str, id: &str, data: &impl Serialize) -> Result<Event, axum::Error> {
    Event::default().event(name).id(id).json_data(data)
}
