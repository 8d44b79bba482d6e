//! One health check: an HTTP request, a TCP connection or a command.

use std::ffi::OsString;
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpStream;

use crate::clock;
use crate::local::file::{HealthSpec, Test};
use crate::local::process::{Order, Process, Word};
use crate::local::sweep;
use crate::model::Check;

/// The exit code of a check that took too long.
const TIMED_OUT: i64 = -1;
/// The time a command has to end once it was killed.
const KILL_WAIT: Duration = Duration::from_secs(2);

/// What is checked.
#[derive(Debug, Clone)]
pub(in crate::local) struct Target {
    pub port: u16,
    pub guard: Vec<OsString>,
    pub dir: PathBuf,
    pub env: Vec<(String, String)>,
    pub mark: String,
}

impl Target {
    /// Runs one check within the timeout.
    pub(super) async fn run(&self, spec: &HealthSpec) -> Check {
        let at = clock::now();
        let outcome = match &spec.test {
            Test::Exec(command) => self.exec(command, spec.timeout).await,
            Test::Http(path) => within(spec.timeout, self.http(path)).await,
            Test::Tcp => within(spec.timeout, self.tcp()).await,
        };
        let (exit_code, mut output) = outcome.unwrap_or_else(|error| (1, error.to_string()));
        if output.len() > Check::OUTPUT_LIMIT {
            let end = (0..=Check::OUTPUT_LIMIT).rev().find(|&end| output.is_char_boundary(end));
            output.truncate(end.unwrap_or_default());
        }
        Check { at, exit_code, output }
    }

    async fn tcp(&self) -> io::Result<(i64, String)> {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await?;
        Ok((0, format!("connected to 127.0.0.1:{}", self.port)))
    }

    async fn http(&self, path: &str) -> io::Result<(i64, String)> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await?;
        let (mut send, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let request = Request::get(path)
            .header("host", format!("127.0.0.1:{}", self.port))
            .header("user-agent", "zv-health")
            .header("connection", "close")
            .body(Empty::<Bytes>::new())
            .map_err(io::Error::other)?;
        let exchange = async move {
            let response = send.send_request(request).await.map_err(io::Error::other)?;
            let (status, mut body) = (response.status(), response.into_body());
            let mut text = Vec::new();
            while text.len() < Check::OUTPUT_LIMIT
                && let Some(frame) = body.frame().await
            {
                text.extend_from_slice(
                    frame.map_err(io::Error::other)?.data_ref().map_or(&[], |data| &data[..]),
                );
            }
            let well = status.is_success() || status.is_redirection();
            let output = format!("HTTP {}: {}", status.as_u16(), String::from_utf8_lossy(&text));
            Ok((i64::from(!well), output))
        };
        tokio::pin!(exchange);
        // The connection has to be driven for the exchange to get on; how it ends says nothing the exchange does not.
        tokio::select! {
            outcome = &mut exchange => outcome,
            _ = connection => exchange.await,
        }
    }

    /// Runs a command under a guard of its own, so that nothing of it outlives its timeout.
    async fn exec(&self, command: &[String], timeout: Duration) -> io::Result<(i64, String)> {
        let order = Order {
            guard: &self.guard,
            command,
            dir: &self.dir,
            env: self.env.iter().map(|(name, value)| (name.as_str(), value.clone())).collect(),
            mark: &self.mark,
        };
        let (mut process, (stdout, stderr)) = Process::spawn(&order)?;
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let ended = tokio::time::timeout(timeout, async {
            let exit = async {
                loop {
                    match process.next().await {
                        Some(Word::Started { .. }) => {}
                        Some(Word::Failed { code, reason }) => break (i64::from(code), reason),
                        Some(Word::Exited { code, .. }) => break (i64::from(code), String::new()),
                        None => break (1, "the check was killed".to_owned()),
                    }
                }
            };
            tokio::join!(exit, drain(stdout, &mut out), drain(stderr, &mut err)).0
        });
        let (code, reason) = match ended.await {
            Ok(ended) => ended,
            Err(_) => {
                process.kill().await;
                (TIMED_OUT, too_long(timeout))
            }
        };
        match tokio::time::timeout(KILL_WAIT, process.gone()).await {
            Ok(true) => {}
            Ok(false) => {
                let mark = self.mark.clone();
                let _swept = tokio::task::spawn_blocking(move || sweep::sweep(&mark)).await;
            }
            Err(_) => tracing::warn!("a health check does not end although it was killed"),
        }
        out.extend_from_slice(&err);
        out.extend_from_slice(reason.as_bytes());
        Ok((code, String::from_utf8_lossy(&out).into_owned()))
    }
}

async fn within(
    timeout: Duration,
    check: impl Future<Output = io::Result<(i64, String)>>,
) -> io::Result<(i64, String)> {
    tokio::time::timeout(timeout, check).await.unwrap_or_else(|_| Ok((TIMED_OUT, too_long(timeout))))
}

fn too_long(timeout: Duration) -> String {
    format!("no answer within {timeout:?}")
}

/// Reads all there is and keeps the beginning.
async fn drain(mut from: impl AsyncRead + Unpin, into: &mut Vec<u8>) {
    let mut chunk = [0; 4096];
    // An output that cannot be read has ended.
    while let Ok(read @ 1..) = from.read(&mut chunk).await {
        let room = Check::OUTPUT_LIMIT.saturating_sub(into.len());
        into.extend_from_slice(&chunk[..read.min(room)]);
    }
}
