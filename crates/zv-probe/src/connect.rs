//! From a host and a port to a connection: the name, the addresses in parallel, TLS on top.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;

use crate::prober::Prober;
use crate::trace::{Phase, Trace};
use crate::verdict::Fault;
use crate::wire::{self, Wire};

/// The head start that one address has over the next one.
const HEAD_START: Duration = Duration::from_millis(250);
/// More addresses of one name are not tried.
const MOST_ADDRESSES: usize = 6;

/// Where to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// A name or an address, without brackets.
    pub host: String,
    pub port: u16,
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host.parse::<IpAddr>() {
            Ok(address) => write!(f, "{}", SocketAddr::new(address, self.port)),
            Err(_) => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// Finds the addresses of an endpoint.
pub(crate) async fn addresses(
    endpoint: &Endpoint,
    prober: &Prober,
    trace: &mut Trace,
) -> Result<Vec<SocketAddr>, Fault> {
    if let Ok(address) = endpoint.host.parse::<IpAddr>() {
        if trace.addresses.contains(&address) {
            let all = trace.addresses.iter().take(MOST_ADDRESSES);
            return Ok(all.map(|address| SocketAddr::new(*address, endpoint.port)).collect());
        }
        return Ok(vec![SocketAddr::new(address, endpoint.port)]);
    }
    trace.enter_for(Phase::Resolve, endpoint.host.clone());
    let found = prober.resolver.addresses(&endpoint.host).await?;
    Ok(found
        .into_iter()
        .take(MOST_ADDRESSES)
        .map(|address| SocketAddr::new(address, endpoint.port))
        .collect())
}

/// Connects. Whoever of the addresses answers first is taken.
pub(crate) async fn tcp(endpoint: &Endpoint, prober: &Prober, trace: &mut Trace) -> Result<Wire, Fault> {
    let (stream, peer) = stream(endpoint, prober, trace).await?;
    Ok(Wire::new(Box::new(stream), peer))
}

/// Connects; returns the peer as a person would write it, too.
pub(crate) async fn stream(
    endpoint: &Endpoint,
    prober: &Prober,
    trace: &mut Trace,
) -> Result<(TcpStream, String), Fault> {
    let addresses = addresses(endpoint, prober, trace).await?;
    trace.address = addresses.first().map(SocketAddr::ip);
    let told = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
    trace.enter_for(Phase::Connect, told);
    let (stream, peer) = fastest(&addresses).await?;
    trace.peer = Some(peer);
    // Without it, the last part of a request may wait for the acknowledgement of the first.
    stream.set_nodelay(true).map_err(|error| wire::lost(&peer.to_string(), &error))?;
    Ok((stream, peer.to_string()))
}

/// Tries the addresses, each a little later than the one before or as soon as that one failed.
async fn fastest(addresses: &[SocketAddr]) -> Result<(TcpStream, SocketAddr), Fault> {
    // As nearly always: nobody has to be raced.
    if let [only] = addresses {
        let stream = TcpStream::connect(only).await;
        return stream
            .map(|stream| (stream, *only))
            .map_err(|error| Fault::down(wire::refused(&only.to_string(), &error)));
    }
    let mut waiting = addresses.iter().copied();
    let mut tried = FuturesUnordered::new();
    let mut refusals: Vec<String> = Vec::new();
    if addresses.is_empty() {
        return Err(Fault::down("its name has no address"));
    }
    loop {
        let next = waiting.next();
        let more_to_come = next.is_some();
        if let Some(address) = next {
            tried.push(async move { (address, TcpStream::connect(address).await) });
        }
        let head_start = tokio::time::sleep(HEAD_START);
        tokio::select! {
            Some((address, connected)) = tried.next() => match connected {
                Ok(stream) => return Ok((stream, address)),
                Err(error) => refusals.push(wire::refused(&address.to_string(), &error)),
            },
            () = head_start, if more_to_come => {}
        }
        if tried.is_empty() && waiting.len() == 0 {
            refusals.dedup();
            return Err(Fault::down(refusals.join("; ")));
        }
    }
}
