//! A service with routes that misbehave on request, and a client that can misbehave itself.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::{get, post};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;
use zv_kit::{Ending, Environment, Error, Json, Readiness, Service, Settings};

/// Far beyond what anything here takes.
const DEADLINE: Duration = Duration::from_secs(30);

/// Fails the test where `future` takes for ever.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("this takes for ever")
}

/// Waits until `condition` holds.
pub(crate) async fn until(mut condition: impl AsyncFnMut() -> bool) {
    soon(async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// What the service logged.
#[derive(Clone, Default)]
pub(crate) struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Captured {
    /// Returns the whole lines so far; each has to be a JSON object.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let parsed = whole.lines().map(|line| serde_json::from_str(line).expect(line));
        parsed.inspect(|line: &Value| assert!(line.is_object(), "{line}")).collect()
    }

    /// Waits for a line and returns it.
    pub(crate) async fn line(&self, which: impl Fn(&Value) -> bool) -> Value {
        let mut found = None;
        until(async || {
            found = self.lines().into_iter().find(|line| which(line));
            found.is_some()
        })
        .await;
        found.unwrap()
    }
}

/// Lets a test see that `/slow` has begun, and end it.
#[derive(Default)]
pub(crate) struct Slow {
    pub(crate) begun: Notify,
    pub(crate) release: Notify,
}

fn routes(slow: Arc<Slow>) -> Router {
    Router::new()
        .route(
            "/slow",
            get(async move || {
                slow.begun.notify_one();
                slow.release.notified().await;
                "done"
            }),
        )
        .route("/panic", get(async || if true { panic!("the secret is hunter2") } else { "" }))
        .route("/broken", get(broken))
        .route("/echo", post(async |Json(body): Json<Value>| Json(body)))
        .route("/raw", post(async |body: Bytes| body.len().to_string()))
        .route("/items/{id}", get(async || "item"))
        .route("/endless", get(async || Body::new(Endless)))
}

async fn broken() -> Result<&'static str, Error> {
    Err(std::io::Error::other("cannot reach db with password hunter2"))?
}

/// A body that never ends.
struct Endless;

impl axum::body::HttpBody for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Infallible>>> {
        std::task::Poll::Ready(Some(Ok(hyper::body::Frame::data(Bytes::from_static(&[b'x'; 16 * 1024])))))
    }
}

/// A service that runs for one test.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) log: Captured,
    pub(crate) slow: Arc<Slow>,
    stop: Option<oneshot::Sender<()>>,
    force: Option<oneshot::Sender<()>>,
    serving: JoinSet<Ending>,
}

impl Running {
    /// Starts a service with these variables on a free port.
    pub(crate) async fn start<const N: usize>(variables: [(&str, &str); N]) -> Self {
        Self::with(variables, Readiness::new()).await
    }

    pub(crate) async fn with<const N: usize>(variables: [(&str, &str); N], readiness: Readiness) -> Self {
        let fixed = [("LISTEN", "127.0.0.1:0"), ("ZV_REPLICA", "tested-1")];
        let environment: Environment = fixed.into_iter().chain(variables).collect();
        let settings = Settings::from_environment(&environment).unwrap();
        let log = Captured::default();
        let bound = Service::new("tested", "1.2.3").log_to(log.clone()).bind(settings).await.unwrap();
        let address = bound.address();
        let slow = Arc::new(Slow::default());
        let router = routes(Arc::clone(&slow));
        let (stop, stopped) = oneshot::channel::<()>();
        let (force, forced) = oneshot::channel::<()>();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let wait = async |signal: oneshot::Receiver<()>| {
                if signal.await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            #[expect(clippy::async_yields_async, reason = "forcing comes after stopping")]
            let stop = async move {
                wait(stopped).await;
                wait(forced)
            };
            bound.serve(router, readiness, stop).await
        });
        Self { address, log, slow, stop: Some(stop), force: Some(force), serving }
    }

    pub(crate) async fn client(&self) -> Client {
        Client(BufReader::new(soon(TcpStream::connect(self.address)).await.unwrap()))
    }

    /// Connects and sends without the runtime, and so the service, having a turn in between.
    pub(crate) fn client_unseen(&self, request: &[u8]) -> Client {
        let mut stream = std::net::TcpStream::connect(self.address).unwrap();
        stream.write_all(request).unwrap();
        stream.set_nonblocking(true).unwrap();
        Client(BufReader::new(TcpStream::from_std(stream).unwrap()))
    }

    /// Asks on a connection of its own.
    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.client().await.get(path).await
    }

    /// Asks to stop, as the first signal does.
    pub(crate) fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    /// Asks to stop at once, as the second signal does.
    pub(crate) fn force(&mut self) {
        self.force.take().unwrap().send(()).unwrap();
    }

    pub(crate) async fn ending(&mut self) -> Ending {
        soon(self.serving.join_next()).await.unwrap().unwrap()
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.headers["content-type"], "application/json", "{self:?}");
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A connection to the service.
pub(crate) struct Client(BufReader<TcpStream>);

impl Client {
    pub(crate) async fn get(&mut self, path: &str) -> Reply {
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await
    }

    pub(crate) async fn ask(&mut self, request: &str) -> Reply {
        self.send(request.as_bytes()).await;
        self.reply().await
    }

    /// Sends bytes; a service that has closed the connection already is no failure, its answer may have come first.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let _closed = soon(self.0.get_mut().write_all(bytes)).await;
    }

    pub(crate) async fn reply(&mut self) -> Reply {
        soon(self.read()).await.expect("no answer")
    }

    /// Says whether the service closes the connection without another byte.
    pub(crate) async fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        !matches!(soon(self.0.read(&mut byte)).await, Ok(1))
    }

    async fn read(&mut self) -> Option<Reply> {
        let mut line = String::new();
        self.0.read_line(&mut line).await.ok()?;
        let status = line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        let mut headers = BTreeMap::new();
        loop {
            line.clear();
            self.0.read_line(&mut line).await.ok()?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.insert(name.to_owned(), value.to_owned());
        }
        let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.ok()?;
        Some(Reply { status, headers, body: String::from_utf8(body).unwrap() })
    }
}
