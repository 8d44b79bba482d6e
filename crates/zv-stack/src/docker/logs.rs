//! The log of one container: both outputs, joined into lines, from a point in time on.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bollard::models::ContainerInspectResponse;
use chrono::DateTime;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use http_body_util::{BodyDataStream, BodyExt as _};
use hyper::body::Incoming;

use super::Inner;
use super::engine::{ANSWER_TIMEOUT, ApiError, Engine};
use crate::logs::LogLine;
use crate::logs::join::{Joined, Joiner};
use crate::model::ReplicaId;
use crate::runtime::{LogError, LogRange};

/// Where nothing is followed, silence this long in the middle of a log is the engine's trouble.
const SILENCE: Duration = Duration::from_secs(30);

/// Reads a log for as long as the stream is polled.
pub(super) fn read(
    inner: Arc<Inner>,
    id: ReplicaId,
    range: LogRange,
) -> BoxStream<'static, Result<LogLine, LogError>> {
    let opening = async move { open(&inner, id, range).await.map(Reader::lines) };
    stream::once(opening).try_flatten().boxed()
}

const INSPECT: &str = "GET /containers/{id}/json";
const READ: &str = "GET /containers/{id}/logs";

struct Reader {
    body: BodyDataStream<Incoming>,
    joiner: Joiner,
    lines: VecDeque<Result<LogLine, LogError>>,
    id: ReplicaId,
    range: LogRange,
    last: DateTime<chrono::Utc>,
    ended: bool,
}

async fn open(inner: &Inner, id: ReplicaId, range: LogRange) -> Result<Reader, LogError> {
    let unreachable = |error: ApiError| LogError::Unreadable(error.to_string());
    let engine = inner.engine().await.map_err(unreachable)?;
    let path = format!("/containers/{}/json", id.as_str());
    let inspected = engine.get::<ContainerInspectResponse>(&path, ANSWER_TIMEOUT).await;
    let inspected = inspected.map_err(|error| explain(&error, &id, INSPECT, None))?;
    let tty = inspected.config.as_ref().and_then(|config| config.tty).unwrap_or(false);
    let body = request(&engine, &id, range).await.map_err(|error| {
        inner.lacks(&error, READ, "no log is read, and death records hold none");
        explain(&error, &id, READ, Some(&inspected))
    })?;
    Ok(Reader {
        body,
        joiner: Joiner::new(tty),
        lines: VecDeque::new(),
        id,
        range,
        last: DateTime::UNIX_EPOCH,
        ended: false,
    })
}

async fn request(
    engine: &Engine,
    id: &ReplicaId,
    range: LogRange,
) -> Result<BodyDataStream<Incoming>, ApiError> {
    let mut path = format!(
        "/containers/{}/logs?stdout=1&stderr=1&timestamps=1&follow={}",
        id.as_str(),
        u8::from(range.follow)
    );
    if let Some(since) = range.since {
        path.push_str(&format!("&since={}.{:09}", since.timestamp(), since.timestamp_subsec_nanos()));
    }
    if let Some(tail) = range.tail {
        path.push_str(&format!("&tail={tail}"));
    }
    Ok(engine.open(&path, ANSWER_TIMEOUT).await?.into_body().into_data_stream())
}

/// Says why a log cannot be read; a driver that keeps nothing is named.
fn explain(
    error: &ApiError,
    id: &ReplicaId,
    route: &str,
    inspected: Option<&ContainerInspectResponse>,
) -> LogError {
    let driver = inspected.and_then(|all| all.host_config.as_ref()?.log_config.as_ref()?.typ.as_deref());
    match (error, driver) {
        _ if error.is_gone() => LogError::Gone(id.clone()),
        (ApiError::Status { status: 400.., message }, Some(driver))
            if message.contains("does not support reading") =>
        {
            LogError::Unreadable(format!("the logging driver `{driver}` keeps nothing that could be read"))
        }
        (ApiError::Status { status: 401 | 403, message }, _) => {
            LogError::Unreadable(format!("the right to `{route}` is missing ({message})"))
        }
        _ => LogError::Unreadable(error.to_string()),
    }
}

impl Reader {
    fn lines(self) -> BoxStream<'static, Result<LogLine, LogError>> {
        stream::unfold(self, |mut reader| async move {
            let line = reader.next().await?;
            Some((line, reader))
        })
        .boxed()
    }

    async fn next(&mut self) -> Option<Result<LogLine, LogError>> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Some(line);
            }
            if self.ended {
                return None;
            }
            let mut joined = Vec::new();
            match self.bytes().await {
                Some(Ok(bytes)) => self.joiner.push(&bytes, &mut joined),
                Some(Err(reason)) => {
                    self.ended = true;
                    self.joiner.finish(&mut joined);
                    self.take(joined);
                    self.lines.push_back(Err(LogError::Unreadable(reason)));
                    continue;
                }
                None => {
                    self.ended = true;
                    self.joiner.finish(&mut joined);
                }
            }
            self.take(joined);
        }
    }

    async fn bytes(&mut self) -> Option<Result<bytes::Bytes, String>> {
        let next = self.body.next();
        let next = if self.range.follow {
            next.await
        } else {
            match tokio::time::timeout(SILENCE, next).await {
                Ok(next) => next,
                Err(_) => return Some(Err(format!("the engine fell silent for {SILENCE:?}"))),
            }
        };
        next.map(|bytes| bytes.map_err(|error| format!("the connection to the engine broke off: {error}")))
    }

    fn take(&mut self, joined: Vec<Joined>) {
        for one in joined {
            match one {
                Joined::Line { output, at, text, cut } => {
                    self.last = at.unwrap_or(self.last);
                    // Engines before 23 take `since` for whole seconds with some drivers.
                    if self.range.since.is_none_or(|since| self.last >= since) {
                        let line = LogLine { replica: self.id.clone(), output, at: self.last, text, cut };
                        self.lines.push_back(Ok(line));
                    }
                }
                Joined::Failed(reason) => {
                    self.lines.push_back(Err(LogError::Unreadable(reason.trim().to_owned())));
                }
            }
        }
    }
}
