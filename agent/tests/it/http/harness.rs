//! A served face, ways to talk to it, and the wait for a condition.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use zv_agent::http::{
    Drained, Face, Limits, ListenOptions, ReadRight, Readiness, Reload, Rights, SharedRights, Tls, TlsFiles,
    Token, bind, router,
};
use zv_agent::metrics::Metrics;
use zv_api::client::{Client, Endpoint};

use super::fake::Fake;

/// Far beyond what anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const TOKEN: &str = "a-token-of-the-tests";

/// What a test may choose.
pub(crate) struct Setup {
    pub(crate) read: ReadRight,
    pub(crate) hosts: Vec<String>,
    pub(crate) limits: Limits,
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) grace: Duration,
    pub(crate) metrics: Metrics,
    pub(crate) reload: Option<Reload>,
}

impl Setup {
    pub(crate) fn plain() -> Self {
        Self {
            read: ReadRight::Open,
            hosts: Vec::new(),
            limits: Limits::STANDARD,
            tls: None,
            addresses: vec!["127.0.0.1:0".parse().unwrap()],
            grace: PATIENCE,
            metrics: Metrics::default(),
            reload: None,
        }
    }

    pub(crate) fn serve(self) -> Served {
        let folder = tempfile::tempdir().unwrap();
        let unix = folder.path().join("zv.sock");
        let listeners = bind(ListenOptions {
            tcp: self.addresses,
            unix: Some(unix.clone()),
            unix_group: None,
            tls: self.tls,
            limits: self.limits,
        })
        .unwrap();
        let source = Fake::new();
        let readiness = Readiness::default();
        let token = Some(Token::given("ZV_TOKEN", TOKEN).unwrap());
        let face = Face {
            source: source.clone(),
            rights: SharedRights::new(Rights { token, read: self.read, hosts: self.hosts }),
            readiness: readiness.clone(),
            metrics: self.metrics,
            reload: self.reload,
        };
        let (addresses, tls) = (listeners.addresses(), listeners.tls());
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async {
            stopped.await.ok();
        };
        #[expect(clippy::disallowed_methods, reason = "the handle is kept, and awaited by `stop`")]
        let task = tokio::spawn(listeners.serve(router(face), shutdown, self.grace));
        Served { addresses, unix, source, readiness, tls, stop: Some(stop), task, _folder: folder }
    }
}

/// A face that is served until it is dropped or stopped.
pub(crate) struct Served {
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) unix: PathBuf,
    pub(crate) source: Fake,
    pub(crate) readiness: Readiness,
    pub(crate) tls: Option<Tls>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<std::io::Result<Drained>>,
    _folder: TempDir,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Served {
    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    pub(crate) fn client(&self) -> Client {
        self.client_at(&format!("http://{}", self.address()), Some(TOKEN))
    }

    pub(crate) fn client_at(&self, endpoint: &str, token: Option<&str>) -> Client {
        Client::new(Endpoint::parse(endpoint).unwrap(), token.map(str::to_owned)).unwrap()
    }

    pub(crate) fn unix_client(&self, token: Option<&str>) -> Client {
        self.client_at(&format!("unix://{}", self.unix.display()), token)
    }

    pub(crate) async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.address()).await.unwrap()
    }

    pub(crate) async fn unix(&self) -> UnixStream {
        UnixStream::connect(&self.unix).await.unwrap()
    }

    pub(crate) fn begin_stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    pub(crate) async fn stopped(&mut self) -> Drained {
        within(&mut self.task).await.unwrap().unwrap()
    }
}

/// Fails the test where `future` takes too long.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    timeout(PATIENCE, future).await.expect("this takes too long")
}

/// Waits until `condition` holds.
pub(crate) async fn until(mut condition: impl FnMut() -> bool) {
    within(async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Sends `request` as it is and reads until the end.
pub(crate) async fn raw(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    rest(stream).await
}

/// Reads until the end; a reset counts as one.
pub(crate) async fn rest(mut stream: impl AsyncRead + Unpin) -> String {
    let mut answer = Vec::new();
    let end = within(stream.read_to_end(&mut answer)).await;
    if let Err(error) = end {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    String::from_utf8(answer).unwrap()
}

/// Returns a request that is answered and then closed.
pub(crate) fn request(method: &str, path: &str, headers: &str, body: &str) -> String {
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{length}{headers}\r\n{body}")
}

/// Returns the status of an answer.
pub(crate) fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{answer:?}"))
}
