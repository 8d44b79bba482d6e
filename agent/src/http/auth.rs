//! Who may read and who may act.
//!
//! Reading needs no token on a loopback address, on the unix socket and in process, unless `api.read: token` asks for
//! one; on any other address it does. Acting needs one everywhere but in process. A request that comes over a loopback
//! address must name a host that is meant, or any web page could reach the agent through a name it points at 127.0.0.1;
//! and where no token is shown, no page of another site may have sent it.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header, request::Parts};
use axum::middleware::Next;
use axum::response::Response;
use tokio_util::sync::CancellationToken;

use super::problem::problem;
use super::token::Token;

/// By which a browser tells where a request comes from; a page cannot set it.
const FETCH_SITE: &str = "sec-fetch-site";

/// Where a connection came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Over TCP, at a loopback address of ours.
    Loopback(SocketAddr),
    /// Over TCP, at any other address of ours.
    Network(SocketAddr),
    Unix,
    /// From this very process, which needs no leave.
    InProcess,
}

impl Origin {
    /// Returns the origin of connections to a TCP listener at `address`.
    pub fn of_listener(address: SocketAddr) -> Self {
        match address.ip().to_canonical().is_loopback() {
            true => Origin::Loopback(address),
            false => Origin::Network(address),
        }
    }
}

/// What a handler may know of its connection.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) origin: Origin,
    /// Cancelled when streams have to end.
    pub(super) draining: CancellationToken,
    /// It has shown the token, or is this very process: [`guard`] finds out.
    pub(super) is_trusted: bool,
}

/// `api.read`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReadRight {
    /// Without a token on this host, with one from elsewhere.
    #[default]
    Open,
    /// Never without a token.
    Token,
}

/// The rules of one agent.
#[derive(Debug)]
pub struct Rights {
    /// Without one, only this very process may act.
    pub token: Option<Token>,
    pub read: ReadRight,
    /// Names besides `localhost` under which a loopback address is meant: those of a reverse proxy.
    pub hosts: Vec<String>,
}

/// The rules in force: a reload puts others in their place. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SharedRights(Arc<Mutex<Arc<Rights>>>);

impl SharedRights {
    /// Returns these rules, to be shared.
    pub fn new(rights: Rights) -> Self {
        Self(Arc::new(Mutex::new(Arc::new(rights))))
    }

    /// Puts other rules in force, from the next request on.
    pub fn replace(&self, rights: Rights) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(rights);
    }

    /// Returns the token in force.
    pub(crate) fn token(&self) -> Option<Token> {
        self.current().token.clone()
    }

    fn current(&self) -> Arc<Rights> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Why a request is turned away.
#[derive(Debug, PartialEq, Eq)]
struct Denial {
    status: StatusCode,
    reason: String,
}

impl Denial {
    fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into() }
    }
}

/// How far a request is trusted that is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It has shown the token, or comes from this very process.
    Trusted,
    /// It may read.
    Guest,
}

