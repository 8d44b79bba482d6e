//! The same routes without a socket: a client in this process speaks HTTP through a pipe in memory.
//!
//! [`pair`] gives the dialler, which the client's connector calls, and the server, which owns every connection.

use std::future::{Future, pending};
use std::io;
use std::time::Duration;

use axum::Router;
use futures_util::future::join;
use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::accept::{self, Door, Shared};
use super::auth::Origin;
use super::connection::Accepted;
use super::listen::{Drained, Limits};

/// Bytes in flight in each direction.
const PIPE: usize = 64 * 1024;
/// Connections that wait to be accepted.
const BACKLOG: usize = 16;

/// Returns the two ends.
pub fn pair() -> (Dialler, InProcess) {
    let (sender, receiver) = mpsc::channel(BACKLOG);
    (Dialler(sender), InProcess(receiver))
}

/// Opens connections to the server beside it.
#[derive(Debug, Clone)]
pub struct Dialler(mpsc::Sender<DuplexStream>);

impl Dialler {
    /// Returns the client's half of a new connection; refused once the server is gone.
    pub async fn dial(&self) -> io::Result<DuplexStream> {
        let (client, server) = duplex(PIPE);
        self.0.send(server).await.map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
        Ok(client)
    }
}

/// The server's end.
#[derive(Debug)]
pub struct InProcess(mpsc::Receiver<DuplexStream>);

impl InProcess {
    /// Serves `router` until `shutdown`, as [`super::Listeners::serve`] does.
    pub async fn serve(self, router: Router, shutdown: impl Future<Output = ()>, grace: Duration) -> Drained {
        let draining = CancellationToken::new();
        let shared = Shared { router, limits: Limits::STANDARD, draining: draining.clone(), grace };
        let stop = async {
            shutdown.await;
            draining.cancel();
        };
        let (cut, ()) = join(accept::run(self, shared), stop).await;
        Drained::of(cut)
    }
}

impl Door for InProcess {
    async fn accept(&mut self) -> io::Result<Accepted> {
        match self.0.recv().await {
            Some(stream) => Ok(Accepted { stream: Box::new(stream), origin: Origin::InProcess, tls: None }),
            // Every dialler is gone: nobody can come any more.
            None => pending().await,
        }
    }
}
