//! TLS as a client: whom it trusts, the handshake, and what is wrong with a certificate in words.

mod certificate;
mod verifier;

use std::fmt;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring;
use rustls::{CertificateError, ClientConfig, ProtocolVersion, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;

use crate::clock;
use crate::connect::{self, Endpoint};
use crate::prober::Prober;
use crate::target::{TargetError, Tls};
use crate::trace::{Phase, Trace};
use crate::verdict::Fault;
use crate::wire::{Io, Wire};
use verifier::Anything;

const DAY: i64 = 24 * 60 * 60;

/// Which certificates are believed. Made once and shared: reading the system's takes milliseconds.
pub struct Trust {
    kind: Kind,
    config: OnceCell<Arc<ClientConfig>>,
}

#[derive(Debug)]
enum Kind {
    System,
    Only(RootCertStore),
    Anything,
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::System => "System",
            Kind::Only(_) => "Only(..)",
            Kind::Anything => "Anything",
        };
        f.debug_tuple("Trust").field(&format_args!("{kind}")).finish()
    }
}

impl Trust {
    /// Believes the authorities of the system; where there are none, as in an image made from scratch, the well-known.
    pub fn system() -> Self {
        Self::of(Kind::System)
    }

    /// Counts the authorities of the system; none where the well-known stand in for them.
    pub fn authorities_of_system() -> usize {
        rustls_native_certs::load_native_certs().certs.len()
    }

    /// Believes the authorities in this PEM text and no others.
    pub fn only(pem: &[u8]) -> Result<Self, TargetError> {
        let unusable =
            |reason: String| TargetError::new(format!("the certificates cannot be used: {reason}"));
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
            roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(unusable("there is none in the file; PEM is what is wanted".to_owned()));
        }
        Ok(Self::of(Kind::Only(roots)))
    }

    /// Believes anybody. The certificate's end is still looked at.
    pub fn anything() -> Self {
        Self::of(Kind::Anything)
    }

    fn of(kind: Kind) -> Self {
        Self { kind, config: OnceCell::new() }
    }

    async fn config(&self) -> Result<Arc<ClientConfig>, Fault> {
        let config = self.config.get_or_try_init(|| async {
            let roots = match &self.kind {
                Kind::Anything => return Ok(client_config(None)),
                Kind::Only(roots) => roots.clone(),
                Kind::System => tokio::task::spawn_blocking(system_roots).await.map_err(|error| {
                    Fault::unknown(format!("the system's certificates cannot be read: {error}"))
                })?,
            };
            Ok(client_config(Some(roots)))
        });
        config.await.cloned()
    }
}

fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    // What the system holds in a form unknown to rustls is of no use to anybody here.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

fn client_config(roots: Option<RootCertStore>) -> Arc<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has the cipher suites of every TLS version it offers");
    let mut config = match roots {
        Some(roots) => builder.with_root_certificates(roots).with_no_client_auth(),
        None => {
            let verifier: Arc<dyn ServerCertVerifier> = Arc::new(Anything::new(algorithms));
            builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
        }
    };
    // A session that is resumed shows no certificate, and a probe is there to see it.
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

/// Runs a probe of a certificate alone.
pub(crate) async fn check(
    tls: &Tls,
    prober: &Prober,
    trust: &Trust,
    trace: &mut Trace,
) -> Result<String, Fault> {
    let name = tls.name.as_deref().unwrap_or(&tls.endpoint.host);
    let mut wire = connect(&tls.endpoint, name, prober, trust, trace).await?;
    wire.bid_farewell(&[]).await;
    let days = trace.certificate_ends.map(|ends| (ends - clock::unix_seconds()) / DAY);
    Ok(days.map(|days| format!("certificate good for {}", in_days(days))).unwrap_or_default())
}

/// Connects and makes TLS of it.
pub(crate) async fn connect(
    endpoint: &Endpoint,
    name: &str,
    prober: &Prober,
    trust: &Trust,
    trace: &mut Trace,
) -> Result<Wire, Fault> {
    let (stream, peer) = connect::stream(endpoint, prober, trace).await?;
    upgrade(Box::new(stream), peer, name, trust, trace).await
}

