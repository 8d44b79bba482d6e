//! The connection to an engine: dials unix, tcp and TLS, and sends requests under the negotiated version.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use http_body_util::{Either, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Request, Response, Uri};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::client::legacy::{Client as HyperClient, Error as HyperError};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::connect::{Endpoint, TlsFiles};

/// How long dialling and the TLS handshake may take together.
const DIAL_TIMEOUT: Duration = Duration::from_secs(5);

/// The body of a request as bollard makes it.
pub(super) type Body =
    Either<Full<Bytes>, StreamBody<Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, io::Error>> + Send>>>>;

/// Sends requests, each over a connection of its own: a reused one may belong to an engine that has gone.
#[derive(Debug, Clone)]
pub(super) struct Transport {
    client: HyperClient<Dialler, Body>,
    /// `http://HOST`, the start of every address.
    pub(super) base: Arc<str>,
}

impl Transport {
    /// Prepares a transport to `endpoint`; reads the files TLS needs.
    pub(super) fn new(endpoint: &Endpoint) -> io::Result<Self> {
        let (dial, base) = match endpoint {
            Endpoint::Unix(path) => (Dial::Unix(path.clone()), "http://localhost".to_owned()),
            Endpoint::Tcp(authority) => (Dial::Tcp(authority.clone()), format!("http://{authority}")),
            Endpoint::Tls { authority, files } => {
                let host = authority.rsplit_once(':').map_or(authority.as_str(), |(host, _)| host);
                let host = host.trim_start_matches('[').trim_end_matches(']');
                let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
                let tls = TlsConnector::from(Arc::new(tls_config(files)?));
                (Dial::Tls { authority: authority.clone(), name, tls }, format!("http://{authority}"))
            }
        };
        let client = HyperClient::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build(Dialler(Arc::new(dial)));
        Ok(Self { client, base: base.into() })
    }

    /// Sends a request and waits for the head of its response.
    pub(super) fn send(
        &self,
        request: Request<Body>,
    ) -> impl Future<Output = Result<Response<Incoming>, HyperError>> + Send + use<> {
        self.client.request(request)
    }
}

/// Trusts the given authority alone, as the docker command does, or the system's where none is given.
fn tls_config(files: &TlsFiles) -> io::Result<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    match &files.ca {
        Some(ca) => {
            for certificate in CertificateDer::pem_file_iter(ca).map_err(|error| pem(ca, &error))? {
                roots.add(certificate.map_err(|error| pem(ca, &error))?).map_err(|error| pem(ca, &error))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots);
    match (&files.cert, &files.key) {
        (Some(cert), Some(key)) => {
            let chain = CertificateDer::pem_file_iter(cert)
                .and_then(Iterator::collect)
                .map_err(|error| pem(cert, &error))?;
            let private = PrivateKeyDer::from_pem_file(key).map_err(|error| pem(key, &error))?;
            builder.with_client_auth_cert(chain, private).map_err(|error| pem(cert, &error))
        }
        _ => Ok(builder.with_no_client_auth()),
    }
}

fn pem(path: &std::path::Path, reason: &dyn std::fmt::Display) -> io::Error {
    io::Error::other(format!("cannot use `{}`: {reason}", path.display()))
}

enum Dial {
    Unix(PathBuf),
    Tcp(String),
    Tls { authority: String, name: ServerName<'static>, tls: TlsConnector },
}

impl Dial {
    async fn dial(&self) -> io::Result<Socket> {
        match self {
            Dial::Unix(path) => Ok(Socket::Unix(UnixStream::connect(path).await?)),
            Dial::Tcp(authority) => Ok(Socket::Tcp(tcp(authority).await?)),
            Dial::Tls { authority, name, tls } => {
                let stream = tls.connect(name.clone(), tcp(authority).await?).await?;
                Ok(Socket::Tls(Box::new(stream)))
            }
        }
    }
}

async fn tcp(authority: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(authority).await?;
    stream.set_nodelay(true)?;
    // A stream of events or lines may be silent for hours: a vanished peer must still end it.
    rustix::net::sockopt::set_socket_keepalive(&stream, true)?;
    rustix::net::sockopt::set_tcp_keepidle(&stream, Duration::from_secs(15))?;
    rustix::net::sockopt::set_tcp_keepintvl(&stream, Duration::from_secs(5))?;
    rustix::net::sockopt::set_tcp_keepcnt(&stream, 3)?;
    Ok(stream)
}

/// Dials the one endpoint, whatever address a request names.
#[derive(Clone)]
struct Dialler(Arc<Dial>);

impl std::fmt::Debug for Dialler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialler").finish_non_exhaustive()
    }
}

impl tower_service::Service<Uri> for Dialler {
    type Response = TokioIo<Socket>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<Socket>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let dial = Arc::clone(&self.0);
        Box::pin(async move {
            let dialled = tokio::time::timeout(DIAL_TIMEOUT, dial.dial()).await;
            dialled.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map(TokioIo::new)
        })
    }
}

enum Socket {
    Unix(UnixStream),
    Tcp(TcpStream),
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

impl Connection for Socket {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Socket::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Socket::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
            Socket::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Socket::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Socket::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Socket::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
