//! `GET /probe`, beside the real blackbox_exporter where Debian's package of it is installed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::{Server, answer, get};
use crate::whole::rig::{Agent, Place, eventually};

/// Families that the exporter of Debian's older releases does not have yet, and one that it tells more often.
const NEWER: [&str; 2] = ["probe_tls_cipher_info", "probe_failed_due_to_bytes"];
const OFTENER: &str = "probe_failed_due_to_regex";
/// Modules of both programs, by the same names.
const OURS: &str = "probes:
  - { name: lacking, http: \"http://localhost/\", expect: { body_regex: nothing-there }, every: 1d }
  - { name: web_insecure, http: \"https://localhost/\", insecure_skip_verify: true, every: 1d }
  - { name: tls_insecure, tls: localhost, insecure_skip_verify: true, every: 1d }
  - { name: secret, http: \"http://me:hunter2@localhost/\", headers: { A: hunter2 }, every: 1d }
  - { name: program, exec: /bin/true, every: 1d }
";
const THEIRS: &str = "modules:
  http_2xx: { prober: http }
  lacking: { prober: http, http: { fail_if_body_not_matches_regexp: [nothing-there] } }
  web_insecure: { prober: http, http: { tls_config: { insecure_skip_verify: true } } }
  tls_insecure: { prober: tcp, tcp: { tls: true, tls_config: { insecure_skip_verify: true } } }
  tls_connect: { prober: tcp, tcp: { tls: true } }
  tcp_connect: { prober: tcp }
";
/// What only a library that keeps the verified chain can tell.
const THEIRS_ALONE: [&str; 2] =
    ["probe_ssl_last_chain_info", "probe_ssl_last_chain_expiry_timestamp_seconds"];
/// What is the same number on both sides, not only the same family.
const SAME: [&str; 10] = [
    "probe_success",
    "probe_http_status_code",
    "probe_http_ssl",
    "probe_http_redirects",
    "probe_http_content_length",
    "probe_http_uncompressed_body_length",
    "probe_ip_protocol",
    "probe_ip_addr_hash",
    "probe_failed_due_to_regex",
    "probe_ssl_earliest_cert_expiry",
];

/// The header by which the agent's token is shown.
const TOKEN: &str = "authorization: Bearer a-token-of-the-agent\r\n";

async fn agent() -> (Place, Agent) {
    let place = Place::new().variable("ZV_TOKEN", "a-token-of-the-agent");
    place.configure(OURS);
    let agent = place.start().await;
    (place, agent)
}

/// The real one; it ends with this.
struct Blackbox {
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Drop for Blackbox {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Blackbox {
    /// Starts it; `None` where it is not installed.
    async fn start() -> Option<Self> {
        let program = installed("prometheus-blackbox-exporter")?;
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("blackbox.yml");
        std::fs::write(&config, THEIRS).unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = Command::new(program);
        command.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.arg("--config.file").arg(&config).args(["--web.listen-address", &free.to_string()]);
        let child = command.spawn().unwrap();
        eventually("it listens", async || tokio::net::TcpStream::connect(free).await.ok()).await;
        Some(Self { child, address: free, _folder: folder })
    }
}

#[expect(clippy::disallowed_methods, reason = "a test finds the programs that whoever runs it can find")]
fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let found = path.split(':').map(|folder| PathBuf::from(folder).join(program)).find(|path| path.exists());
    if found.is_none() {
        assert!(std::env::var("ZV_REQUIRE_SERVERS").is_err(), "`{program}` is not installed, but required");
        println!("skipped: `{program}` is not installed");
    }
    found
}

/// Serves 200 with a certificate that nobody vouches for.
async fn encrypted(tasks: &mut JoinSet<()>) -> SocketAddr {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            connections.spawn(async move {
                if let Ok(mut socket) = acceptor.accept(socket).await
                    && matches!(socket.read(&mut [0; 4096]).await, Ok(1..))
                {
                    socket.write_all(answer(200, "fine").as_bytes()).await.ok();
                    socket.shutdown().await.ok();
                }
            });
        }
    });
    address
}

/// Returns the samples of an exposition and the types of its families.
fn parsed(text: &str) -> (BTreeMap<String, f64>, BTreeMap<String, String>) {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let samples = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
    (
        samples.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect(),
        types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect(),
    )
}

#[tokio::test]
async fn it_says_what_blackbox_exporter_says() {
    let Some(blackbox) = Blackbox::start().await else { return };
    let (_place, agent) = agent().await;
    let mut tasks = JoinSet::new();
    let (plain, failing) = (Server::fine().await, Server::start(|_| answer(503, "busy")).await);
    let moved =
        Server::start(|_| "HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n".to_owned()).await;
    let tls = encrypted(&mut tasks).await;
    let (plain, failing, moved, tls_port) = (plain.address, failing.address, moved.address, tls.port());
    for (module, target) in [
        ("http_2xx", format!("http://localhost:{}/", plain.port())),
        ("http_2xx", plain.to_string()),
        ("http_2xx", format!("http://{failing}/")),
        ("http_2xx", format!("http://{moved}/")),
        ("http_2xx", "http://127.0.0.1:1/".to_owned()),
        ("http_2xx", format!("https://localhost:{tls_port}/")),
        ("lacking", format!("http://{plain}/")),
        ("web_insecure", format!("https://localhost:{tls_port}/")),
        ("tls_insecure", format!("localhost:{tls_port}")),
        ("tls_connect", format!("localhost:{tls_port}")),
        ("tcp_connect", plain.to_string()),
        ("tcp_connect", "127.0.0.1:1".to_owned()),
    ] {
        let path = format!("/probe?module={module}&target={target}");
        let (theirs, ours) = tokio::join!(get(blackbox.address, &path, ""), get(agent.address, &path, ""));
        assert_eq!((theirs.0, ours.0), (200, 200), "{path}: {}", ours.1);
        let ((their_samples, mut their_types), (our_samples, mut our_types)) =
            (parsed(&theirs.1), parsed(&ours.1));
        our_types.retain(|name, _| their_types.contains_key(name) || !NEWER.contains(&name.as_str()));
        their_types.retain(|name, _| our_types.contains_key(name) || name != OFTENER);
        their_types.retain(|name, _| !THEIRS_ALONE.contains(&name.as_str()));
        assert_eq!(our_types, their_types, "{path}");
        // How redirects in a circle end is each client's own affair.
        let same =
            SAME.iter().filter(|name| !(target.contains(&moved.to_string()) && name.contains("_http_")));
        for name in same.filter(|name| our_types.contains_key(**name) || **name != OFTENER) {
            assert_eq!(our_samples.get(*name), their_samples.get(*name), "{name} of {path}");
        }
        let info = |samples: &BTreeMap<String, f64>| {
            let info = samples.keys().filter(|name| name.starts_with("probe_tls_"));
            info.cloned().collect::<Vec<_>>()
        };
        if module != "http_2xx" {
            assert_eq!(
                info(&our_samples).iter().any(|name| name.contains("TLS 1.3")),
                info(&their_samples).iter().any(|name| name.contains("TLS 1.3")),
                "{path}"
            );
        }
    }
}

#[tokio::test]
async fn what_is_not_understood_is_said() {
    let (_place, agent) = agent().await;
    for (query, told) in [
        ("module=http_2xx", "name a target"),
        ("target=", "name a target"),
        ("module=nope&target=a", "there is no module `nope`; there are http_2xx, http_post_2xx, tcp_connect"),
        ("module=tcp_connect&target=a", "there is no port in it"),
        ("module=tcp_connect&target=http://a/", "asks targets of the kind tcp"),
        ("module=program&target=a", "a program has no address"),
        ("target=a&modul=x", "modul"),
    ] {
        let (status, body) = get(agent.address, &format!("/probe?{query}"), "").await;
        assert_eq!(status, 400, "{query}: {body}");
        assert!(body.contains(told), "{query}: {body}");
    }
    let (_, body) = get(agent.address, "/probe?module=nope&target=a", "").await;
    assert!(body.contains("lacking") && !body.contains("program"), "{body}");
    let header = "x-prometheus-scrape-timeout-seconds: soon\r\n";
    assert_eq!(get(agent.address, "/probe?target=a", header).await.0, 400);
}

#[tokio::test]
async fn a_probe_ends_before_the_scraper_gives_up() {
    let (_place, agent) = agent().await;
    let silence = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = silence.local_addr().unwrap();
    let begun = tokio::time::Instant::now();
    let header = "x-prometheus-scrape-timeout-seconds: 1.5\r\n";
    let (status, body) = get(agent.address, &format!("/probe?target=http://{target}/"), header).await;
    let (samples, _) = parsed(&body);
    assert_eq!((status, samples["probe_success"]), (200, 0.0));
    assert!((0.9..1.4).contains(&samples["probe_duration_seconds"]), "{body}");
    assert!(begun.elapsed() < crate::http::harness::PATIENCE);
}

#[tokio::test]
async fn a_module_lends_its_secrets_to_nobody_else() {
    let (_place, agent) = agent().await;
    let echo = Server::start(|request| answer(500, &request.replace("\r\n", " "))).await;
    let path = format!("/probe?module=secret&target=http://{}/&debug=true", echo.address);
    let (_, guest) = get(agent.address, &path, "").await;
    assert!(guest.contains("answers 500") && !guest.contains("GET /"), "{guest}");
    let (_, body) = get(agent.address, &path, TOKEN).await;
    assert!(body.contains("GET / HTTP/1.1") && body.contains("Metrics that would have been"), "{body}");
    assert!(!body.to_lowercase().contains("authorization") && !body.contains("hunter2"), "{body}");
}

#[tokio::test]
async fn only_with_the_token_is_anything_said_to_a_server() {
    let (_place, agent) = agent().await;
    let silence = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = silence.local_addr().unwrap();
    let header = "x-prometheus-scrape-timeout-seconds: 1\r\n";
    for query in [
        format!("module=tcp_connect&target=tcp://{at}?send=FLUSHALL%250d%250a"),
        format!("module=tcp_connect&target={at}?send=x"),
        format!("module=redis&target=:x@{at}"),
        format!("module=redis&target=redis://me:x@{at}"),
        format!("module=postgres&target=me@{at}"),
        format!("module=mysql&target=mysql://me:x@{at}/shop"),
    ] {
        let path = format!("/probe?{query}");
        let (status, body) = get(agent.address, &path, header).await;
        assert!(status == 403 && body.contains("token"), "{query}: {status} {body}");
        assert_eq!(get(agent.address, &path, &format!("{header}{TOKEN}")).await.0, 200, "{query}");
    }
    let path = format!("/probe?module=tcp_connect&target={at}");
    assert_eq!(get(agent.address, &path, header).await.0, 200);
    let page = "sec-fetch-site: cross-site\r\n";
    assert_eq!(get(agent.address, &path, page).await.0, 403);
    assert_eq!(get(agent.address, "/-/healthy", page).await.0, 200);
}
