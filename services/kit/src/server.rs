//! Accepts connections, serves them, and drains: stop accepting, let requests in flight finish, cut what is left.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::server::conn::http1::Connection;
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::IntGauge;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tower_service::Service;

use crate::exchange::Shared;
use crate::log::Level;
use crate::readiness::Readiness;
use crate::settings::Settings;
use crate::stall::Stalling;

/// Bytes a connection may buffer of what it reads; a request's head has to fit.
const BUFFER: usize = 64 * 1024;

/// How long a client that has sent a part of its very first request is waited for once draining: one that means to
/// stall must not use up the grace.
const LINGER: Duration = Duration::from_secs(1);

/// Connections the kernel accepts on its own, as the runtime asks of it.
const BACKLOG: usize = 1024;

/// How long a connection without a request yet is left alone once draining: what its client sent before that is in
/// the kernel, but the runtime may have yet to see it.
const ARRIVAL: Duration = Duration::from_millis(50);

/// How long to wait where the process has no file descriptor left for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// The address of a request's client, as the kernel knows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Remote(pub(crate) SocketAddr);

/// How serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Every request was answered.
    Drained,
    /// The grace was over before these connections were.
    Cut { connections: usize },
    /// Somebody asked for an end at once while there were these connections.
    Forced { connections: usize },
}

/// A listening socket and what to do with it.
pub(crate) struct Server {
    pub(crate) listener: TcpListener,
    pub(crate) router: Router,
    pub(crate) shared: Arc<Shared>,
    pub(crate) readiness: Readiness,
    pub(crate) settings: Settings,
}

impl Server {
    /// Serves until `stop` resolves, then drains. What `stop` resolves to cuts the draining short when it resolves too.
    pub(crate) async fn serve<F: Future<Output = ()>>(self, stop: impl Future<Output = F>) -> Ending {
        let mut connections = Connections::new(&self);
        let permits = Arc::new(Semaphore::new(self.settings.max_connections));
        let mut stop = std::pin::pin!(async {
            let mut force = Box::pin(stop.await);
            let deadline = Instant::now() + self.settings.drain_grace;
            self.readiness.drain();
            let in_flight = self.shared.metrics.in_flight.get();
            self.shared.log.info("draining", |line| line.field("in_flight", &in_flight));
            let lead = self.settings.drain_lead;
            let forced = !lead.is_zero() && timeout(lead, &mut force).await.is_ok();
            ((!forced).then_some(force), deadline)
        });
        let (force, deadline) = loop {
            tokio::select! {
                biased;
                stopped = &mut stop => break stopped,
                () = connections.reap() => {}
                accepted = self.accept(&permits) => connections.add(accepted),
            }
        };
        // Clients whose connection the kernel has accepted already may have sent a request.
        for _ in 0..BACKLOG {
            let Ok(accepted) = timeout(Duration::ZERO, self.accept(&permits)).await else { break };
            connections.add(accepted);
        }
        drop(self.listener);
        let force = async {
            if let Some(force) = force {
                force.await;
            }
        };
        connections.drain(force, deadline).await
    }

    /// Waits for room, then for a client. Dropped while it waits, it loses neither.
    async fn accept(&self, permits: &Arc<Semaphore>) -> Accepted {
        let permit = Arc::clone(permits).acquire_owned().await.expect("the semaphore is never closed");
        loop {
            match self.listener.accept().await {
                Ok((stream, remote)) => return Accepted { stream, remote, permit },
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    self.shared.log.error("cannot accept a connection", |line| {
                        line.field("error", &error.to_string());
                    });
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Tells a client that went away from a process that is out of something.
fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

struct Accepted {
    stream: TcpStream,
    remote: SocketAddr,
    permit: OwnedSemaphorePermit,
}

/// All open connections. Dropping it ends them.
struct Connections {
    tasks: JoinSet<()>,
    draining: CancellationToken,
    how: How,
}

/// How each connection is served.
#[derive(Clone)]
struct How {
    router: Router,
    shared: Arc<Shared>,
    http: hyper::server::conn::http1::Builder,
    write_timeout: Duration,
}

impl Connections {
    fn new(server: &Server) -> Self {
        let mut http = hyper::server::conn::http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(server.settings.idle_timeout).max_buf_size(BUFFER);
        Self {
            tasks: JoinSet::new(),
            draining: CancellationToken::new(),
            how: How {
                router: server.router.clone(),
                shared: Arc::clone(&server.shared),
                http,
                write_timeout: server.settings.write_timeout,
            },
        }
    }

    fn add(&mut self, accepted: Accepted) {
        self.tasks.spawn(self.how.clone().connection(accepted, self.draining.clone()));
    }

    /// Waits for a connection to end, for ever where there is none.
    async fn reap(&mut self) {
        match self.tasks.join_next().await {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                // Only a body that panics while it is sent gets here: handlers are caught closer by.
                self.how
                    .shared
                    .log
                    .error("a connection broke off", |line| line.field("error", &error.to_string()));
            }
            None => std::future::pending().await,
        }
    }

    async fn drain(mut self, force: impl Future<Output = ()>, deadline: Instant) -> Ending {
        self.draining.cancel();
        let mut force = std::pin::pin!(force);
        let mut late = std::pin::pin!(tokio::time::sleep_until(deadline));
        loop {
            if self.tasks.is_empty() {
                return Ending::Drained;
            }
            let connections = self.tasks.len();
            tokio::select! {
                biased;
                () = self.reap() => {}
                () = &mut force => return Ending::Forced { connections },
                () = &mut late => return Ending::Cut { connections },
            }
        }
    }
}

impl How {
    async fn connection(self, accepted: Accepted, draining: CancellationToken) {
        let Accepted { stream, remote, permit: _permit } = accepted;
        let _counted = Counted::new(&self.shared.metrics.connections);
        // Fails only on a socket that is gone, which the first read tells as well.
        let _gone = stream.set_nodelay(true);
        let io = TokioIo::new(Stalling::new(stream, self.write_timeout));
        let asked = AtomicBool::new(false);
        let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| {
            asked.store(true, Ordering::Relaxed);
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(Remote(remote));
            // A router is always ready.
            self.router.clone().call(request)
        });
        let mut connection = std::pin::pin!(self.http.serve_connection(io, service));
        let ended = tokio::select! {
            biased;
            ended = connection.as_mut() => ended,
            () = draining.cancelled() => finish(connection, &asked).await,
        };
        if let Err(error) = ended {
            self.shared.log.write(Level::Debug, "a connection ended early", |line| {
                line.field("remote", &remote);
                line.field("error", &error.to_string());
            });
        }
    }
}

type Io = TokioIo<Stalling<TcpStream>>;

/// Lets a connection end: at once if it is idle, else with the answer it waits for.
async fn finish<S>(mut connection: Pin<&mut Connection<Io, S>>, asked: &AtomicBool) -> hyper::Result<()>
where
    S: HttpService<hyper::body::Incoming, ResBody = Body>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let waiting = || !asked.load(Ordering::Relaxed);
    if waiting()
        && let Ok(ended) = timeout(ARRIVAL, connection.as_mut()).await
    {
        return ended;
    }
    connection.as_mut().graceful_shutdown();
    if waiting() {
        let ended = timeout(LINGER, connection.as_mut()).await;
        if ended.is_ok() || waiting() {
            return ended.unwrap_or(Ok(()));
        }
    }
    connection.await
}

/// Counts a connection for as long as it is open.
struct Counted(IntGauge);

impl Counted {
    fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
