//! What an HTTP probe asks and expects.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use bytes::Bytes;
use hyper::Method;
use hyper::header::{HeaderName, HeaderValue};
use regex::Regex;
use serde_json::Value;
use url::Url;

use super::TargetError;
use crate::words::quote;

/// How many redirects are followed where nothing else is said.
const REDIRECTS: u32 = 10;

/// A request and what must come back.
#[derive(Clone)]
pub struct Http {
    /// Without user and password: they are a header.
    pub(crate) url: Url,
    pub method: Method,
    /// Sent to the host of the URL alone, not to where it redirects.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub body: Bytes,
    /// 0 judges the redirect itself.
    pub redirects: u32,
    pub expect: HttpExpect,
}

impl Http {
    /// Returns a GET of `url`, which must be `http` or `https`. A user and password in it become a header.
    pub fn get(mut url: Url) -> Result<Self, TargetError> {
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(TargetError::new(
                "an HTTP target is written `http://HOST/PATH` or `https://HOST/PATH`",
            ));
        }
        let login = login(&url);
        // Both work wherever there is a host.
        url.set_username("").ok();
        url.set_password(None).ok();
        url.set_fragment(None);
        let expect = HttpExpect::default();
        let mut http = Self {
            url,
            method: Method::GET,
            headers: Vec::new(),
            body: Bytes::new(),
            redirects: REDIRECTS,
            expect,
        };
        if let Some((user, password)) = login {
            let plain = format!("{user}:{password}");
            let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, plain);
            http = http.with_header("authorization", &format!("Basic {encoded}"))?;
        }
        Ok(http)
    }

    /// Adds a header. Its value is never printed.
    pub fn with_header(mut self, name: &str, value: &str) -> Result<Self, TargetError> {
        let name = HeaderName::try_from(name)
            .map_err(|_| TargetError::new(format!("`{}` is no name of a header", quote(name.as_bytes()))))?;
        let mut value = HeaderValue::try_from(value)
            .map_err(|_| TargetError::new(format!("the value of the header `{name}` cannot be sent")))?;
        value.set_sensitive(true);
        self.headers.push((name, value));
        Ok(self)
    }
}

impl Http {
    /// Returns what a server may repeat and nobody may read.
    pub(super) fn secrets(&self) -> Vec<&str> {
        let mut secrets = Vec::new();
        for (name, value) in &self.headers {
            if is_secret(name.as_str()) || *name == hyper::header::COOKIE {
                let value = value.to_str().unwrap_or_default();
                // `Basic …`, `Bearer …`: the scheme is no secret, what follows is.
                secrets.extend(value.rsplit(' ').next());
            }
        }
        let pairs = self.url.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        secrets.extend(pairs.filter(|(name, _)| is_secret(name)).map(|(_, value)| value));
        secrets
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_PARAMETERS.iter().any(|part| name.contains(part))
}

fn login(url: &Url) -> Option<(String, String)> {
    let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let password = url.password().map(decoded);
    (!url.username().is_empty() || password.is_some())
        .then(|| (decoded(url.username()), password.unwrap_or_default()))
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Http")
            .field("url", &format_args!("{}", shown(&self.url)))
            .field("method", &self.method)
            .field("headers", &headers)
            .field("body", &self.body.len())
            .field("redirects", &self.redirects)
            .field("expect", &self.expect)
            .finish()
    }
}

/// Parts of names of query parameters whose values are nobody's business.
const SECRET_PARAMETERS: [&str; 8] = ["auth", "credential", "key", "passw", "pwd", "secret", "sig", "token"];

/// Returns a URL as it may be printed: without user, password and the values of parameters that look like secrets.
pub(crate) fn shown(url: &Url) -> String {
    let mut shown = url.clone();
    shown.set_username("").ok();
    shown.set_password(None).ok();
    shown.set_fragment(None);
    if let Some(query) = url.query() {
        let masked = query.split('&').map(|pair| match pair.split_once('=') {
            Some((name, _)) if is_secret(name) => format!("{name}=***"),
            _ => pair.to_owned(),
        });
        shown.set_query(Some(&masked.collect::<Vec<_>>().join("&")));
    }
    shown.to_string()
}

/// What must come back.
#[derive(Debug, Clone, Default)]
pub struct HttpExpect {
    /// 2xx where nothing else is said.
    pub status: StatusSet,
    /// All of these must hold.
    pub body: Vec<BodyRule>,
}

/// What is expected of a body. The first MiB is looked at.
#[derive(Debug, Clone)]
pub enum BodyRule {
    Contains(String),
    Matches(Regex),
    /// The value that a JSON pointer leads to; any value, where none is given.
    Json {
        pointer: String,
        equals: Option<Value>,
    },
}

impl BodyRule {
    /// Returns a rule that a regular expression must match.
    pub fn matches(pattern: &str) -> Result<Self, TargetError> {
        let built = regex::RegexBuilder::new(pattern).size_limit(1024 * 1024).build();
        let regex = built.map_err(|error| {
            // The parser repeats the pattern in lines of its own; the last one says what is wrong.
            let told = error.to_string();
            let why = told.lines().last().unwrap_or_default().trim_start_matches("error: ");
            TargetError::new(format!("the body's pattern is not understood: {why}"))
        })?;
        Ok(Self::Matches(regex))
    }

    /// Returns a rule for the value that a JSON pointer (`/status`) leads to.
    pub fn json(pointer: &str, equals: Option<Value>) -> Result<Self, TargetError> {
        if !pointer.is_empty() && !pointer.starts_with('/') {
            return Err(TargetError::with_discreet(
                format!("a JSON pointer begins with a slash: `/{pointer}`"),
                "a JSON pointer begins with a slash, as in `/status`",
            ));
        }
        Ok(Self::Json { pointer: pointer.to_owned(), equals })
    }
}

/// Status codes: `200`, `2xx`, `200-299,304`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusSet(Vec<RangeInclusive<u16>>);

impl Default for StatusSet {
    fn default() -> Self {
        Self(vec![200..=299])
    }
}

impl StatusSet {
    /// Says whether the status is in the set.
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }
}

impl fmt::Display for StatusSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, range) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            let (first, last) = (range.start(), range.end());
            match (first % 100, last - first) {
                (_, 0) => write!(f, "{comma}{first}")?,
                (0, 99) => write!(f, "{comma}{}xx", first / 100)?,
                _ => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

impl FromStr for StatusSet {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let ranges: Option<Vec<_>> = text.split(',').map(|part| status_range(part.trim())).collect();
        ranges.map(Self).ok_or_else(|| {
            let text = quote(text.as_bytes());
            let how = "write it like `200`, `2xx` or `200-299,304`";
            TargetError::with_discreet(format!("`{text}` is no set of status codes: {how}"), how)
        })
    }
}

fn status_range(text: &str) -> Option<RangeInclusive<u16>> {
    let code = |text: &str| {
        let digits = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|code: &u16| digits && (100..=599).contains(code))
    };
    if let Some(class) = text.strip_suffix("xx").or_else(|| text.strip_suffix("XX")) {
        let hundred: u16 = code(&format!("{class}00"))?;
        return Some(hundred..=hundred + 99);
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (code(first.trim())?, code(last.trim())?);
    (first <= last).then_some(first..=last)
}
