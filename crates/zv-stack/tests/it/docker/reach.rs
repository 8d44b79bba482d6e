//! Engines behind a proxy, behind TLS, behind nothing, and engines that do not answer.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use zv_stack::docker::{DockerOptions, DockerRuntime};
use zv_stack::{ActionError, Input, Runtime, ServiceKey, State};

use super::engine::OwnEngine;
use super::lab::Lab;
use super::view::View;

/// Forwards requests that only read, and refuses all others.
async fn read_only_proxy(listener: UnixListener, engine: String) {
    let mut connections = JoinSet::new();
    loop {
        let (mut client, _) = listener.accept().await.unwrap();
        let engine = engine.clone();
        connections.spawn(async move {
            let mut head = Vec::new();
            while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                if client.read_buf(&mut head).await? == 0 {
                    return Ok(());
                }
            }
            if head.starts_with(b"GET ") {
                let mut server = UnixStream::connect(engine).await?;
                server.write_all(&head).await?;
                copy_bidirectional(&mut client, &mut server).await?;
            } else {
                client.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 14\r\nconnection: close\r\n\r\nread-only here").await?;
            }
            Ok::<_, std::io::Error>(())
        });
    }
}

#[tokio::test]
async fn a_proxy_that_only_reads_is_enough_to_watch() {
    let Some(lab) = Lab::open("proxy").await else { return };
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("proxy.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let mut proxy = JoinSet::new();
    proxy.spawn(read_only_proxy(listener, lab.host.trim_start_matches("unix://").to_owned()));
    let runtime = lab.runtime_at(&format!("unix://{}", socket.display()));

    let mut view = View::of(&runtime);
    let id = lab.run("web", &[], &["sleep"]).await;
    view.details(&id, State::Running).await;
    let key = ServiceKey::new(lab.project.as_str(), "web");
    for (result, route) in [
        (runtime.stop(&id, None).await, "POST /containers/{id}/stop"),
        (runtime.start(&id).await, "POST /containers/{id}/start"),
        (runtime.restart(&id, None).await, "POST /containers/{id}/restart"),
        (runtime.scale(&key, 0).await, "POST /containers/{id}/stop"),
        (runtime.scale(&key, 2).await, "POST /containers/create"),
    ] {
        let Err(ActionError::Forbidden { reason, .. }) = &result else { panic!("{route}: {result:?}") };
        assert!(reason.contains(route) && reason.contains("read-only here"), "{reason}");
    }
}

#[tokio::test]
async fn an_engine_behind_tls() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let certificates = tempfile::tempdir().unwrap();
    let folder = certificates.path();
    make_certificates(folder);
    let file = |flag: &str, name: &str| format!("--{flag}={}", folder.join(name).display());
    let flags = [
        "-H".to_owned(),
        format!("tcp://127.0.0.1:{port}"),
        "--tlsverify".to_owned(),
        file("tlscacert", "ca.pem"),
        file("tlscert", "server-cert.pem"),
        file("tlskey", "server-key.pem"),
    ];
    let Some(mut engine) = OwnEngine::start(&flags.each_ref().map(String::as_str)).await else { return };
    let runtime = |cert_dir: &Path| {
        let host = Some(format!("tcp://127.0.0.1:{port}"));
        let options = DockerOptions { host, cert_dir: Some(cert_dir.to_owned()), ..DockerOptions::default() };
        Runtime::Docker(DockerRuntime::new(options).unwrap())
    };
    let mut view = View::of(&runtime(folder));
    view.until("the list over TLS", |view| view.inputs.iter().any(|input| matches!(input, Input::Listed(_))))
        .await;
    assert!(matches!(view.inputs[0], Input::Up { .. }));

    let stranger = tempfile::tempdir().unwrap();
    make_certificates(stranger.path());
    let mut view = View::of(&runtime(stranger.path()));
    view.until("a refusal", |view| matches!(view.inputs.first(), Some(Input::Down { .. }))).await;
    let Input::Down { reason } = &view.inputs[0] else { unreachable!("just checked") };
    assert!(reason.contains("certificate"), "{reason}");
    engine.stop().await;
}

