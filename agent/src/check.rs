//! Asks the agent of this host whether it answers: for health checks of containers, whose image has no other program.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use zv_probe::{Prober, Target, Trust, Verdict};

use crate::config::{self, LoadOptions, Purpose};

const PATH: &str = "/-/healthy";
const TIMEOUT: Duration = Duration::from_secs(3);

/// Asks the agent that runs with this configuration at its first address, and fails unless it answers that it is alive.
/// Whether it can reach an engine is another question, which `/-/ready` answers: a restart would not mend that.
pub fn run(load: LoadOptions) -> Result<()> {
    let load = LoadOptions { purpose: Purpose::Look, ..load };
    let api = config::load(&load).context("the configuration is not sound")?.config.api;
    match (api.listen.first(), &api.unix) {
        (Some(address), _) => over_tcp(*address, api.tls.is_some()),
        (None, Some(socket)) => over_socket(socket),
        (None, None) => anyhow::bail!("the agent listens nowhere; give `api.listen` or `api.unix`"),
    }
}

fn over_tcp(address: SocketAddr, encrypted: bool) -> Result<()> {
    ensure!(address.port() != 0, "the kernel chooses the agent's port; give `api.listen` one to be asked at");
    let scheme = if encrypted { "https" } else { "http" };
    let url = format!("{scheme}://{}{PATH}", reachable(address));
    let mut target = Target::parse(&url).context("cannot ask the agent")?;
    target.timeout = TIMEOUT;
    let threads = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Whose certificate it is does not matter to someone who asks on the same host.
    let prober = Prober::new(Arc::new(Trust::anything()));
    let report = threads.block_on(async { prober.run(&target, tokio::time::Instant::now() + TIMEOUT).await });
    // A certificate that is about to end is worth a warning, and no restart.
    let answers = matches!(report.verdict, Verdict::Up | Verdict::Degraded);
    ensure!(answers, "the agent at {address} does not answer: {}", report.reason);
    Ok(())
}

/// Returns where somebody on this host reaches what listens at `address`.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

fn over_socket(path: &Path) -> Result<()> {
    let failed = || format!("the agent at `{}` does not answer", path.display());
    let mut socket = UnixStream::connect(path).with_context(failed)?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    socket.set_write_timeout(Some(TIMEOUT))?;
    let request = format!("GET {PATH} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).with_context(failed)?;
    let mut status = [0; b"HTTP/1.1 200".len()];
    socket.read_exact(&mut status).with_context(failed)?;
    let said = String::from_utf8_lossy(&status);
    ensure!(said.ends_with(" 200"), "the agent at `{}` answered `{said}`", path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_that_listens_everywhere_is_asked_at_this_host() {
        for (listens, asked) in [
            ("0.0.0.0:9780", "127.0.0.1:9780"),
            ("[::]:9780", "[::1]:9780"),
            ("127.0.0.1:9780", "127.0.0.1:9780"),
            ("172.18.0.3:9780", "172.18.0.3:9780"),
        ] {
            assert_eq!(reachable(listens.parse().unwrap()), asked.parse().unwrap());
        }
    }

    #[test]
    fn an_agent_that_does_not_run_is_not_healthy() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let refusal = over_tcp(closed, false).unwrap_err().to_string();
        assert!(refusal.contains("does not answer: connection refused"), "{refusal}");
        let folder = tempfile::tempdir().unwrap();
        assert!(over_socket(&folder.path().join("none")).is_err());
    }

    #[test]
    fn an_agent_on_a_socket_is_asked_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("zv.sock");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        for (answer, healthy) in [("HTTP/1.1 200 OK\r\n\r\n", true), ("HTTP/1.1 503 No\r\n\r\n", false)] {
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let (mut client, _) = listener.accept().unwrap();
                    let mut request = [0; 4096];
                    assert_ne!(client.read(&mut request).unwrap(), 0);
                    client.write_all(answer.as_bytes()).unwrap();
                });
                assert_eq!(over_socket(&path).is_ok(), healthy);
            });
        }
    }
}
