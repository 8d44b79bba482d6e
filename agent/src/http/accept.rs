//! The accept loop: one for each listener. Nothing but the shutdown ends it.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use rustix::io::Errno;
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::auth::Origin;
use super::connection::{self, Accepted};
use super::listen::Limits;
use super::tls::Tls;
use super::unix::{SocketFile, UnixSocket};

/// How many peers beyond the limit hear why at the same time; more are cut off.
const REFUSALS: usize = 64;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Where connections come in.
pub(super) trait Door: Send {
    /// Waits for the next connection. Dropping the future loses none.
    fn accept(&mut self) -> impl Future<Output = io::Result<Accepted>> + Send;
}

/// A TCP listener.
pub(super) struct TcpDoor {
    pub(super) listener: TcpListener,
    pub(super) address: SocketAddr,
    pub(super) tls: Option<Tls>,
    /// After how long without an acknowledgement the kernel gives a peer up.
    pub(super) stall: Duration,
}

impl Door for TcpDoor {
    async fn accept(&mut self) -> io::Result<Accepted> {
        let (stream, _) = self.listener.accept().await?;
        if let Err(error) = tune(&stream, self.stall) {
            tracing::debug!(%error, "a connection runs without its socket options");
        }
        let tls = self.tls.as_ref().map(Tls::current);
        Ok(Accepted { stream: Box::new(stream), origin: Origin::of_listener(self.address), tls })
    }
}

fn tune(stream: &TcpStream, stall: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let milliseconds = u32::try_from(stall.as_millis()).unwrap_or(u32::MAX);
    Ok(rustix::net::sockopt::set_tcp_user_timeout(stream, milliseconds)?)
}

/// A listener on a unix socket; its file goes before it stops listening.
pub(super) struct UnixDoor {
    _file: SocketFile,
    listener: UnixListener,
}

impl UnixDoor {
    pub(super) fn new(socket: UnixSocket) -> io::Result<Self> {
        let (file, listener) = socket.into_parts();
        Ok(Self { _file: file, listener: UnixListener::from_std(listener)? })
    }
}

impl Door for UnixDoor {
    async fn accept(&mut self) -> io::Result<Accepted> {
        let (stream, _) = self.listener.accept().await?;
        Ok(Accepted { stream: Box::new(stream), origin: Origin::Unix, tls: None })
    }
}

/// What every listener of a server shares.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) router: Router,
    pub(super) limits: Limits,
    pub(super) draining: CancellationToken,
    /// How long requests may take to end once the server drains.
    pub(super) grace: Duration,
}

/// Accepts and serves until the server drains; returns how many connections had to be cut then.
pub(super) async fn run(mut door: impl Door, shared: Shared) -> usize {
    let slots = Arc::new(Semaphore::new(shared.limits.connections));
    let refusals = Arc::new(Semaphore::new(REFUSALS));
    let mut connections = JoinSet::new();
    let mut pause = FIRST_PAUSE;
    loop {
        let accepted = tokio::select! {
            biased;
            () = shared.draining.cancelled() => break,
            Some(ended) = connections.join_next() => {
                report(ended);
                continue;
            }
            accepted = door.accept() => accepted,
        };
        match accepted {
            Ok(accepted) => {
                pause = FIRST_PAUSE;
                if let Ok(slot) = Arc::clone(&slots).try_acquire_owned() {
                    let Shared { router, limits, draining, .. } = shared.clone();
                    connections.spawn(async move {
                        connection::serve(accepted, router, limits, draining).await;
                        drop(slot);
                    });
                } else if let Ok(slot) = Arc::clone(&refusals).try_acquire_owned() {
                    connections.spawn(async move {
                        connection::refuse(accepted).await;
                        drop(slot);
                    });
                }
            }
            Err(error) if is_the_peers(&error) => {}
            Err(error) => {
                tracing::warn!(%error, pause_ms = pause.as_millis(), "no connection can be accepted");
                if timeout(pause, shared.draining.cancelled()).await.is_ok() {
                    break;
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
    drop(door);
    drain(connections, shared.grace).await
}

/// Says whether accepting failed because of one peer: the next may be fine.
fn is_the_peers(error: &io::Error) -> bool {
    let peers =
        [Errno::CONNABORTED, Errno::CONNRESET, Errno::PROTO, Errno::PERM, Errno::INTR, Errno::TIMEDOUT];
    error.raw_os_error().is_some_and(|code| peers.iter().any(|peer| peer.raw_os_error() == code))
}

async fn drain(mut connections: JoinSet<()>, grace: Duration) -> usize {
    let all = async {
        while let Some(ended) = connections.join_next().await {
            report(ended);
        }
    };
    if timeout(grace, all).await.is_ok() {
        return 0;
    }
    let cut = connections.len();
    connections.shutdown().await;
    cut
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a request ended in a panic; its connection is closed");
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::Instant;

    use super::*;

    /// Fails so many times with one error, then lets one connection in, then nobody.
    struct Failing {
        failures: usize,
        errno: Errno,
        stream: Option<DuplexStream>,
    }

    impl Door for Failing {
        async fn accept(&mut self) -> io::Result<Accepted> {
            if self.failures > 0 {
                self.failures -= 1;
                return Err(self.errno.into());
            }
            match self.stream.take() {
                Some(stream) => {
                    Ok(Accepted { stream: Box::new(stream), origin: Origin::InProcess, tls: None })
                }
                None => std::future::pending().await,
            }
        }
    }

    async fn served_after(failures: usize, errno: Errno) -> Duration {
        let (mut client, server) = duplex(1024);
        let shared = Shared {
            router: Router::new().fallback(async || "here"),
            limits: Limits::STANDARD,
            draining: CancellationToken::new(),
            grace: Duration::from_secs(1),
        };
        let start = Instant::now();
        let door = Failing { failures, errno, stream: Some(server) };
        let draining = shared.draining.clone();
        let asked = async {
            client.write_all(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").await.unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            assert!(answer.ends_with("here"), "{answer}");
            draining.cancel();
            start.elapsed()
        };
        let (cut, took) = tokio::join!(run(door, shared), asked);
        assert_eq!(cut, 0);
        took
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_file_table_is_waited_out_without_spinning() {
        let took = served_after(10, Errno::MFILE).await;
        assert!((Duration::from_secs(5)..Duration::from_secs(10)).contains(&took), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_gave_up_delays_nobody() {
        assert!(served_after(1000, Errno::CONNABORTED).await < FIRST_PAUSE);
    }
}
