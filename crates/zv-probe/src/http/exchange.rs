//! One request and its answer, driven by whoever waits for them.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::poll_fn;
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{self, Connection};
use hyper::header::{ACCEPT, CONNECTION, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::rt::TokioIo;

use super::Hop;
use crate::connect::{self, Endpoint};
use crate::prober::Prober;
use crate::tls::{self, Trust};
use crate::trace::{Phase, Trace};
use crate::verdict::{Fault, HttpAnswer};
use crate::wire::Io;

/// A head that is longer is no head.
const HEAD_LIMIT: usize = 64 * 1024;
const MOST_HEADERS: usize = 128;

type Driver = Connection<TokioIo<Box<dyn Io>>, Full<Bytes>>;

/// Connects, sends a request and waits for the head of its answer.
pub(super) async fn send(
    hop: &Hop,
    prober: &Prober,
    trust: &Trust,
    trace: &mut Trace,
) -> Result<Answer, Fault> {
    let endpoint = endpoint(hop)?;
    let wire = if hop.url.scheme() == "https" {
        tls::connect(&endpoint, &endpoint.host, prober, trust, trace).await?
    } else {
        connect::tcp(&endpoint, prober, trace).await?
    };
    let (io, peer) = wire.into_clean_io()?;
    trace.enter_for(Phase::Processing, peer.clone());
    let request = request(hop)?;
    let failed = |error: &hyper::Error| Fault::down(failure(&peer, error));
    let mut builder = http1::Builder::new();
    builder.max_buf_size(HEAD_LIMIT).max_headers(MOST_HEADERS);
    let (mut sender, mut driver) =
        builder.handshake::<_, Full<Bytes>>(TokioIo::new(io)).await.map_err(|error| failed(&error))?;
    let mut sending = Box::pin(sender.send_request(request));
    let mut is_open = true;
    let response = poll_fn(|cx| {
        // How the connection ended, the request that it carries tells.
        is_open = is_open && Pin::new(&mut driver).poll(cx).is_pending();
        sending.as_mut().poll(cx)
    });
    let response = response.await.map_err(|error| failed(&error))?;
    trace.answered();
    Ok(Answer { response, driver: is_open.then_some(driver), peer })
}

fn endpoint(hop: &Hop) -> Result<Endpoint, Fault> {
    let host =
        hop.url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = hop.url.port_or_known_default();
    port.map(|port| Endpoint { host, port }).ok_or_else(|| Fault::unknown("there is no port to connect to"))
}

fn request(hop: &Hop) -> Result<Request<Full<Bytes>>, Fault> {
    let path = &hop.url[url::Position::BeforePath..url::Position::AfterQuery];
    let host = &hop.url[url::Position::BeforeHost..url::Position::AfterPort];
    let own = |name: &HeaderName| !hop.headers.iter().any(|(given, _)| given == name);
    let mut request = Request::builder().method(hop.method.clone()).uri(path);
    for (name, value) in [
        (HOST, host),
        (ACCEPT, "*/*"),
        (USER_AGENT, concat!("zv/", env!("CARGO_PKG_VERSION"))),
        (CONNECTION, "close"),
    ] {
        if own(&name) {
            request = request.header(name, value);
        }
    }
    for (name, value) in &hop.headers {
        request = request.header(name, value);
    }
    // Host, path and method were looked at when they were parsed.
    request
        .body(Full::new(hop.body.clone()))
        .map_err(|error| Fault::unknown(format!("this cannot be asked: {error}")))
}

/// Says how an exchange failed.
fn failure(peer: &str, error: &hyper::Error) -> String {
    if error.is_parse_too_large() {
        return format!("the head of the answer of {peer} is too long");
    }
    if error.is_parse() {
        return format!("{peer} does not speak HTTP: {error}");
    }
    if error.is_incomplete_message() {
        return format!("{peer} closed the connection before it had answered");
    }
    let io = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<std::io::Error>());
    match io {
        Some(io) => crate::wire::lost(peer, io).reason,
        None => format!("the exchange with {peer} failed: {error}"),
    }
}

/// An answer whose body is still to come.
pub(super) struct Answer {
    response: Response<Incoming>,
    driver: Option<Driver>,
    peer: String,
}

impl Answer {
    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub(super) fn header(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.response.headers().get(name)
    }

    /// Returns what its head tells beside the status.
    pub(super) fn facts(&self, is_encrypted: bool) -> HttpAnswer {
        let version = if self.response.version() == Version::HTTP_10 { "1.0" } else { "1.1" };
        let content_length = self.response.body().size_hint().exact();
        HttpAnswer { version, is_encrypted, content_length, body_bytes: 0 }
    }

    /// Reads the body up to a limit; says whether that was all of it.
    pub(super) async fn body(&mut self, limit: usize, trace: &mut Trace) -> Result<(Vec<u8>, bool), Fault> {
        trace.answered();
        let mut body = Vec::new();
        while let Some(chunk) = poll_fn(|cx| self.poll_chunk(cx)).await {
            let chunk = chunk.map_err(|error| Fault::down(broken_off(&self.peer, &error)))?;
            trace.hear(&chunk);
            let room = limit - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() > room {
                return Ok((body, false));
            }
        }
        Ok((body, true))
    }

    /// Returns what comes first of the body, to quote it; nothing where that fails.
    pub(super) async fn first_chunk(&mut self) -> Option<Bytes> {
        poll_fn(|cx| self.poll_chunk(cx)).await?.ok()
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, hyper::Error>>> {
        loop {
            // The connection first: it brings what the body then yields. How it ended, the body tells.
            if self.driver.as_mut().is_some_and(|driver| Pin::new(driver).poll(cx).is_ready()) {
                self.driver = None;
            }
            match Pin::new(self.response.body_mut()).poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(Some(Ok(frame))) => {
                    // Trailers: nothing here needs any.
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
            }
        }
    }
}

fn broken_off(peer: &str, error: &hyper::Error) -> String {
    let told = error.to_string();
    format!("the answer of {peer} broke off: {told}")
}
