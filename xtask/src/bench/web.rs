//! A web server that is asked by probes: it answers at once, or never.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-type: text/plain\r\n\r\nok\n";
/// The longest request that is waited for.
const REQUEST: usize = 8192;

/// Serves until it is dropped.
#[derive(Debug)]
pub(super) struct Web {
    pub(super) address: SocketAddr,
    answered: Arc<AtomicU64>,
    _serving: JoinSet<()>,
}

impl Web {
    pub(super) async fn start(answers: bool) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let answered = Arc::new(AtomicU64::new(0));
        let mut serving = JoinSet::new();
        let count = Arc::clone(&answered);
        serving.spawn(async move {
            let mut open = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let Ok((socket, _)) = accepted else { continue };
                        open.spawn(serve(socket, answers, Arc::clone(&count)));
                    }
                    Some(_) = open.join_next() => {}
                }
            }
        });
        Ok(Self { address, answered, _serving: serving })
    }

    /// Returns how many requests were answered.
    pub(super) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }
}

/// Answers every request of a connection; or reads until the other side has had enough.
async fn serve(mut socket: TcpStream, answers: bool, answered: Arc<AtomicU64>) {
    let mut request = Vec::with_capacity(1024);
    while request.len() < REQUEST {
        match socket.read_buf(&mut request).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        if answers && request.ends_with(b"\r\n\r\n") {
            request.clear();
            if socket.write_all(ANSWER).await.is_err() {
                return;
            }
            answered.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::listen::fetch;
    use super::*;

    #[tokio::test]
    async fn it_answers_and_counts() {
        let web = Web::start(true).await.unwrap();
        for _ in 0..2 {
            let socket = TcpStream::connect(web.address).await.unwrap();
            assert_eq!(fetch(socket, "/").await.unwrap(), b"ok\n");
        }
        assert_eq!(web.answered(), 2);
    }
}