/// Makes TLS of an open connection.
pub(crate) async fn upgrade(
    io: Box<dyn Io>,
    peer: String,
    name: &str,
    trust: &Trust,
    trace: &mut Trace,
) -> Result<Wire, Fault> {
    let config = trust.config().await?;
    let server = ServerName::try_from(name.to_owned())
        .map_err(|_| Fault::unknown(format!("`{name}` is no name that a certificate could have")))?;
    trace.enter_for(Phase::Tls, peer.clone());
    let stream = TlsConnector::from(config)
        .connect(server, io)
        .await
        .map_err(|error| Fault::down(handshake_failure(&peer, name, &error)))?;
    trace.tls_version = match stream.get_ref().1.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => Some("TLS 1.2"),
        Some(ProtocolVersion::TLSv1_3) => Some("TLS 1.3"),
        _ => None,
    };
    let suite = stream.get_ref().1.negotiated_cipher_suite();
    trace.tls_cipher = suite.and_then(|suite| suite.suite().as_str());
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    trace.certificate_ends = chain.iter().filter_map(|certificate| certificate::end(certificate)).min();
    Ok(Wire::new(Box::new(stream), peer))
}

fn handshake_failure(peer: &str, name: &str, error: &std::io::Error) -> String {
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::InvalidCertificate(fault)) => certificate_failure(peer, name, fault),
        Some(rustls::Error::InvalidMessage(_)) => format!("{peer} does not speak TLS"),
        Some(rustls::Error::AlertReceived(alert)) => {
            format!("{peer} refuses the TLS handshake: {alert:?}")
        }
        Some(other) => format!("the TLS handshake with {peer} failed: {other}"),
        None if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            format!("{peer} closed the connection in the middle of the TLS handshake")
        }
        None => crate::wire::lost(peer, error).reason,
    }
}

fn certificate_failure(peer: &str, name: &str, fault: &CertificateError) -> String {
    match fault {
        CertificateError::Expired => format!("certificate of {peer} has expired"),
        CertificateError::ExpiredContext { time, not_after } => {
            let days = time.as_secs().saturating_sub(not_after.as_secs()) / DAY.unsigned_abs();
            match days {
                0 => format!("certificate of {peer} expired today"),
                1 => format!("certificate of {peer} expired 1 day ago"),
                days => format!("certificate of {peer} expired {days} days ago"),
            }
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!("certificate of {peer} is not valid yet; is the clock of this host right?")
        }
        CertificateError::NotValidForName => format!("certificate of {peer} is not made for `{name}`"),
        CertificateError::NotValidForNameContext { presented, .. } if !presented.is_empty() => {
            let made_for = crate::words::quote(presented.join(", ").as_bytes());
            format!("certificate of {peer} is made for {made_for}, not for `{name}`")
        }
        CertificateError::NotValidForNameContext { .. } => {
            format!("certificate of {peer} is not made for `{name}`")
        }
        CertificateError::UnknownIssuer => {
            format!("certificate of {peer} is signed by nobody who is trusted here")
        }
        other => format!("certificate of {peer} is not good: {other}"),
    }
}

/// Says that the certificate ends soon, where it does.
pub(crate) fn ends_soon(ends: i64, now: i64, warning_days: u32) -> Option<String> {
    let left = ends - now;
    if left >= i64::from(warning_days) * DAY {
        return None;
    }
    Some(match left / DAY {
        _ if left < 0 => "certificate has expired".to_owned(),
        0 => "certificate expires within a day".to_owned(),
        days => format!("certificate expires in {}", in_days(days)),
    })
}

fn in_days(days: i64) -> String {
    if days == 1 { "1 day".to_owned() } else { format!("{days} days") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_warned_of_before_it_ends() {
        for (left, expected) in [
            (30 * DAY, None),
            (3 * DAY + 5, Some("certificate expires in 3 days")),
            (DAY, Some("certificate expires in 1 day")),
            (60, Some("certificate expires within a day")),
            (-1, Some("certificate has expired")),
        ] {
            assert_eq!(ends_soon(1_000_000_000 + left, 1_000_000_000, 14).as_deref(), expected);
        }
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        assert!(Trust::only(b"nothing here").unwrap_err().to_string().contains("PEM"));
    }
}
