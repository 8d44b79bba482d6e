//! One request and its answer over one connection, both driven by whoever waits for them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::poll_fn;
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{self, Connection};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::connect::{Io, Transport};
use super::error::ClientError;
use super::{BODY_LIMIT, HEAD_TIME, PAUSE};
use crate::Problem;

/// What is asked.
pub(super) struct Call {
    method: Method,
    target: String,
    body: Bytes,
    last_event_id: Option<String>,
    patience: Duration,
}

impl Call {
    pub(super) fn get(target: impl Into<String>) -> Self {
        Self::new(Method::GET, target.into(), Bytes::new())
    }

    pub(super) fn post(target: impl Into<String>, body: Bytes) -> Self {
        Self::new(Method::POST, target.into(), body)
    }

    fn new(method: Method, target: String, body: Bytes) -> Self {
        Self { method, target, body, last_event_id: None, patience: HEAD_TIME }
    }

    pub(super) fn resuming(mut self, last_event_id: Option<&str>) -> Self {
        self.last_event_id = last_event_id.map(str::to_owned);
        self
    }

    pub(super) fn patient(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    fn into_request(self, host: &str, token: Option<&str>) -> Result<Request<Full<Bytes>>, ClientError> {
        let mut request = Request::builder()
            .method(self.method)
            .uri(self.target)
            .header(HOST, host)
            .header(ACCEPT, "*/*")
            .header(USER_AGENT, concat!("zv/", env!("CARGO_PKG_VERSION")));
        if !self.body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(id) = self.last_event_id {
            request = request.header("last-event-id", id);
        }
        if let Some(token) = token {
            let mut bearer =
                HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| ClientError::UnsendableToken)?;
            bearer.set_sensitive(true);
            request = request.header(AUTHORIZATION, bearer);
        }
        // The parts come from this crate, except an event id, which an agent made up.
        request.body(Full::new(self.body)).map_err(|error| ClientError::Refused {
            status: 400,
            problem: format!("cannot be asked: {error}"),
        })
    }
}

type Wire = Connection<TokioIo<Box<dyn Io>>, Full<Bytes>>;

/// Sends `call` and waits for the head of its answer.
pub(super) async fn send(
    transport: &Transport,
    token: Option<&str>,
    call: Call,
) -> Result<Answer, ClientError> {
    let patience = call.patience;
    let request = call.into_request(&transport.host_header, token)?;
    let endpoint = Arc::clone(transport.name());
    let stream = transport.connect().await?;
    let lost =
        |error: hyper::Error| ClientError::Lost { endpoint: Arc::clone(&endpoint), reason: chain(&error) };
    let head = async {
        let (mut sender, mut wire) = http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
        let mut sending = Box::pin(sender.send_request(request));
        let mut wire_open = true;
        let response = poll_fn(|cx| {
            // Its own outcome is told by the request that it carries.
            wire_open = wire_open && Pin::new(&mut wire).poll(cx).is_pending();
            sending.as_mut().poll(cx)
        });
        let response = response.await.map_err(lost)?;
        Ok::<_, ClientError>((response, wire_open.then_some(wire)))
    };
    let (response, wire) = timeout(patience, head)
        .await
        .map_err(|_| ClientError::Timeout { endpoint: Arc::clone(&endpoint), limit: patience })??;
    Ok(Answer { response, wire, endpoint })
}

/// Returns an error's text and those of its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// An answer whose body is still to come.
pub(super) struct Answer {
    response: Response<Incoming>,
    wire: Option<Wire>,
    endpoint: Arc<str>,
}

impl Answer {
    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub(super) fn endpoint(&self) -> &Arc<str> {
        &self.endpoint
    }

    /// Returns the next piece of the body; `None` at its end.
    pub(super) async fn chunk(&mut self, pause: Duration) -> Option<Result<Bytes, ClientError>> {
        match timeout(pause, poll_fn(|cx| self.poll_chunk(cx))).await {
            Ok(chunk) => chunk,
            Err(_) => Some(Err(ClientError::Timeout { endpoint: Arc::clone(&self.endpoint), limit: pause })),
        }
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ClientError>>> {
        loop {
            // The connection first: it brings what the body then yields. How it ended, the body tells.
            if self.wire.as_mut().is_some_and(|wire| Pin::new(wire).poll(cx).is_ready()) {
                self.wire = None;
            }
            let frame = match Pin::new(self.response.body_mut()).poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(frame)) => frame,
            };
            match frame.map(hyper::body::Frame::into_data) {
                Ok(Ok(data)) => return Poll::Ready(Some(Ok(data))),
                // Trailers: nothing here needs any.
                Ok(Err(_)) => {}
                Err(error) => {
                    let endpoint = Arc::clone(&self.endpoint);
                    return Poll::Ready(Some(Err(ClientError::Lost { endpoint, reason: chain(&error) })));
                }
            }
        }
    }

    /// Reads the whole body.
    pub(super) async fn bytes(mut self) -> Result<Vec<u8>, ClientError> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk(PAUSE).await {
            let chunk = chunk?;
            if body.len() + chunk.len() > BODY_LIMIT {
                return Err(ClientError::TooLarge { endpoint: self.endpoint, limit: BODY_LIMIT });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// Reads the whole body as JSON.
    pub(super) async fn json<T: DeserializeOwned>(self, what: &'static str) -> Result<T, ClientError> {
        let endpoint = Arc::clone(&self.endpoint);
        let body = self.bytes().await?;
        serde_json::from_slice(&body).map_err(|source| ClientError::Malformed { endpoint, what, source })
    }

    /// Reads the sentence of an answer that is not 2xx; makes one up where whoever answered sent none.
    pub(super) async fn problem(self) -> String {
        let (status, endpoint) = (self.status(), Arc::clone(&self.endpoint));
        let body = self.bytes().await.unwrap_or_default();
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => problem.error,
            Err(_) => format!("{endpoint} answers {status} and does not say why; is it a zv agent?"),
        }
    }
}
