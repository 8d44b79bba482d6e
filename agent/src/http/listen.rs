//! Addresses and the unix socket: bound first, which may fail, then served until the shutdown.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use futures_util::future::{join, join_all};
use tokio_util::sync::CancellationToken;

use super::accept::{self, Shared, TcpDoor, UnixDoor};
use super::tls::{Tls, TlsError, TlsFiles};
use super::unix::{UnixError, UnixSocket};

/// Where to listen.
#[derive(Debug, Clone)]
pub struct ListenOptions {
    pub tcp: Vec<SocketAddr>,
    pub unix: Option<PathBuf>,
    /// Who may use the unix socket besides its owner; ignored where this host has no such group.
    pub unix_group: Option<String>,
    /// Where present, every TCP address speaks TLS.
    pub tls: Option<TlsFiles>,
    pub limits: Limits,
}

/// What a peer may take up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Open at one listener; a peer beyond is told so with 503 and closed, so that none waits without knowing why.
    pub connections: usize,
    /// To send the head of a request, and between two requests.
    pub header: Duration,
    /// For the TLS handshake.
    pub handshake: Duration,
    /// Without reading anything of an answer.
    pub stall: Duration,
}

impl Limits {
    /// What an agent allows.
    pub const STANDARD: Self = Self {
        connections: 256,
        header: Duration::from_secs(10),
        handshake: Duration::from_secs(10),
        stall: Duration::from_secs(60),
    };
}

/// Why the agent cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("cannot listen on {address}: {}", advice(source))]
    Tcp { address: SocketAddr, source: io::Error },
    #[error("cannot listen on `{path}`: {source}")]
    Unix { path: PathBuf, source: UnixError },
    #[error(transparent)]
    Tls(#[from] TlsError),
}

fn advice(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another process listens there; stop it, or set `api.listen` to another address".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => {
            "no interface of this host has this address; set `api.listen` to one that it has".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need root or CAP_NET_BIND_SERVICE; set `api.listen` to a higher port".to_owned()
        }
        _ => error.to_string(),
    }
}

/// Bound and not yet served. Peers can connect and wait.
#[derive(Debug)]
pub struct Listeners {
    tcp: Vec<(TcpListener, SocketAddr)>,
    unix: Option<UnixSocket>,
    tls: Option<Tls>,
    limits: Limits,
}

/// How serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Every request came to its end.
    Cleanly,
    /// The grace was over first.
    Cut { connections: usize },
}

impl Drained {
    pub(super) fn of(cut: usize) -> Self {
        if cut == 0 { Drained::Cleanly } else { Drained::Cut { connections: cut } }
    }
}

/// Binds all that `options` names, or nothing. Needs no async runtime.
pub fn bind(options: ListenOptions) -> Result<Listeners, ListenError> {
    let tls = options.tls.map(Tls::load).transpose()?;
    let tcp = options.tcp.into_iter().map(bind_tcp).collect::<Result<_, _>>()?;
    let unix = match options.unix {
        None => None,
        Some(path) => {
            let socket = UnixSocket::bind(&path, options.unix_group.as_deref());
            Some(socket.map_err(|source| ListenError::Unix { path, source })?)
        }
    };
    Ok(Listeners { tcp, unix, tls, limits: options.limits })
}

fn bind_tcp(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ListenError> {
    let bound = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    });
    bound.map_err(|source| ListenError::Tcp { address, source })
}

impl Listeners {
    /// Returns the TCP addresses, with the ports the kernel chose where 0 was asked for.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.tcp.iter().map(|(_, address)| *address).collect()
    }

    /// Returns what reloads the certificate.
    pub fn tls(&self) -> Option<Tls> {
        self.tls.clone()
    }

    /// Serves `router` until `shutdown`; then accepts no more, gives requests `grace` to end, and cuts the rest.
    /// Dropping the future cuts everything.
    pub async fn serve(
        self,
        router: Router,
        shutdown: impl Future<Output = ()>,
        grace: Duration,
    ) -> io::Result<Drained> {
        let draining = CancellationToken::new();
        let shared = Shared { router, limits: self.limits, draining: draining.clone(), grace };
        let unix_door = self.unix.map(UnixDoor::new).transpose()?;
        let tcp_doors = self
            .tcp
            .into_iter()
            .map(|(listener, address)| {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                Ok(TcpDoor { listener, address, tls: self.tls.clone(), stall: self.limits.stall })
            })
            .collect::<io::Result<Vec<_>>>()?;
        let tcp = join_all(tcp_doors.into_iter().map(|door| accept::run(door, shared.clone())));
        let unix = join_all(unix_door.map(|door| accept::run(door, shared.clone())));
        let stop = async {
            shutdown.await;
            draining.cancel();
        };
        let (cut, ()) = join(join(tcp, unix), stop).await;
        Ok(Drained::of(cut.0.into_iter().chain(cut.1).sum()))
    }
}
