//! What the tests share: a probe run, and a server made of a function.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;
use zv_probe::{Prober, Report, Target, Trust};

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn target(url: &str) -> Target {
    let mut target = Target::parse(url).unwrap();
    target.timeout = PATIENCE;
    target
}

pub(crate) fn prober() -> Prober {
    Prober::new(Arc::new(Trust::system()))
}

pub(crate) async fn run(target: &Target) -> Report {
    prober().run(target, Instant::now() + PATIENCE).await
}

pub(crate) async fn probe(url: &str) -> Report {
    run(&target(url)).await
}

/// A server on loopback; its connections end with it.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    _serving: JoinSet<()>,
}

impl Server {
    /// Gives each connection to a function.
    pub(crate) async fn start<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(serve(stream));
            }
        });
        Self { address, _serving: serving }
    }

    /// Says the same to everybody who has said something, then closes.
    pub(crate) async fn saying(answer: impl Into<Vec<u8>>) -> Self {
        let answer: Arc<[u8]> = answer.into().into();
        Self::start(move |mut stream| {
            let answer = Arc::clone(&answer);
            async move {
                let mut request = [0; 4096];
                // Whoever leaves early is the one that is tested.
                if stream.read(&mut request).await.is_ok() {
                    stream.write_all(&answer).await.ok();
                    stream.shutdown().await.ok();
                }
            }
        })
        .await
    }

    pub(crate) fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.address)
    }
}

/// Returns a port where nobody listens.
pub(crate) async fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}
