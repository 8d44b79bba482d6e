//! What a probe found: a verdict, a reason that somebody can act on, and where the time went.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How a target is. In the order of how much it needs somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    Up,
    /// It serves, but slower than it should, or not for long any more.
    Degraded,
    /// Nobody can tell: the probe itself could not be carried out.
    Unknown,
    Down,
}

impl Verdict {
    /// Returns the word for it.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Up => "up",
            Verdict::Degraded => "degraded",
            Verdict::Unknown => "unknown",
            Verdict::Down => "down",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Where the time of a probe went. A phase that was not entered is absent; redirects add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Phases {
    /// Finding the address of a name.
    pub resolve: Option<Duration>,
    pub connect: Option<Duration>,
    pub tls: Option<Duration>,
    /// From the request to the first byte of the answer.
    pub processing: Option<Duration>,
    /// From the first byte of the answer to its end.
    pub transfer: Option<Duration>,
}

/// What one run of a probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub verdict: Verdict,
    /// A lower-case fragment: why it is not up, or what is worth knowing where it is (`200 OK`). May be empty.
    pub reason: String,
    /// From the start to the verdict.
    pub duration: Duration,
    pub phases: Phases,
    /// The address that was found for the host, or the first of several.
    pub address: Option<IpAddr>,
    /// Who answered.
    pub peer: Option<SocketAddr>,
    /// The status of the last HTTP answer.
    pub http_status: Option<u16>,
    /// What else there was to the last HTTP answer.
    pub http: Option<HttpAnswer>,
    pub redirects: u32,
    /// The version of TLS that was agreed on last: `TLS 1.3`.
    pub tls_version: Option<&'static str>,
    /// What it is encrypted with: `TLS_AES_128_GCM_SHA256`.
    pub tls_cipher: Option<&'static str>,
    /// When the first certificate of the chain to end does so, in seconds since 1970.
    pub certificate_ends: Option<i64>,
    /// It answered, and the answer lacks what was expected in it.
    pub mismatched: bool,
    /// The beginning of what was answered, where it is not up and anything was. At most [`Report::OUTPUT_LIMIT`] bytes,
    /// with control characters made visible and without the target's own secrets.
    pub output: Option<String>,
}

/// An HTTP answer beside its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpAnswer {
    /// `1.0`, `1.1`.
    pub version: &'static str,
    pub is_encrypted: bool,
    /// As its head says.
    pub content_length: Option<u64>,
    /// What was read of its body.
    pub body_bytes: u64,
}

impl Report {
    /// The bytes kept of what was answered.
    pub const OUTPUT_LIMIT: usize = 1024;

    /// There was no time for it.
    pub(crate) fn not_tried() -> Self {
        Self::unknown("not tried: the deadline came first")
    }

    /// Returns the report of a probe of which nothing came.
    pub fn unknown(reason: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Unknown,
            reason: reason.into(),
            duration: Duration::ZERO,
            phases: Phases::default(),
            address: None,
            peer: None,
            http_status: None,
            http: None,
            redirects: 0,
            tls_version: None,
            tls_cipher: None,
            certificate_ends: None,
            mismatched: false,
            output: None,
        }
    }
}

/// Why a probe ended early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) verdict: Verdict,
    pub(crate) reason: String,
}

impl Fault {
    /// The target is not well.
    pub(crate) fn down(reason: impl Into<String>) -> Self {
        Self { verdict: Verdict::Down, reason: reason.into() }
    }

    /// Nothing was learnt of the target.
    pub(crate) fn unknown(reason: impl Into<String>) -> Self {
        Self { verdict: Verdict::Unknown, reason: reason.into() }
    }
}
