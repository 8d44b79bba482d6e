//! One engine under one negotiated version: what is asked of it, and what it answers when it refuses.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use bollard::{ClientVersion, Docker};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::connect::Endpoint;
use super::transport::Transport;

/// How long the engine may think about an ordinary question.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long it may take to say that it is alive.
pub(super) const PING_TIMEOUT: Duration = Duration::from_secs(4);
/// The largest answer that is read.
const ANSWER_LIMIT: usize = 64 * 1024 * 1024;
/// Docker 20.10.
const OLDEST: Version = Version(1, 41);

/// An API version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version(usize, usize);

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self(major.parse().ok()?, minor.parse().ok()?))
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// Why the engine did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum ApiError {
    /// It answered, with this status.
    #[error("{message}")]
    Status { status: u16, message: String },
    #[error("cannot reach the engine: {0}")]
    Unreachable(String),
    #[error("the engine gave no answer within {0:?}")]
    TimedOut(Duration),
    #[error("the engine's answer cannot be understood: {0}")]
    Garbled(String),
    #[error("{0}")]
    Unsuitable(String),
}

impl ApiError {
    pub(super) fn is_gone(&self) -> bool {
        matches!(self, ApiError::Status { status: 404, .. })
    }

    fn unreachable(error: &(dyn std::error::Error + 'static)) -> Self {
        // The outermost texts only say that a connection failed; the innermost says why.
        let mut cause = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        let hint = match cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
            Some(ErrorKind::PermissionDenied) => {
                ": join the socket's group (mostly `docker`), or run as root"
            }
            Some(ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
                ": start it, or name another with DOCKER_HOST or a Docker context"
            }
            _ => "",
        };
        ApiError::Unreachable(format!("{cause}{hint}"))
    }
}

impl From<bollard::errors::Error> for ApiError {
    fn from(error: bollard::errors::Error) -> Self {
        use bollard::errors::Error;
        match error {
            Error::DockerResponseServerError { status_code, message } => {
                ApiError::Status { status: status_code, message: plain(&message) }
            }
            Error::JsonDataError { message, .. } => ApiError::Garbled(message),
            Error::JsonSerdeError { err } => ApiError::Garbled(err.to_string()),
            Error::RequestTimeoutError => ApiError::TimedOut(ANSWER_TIMEOUT),
            other => ApiError::unreachable(&other),
        }
    }
}

/// An engine that answered, and the version agreed with it.
#[derive(Debug)]
pub(super) struct Engine {
    /// Typed questions and orders.
    pub(super) docker: Docker,
    transport: Transport,
    /// `/v1.41`.
    prefix: Arc<str>,
    /// `26.1.5`.
    pub(super) version: String,
    /// `1.45`.
    pub(super) api_version: String,
    memory_total: OnceCell<Option<u64>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct VersionAnswer {
    version: Option<String>,
    api_version: Option<String>,
    #[serde(rename = "MinAPIVersion")]
    min_api_version: Option<String>,
}

impl Engine {
    /// Connects to `endpoint` and agrees on a version.
    pub(super) async fn connect(endpoint: &Endpoint) -> Result<Self, ApiError> {
        let endpoint = endpoint.clone();
        // Files of certificates may lie on a slow disk.
        let opening = tokio::task::spawn_blocking(move || Transport::new(&endpoint));
        let transport = match timeout(ANSWER_TIMEOUT, opening).await {
            Ok(Ok(transport)) => transport.map_err(|error| ApiError::Unreachable(error.to_string()))?,
            Ok(Err(panicked)) => return Err(ApiError::Unreachable(panicked.to_string())),
            Err(_) => return Err(ApiError::TimedOut(ANSWER_TIMEOUT)),
        };
        let asking = exchange(&transport, Method::GET, "/version", None);
        let answer = timeout(PING_TIMEOUT, asking).await.map_err(|_| ApiError::TimedOut(PING_TIMEOUT))??;
        let answer: VersionAnswer = decode(&answer)?;
        let agreed = agree(&answer)?;
        let prefix: Arc<str> = format!("/v{agreed}").into();
        Ok(Self {
            docker: docker(&transport, &prefix, agreed)?,
            transport,
            prefix,
            version: answer.version.unwrap_or_default(),
            api_version: agreed.to_string(),
            memory_total: OnceCell::new(),
        })
    }

    /// Asks for a JSON answer.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str, within: Duration) -> Result<T, ApiError> {
        decode(&self.call(Method::GET, path, None, within).await?)
    }

