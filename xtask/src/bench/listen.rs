//! A stream over HTTP that is read line by line, each with the moment it came.

use anyhow::{Context, Result, ensure};
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader,
};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Lines that wait for the reader.
const QUEUE: usize = 4096;
/// A snapshot of several hundred containers is one line.
const BUFFER: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Line {
    /// When it was read, and with it the chunk it came in.
    pub(super) at: Instant,
    pub(super) text: String,
}

/// Reads on a task of its own, so that no moment is late because of what is done with the line before.
#[derive(Debug)]
pub(super) struct Listener {
    lines: mpsc::Receiver<Line>,
    _reading: JoinSet<()>,
}

impl Listener {
    /// Asks for a stream and waits for the head of the answer.
    pub(super) async fn open<S>(socket: S, path: &str) -> Result<Self>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let mut reader = ask(socket, path).await?;
        let (lines, received) = mpsc::channel(QUEUE);
        let mut reading = JoinSet::new();
        reading.spawn(async move {
            let mut rest = Vec::new();
            while let Ok(Some(chunk)) = chunk(&mut reader).await {
                let at = Instant::now();
                rest.extend_from_slice(&chunk);
                while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                    let text = String::from_utf8_lossy(&rest[..end]).into_owned();
                    rest.drain(..=end);
                    if lines.send(Line { at, text }).await.is_err() {
                        return;
                    }
                }
            }
        });
        Ok(Self { lines: received, _reading: reading })
    }

    /// Waits for the next line.
    pub(super) async fn line(&mut self) -> Result<Line> {
        self.lines.recv().await.context("a stream ended that should not")
    }
}

/// Fetches a page: in chunks, of a length that the head tells, or up to the connection's end.
pub(super) async fn fetch<S>(socket: S, path: &str) -> Result<Vec<u8>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let (head, mut reader) = ask_for_head(socket, path).await?;
    let field = |wanted: &str| {
        let mut fields = head.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
    };
    let mut body = Vec::new();
    if field("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        while let Some(chunk) = chunk(&mut reader).await? {
            body.extend(chunk);
        }
        return Ok(body);
    }
    let length = field("content-length").and_then(|length| length.parse::<usize>().ok());
    match length {
        Some(length) => {
            body.resize(length, 0);
            reader.read_exact(&mut body).await?;
        }
        None => drop(reader.read_to_end(&mut body).await?),
    }
    Ok(body)
}

/// Reads one chunk of a chunked body; `None` is its end.
async fn chunk(reader: &mut (impl AsyncBufRead + Unpin)) -> Result<Option<Vec<u8>>> {
    let mut size = String::new();
    reader.read_line(&mut size).await?;
    let size = usize::from_str_radix(size.trim_end(), 16).context("a chunk has no size")?;
    if size == 0 {
        return Ok(None);
    }
    let mut chunk = vec![0; size + 2];
    reader.read_exact(&mut chunk).await?;
    // The end of the line behind it.
    chunk.truncate(size);
    Ok(Some(chunk))
}

async fn ask<S>(socket: S, path: &str) -> Result<BufReader<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    Ok(ask_for_head(socket, path).await?.1)
}

/// Sends the request and reads the head of the answer.
async fn ask_for_head<S>(mut socket: S, path: &str) -> Result<(String, BufReader<S>)>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await?;
    let mut reader = BufReader::with_capacity(BUFFER, socket);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        ensure!(reader.read_line(&mut head).await? > 0, "the connection ended before the answer: {head}");
    }
    let status = head.lines().next().unwrap_or_default();
    ensure!(status.contains(" 200 "), "GET {path} was answered with {status}");
    Ok((head, reader))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_may_lie_across_chunks() {
        let (mut server, client) = tokio::io::duplex(1024);
        server.write_all(b"HTTP/1.1 200 OK\r\na: b\r\n\r\n5\r\none\nt\r\n3\r\nwo\n\r\n").await.unwrap();
        let mut listener = Listener::open(client, "/x").await.unwrap();
        assert_eq!(listener.line().await.unwrap().text, "one");
        assert_eq!(listener.line().await.unwrap().text, "two");
        let mut request = [0; 17];
        server.read_exact(&mut request).await.unwrap();
        assert_eq!(&request, b"GET /x HTTP/1.1\r\n");
        drop(server);
        assert!(listener.line().await.is_err());
    }

    #[tokio::test]
    async fn a_page_in_chunks_is_put_together() {
        let (mut server, client) = tokio::io::duplex(1024);
        server
            .write_all(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n4\r\n two\r\n0\r\n\r\n",
            )
            .await
            .unwrap();
        assert_eq!(fetch(client, "/x").await.unwrap(), b"one two");
    }

    #[tokio::test]
    async fn a_refusal_is_an_error() {
        let (mut server, client) = tokio::io::duplex(1024);
        server.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\nno").await.unwrap();
        let error = fetch(client, "/x").await.unwrap_err();
        assert!(error.to_string().contains("403"), "{error}");
    }
}
