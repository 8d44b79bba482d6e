//! Opens the stream that a call runs over.

use std::fmt;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::endpoint::{Endpoint, EndpointError};
use super::error::ClientError;

/// How long it may take to connect, TLS included.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// What a call can run over.
pub trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Io for S {}

type Open = dyn Fn() -> BoxFuture<'static, io::Result<Box<dyn Io>>> + Send + Sync;

/// Opens streams to an agent that no address leads to.
#[derive(Clone)]
pub struct Connector(Arc<Open>);

impl Connector {
    /// Returns the connector that calls `open` for each connection.
    pub fn new<F, R, S>(open: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = io::Result<S>> + Send + 'static,
        S: Io + 'static,
    {
        Self(Arc::new(move || {
            let opening = open();
            Box::pin(async move { Ok(Box::new(opening.await?) as Box<dyn Io>) })
        }))
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}

/// An endpoint with all that it takes to connect to it.
pub(super) struct Transport {
    endpoint: Endpoint,
    name: Arc<str>,
    pub(super) host_header: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Transport {
    pub(super) fn new(endpoint: Endpoint) -> Result<Self, ClientError> {
        let tls = match &endpoint {
            Endpoint::Https { host, ca_file, .. } => {
                let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
                let server =
                    ServerName::try_from(bare).map_err(|_| EndpointError::Unclear(endpoint.name()))?;
                Some((TlsConnector::from(Arc::new(tls_config(ca_file.as_deref())?)), server))
            }
            _ => None,
        };
        Ok(Self { name: endpoint.name().into(), host_header: endpoint.host_header(), tls, endpoint })
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Opens a stream.
    pub(super) async fn connect(&self) -> Result<Box<dyn Io>, ClientError> {
        match timeout(CONNECT_TIME, self.open()).await {
            Ok(outcome) => outcome,
            Err(_) => {
                Err(ClientError::ConnectTimeout { endpoint: Arc::clone(&self.name), limit: CONNECT_TIME })
            }
        }
    }

    async fn open(&self) -> Result<Box<dyn Io>, ClientError> {
        let failed = |source| ClientError::Connect { endpoint: Arc::clone(&self.name), source };
        let stream = match &self.endpoint {
            Endpoint::Unix(path) => return Ok(Box::new(UnixStream::connect(path).await.map_err(failed)?)),
            Endpoint::Custom(connector) => return (connector.0)().await.map_err(failed),
            Endpoint::Http { host, port } | Endpoint::Https { host, port, .. } => {
                let stream = TcpStream::connect(format!("{host}:{port}")).await.map_err(failed)?;
                stream.set_nodelay(true).map_err(failed)?;
                stream
            }
        };
        match &self.tls {
            None => Ok(Box::new(stream)),
            Some((connector, server)) => {
                let connected = connector.connect(server.clone(), stream).await;
                let failed = |source| ClientError::Tls { endpoint: Arc::clone(&self.name), source };
                Ok(Box::new(connected.map_err(failed)?))
            }
        }
    }
}

fn tls_config(ca_file: Option<&Path>) -> Result<ClientConfig, ClientError> {
    let roots = match ca_file {
        Some(file) => roots_of(file)?,
        None => system_roots(),
    };
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has the cipher suites of every TLS version it offers")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

fn roots_of(file: &Path) -> Result<RootCertStore, ClientError> {
    let unusable = |reason: String| ClientError::Authority { file: PathBuf::from(file), reason };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| unusable(error.to_string()))? {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
    }
    if roots.is_empty() { Err(unusable("it holds none".to_owned())) } else { Ok(roots) }
}

/// The system's authorities; an image made from scratch has none, so there the well-known ones stand in.
fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    // What the system holds in a form unknown to rustls is of no use to anybody here.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}