    /// Asks for an answer that is not one JSON value.
    pub(super) async fn get_text(&self, path: &str, within: Duration) -> Result<String, ApiError> {
        let answer = self.call(Method::GET, path, None, within).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// Sends JSON and returns the JSON answer.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &serde_json::Value,
        within: Duration,
    ) -> Result<T, ApiError> {
        decode(&self.call(Method::POST, path, Some(body.to_string().into()), within).await?)
    }

    /// Opens a stream: only the head of the response has a deadline.
    pub(super) async fn open(&self, path: &str, within: Duration) -> Result<Response<Incoming>, ApiError> {
        let path = format!("{}{path}", self.prefix);
        let sending = send(&self.transport, Method::GET, &path, None);
        timeout(within, sending).await.map_err(|_| ApiError::TimedOut(within))?
    }

    /// Says whether the engine is alive.
    pub(super) async fn ping(&self) -> Result<(), ApiError> {
        let asking = exchange(&self.transport, Method::GET, "/_ping", None);
        timeout(PING_TIMEOUT, asking).await.map_err(|_| ApiError::TimedOut(PING_TIMEOUT))??;
        Ok(())
    }

    /// Returns the memory of the engine's host, asked once.
    pub(super) async fn memory_total(&self) -> Option<u64> {
        #[derive(Deserialize)]
        struct Info {
            #[serde(rename = "MemTotal")]
            total: Option<u64>,
        }
        let asked = self.memory_total.get_or_try_init(|| async {
            self.get::<Info>("/info", ANSWER_TIMEOUT).await.map(|info| info.total)
        });
        asked.await.ok().copied().flatten()
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        within: Duration,
    ) -> Result<Bytes, ApiError> {
        let path = format!("{}{path}", self.prefix);
        let asking = exchange(&self.transport, method, &path, body);
        timeout(within, asking).await.map_err(|_| ApiError::TimedOut(within))?
    }
}

/// Puts a deadline on one of bollard's requests, whose own covers only the head of the response.
pub(super) async fn within<T>(
    limit: Duration,
    asking: impl Future<Output = Result<T, bollard::errors::Error>>,
) -> Result<T, ApiError> {
    timeout(limit, asking).await.map_err(|_| ApiError::TimedOut(limit))?.map_err(ApiError::from)
}

/// Makes `value` fit for a query string.
pub(super) fn escape(value: &str) -> String {
    use std::fmt::Write as _;
    let mut escaped = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(char::from(byte));
            }
            other => write!(escaped, "%{other:02X}").expect("writing to a string cannot fail"),
        }
    }
    escaped
}

fn agree(answer: &VersionAnswer) -> Result<Version, ApiError> {
    let newest = bollard::API_DEFAULT_VERSION;
    let newest = Version(newest.major_version, newest.minor_version);
    let engine = answer.version.as_deref().unwrap_or("of unknown version");
    let theirs = answer.api_version.as_deref().and_then(Version::parse);
    let theirs = theirs.ok_or_else(|| ApiError::Garbled("it names no API version".to_owned()))?;
    let oldest_of_theirs = answer.min_api_version.as_deref().and_then(Version::parse);
    if theirs < OLDEST {
        return Err(ApiError::Unsuitable(format!(
            "engine {engine} is too old: it speaks API {theirs}, zv needs {OLDEST} (Docker 20.10) or newer"
        )));
    }
    if let Some(lowest) = oldest_of_theirs.filter(|lowest| *lowest > newest) {
        return Err(ApiError::Unsuitable(format!(
            "engine {engine} is too new: it speaks API {lowest} and up, this zv speaks {newest} at most; update zv"
        )));
    }
    Ok(theirs.min(newest))
}

/// Builds bollard's client on our transport.
fn docker(transport: &Transport, prefix: &Arc<str>, version: Version) -> Result<Docker, ApiError> {
    let (sender, prefix) = (transport.clone(), Arc::clone(prefix));
    let send = move |request: bollard::BollardRequest| {
        let sending = versioned(request, &prefix).map(|request| sender.send(request));
        async move { Ok(sending?.await?) }
    };
    // Each request gets its deadline from `within`: bollard's own has to be out of the way.
    let no_limit = 24 * 60 * 60;
    let version = ClientVersion { major_version: version.0, minor_version: version.1 };
    Ok(Docker::connect_with_custom_transport(send, Some(&*transport.base), no_limit, &version)?)
}

/// Puts the version in front of the path, which bollard leaves out.
fn versioned(
    request: bollard::BollardRequest,
    prefix: &str,
) -> Result<bollard::BollardRequest, bollard::errors::Error> {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    if !path.starts_with(&format!("{prefix}/")) {
        let path = format!("{prefix}{path}");
        let mut uri = parts.uri.into_parts();
        uri.path_and_query = Some(path.parse()?);
        parts.uri = hyper::Uri::from_parts(uri)?;
    }
    Ok(Request::from_parts(parts, body))
}

