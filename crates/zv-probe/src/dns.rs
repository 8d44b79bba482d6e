//! DNS over UDP and, for long answers, TCP: the question of a probe, and what the resolver is made of.
//!
//! Written here because the libraries for it bring caches, runtimes and transports that a probe has no use for (78
//! crates), and because the C library's resolver cannot be cut off at a deadline.

pub(crate) mod message;
pub(crate) mod resolver;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::connect::{self, Endpoint};
use crate::prober::Prober;
use crate::target::Dns;
use crate::trace::{Phase, Trace};
use crate::verdict::Fault;
use crate::wire;
use crate::words::{quote, span};
use message::{Answer, Code, Kind, Malformed};

/// How long one question waits before it is asked again.
const PATIENCE: Duration = Duration::from_secs(2);
const ATTEMPTS: u32 = 2;

/// Why a server gave no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Silence(pub(crate) String);

/// Runs a probe of a name server.
pub(crate) async fn check(dns: &Dns, prober: &Prober, trace: &mut Trace) -> Result<String, Fault> {
    let server = match &dns.server {
        Some((host, port)) => {
            let endpoint = Endpoint { host: host.clone(), port: *port };
            let addresses = connect::addresses(&endpoint, prober, trace).await?;
            *addresses.first().ok_or_else(|| Fault::unknown(format!("`{host}` has no address")))?
        }
        None => prober.resolver.first_server().await?,
    };
    trace.address = Some(server.ip());
    trace.peer = Some(server);
    trace.enter_for(Phase::Processing, server.to_string());
    let answer = ask(server, &dns.name, dns.kind).await.map_err(|silence| Fault::down(silence.0))?;
    trace.enter(Phase::Transfer);
    let name = &dns.name;
    match answer.code {
        Code::Fine => {}
        Code::NoSuchName => return Err(Fault::down(format!("{server} knows no name `{name}`"))),
        Code::Other(code) => {
            return Err(Fault::down(format!("{server} answers {} to `{name}`", message::code_name(code))));
        }
    }
    if answer.records.is_empty() {
        return Err(Fault::down(format!("{server} knows no {} record of `{name}`", dns.kind.name())));
    }
    let told = answer.records.join(", ");
    for expected in &dns.expect {
        let same = |record: &String| {
            record.trim_end_matches('.').eq_ignore_ascii_case(expected.trim_end_matches('.'))
        };
        if !answer.records.iter().any(same) {
            let told = quote(told.as_bytes());
            trace.mismatched = true;
            return Err(Fault::down(format!("{server} answers `{told}` for `{name}`, not `{expected}`")));
        }
    }
    Ok(quote(told.as_bytes()))
}

/// Asks one server, again where the question may have been lost.
pub(crate) async fn ask(server: SocketAddr, name: &str, kind: Kind) -> Result<Answer, Silence> {
    let mut silence = Silence(format!("{server} was not asked"));
    for _ in 0..ATTEMPTS {
        match timeout(PATIENCE, ask_once(server, name, kind)).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(broken)) => silence = broken,
            Err(_) => silence = Silence(format!("no answer from {server} within {}", span(PATIENCE))),
        }
    }
    Err(silence)
}

async fn ask_once(server: SocketAddr, name: &str, kind: Kind) -> Result<Answer, Silence> {
    let id = random_id()?;
    let question = message::question(id, name, kind).map_err(|error| Silence(error.0.to_owned()))?;
    let failed = |error: std::io::Error| Silence(wire::refused(&server.to_string(), &error));
    let local: SocketAddr = if server.is_ipv4() { ([0; 4], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = UdpSocket::bind(local).await.map_err(failed)?;
    socket.connect(server).await.map_err(failed)?;
    socket.send(&question).await.map_err(failed)?;
    let mut packet = [0; 4096];
    loop {
        let length = socket.recv(&mut packet).await.map_err(failed)?;
        match message::answer(&packet[..length], id, name, kind) {
            // Somebody else's answer, late or forged: the right one may still come.
            Err(Malformed::NotOurs) => {}
            Err(Malformed::Broken(what)) => return Err(garbage(server, what)),
            Ok(answer) if answer.truncated => return over_tcp(server, &question, id, name, kind).await,
            Ok(answer) => return Ok(answer),
        }
    }
}

async fn over_tcp(
    server: SocketAddr,
    question: &[u8],
    id: u16,
    name: &str,
    kind: Kind,
) -> Result<Answer, Silence> {
    let exchange = async {
        let mut stream = TcpStream::connect(server).await?;
        // A question is a few hundred bytes at the most.
        let length = u16::try_from(question.len()).unwrap_or(u16::MAX);
        let mut framed = length.to_be_bytes().to_vec();
        framed.extend_from_slice(question);
        stream.write_all(&framed).await?;
        let length = stream.read_u16().await?;
        let mut packet = vec![0; usize::from(length)];
        stream.read_exact(&mut packet).await?;
        Ok(packet)
    };
    let packet = exchange
        .await
        .map_err(|error: std::io::Error| Silence(wire::refused(&server.to_string(), &error)))?;
    message::answer(&packet, id, name, kind).map_err(|broken| match broken {
        Malformed::NotOurs => garbage(server, "an answer to another question"),
        Malformed::Broken(what) => garbage(server, what),
    })
}

fn garbage(server: SocketAddr, what: &str) -> Silence {
    Silence(format!("{server} does not speak DNS: {what}"))
}

/// Nobody who does not see the question can guess it.
fn random_id() -> Result<u16, Silence> {
    let mut bytes = [0; 2];
    let random = ring::rand::SystemRandom::new();
    ring::rand::SecureRandom::fill(&random, &mut bytes)
        .map_err(|_| Silence("the system gives no random numbers".to_owned()))?;
    Ok(u16::from_be_bytes(bytes))
}
