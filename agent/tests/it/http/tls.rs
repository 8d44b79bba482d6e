//! TLS: with an authority that is trusted, without one, and with a certificate that is replaced.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use zv_agent::http::{Limits, ListenOptions, TlsFiles, bind};
use zv_api::client::{Client, ClientError, Endpoint};

use super::harness::{Served, Setup, TOKEN, rest, within};

fn write_certificate(folder: &Path) -> TlsFiles {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let files = TlsFiles { cert_file: folder.join("cert.pem"), key_file: folder.join("key.pem") };
    fs::write(&files.cert_file, made.cert.pem()).unwrap();
    fs::write(&files.key_file, made.signing_key.serialize_pem()).unwrap();
    files
}

fn client(served: &Served, ca_file: Option<PathBuf>) -> Client {
    let endpoint = Endpoint::parse(&format!("https://localhost:{}", served.address().port())).unwrap();
    let endpoint = ca_file.into_iter().fold(endpoint, Endpoint::trusting);
    Client::new(endpoint, Some(TOKEN.to_owned())).unwrap()
}

#[tokio::test]
async fn a_certificate_is_trusted_only_through_its_authority_and_can_be_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let files = write_certificate(folder.path());
    let served = Setup { tls: Some(files.clone()), ..Setup::plain() }.serve();
    let first_authority = folder.path().join("first.pem");
    fs::copy(&files.cert_file, &first_authority).unwrap();
    let first = client(&served, Some(first_authority));
    first.snapshot().await.unwrap();
    let stranger = client(&served, None).snapshot().await.unwrap_err();
    assert!(matches!(stranger, ClientError::Tls { .. }), "{stranger}");
    assert!(stranger.to_string().contains("an authority that is trusted here"), "{stranger}");

    fs::write(&files.key_file, "nothing").unwrap();
    let tls = served.tls.as_ref().unwrap();
    let error = tls.reload().unwrap_err().to_string();
    assert!(error.contains("key.pem` holds no private key"), "{error}");
    first.snapshot().await.expect("what was there stays");

    write_certificate(folder.path());
    tls.reload().unwrap();
    client(&served, Some(files.cert_file)).snapshot().await.unwrap();
    first.snapshot().await.unwrap_err();
}

#[tokio::test]
async fn a_peer_that_does_not_speak_tls_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { handshake: Duration::from_millis(200), ..Limits::STANDARD };
    let tls = Some(write_certificate(folder.path()));
    let served = Setup { tls, limits, ..Setup::plain() }.serve();
    let mut silent = served.tcp().await;
    assert_eq!(within(silent.read(&mut [0])).await.unwrap(), 0);
    let plain = served.client().snapshot().await.unwrap_err();
    assert!(matches!(plain, ClientError::Lost { .. }), "{plain}");
    drop(rest(served.tcp().await).await);
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let files = write_certificate(folder.path());
    let sentence = || {
        bind(ListenOptions {
            tcp: Vec::new(),
            unix: None,
            unix_group: None,
            tls: Some(files.clone()),
            limits: Limits::STANDARD,
        })
        .unwrap_err()
        .to_string()
    };
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(&files.key_file, other.signing_key.serialize_pem()).unwrap();
    assert!(sentence().contains("do not fit"), "{}", sentence());
    fs::remove_file(&files.key_file).unwrap();
    assert!(sentence().contains("key.pem` cannot be read"), "{}", sentence());
    fs::write(&files.cert_file, "").unwrap();
    assert!(sentence().contains("cert.pem` holds no certificate"), "{}", sentence());
    let endpoint = Endpoint::parse("https://localhost").unwrap().trusting(files.cert_file.clone());
    let error = Client::new(endpoint, None).unwrap_err().to_string();
    assert!(error.contains("cert.pem` cannot be used: it holds none"), "{error}");
}