/// Turns away what has no right to be answered.
pub(super) async fn guard(
    State(rights): State<SharedRights>,
    Extension(mut caller): Extension<Caller>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let denial = match rights.current().admit(caller.origin, &parts) {
        Ok(standing) => {
            caller.is_trusted = standing == Standing::Trusted;
            parts.extensions.insert(caller);
            return next.run(Request::from_parts(parts, body)).await;
        }
        Err(denial) => denial,
    };
    let mut response = problem(denial.status, denial.reason);
    if denial.status == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Bearer realm=\"zv\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

impl Rights {
    /// Returns the rights of an agent that only its own process can reach.
    pub fn in_process() -> Self {
        Self { token: None, read: ReadRight::Open, hosts: Vec::new() }
    }

    fn admit(&self, origin: Origin, request: &Parts) -> Result<Standing, Denial> {
        self.check_host(origin, request)?;
        let acts = !matches!(request.method, Method::GET | Method::HEAD);
        if self.needs_token(origin, acts) {
            self.check_token(&request.headers)?;
        }
        let is_trusted = origin == Origin::InProcess || self.has_token(&request.headers);
        if !is_trusted {
            self.check_site(&request.headers)?;
        }
        if acts {
            check_content_type(&request.headers)?;
        }
        Ok(if is_trusted { Standing::Trusted } else { Standing::Guest })
    }

    fn needs_token(&self, origin: Origin, acts: bool) -> bool {
        match origin {
            Origin::InProcess => false,
            Origin::Network(_) => true,
            Origin::Loopback(_) | Origin::Unix => acts || self.read == ReadRight::Token,
        }
    }

    fn has_token(&self, headers: &HeaderMap) -> bool {
        let offered = headers.get(header::AUTHORIZATION).and_then(bearer);
        self.token.as_ref().zip(offered).is_some_and(|(token, offered)| token.is(offered))
    }

    /// A page of another site can neither read the answer nor add a token, but what is asked would be done.
    fn check_site(&self, headers: &HeaderMap) -> Result<(), Denial> {
        let is_ours = |value: &HeaderValue| {
            let origin = value.to_str().ok().and_then(|origin| origin.split_once("://"));
            let Some((_, origin)) = origin else { return false };
            let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
            host.is_some_and(|host| host.eq_ignore_ascii_case(origin))
                || self.hosts.iter().any(|host| host.eq_ignore_ascii_case(without_port(origin)))
        };
        let is_own_site = |value: &HeaderValue| matches!(value.as_bytes(), b"same-origin" | b"none");
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let mut sites = headers.get_all(FETCH_SITE).iter();
        if origins.all(is_ours) && sites.all(is_own_site) {
            return Ok(());
        }
        let reason =
            "a page of another site asks for this: open the address itself, or send the agent's token";
        Err(Denial::new(StatusCode::FORBIDDEN, reason))
    }

    fn check_token(&self, headers: &HeaderMap) -> Result<(), Denial> {
        let denied = |reason| Err(Denial::new(StatusCode::UNAUTHORIZED, reason));
        let Some(token) = &self.token else {
            return denied("this agent has no token, so nobody can act through this address".to_owned());
        };
        let place = token.place();
        match headers.get(header::AUTHORIZATION).and_then(bearer) {
            Some(offered) if token.is(offered) => Ok(()),
            Some(_) => denied(format!(
                "this is not the agent's token; send the token {place} as \"Authorization: Bearer …\""
            )),
            None => denied(format!("send the token {place} as \"Authorization: Bearer …\"")),
        }
    }

    fn check_host(&self, origin: Origin, request: &Parts) -> Result<(), Denial> {
        let address = match origin {
            Origin::Unix | Origin::InProcess => return Ok(()),
            Origin::Loopback(address) => Some(address.ip()),
            Origin::Network(_) => None,
        };
        let mut named = request.headers.get_all(header::HOST).iter();
        let (Some(host), None, true) = (named.next(), named.next(), request.version >= Version::HTTP_11)
        else {
            return Err(Denial::new(StatusCode::BAD_REQUEST, "speak HTTP/1.1 and send one Host header"));
        };
        let Some(address) = address else { return Ok(()) };
        let in_line = request.uri.authority().map(|authority| authority.as_str().as_bytes());
        for named in in_line.into_iter().chain([host.as_bytes()]) {
            if !self.means(address, named) {
                let reason =
                    "this name is not one of the agent's: use localhost, or add the name to `api.hosts`";
                return Err(Denial::new(StatusCode::MISDIRECTED_REQUEST, reason));
            }
        }
        Ok(())
    }

    fn means(&self, address: IpAddr, host: &[u8]) -> bool {
        let Ok(host) = str::from_utf8(host) else { return false };
        let name = without_port(host);
        if let Ok(ip) = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return ip == address || matches!(name, "127.0.0.1" | "[::1]");
        }
        let name = name.strip_suffix('.').unwrap_or(name);
        name.eq_ignore_ascii_case("localhost")
            || self.hosts.iter().any(|host| host.eq_ignore_ascii_case(name))
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = value.as_bytes().split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

/// A form of a foreign page can send neither JSON nor a header of its own: what has a body must be JSON.
fn check_content_type(headers: &HeaderMap) -> Result<(), Denial> {
    let fits = match headers.get(header::CONTENT_TYPE) {
        Some(value) => {
            let media = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
            media.trim_ascii().eq_ignore_ascii_case(b"application/json")
        }
        None => {
            let length = headers.get(header::CONTENT_LENGTH);
            length.is_none_or(|length| length == "0") && !headers.contains_key(header::TRANSFER_ENCODING)
        }
    };
    if fits {
        return Ok(());
    }
    Err(Denial::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send JSON, as \"Content-Type: application/json\""))
}

#[cfg(test)]
mod tests;
