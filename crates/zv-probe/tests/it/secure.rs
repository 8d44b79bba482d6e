//! TLS: certificates that are good, old, made for somebody else or signed by nobody known.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use zv_probe::{Report, Trust, Verdict};

use crate::common::{Server, run, target};

struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = parameters.self_signed(&key).unwrap().pem();
        Self { issuer: rcgen::Issuer::new(parameters, key), pem }
    }

    fn trust(&self) -> Arc<Trust> {
        Arc::new(Trust::only(self.pem.as_bytes()).unwrap())
    }

    /// Serves one answer of HTTP with a certificate for `name` that ends with this year.
    async fn server(&self, name: &str, year: i32) -> Server {
        let mut parameters = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        parameters.not_after = rcgen::date_time_ymd(year, 12, 31);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Server::start(move |stream| {
            let acceptor = acceptor.clone();
            async move {
                // A client that does not like the certificate leaves.
                if let Ok(mut stream) = acceptor.accept(stream).await
                    && stream.read(&mut [0; 4096]).await.is_ok()
                {
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.ok();
                    stream.shutdown().await.ok();
                }
            }
        })
        .await
    }
}

async fn probe(url: &str, trust: Option<Arc<Trust>>) -> Report {
    let mut target = target(url);
    target.trust = trust;
    run(&target).await
}

#[tokio::test]
async fn a_certificate_is_judged_by_chain_name_and_end() {
    let authority = Authority::new();
    let trust = || Some(authority.trust());
    let good = authority.server("localhost", 2096).await;
    let port = good.address.port();
    for scheme in ["https", "tls"] {
        let report = probe(&format!("{scheme}://localhost:{port}"), trust()).await;
        assert_eq!(report.verdict, Verdict::Up, "{report:?}");
        assert!(report.phases.tls.is_some() && report.certificate_ends.is_some());

        let stranger = probe(&format!("{scheme}://localhost:{port}"), None).await;
        assert_eq!(stranger.verdict, Verdict::Down);
        assert!(stranger.reason.contains("signed by nobody who is trusted here"), "{}", stranger.reason);

        let other = probe(&format!("{scheme}://127.0.0.1:{port}"), trust()).await;
        assert!(other.reason.contains("is made for"), "{}", other.reason);
        let anybody = probe(&format!("{scheme}://127.0.0.1:{port}"), Some(Arc::new(Trust::anything()))).await;
        assert_eq!(anybody.verdict, Verdict::Up, "{anybody:?}");
    }
    let named = probe(&format!("tls://127.0.0.1:{port}?name=localhost"), trust()).await;
    assert_eq!(named.verdict, Verdict::Up, "{named:?}");
}

#[tokio::test]
async fn a_certificate_that_ends_is_told_before_and_after() {
    let authority = Authority::new();
    let old = authority.server("localhost", 2001).await;
    let url = format!("https://localhost:{}", old.address.port());
    let report = probe(&url, Some(authority.trust())).await;
    assert_eq!(report.verdict, Verdict::Down);
    assert!(
        report.reason.contains("certificate of 127.0.0.1") && report.reason.contains("days ago"),
        "{report:?}"
    );

    // Whoever believes anything still sees the end.
    let report = probe(&url, Some(Arc::new(Trust::anything()))).await;
    assert_eq!((report.verdict, report.reason.as_str()), (Verdict::Degraded, "certificate has expired"));

    let good = authority.server("localhost", 2096).await;
    let mut target = target(&format!("https://localhost:{}", good.address.port()));
    target.trust = Some(authority.trust());
    target.certificate_days = 100_000;
    let report = run(&target).await;
    assert_eq!(report.verdict, Verdict::Degraded);
    assert!(report.reason.starts_with("certificate expires in "), "{}", report.reason);
}