async fn send(
    transport: &Transport,
    method: Method,
    path: &str,
    body: Option<Bytes>,
) -> Result<Response<Incoming>, ApiError> {
    let request = Request::builder()
        .method(method)
        .uri(format!("{}{path}", transport.base))
        .header(hyper::header::CONTENT_TYPE, "application/json")
        .body(bollard::body_full(body.unwrap_or_default()))
        .map_err(|error| ApiError::unreachable(&error))?;
    let response = transport.send(request).await.map_err(|error| ApiError::unreachable(&error))?;
    let status = response.status();
    if status.is_success() || status == StatusCode::NOT_MODIFIED {
        return Ok(response);
    }
    let text = read(response).await?;
    Err(ApiError::Status { status: status.as_u16(), message: message(&text) })
}

async fn exchange(
    transport: &Transport,
    method: Method,
    path: &str,
    body: Option<Bytes>,
) -> Result<Bytes, ApiError> {
    read(send(transport, method, path, body).await?).await
}

async fn read(response: Response<Incoming>) -> Result<Bytes, ApiError> {
    let collected = Limited::new(response.into_body(), ANSWER_LIMIT).collect().await;
    Ok(collected.map_err(|error| ApiError::unreachable(&*error))?.to_bytes())
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| ApiError::Garbled(error.to_string()))
}

/// Returns what the engine, or a proxy before it, has to say.
fn message(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Message {
        message: String,
    }
    let text = serde_json::from_slice::<Message>(body)
        .map_or_else(|_| String::from_utf8_lossy(body).into_owned(), |body| body.message);
    plain(&text)
}

/// Returns one line of text. A proxy may answer with a page, of which the words are kept.
fn plain(text: &str) -> String {
    const LONGEST: usize = 500;
    let is_page = text.trim_start().starts_with('<');
    let mut words = String::new();
    let parts = text.split('<').enumerate().map(|(index, part)| match part.split_once('>') {
        Some((_tag, after)) if is_page && index > 0 => after,
        _ => part,
    });
    let text = if is_page { parts.collect::<Vec<_>>().join(" ") } else { text.to_owned() };
    for word in text.split_whitespace() {
        // A page says the same in its title and its heading.
        if is_page && words.split(' ').any(|known| known == word) {
            continue;
        }
        if !words.is_empty() {
            words.push(' ');
        }
        words.push_str(word);
    }
    if words.is_empty() { "no reason given".to_owned() } else { words.chars().take(LONGEST).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(api: &str, min: &str) -> VersionAnswer {
        VersionAnswer {
            version: Some("19.03".into()),
            api_version: Some(api.into()),
            min_api_version: Some(min.into()),
        }
    }

    #[test]
    fn the_newest_common_version_is_taken() {
        assert_eq!(agree(&answer("1.41", "1.12")).unwrap(), Version(1, 41));
        assert_eq!(agree(&answer("1.99", "1.24")).unwrap().0, 1);
        assert!(agree(&answer("1.99", "1.24")).unwrap() < Version(1, 99));
    }

    #[test]
    fn an_engine_out_of_reach_is_named_with_both_versions() {
        let text = agree(&answer("1.40", "1.12")).unwrap_err().to_string();
        assert!(text.contains("19.03") && text.contains("1.40") && text.contains("1.41"), "{text}");
        assert!(agree(&answer("1.99", "1.98")).unwrap_err().to_string().contains("update zv"));
    }

    #[test]
    fn the_page_of_a_proxy_becomes_a_line() {
        let nginx = b"<html>\r\n<head><title>403 Forbidden</title></head>\r\n<body>\r\n<center><h1>403 Forbidden</h1></center>\r\n<hr><center>nginx/1.22.1</center>\r\n</body>\r\n</html>\r\n";
        assert_eq!(message(nginx), "403 Forbidden nginx/1.22.1");
        let haproxy = b"<html><body><h1>403 Forbidden</h1>\nRequest forbidden by administrative rules.\n</body></html>\n";
        assert_eq!(message(haproxy), "403 Forbidden Request forbidden by administrative rules.");
        assert_eq!(message(br#"{"message":"a < b is not\n a < b > c"}"#), "a < b is not a < b > c");
        assert_eq!(message(b"<html></html>"), "no reason given");
    }

    #[test]
    fn query_values_are_escaped() {
        assert_eq!(escape(r#"{"a":["b c"]}"#), "%7B%22a%22%3A%5B%22b%20c%22%5D%7D");
    }
}
