//! The area `api`: where the agent listens, and who may read and act.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::Purpose;
use super::environment::TOKEN;
use super::mistake::Place;
use super::reading::Reading;
use super::secret::Secret;
use super::values::{Address, OneOrMore};

/// The port where nothing else is said.
pub const DEFAULT_PORT: u16 = 9780;

/// Where the agent listens, and who may read and act.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApiFile {
    /// An address and a port, or a list of them; `[]` for none. Default: `127.0.0.1:9780`.
    listen: Option<OneOrMore<Address>>,
    /// A unix socket for users of this host; `off` for none. Default: `/run/zv/zv.sock` for root, else
    /// `$XDG_RUNTIME_DIR/zv/zv.sock`.
    unix: Option<String>,
    /// The file with the token that actions need; it is made where it does not exist. Default: `token` in
    /// `store.path`. The variable `ZV_TOKEN` wins over it.
    token_file: Option<PathBuf>,
    /// Whether reading needs the token on this host's own addresses too. Default: `open`.
    read: Option<ReadRight>,
    /// Serves HTTPS instead of HTTP.
    tls: Option<TlsFile>,
    /// Names under which the agent is reached, besides its addresses and `localhost`; requests for other names are
    /// refused.
    hosts: Option<Vec<String>>,
}

/// The certificate for HTTPS.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TlsFile {
    /// The certificate and those that vouch for it, as PEM.
    cert_file: PathBuf,
    /// The certificate's private key, as PEM.
    key_file: PathBuf,
}

/// Who may read on this host's own addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReadRight {
    /// Everybody on this host.
    #[default]
    Open,
    /// Whoever has the token.
    Token,
}

impl ReadRight {
    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            ReadRight::Open => "open",
            ReadRight::Token => "token",
        }
    }
}

/// Where the agent listens, and who may read and act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Api {
    /// At least one, unless there is a unix socket.
    pub listen: Vec<SocketAddr>,
    pub unix: Option<PathBuf>,
    /// From the environment, else from the file where that exists and may be read; made on first start otherwise.
    pub token: Option<Secret>,
    pub token_file: PathBuf,
    pub read: ReadRight,
    pub tls: Option<Tls>,
    pub hosts: Vec<String>,
}

/// The certificate for HTTPS. The contents are there where they were asked for; a reload compares them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
    /// PEM.
    pub cert: Option<String>,
    /// PEM.
    pub key: Option<Secret>,
}

impl Api {
    pub(crate) fn resolve(file: ApiFile, reading: &mut Reading<'_>, store: &Path) -> Self {
        // A wrong address is reported as that, not as a missing one.
        let wrong_already = reading.is_given("api.listen[0]") || file.listen.is_none();
        let listen = match file.listen {
            Some(listen) => listen.0.into_iter().map(|address| address.0).collect(),
            None if reading.is_given("api.listen") => Vec::new(),
            None => vec![(Ipv4Addr::LOCALHOST, DEFAULT_PORT).into()],
        };
        let token_file = match file.token_file {
            Some(path) => reading.path("api.token_file", path),
            None => store.join("token"),
        };
        let api = Self {
            listen,
            unix: unix(file.unix, reading),
            token: token(&token_file, reading),
            token_file,
            read: file.read.unwrap_or_default(),
            tls: file.tls.map(|tls| Tls::resolve(tls, reading)),
            hosts: file.hosts.unwrap_or_default(),
        };
        if !wrong_already {
            api.somebody_can_connect(reading);
        }
        api.addresses_differ(reading);
        api.the_socket_fits(reading);
        api.tokens_travel_encrypted(reading);
        api.hosts_are_names(reading);
        api
    }

    fn somebody_can_connect(&self, reading: &mut Reading<'_>) {
        if self.listen.is_empty() && self.unix.is_none() {
            reading.mistake("api.listen", "the agent listens nowhere; give `api.listen` or `api.unix`");
        }
    }

