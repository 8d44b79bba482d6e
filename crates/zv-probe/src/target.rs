//! What is probed and how: built by hand, from a configuration, or parsed from what a person typed.

mod elsewhere;
pub(crate) mod http;
mod parse;

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

pub use self::http::{BodyRule, Http, HttpExpect, StatusSet};
pub use crate::connect::Endpoint;
pub use crate::dns::message::Kind as RecordKind;
use crate::secret::Secret;
use crate::tls::Trust;

/// How long a probe may take where nothing else is said.
const TIMEOUT: Duration = Duration::from_secs(5);
/// A certificate that ends within so many days is worth a word.
const CERTIFICATE_DAYS: u32 = 14;

/// A target that cannot be meant, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{told}")]
pub struct TargetError {
    told: String,
    /// The same without what the person wrote, where `told` repeats any of it.
    discreet: Option<String>,
}

impl TargetError {
    /// Returns the error that says `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self { told: text.into(), discreet: None }
    }

    pub(crate) fn with_discreet(text: impl Into<String>, discreet: impl Into<String>) -> Self {
        Self { told: text.into(), discreet: Some(discreet.into()) }
    }

    /// Returns what is wrong without repeating what was written: that may come from where secrets do.
    pub fn discreet(&self) -> &str {
        self.discreet.as_deref().unwrap_or(&self.told)
    }
}

/// Somebody to ask, and what to expect.
#[derive(Debug, Clone)]
pub struct Target {
    /// How people know it. Without secrets: it is printed.
    pub name: String,
    pub check: Check,
    /// It is down where it takes longer.
    pub timeout: Duration,
    /// It is degraded where it takes longer.
    pub within: Option<Duration>,
    /// It is degraded where its certificate ends in fewer days.
    pub certificate_days: u32,
    /// Whom its TLS trusts; what the prober trusts where absent.
    pub trust: Option<Arc<Trust>>,
    /// Addresses of one host, of which one as the target's host stands for all: whichever answers first is taken.
    pub addresses: Vec<IpAddr>,
}

impl Target {
    /// Returns a target with the usual limits.
    pub fn new(name: impl Into<String>, check: Check) -> Self {
        let (timeout, certificate_days) = (TIMEOUT, CERTIFICATE_DAYS);
        let name = name.into();
        Self { name, check, timeout, within: None, certificate_days, trust: None, addresses: Vec::new() }
    }

    /// Parses a target as people type it: `http://…`, `tcp://HOST:PORT`, `postgres://USER:PASSWORD@HOST/DATABASE`.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        parse::target(text, None)
    }

    /// Parses a target whose password is kept elsewhere.
    pub fn parse_with_password(text: &str, password: &Secret) -> Result<Self, TargetError> {
        parse::target(text, Some(password))
    }
}

impl Target {
    /// Returns text without the secrets of this target, which a server may repeat.
    pub(crate) fn masked<'a>(&self, text: Cow<'a, str>) -> Cow<'a, str> {
        let mut text = text;
        for secret in self.secrets() {
            // A shorter one is found in any text.
            if secret.len() >= 4 && text.contains(secret) {
                text = text.replace(secret, "***").into();
            }
        }
        text
    }

    fn secrets(&self) -> Vec<&str> {
        match &self.check {
            Check::Http(http) => http.secrets(),
            Check::Redis(redis) => redis.credentials.secret(),
            Check::Postgres(postgres) => postgres.credentials.secret(),
            Check::Mysql(mysql) => mysql.credentials.secret(),
            Check::Tcp(_) | Check::Tls(_) | Check::Dns(_) | Check::Exec(_) => Vec::new(),
        }
    }
}

/// The kinds of probe. Those to come (icmp, grpc, smtp) are one variant here and one module beside [`crate::tcp`].
#[derive(Debug, Clone)]
pub enum Check {
    Http(Box<Http>),
    Tcp(Tcp),
    Tls(Tls),
    Dns(Dns),
    Redis(Redis),
    Postgres(Postgres),
    Mysql(Mysql),
    Exec(Exec),
}

impl Check {
    /// Returns the word for the kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Check::Http(_) => "http",
            Check::Tcp(_) => "tcp",
            Check::Tls(_) => "tls",
            Check::Dns(_) => "dns",
            Check::Redis(_) => "redis",
            Check::Postgres(_) => "postgres",
            Check::Mysql(_) => "mysql",
            Check::Exec(_) => "exec",
        }
    }
}

/// A port that takes connections, and perhaps answers.
#[derive(Clone)]
pub struct Tcp {
    pub endpoint: Endpoint,
    /// Sent first.
    pub send: Vec<u8>,
    /// What must come within the first 64 KiB.
    pub expect: Vec<u8>,
}

impl fmt::Debug for Tcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is sent may hold a password.
        f.debug_struct("Tcp")
            .field("endpoint", &self.endpoint)
            .field("send", &self.send.len())
            .finish_non_exhaustive()
    }
}

/// A certificate: its chain, its name and its end.
#[derive(Debug, Clone)]
pub struct Tls {
    pub endpoint: Endpoint,
    /// The name it must be made for; the host where absent.
    pub name: Option<String>,
}

/// A name server and what it must know.
#[derive(Debug, Clone)]
pub struct Dns {
    /// The server; the system's first one where absent.
    pub server: Option<(String, u16)>,
    pub name: String,
    pub kind: RecordKind,
    /// Each of these must be among the answers, written as in a zone file.
    pub expect: Vec<String>,
}

/// Who logs in.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    pub user: Option<String>,
    pub password: Option<Secret>,
}

impl Credentials {
    fn secret(&self) -> Vec<&str> {
        self.password.iter().map(Secret::expose).collect()
    }

    /// Says whether there is nobody to log in as. Then a server that asks for a login is well.
    pub(crate) fn is_anonymous(&self) -> bool {
        self.user.is_none() && self.password.is_none()
    }
}

/// How a database's connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    Never,
    /// Where the server offers it; its certificate is not checked.
    IfOffered,
    /// Always; the certificate is not checked.
    Unverified,
    /// Always, with a certificate that is trusted and made for the host.
    Verified,
}

/// A Redis server.
#[derive(Debug, Clone)]
pub struct Redis {
    pub endpoint: Endpoint,
    pub credentials: Credentials,
    pub database: Option<u32>,
    pub tls: bool,
}

/// A PostgreSQL server.
#[derive(Debug, Clone)]
pub struct Postgres {
    pub endpoint: Endpoint,
    pub credentials: Credentials,
    /// The user's own where absent.
    pub database: Option<String>,
    pub encryption: Encryption,
}

/// A MySQL or MariaDB server.
#[derive(Debug, Clone)]
pub struct Mysql {
    pub endpoint: Endpoint,
    pub credentials: Credentials,
    pub database: Option<String>,
    pub encryption: Encryption,
}

/// A program that exits with 0 where all is well.
#[derive(Clone)]
pub struct Exec {
    pub program: String,
    pub arguments: Vec<String>,
}

impl fmt::Debug for Exec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An argument may be a password.
        f.debug_struct("Exec")
            .field("program", &self.program)
            .field("arguments", &self.arguments.len())
            .finish()
    }
}
