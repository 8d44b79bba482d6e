//! A connection that is read with limits, and the words for how connections fail.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::trace::{Phase, Trace};
use crate::verdict::Fault;
use crate::words;

/// How much is read at once.
const CHUNK: usize = 8 * 1024;

/// What a probe speaks over.
pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send + Sync {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + Sync> Io for T {}

/// A connection to one peer, with what was read and not yet used.
pub(crate) struct Wire {
    io: Box<dyn Io>,
    buffer: BytesMut,
    peer: String,
}

impl Wire {
    pub(crate) fn new(io: Box<dyn Io>, peer: impl Into<String>) -> Self {
        Self { io, buffer: BytesMut::new(), peer: peer.into() }
    }

    pub(crate) fn peer(&self) -> &str {
        &self.peer
    }

    /// Gives the connection away. Whatever was read already would be lost, and it is a sign of foul play where a
    /// protocol changes to TLS: it could have been put there by somebody in between.
    pub(crate) fn into_clean_io(self) -> Result<(Box<dyn Io>, String), Fault> {
        if !self.buffer.is_empty() {
            return Err(Fault::down(format!("{} sent more than it should before TLS began", self.peer)));
        }
        Ok((self.io, self.peer))
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let sent = async {
            self.io.write_all(bytes).await?;
            self.io.flush().await
        };
        sent.await.map_err(|error| lost(&self.peer, &error))
    }

    /// Sends the last words. A peer that is gone by then is no failure of it.
    pub(crate) async fn bid_farewell(&mut self, bytes: &[u8]) {
        if self.io.write_all(bytes).await.is_ok() {
            self.io.shutdown().await.ok();
        }
    }

    /// Reads more; says whether anything came. The first byte ends the phase of processing.
    pub(crate) async fn fill(&mut self, trace: &mut Trace) -> Result<bool, Fault> {
        self.buffer.reserve(CHUNK);
        let before = self.buffer.len();
        let read = self.io.read_buf(&mut self.buffer).await.map_err(|error| lost(&self.peer, &error))?;
        if trace.is_listening {
            trace.hear(&self.buffer[before..]);
        }
        trace.answered();
        Ok(read > 0)
    }

    /// Returns what was read and not yet taken.
    pub(crate) fn buffered(&self) -> &[u8] {
        &self.buffer
    }

    pub(crate) fn buffer_mut(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Reads until there are `count` bytes; callers have checked the count against a limit of theirs.
    pub(crate) async fn need(&mut self, count: usize, trace: &mut Trace) -> Result<(), Fault> {
        while self.buffer.len() < count {
            if !self.fill(trace).await? {
                return Err(self.ended());
            }
        }
        Ok(())
    }

    /// Reads and takes exactly `count` bytes.
    pub(crate) async fn take(&mut self, count: usize, trace: &mut Trace) -> Result<Bytes, Fault> {
        self.need(count, trace).await?;
        Ok(self.buffer.split_to(count).freeze())
    }

    /// Reads and takes a line without its end.
    pub(crate) async fn line(&mut self, limit: usize, trace: &mut Trace) -> Result<Bytes, Fault> {
        let mut seen = 0;
        loop {
            if let Some(end) = self.buffer[seen..].iter().position(|byte| *byte == b'\n') {
                let mut line = self.buffer.split_to(seen + end);
                self.buffer.advance(1);
                if line.ends_with(b"\r") {
                    line.truncate(line.len() - 1);
                }
                return Ok(line.freeze());
            }
            seen = self.buffer.len();
            if seen >= limit {
                let limit = words::bytes(limit);
                return Err(Fault::down(format!("{} sends a line longer than {limit}", self.peer)));
            }
            if !self.fill(trace).await? {
                return Err(self.ended());
            }
        }
    }

    /// The peer went in the middle of it.
    pub(crate) fn ended(&self) -> Fault {
        Fault::down(format!("{} closed the connection before it had answered", self.peer))
    }

    /// The peer speaks another protocol.
    pub(crate) fn garbage(&self, what: &str) -> Fault {
        Fault::down(format!("{} does not speak {what}: `{}`", self.peer, words::quote(&self.buffer)))
    }
}

impl Trace {
    /// Notes that the answer began.
    pub(crate) fn answered(&mut self) {
        if self.is_in(Phase::Processing) {
            self.enter(Phase::Transfer);
        }
    }
}

/// Says how a connection that was open failed.
pub(crate) fn lost(peer: &str, error: &io::Error) -> Fault {
    Fault::down(match error.kind() {
        io::ErrorKind::ConnectionReset => format!("{peer} reset the connection"),
        io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => {
            format!("{peer} closed the connection before it had answered")
        }
        _ => format!("the connection to {peer} failed: {error}"),
    })
}

/// Says why there is no connection.
pub(crate) fn refused(peer: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => format!("connection refused by {peer}"),
        io::ErrorKind::TimedOut => format!("no connection to {peer}: nothing there answers"),
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
            format!("no route to {peer}")
        }
        _ => format!("no connection to {peer}: {error}"),
    }
}