    fn addresses_differ(&self, reading: &mut Reading<'_>) {
        let mut seen = BTreeSet::new();
        for address in self.listen.iter().filter(|address| address.port() != 0) {
            if !seen.insert(address) {
                reading.mistake("api.listen", format!("`api.listen` names `{address}` twice; keep one"));
            }
        }
    }

    fn the_socket_fits(&self, reading: &mut Reading<'_>) {
        // The kernel's limit, less the zero at the end.
        const LIMIT: usize = 107;
        let length = self.unix.as_ref().map_or(0, |path| path.as_os_str().as_bytes().len());
        if length > LIMIT {
            let text = format!("the path of a unix socket has at most {LIMIT} bytes, this one {length}");
            reading.mistake("api.unix", text);
        }
    }

    fn tokens_travel_encrypted(&self, reading: &mut Reading<'_>) {
        if self.tls.is_some() || reading.is_given("api.tls") {
            return;
        }
        for address in self.listen.iter().filter(|address| !address.ip().is_loopback()) {
            let text =
                format!("tokens reach `{address}` unencrypted; set `api.tls`, or keep the network private");
            reading.warn("api.listen", text);
        }
    }

    fn hosts_are_names(&self, reading: &mut Reading<'_>) {
        for (index, host) in self.hosts.iter().enumerate() {
            let name = host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
            if !name || host.is_empty() || host.len() > 253 {
                let text =
                    "a host is a name alone, as in `zv.example.org`: no scheme, port, path or wildcard";
                reading.mistake(&format!("api.hosts[{index}]"), text);
            }
        }
    }
}

fn unix(given: Option<String>, reading: &mut Reading<'_>) -> Option<PathBuf> {
    match given {
        Some(off) if off == "off" => None,
        Some(path) => Some(reading.path("api.unix", path.into())),
        None if reading.environment.uid == 0 => Some("/run/zv/zv.sock".into()),
        None => reading.environment.folder("XDG_RUNTIME_DIR").map(|folder| folder.join("zv/zv.sock")),
    }
}

fn token(file: &Path, reading: &mut Reading<'_>) -> Option<Secret> {
    if let Some(token) = reading.environment.given(TOKEN) {
        if let Err(text) = check_token(token) {
            reading.mistake_at(&Place::Variable(TOKEN.into()), text);
        }
        return Some(Secret::new(token));
    }
    if reading.purpose != Purpose::Run {
        return None;
    }
    match Secret::read(file) {
        Ok(token) => {
            if let Err(text) = check_token(token.expose()) {
                reading.mistake("api.token_file", format!("`{}`: {text}", file.display()));
            }
            Some(token)
        }
        // Made on first start.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            reading.unreadable("api.token_file", file, &error);
            None
        }
    }
}

/// A token travels in a header, and is worth nothing if it can be guessed.
fn check_token(token: &str) -> Result<(), &'static str> {
    const LEAST: usize = 16;
    if token.len() < LEAST {
        return Err("the token is too short; take at least 16 characters, as from `openssl rand -hex 32`");
    }
    if !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(
            "the token holds spaces or characters that a header cannot carry; take letters and digits",
        );
    }
    Ok(())
}

impl Tls {
    fn resolve(file: TlsFile, reading: &mut Reading<'_>) -> Self {
        let (cert_key, key_key) = ("api.tls.cert_file", "api.tls.key_file");
        let cert_file = reading.path(cert_key, file.cert_file);
        let key_file = reading.path(key_key, file.key_file);
        let (cert, key) = (reading.secret(cert_key, &cert_file), reading.secret(key_key, &key_file));
        let is_pem = |secret: &Secret, what: &str| secret.expose().contains(what);
        if cert.as_ref().is_some_and(|cert| !is_pem(cert, "-----BEGIN CERTIFICATE-----")) {
            reading.mistake(cert_key, format!("`{}` holds no PEM certificate", cert_file.display()));
        }
        if key.as_ref().is_some_and(|key| !is_pem(key, "PRIVATE KEY-----")) {
            reading.mistake(key_key, format!("`{}` holds no PEM private key", key_file.display()));
        }
        Self { cert_file, key_file, cert: cert.map(|cert| cert.expose().to_owned()), key }
    }
}
