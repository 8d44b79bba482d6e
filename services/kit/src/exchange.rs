//! What happens around every handler: the request's id, limits, panics, the shape of errors, metrics and the log line.
//!
//! An [`Exchange`] begins with the request's head and is recorded when it is dropped, which is when the last byte of
//! the answer is handed to the connection, or when the client has left: nothing goes uncounted.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::Limited;
use hyper::body::{Frame, SizeHint};
use serde::Serialize;
use tokio::time::Instant;

use crate::context::{Context, Identity, REQUEST_ID, RequestIds};
use crate::error::Error;
use crate::log::{Level, Log};
use crate::metrics::Metrics;
use crate::server::Remote;

/// What is recorded for a client that left before its answer was complete.
const CLIENT_LEFT: u16 = 499;

/// The characters of a path that are logged.
const PATH_LIMIT: usize = 1024;

/// Asked every few seconds by machines; logged only for whoever wants to see everything.
const QUIET: [&str; 3] = ["/health", "/ready", "/metrics"];

/// What all exchanges of a service share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) identity: Arc<Identity>,
    pub(crate) log: Log,
    pub(crate) metrics: Metrics,
    pub(crate) ids: RequestIds,
    pub(crate) request_timeout: Duration,
    pub(crate) max_body: usize,
}

/// Surrounds a handler; see the module.
pub(crate) async fn surround(
    State(shared): State<Arc<Shared>>,
    mut request: Request,
    next: Next,
) -> Response {
    let exchange = Exchange::begin(&shared, &request);
    let identity = Arc::clone(&shared.identity);
    let context = Context { identity, request_id: Arc::clone(&exchange.request_id), log: shared.log.clone() };
    request.extensions_mut().insert(context);

    if request.body().size_hint().lower() > shared.max_body as u64 {
        return exchange.answer(too_large(shared.max_body));
    }
    let received = Arc::new(AtomicBool::new(request.body().is_end_stream()));
    let max_body = shared.max_body;
    let request = request.map(|body| {
        Body::new(Limited::new(Incoming { inner: body, received: Arc::clone(&received) }, max_body))
    });
    let handled = tokio::time::timeout(shared.request_timeout, Caught(Box::pin(next.run(request)))).await;
    exchange.answer(match handled {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => panicked(&*panic),
        Err(_) => timed_out(received.load(Ordering::Relaxed)),
    })
}

fn too_large(limit: usize) -> Response {
    response_of(Error::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {limit} bytes")))
}

/// Tells a slow client from a slow handler.
fn timed_out(received: bool) -> Response {
    response_of(if received {
        Error::new(StatusCode::SERVICE_UNAVAILABLE, "the request took too long")
    } else {
        Error::new(StatusCode::REQUEST_TIMEOUT, "the request's body did not arrive in time")
    })
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Response {
    response_of(Error::internal(format!("the handler panicked: {}", panic_text(panic))))
}

/// Returns what a panic said.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text")
}

fn response_of(error: Error) -> Response {
    axum::response::IntoResponse::into_response(error)
}

/// A handler whose panic is a value.
struct Caught<F>(Pin<Box<F>>);

impl<F: Future> Future for Caught<F> {
    type Output = std::thread::Result<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        // After a panic the future is never polled again, so what it left broken is seen by nobody.
        match std::panic::catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    }
}

/// One request and its answer.
struct Exchange {
    shared: Arc<Shared>,
    request_id: Arc<str>,
    method: &'static str,
    route: Option<MatchedPath>,
    path: String,
    remote: Option<Remote>,
    started: Instant,
    status: Option<StatusCode>,
    bytes: u64,
    complete: bool,
    cause: Option<Arc<str>>,
}

impl Exchange {
    fn begin(shared: &Arc<Shared>, request: &Request) -> Self {
        shared.metrics.in_flight.inc();
        Self {
            shared: Arc::clone(shared),
            request_id: shared.ids.of(request.headers()),
            method: method_label(request.method()),
            route: request.extensions().get::<MatchedPath>().cloned(),
            path: request.uri().path().chars().take(PATH_LIMIT).collect(),
            remote: request.extensions().get::<Remote>().copied(),
            started: Instant::now(),
            status: None,
            bytes: 0,
            complete: false,
            cause: None,
        }
    }

    /// Gives the response the shape all have, and goes along with its body.
    fn answer(mut self, mut response: Response) -> Response {
        if let Some(error) = error_of(&mut response) {
            let body = ErrorBody { error: &error.message, request_id: &self.request_id };
            // Two strings always make JSON.
            *response.body_mut() = Body::from(serde_json::to_vec(&body).unwrap_or_default());
            let headers = response.headers_mut();
            headers.remove(CONTENT_LENGTH);
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            self.cause = error.cause;
        }
        if let Ok(id) = HeaderValue::from_str(&self.request_id) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        self.status = Some(response.status());
        let bodiless = self.method == "HEAD" || response.status() == StatusCode::NOT_MODIFIED;
        self.complete = bodiless || response.body().is_end_stream();
        response.map(|inner| Body::new(Outgoing { inner, exchange: self }))
    }

    fn record(&self) {
        let took = self.started.elapsed();
        let route = self.route.as_ref().map_or("none", MatchedPath::as_str);
        let status = self.status.map(|status| status.as_u16());
        let code = if self.complete { status.unwrap_or(CLIENT_LEFT) } else { CLIENT_LEFT };
        self.shared.metrics.in_flight.dec();
        self.shared.metrics.observe(self.method, route, code, took);
        let level = match code {
            _ if QUIET.contains(&route) => Level::Debug,
            500.. => Level::Error,
            _ => Level::Info,
        };
        self.shared.log.write(level, "request", |line| {
            line.field("request_id", &*self.request_id);
            line.field("method", self.method);
            line.field("route", route);
            line.field("path", &self.path);
            line.field("status", &code);
            line.field("duration_ms", &((took.as_secs_f64() * 1e6).round() / 1e3));
            line.field("bytes", &self.bytes);
            if let Some(Remote(address)) = self.remote {
                line.field("remote", &address);
            }
            if let Some(cause) = &self.cause {
                line.field("error", &**cause);
            }
        });
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.record();
    }
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: &'a str,
    request_id: &'a str,
}

/// Returns the error a response stands for, where its body is not a service's own: errors of the kit, the router's
/// 404 and 405, plain-text rejections of extractors.
fn error_of(response: &mut Response) -> Option<Error> {
    if let Some(error) = response.extensions_mut().remove::<Error>() {
        return Some(error);
    }
    let status = response.status();
    let plain =
        response.headers().get(CONTENT_TYPE).is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"));
    (plain && (status.is_client_error() || status.is_server_error())).then(|| Error::of_status(status))
}

/// Returns one of a few names, whatever a client sends: a label's values must be bounded.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

/// A request's body that notes when it has arrived whole.
struct Incoming {
    inner: Body,
    received: Arc<AtomicBool>,
}

impl HttpBody for Incoming {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        if matches!(polled, Poll::Ready(None)) || self.inner.is_end_stream() {
            self.received.store(true, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// An answer's body that counts its bytes and ends the exchange with itself.
struct Outgoing {
    inner: Body,
    exchange: Exchange,
}

impl HttpBody for Outgoing {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.exchange.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                self.exchange.complete = self.inner.is_end_stream();
            }
            Poll::Ready(Some(Err(error))) => {
                self.exchange.cause = Some(format!("the answer broke off: {error}").into());
                self.exchange.status = Some(StatusCode::INTERNAL_SERVER_ERROR);
                self.exchange.complete = true;
            }
            Poll::Ready(None) => self.exchange.complete = true,
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