fn make_certificates(folder: &Path) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(folder.join("ca.pem"), ca.pem()).unwrap();
    for (name, names, usage) in [
        ("server-", vec!["127.0.0.1".to_owned()], ExtendedKeyUsagePurpose::ServerAuth),
        ("", Vec::new(), ExtendedKeyUsagePurpose::ClientAuth),
    ] {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![usage];
        let certificate = params.signed_by(&key, &ca).unwrap();
        std::fs::write(folder.join(format!("{name}cert.pem")), certificate.pem()).unwrap();
        std::fs::write(folder.join(format!("{name}key.pem")), key.serialize_pem()).unwrap();
    }
}

fn runtime(host: String) -> Runtime {
    let options = DockerOptions { host: Some(host), ..DockerOptions::default() };
    Runtime::Docker(DockerRuntime::new(options).unwrap())
}

async fn reason(runtime: &Runtime) -> String {
    let mut view = View::of(runtime);
    view.until("the loss", |view| matches!(view.inputs.first(), Some(Input::Down { .. }))).await;
    let Some(Input::Down { reason }) = view.inputs.pop() else { unreachable!("just checked") };
    reason
}

#[tokio::test]
async fn an_engine_that_never_answers_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("hung.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let mut server = JoinSet::new();
    server.spawn(async move {
        let mut kept = Vec::new();
        loop {
            kept.push(listener.accept().await.unwrap());
        }
    });
    let runtime = runtime(format!("unix://{}", socket.display()));
    let reason = reason(&runtime).await;
    assert!(reason.contains("no answer within"), "{reason}");
}

#[tokio::test]
async fn an_engine_that_stops_answering_is_noticed() {
    let Some(lab) = Lab::open("hang").await else { return };
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("proxy.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let mut proxy = JoinSet::new();
    let (hang, hung) = tokio::sync::watch::channel(false);
    let engine = lab.host.trim_start_matches("unix://").to_owned();
    proxy.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let (engine, mut hung) = (engine.clone(), hung.clone());
            connections.spawn(async move {
                let mut server = UnixStream::connect(engine).await.unwrap();
                tokio::select! {
                    biased;
                    () = async { hung.wait_for(|hung| *hung).await.map(drop).unwrap() } => std::future::pending().await,
                    _ = copy_bidirectional(&mut client, &mut server) => {}
                }
            });
        }
    });
    let mut view = View::of(&lab.runtime_at(&format!("unix://{}", socket.display())));
    view.until("the list", |view| view.inputs.iter().any(|input| matches!(input, Input::Listed(_)))).await;
    hang.send(true).unwrap();
    let asked = std::time::Instant::now();
    view.next("the loss", |input| matches!(input, Input::Down { .. })).await;
    println!("a hung engine was noticed after {:?}", asked.elapsed());
}

#[tokio::test]
async fn engines_out_of_reach_are_named_for_what_they_are() {
    let missing = reason(&runtime("unix:///nowhere/docker.sock".to_owned())).await;
    assert!(missing.contains("No such file"), "{missing}");

    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let closed = reason(&runtime(format!("tcp://127.0.0.1:{port}"))).await;
    assert!(closed.contains("refused"), "{closed}");

    let old = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = old.local_addr().unwrap().port();
    let mut server = JoinSet::new();
    server.spawn(async move {
        let body = r#"{"Version":"19.03.15","ApiVersion":"1.40","MinAPIVersion":"1.12"}"#;
        let answer =
            format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
        loop {
            let (mut client, _) = old.accept().await.unwrap();
            let _ = client.read(&mut [0; 4096]).await;
            let _ = client.write_all(answer.as_bytes()).await;
        }
    });
    let old = reason(&runtime(format!("http://127.0.0.1:{port}"))).await;
    assert!(old.contains("19.03.15") && old.contains("1.41"), "{old}");
    let error = runtime(format!("http://127.0.0.1:{port}"));
    let error = error.start(&zv_stack::ReplicaId::new("x")).await.unwrap_err();
    assert!(
        tokio::time::timeout(Duration::from_secs(1), async { error.to_string() })
            .await
            .unwrap()
            .contains("too old")
    );
}
