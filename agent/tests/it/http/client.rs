//! The client against servers that are not what they should be. They answer through a pipe in memory, in paused time.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::time::Instant;
use zv_api::LogQuery;
use zv_api::client::{Client, ClientError, Connector, Endpoint, EventBody, Notice};

/// A connection whose server answers the first bytes it gets with all that it has to say.
struct Scripted {
    answer: io::Cursor<Vec<u8>>,
    /// After the answer the server closes, or is silent.
    closes: bool,
    requested: Arc<Mutex<Vec<u8>>>,
    asleep: Option<Waker>,
}

impl AsyncRead for Scripted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let waits = self.requested.lock().unwrap().is_empty();
        let before = buffer.filled().len();
        if !waits {
            ready!(Pin::new(&mut self.answer).poll_read(cx, buffer))?;
        }
        if buffer.filled().len() > before || !waits && self.closes {
            return Poll::Ready(Ok(()));
        }
        self.asleep = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.requested.lock().unwrap().extend_from_slice(bytes);
        self.asleep.take().into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Returns a client whose every connection is answered with `answer`, and what it sent.
fn recorded(answer: impl Into<Vec<u8>>, closes: bool) -> (Client, Arc<Mutex<Vec<u8>>>) {
    let answer: Vec<u8> = answer.into();
    let sent: Arc<Mutex<Vec<u8>>> = Arc::default();
    let requested = Arc::clone(&sent);
    let connector = Connector::new(move || {
        let (answer, requested) = (io::Cursor::new(answer.clone()), Arc::clone(&requested));
        std::future::ready(Ok(Scripted { answer, closes, requested, asleep: None }))
    });
    (Client::new(Endpoint::Custom(connector), Some("s3cret".to_owned())).unwrap(), sent)
}

fn client(answer: impl Into<Vec<u8>>, closes: bool) -> Client {
    recorded(answer, closes).0
}

fn stream_of(events: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n{events}")
}

fn json(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

async fn failure(answer: impl Into<Vec<u8>>, closes: bool) -> String {
    let error = client(answer, closes).snapshot().await.unwrap_err();
    let text = error.to_string();
    assert!(!text.contains("s3cret") && !format!("{error:?}").contains("s3cret"), "{error:?}");
    text
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_no_agent_is_named_as_such() {
    let text = failure(json("200 OK", "<html>"), true).await;
    assert!(text.contains("is it a zv agent of this version?"), "{text}");
    let text = failure(json("502 Bad Gateway", "<html>"), true).await;
    assert!(text.contains("answers 502 Bad Gateway and does not say why"), "{text}");
    let text = failure("SSH-2.0-OpenSSH_9.2\r\n", true).await;
    assert!(text.contains("broke: "), "{text}");
    let text = failure("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", true).await;
    assert!(text.contains("broke: "), "{text}");
    let text = failure("", true).await;
    assert!(text.contains("broke: "), "{text}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_waited_for_without_end() {
    let start = Instant::now();
    let text = failure("", false).await;
    assert!(text.ends_with("gave no answer within 30s"), "{text}");
    let text = failure("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", false).await;
    assert!(text.ends_with("gave no answer within 30s"), "{text}");
    assert!(start.elapsed() < Duration::from_secs(61));
    let never = Connector::new(std::future::pending::<io::Result<DuplexStream>>);
    let error = Client::new(Endpoint::Custom(never), None).unwrap().snapshot().await.unwrap_err();
    assert!(matches!(error, ClientError::ConnectTimeout { .. }), "{error}");
    let mut silent = client(stream_of(": alive\n\n"), false).events(None).await.unwrap();
    let error = silent.next().await.unwrap().unwrap_err();
    assert!(error.is_passing() && error.to_string().ends_with("within 45s"), "{error}");
    assert!(silent.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_answer_and_an_event_have_a_largest_size() {
    let mut large = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    large.resize(65 * 1024 * 1024, b' ');
    let text = failure(large, true).await;
    assert!(text.contains("sent more than 67108864 bytes"), "{text}");
    let event = stream_of(&format!("event: change\ndata: {}\n\n", "x".repeat(9 * 1024 * 1024)));
    let mut events = client(event, true).events(None).await.unwrap();
    assert!(matches!(events.next().await, Some(Err(ClientError::TooLarge { .. }))));
}

#[tokio::test(start_paused = true)]
async fn what_a_newer_agent_adds_is_passed_over() {
    let events = "event: weather\ndata: {}\n\n\
        id: e-1\nevent: change\ndata: {\"seq\":1,\"host\":\"h\",\"type\":\"alert\",\"alert\":{}}\n\n\
        id: e-2\nevent: change\ndata: {\"seq\":2,\"host\":\"h\",\"type\":\"service_gone\",\"stack\":\"s\",\"service\":\"a\",\"new\":1}\n\n\
        id: e-3\nevent: change\ndata: {\"seq\":3}\n\n";
    let mut events = client(stream_of(events), true).events(None).await.unwrap();
    let known = events.next().await.unwrap().unwrap();
    assert!(matches!(known.body, EventBody::Change(change) if change.seq == 2));
    assert!(matches!(events.next().await, Some(Err(ClientError::Malformed { .. }))));
    assert!(events.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_log_without_its_announced_end_is_not_taken_for_a_whole_one() {
    let mut cut = client(stream_of(": alive\n\n"), true).logs(&LogQuery::default(), None).await.unwrap();
    let error = cut.next().await.unwrap().unwrap_err();
    assert!(error.to_string().contains("the log is not complete"), "{error}");
    let whole = client(stream_of("event: end\ndata: {}\n\n"), false);
    assert!(whole.logs(&LogQuery::default(), None).await.unwrap().next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_breaks_off_at_once_is_not_hammered() {
    let mut notices = client(stream_of(""), true).events_forever();
    let start = Instant::now();
    let mut lost = 0;
    while lost < 20 {
        lost += usize::from(matches!(notices.next().await, Some(Notice::Disconnected { .. })));
    }
    assert!(start.elapsed() > Duration::from_secs(60), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_request_is_complete() {
    let (client, sent) = recorded(json("200 OK", "done"), false);
    assert_eq!(client.reload().await.unwrap(), "done");
    let request = String::from_utf8(sent.lock().unwrap().clone()).unwrap().to_lowercase();
    for expected in ["post /-/reload http/1.1\r\n", "host: localhost\r\n", "authorization: bearer s3cret\r\n"]
    {
        assert!(request.contains(expected), "{request}");
    }
    assert!(!request.contains("content-type"), "{request}");
}
