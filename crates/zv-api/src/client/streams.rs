//! Server-sent events as typed streams over one connection.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::stream::{self, BoxStream, StreamExt};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::exchange::Answer;
use super::sse::{Frame, Parser};
use super::{ClientError, Event, EventBody, LogEntry, STREAM_PAUSE};

/// The largest event: a snapshot of a host full of containers stays far below.
const EVENT_LIMIT: usize = 8 * 1024 * 1024;
/// The changes that this version knows; a newer agent's others are passed over.
const CHANGES: [&str; 4] = ["service", "service_gone", "runtime", "happened"];

/// Reads changes and snapshots.
pub(super) fn events(answer: Answer) -> BoxStream<'static, Result<Event, ClientError>> {
    read(answer, |endpoint, frame| {
        let body = match frame.name.as_str() {
            "snapshot" => decode(endpoint, &frame, "a snapshot").map(EventBody::Snapshot),
            "change" if !is_known(&frame) => return Step::Skip,
            "change" => decode(endpoint, &frame, "a change").map(EventBody::Change),
            "stats" => decode(endpoint, &frame, "a measurement").map(EventBody::Stats),
            _ => return Step::Skip,
        };
        Step::Yield(body.map(|body| Event { id: frame.id, body }))
    })
}

/// Reads log lines; one that does not follow must come to its announced end.
pub(super) fn logs(answer: Answer, follow: bool) -> BoxStream<'static, Result<LogEntry, ClientError>> {
    let endpoint = Arc::clone(answer.endpoint());
    let lines = read(answer, |endpoint, frame| match frame.name.as_str() {
        "line" => {
            let line = decode(endpoint, &frame, "a log line");
            Step::Yield(line.map(|line| Some(LogEntry { cursor: frame.id, line })))
        }
        "end" => Step::Yield(Ok(None)),
        _ => Step::Skip,
    });
    stream::unfold(Some(lines), move |lines| {
        let endpoint = Arc::clone(&endpoint);
        async move {
            let mut lines = lines?;
            match lines.next().await {
                Some(Ok(Some(entry))) => Some((Ok(entry), Some(lines))),
                Some(Err(error)) => Some((Err(error), None)),
                Some(Ok(None)) => None,
                None if follow => None,
                None => {
                    let reason = "the log is not complete; ask again".to_owned();
                    Some((Err(ClientError::Lost { endpoint, reason }), None))
                }
            }
        }
    })
    .boxed()
}

/// What a frame comes to.
enum Step<T> {
    Yield(Result<T, ClientError>),
    Skip,
}

struct Reader<T> {
    answer: Answer,
    parser: Parser,
    ready: VecDeque<Frame>,
    understand: fn(&Arc<str>, Frame) -> Step<T>,
}

impl<T> Reader<T> {
    async fn next(&mut self) -> Option<Result<T, ClientError>> {
        loop {
            while let Some(frame) = self.ready.pop_front() {
                if let Step::Yield(outcome) = (self.understand)(self.answer.endpoint(), frame) {
                    return Some(outcome);
                }
            }
            let chunk = match self.answer.chunk(STREAM_PAUSE).await? {
                Ok(chunk) => chunk,
                Err(error) => return Some(Err(error)),
            };
            let mut frames = Vec::new();
            if self.parser.push(&chunk, &mut frames).is_err() {
                let endpoint = Arc::clone(self.answer.endpoint());
                return Some(Err(ClientError::TooLarge { endpoint, limit: EVENT_LIMIT }));
            }
            self.ready.extend(frames);
        }
    }
}

/// Reads frames until the end or the first error.
fn read<T: Send + 'static>(
    answer: Answer,
    understand: fn(&Arc<str>, Frame) -> Step<T>,
) -> BoxStream<'static, Result<T, ClientError>> {
    let reader = Reader { answer, parser: Parser::new(EVENT_LIMIT), ready: VecDeque::new(), understand };
    stream::unfold(Some(reader), |reader| async {
        let mut reader = reader?;
        let outcome = reader.next().await?;
        let goes_on = outcome.is_ok();
        Some((outcome, goes_on.then_some(reader)))
    })
    .boxed()
}

fn decode<T: DeserializeOwned>(
    endpoint: &Arc<str>,
    frame: &Frame,
    what: &'static str,
) -> Result<T, ClientError> {
    serde_json::from_str(&frame.data).map_err(|source| ClientError::Malformed {
        endpoint: Arc::clone(endpoint),
        what,
        source,
    })
}

/// Says whether a change is of a kind that this version knows, or of none, which is an error to report.
fn is_known(frame: &Frame) -> bool {
    #[derive(Deserialize)]
    struct Kind {
        r#type: String,
    }
    match serde_json::from_str::<Kind>(&frame.data) {
        Ok(kind) => CHANGES.contains(&kind.r#type.as_str()),
        Err(_) => true,
    }
}
