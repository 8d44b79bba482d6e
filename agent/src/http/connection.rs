//! One connection: the handshake, then HTTP/1.1 until it is done, the peer is gone or the server drains.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower_service::Service;

use super::auth::{Caller, Origin};
use super::listen::Limits;
use super::stall::{Guarded, Io};

const MAX_HEADERS: usize = 64;
/// A log's cursor travels in a header.
const MAX_HEADER_BYTES: usize = 32 * 1024;
const MAX_BUFFER_BYTES: usize = 64 * 1024;
/// For how long a refused peer may take to read why.
const REFUSAL_TIME: Duration = Duration::from_secs(1);

/// A connection that has just been accepted.
pub(super) struct Accepted {
    pub(super) stream: Box<dyn Io>,
    pub(super) origin: Origin,
    /// What it is to be met with, where it must speak TLS.
    pub(super) tls: Option<Arc<ServerConfig>>,
}

/// Serves a connection to its end.
pub(super) async fn serve(accepted: Accepted, router: Router, limits: Limits, draining: CancellationToken) {
    let Accepted { stream, origin, tls } = accepted;
    let stream = match tls {
        None => stream,
        Some(config) => {
            let handshake = timeout(limits.handshake, TlsAcceptor::from(config).accept(stream));
            let outcome = tokio::select! {
                outcome = handshake => outcome,
                () = draining.cancelled() => return,
            };
            match outcome {
                Ok(Ok(stream)) => Box::new(stream),
                Ok(Err(error)) => return tracing::debug!(?origin, %error, "no TLS handshake"),
                Err(_) => return tracing::debug!(?origin, "the TLS handshake took too long"),
            }
        }
    };
    let caller = Caller { origin, draining: draining.clone(), is_trusted: false };
    let service = service_fn(move |request| answer(router.clone(), caller.clone(), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .max_headers(MAX_HEADERS)
        .max_header_size(MAX_HEADER_BYTES)
        .max_buf_size(MAX_BUFFER_BYTES)
        // A peer that has said all it has to say may close its half and still gets its answer.
        .half_close(true)
        .serve_connection(TokioIo::new(Guarded::new(stream, limits.stall)), service);
    tokio::pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = draining.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(?origin, %error, "a connection ended early");
    }
}

async fn answer(
    mut router: Router,
    caller: Caller,
    request: Request<Incoming>,
) -> Result<Response, Infallible> {
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(caller);
    router.call(request).await
}

/// Tells a peer that there are too many already. One that expects TLS is only cut off.
pub(super) async fn refuse(accepted: Accepted) {
    if accepted.tls.is_some() {
        return;
    }
    let body = r#"{"error":"too many connections at this address; try again, or use the unix socket"}"#;
    let head = format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Retry-After: 1\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let mut stream = accepted.stream;
    let told = timeout(REFUSAL_TIME, async {
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body.as_bytes()).await?;
        stream.shutdown().await?;
        // Closing with its request unread would reset the connection before the answer is read.
        let mut scrap = [0; 1024];
        while stream.read(&mut scrap).await? > 0 {}
        std::io::Result::Ok(())
    });
    if !matches!(told.await, Ok(Ok(()))) {
        tracing::debug!(origin = ?accepted.origin, "a refused peer did not wait to hear why");
    }
}
