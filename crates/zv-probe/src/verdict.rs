//! What a probe found: a verdict, a reason that somebody can act on, and where the time went.

use std::fmt;
use std::net::SocketAddr;
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
    /// Who answered.
    pub peer: Option<SocketAddr>,
    /// The status of the last HTTP answer.
    pub http_status: Option<u16>,
    pub redirects: u32,
    /// When the first certificate of the chain to end does so, in seconds since 1970.
    pub certificate_ends: Option<i64>,
}

impl Report {
    /// There was no time for it.
    pub(crate) fn not_tried() -> Self {
        Self {
            verdict: Verdict::Unknown,
            reason: "not tried: the deadline came first".to_owned(),
            duration: Duration::ZERO,
            phases: Phases::default(),
            peer: None,
            http_status: None,
            redirects: 0,
            certificate_ends: None,
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
