//! Targets as people type them.

use percent_encoding::percent_decode_str;
use url::Url;

use super::http::{Http, shown};
use super::{
    Check, Credentials, Dns, Encryption, Endpoint, Mysql, Postgres, RecordKind, Redis, Target, TargetError,
    Tcp, Tls,
};
use crate::secret::Secret;
use crate::words::quote;

/// Nobody types more.
const MOST: usize = 8 * 1024;

const KNOWN: &str = "`http://`, `https://`, `tcp://`, `tls://`, `dns://`, `redis://`, `rediss://`, `postgres://` or `mysql://`";

/// Parses a target.
pub(super) fn target(text: &str, password: Option<&Secret>) -> Result<Target, TargetError> {
    if text.len() > MOST {
        return Err(TargetError::new(format!("a target is not longer than {MOST} characters")));
    }
    if !text.contains("://") {
        let text = quote(without_login(text).as_bytes());
        return Err(TargetError::with_discreet(
            format!(
                "`{text}` does not say how to ask: write `http://{text}`, `tcp://{text}` or another of {KNOWN}"
            ),
            format!("it does not say how to ask: begin it with one of {KNOWN}"),
        ));
    }
    // A parser's own words may repeat what must not be shown; which part is wrong does not.
    let bad = |error: url::ParseError| {
        TargetError::with_discreet(
            format!("`{}` is no address: {error}", quote(without_login(text).as_bytes())),
            format!("it is no address: {error}"),
        )
    };
    let mut url = Url::parse(text).map_err(bad)?;
    if let Some(password) = password {
        url.set_password(Some(password.expose()))
            .map_err(|()| TargetError::new("a password is for a target with a host in it"))?;
    }
    let parts = Parts::of(&url)?;
    let check = match url.scheme() {
        "http" | "https" => Check::Http(Box::new(Http::get(url.clone())?)),
        "tcp" => parts.tcp()?,
        "tls" => parts.tls()?,
        "dns" => parts.dns()?,
        "redis" | "rediss" => parts.redis(url.scheme() == "rediss")?,
        "postgres" | "postgresql" => parts.postgres()?,
        "mysql" | "mariadb" => parts.mysql()?,
        other => {
            return Err(TargetError::with_discreet(
                format!("`{}://` is no kind of target: write {KNOWN}", quote(other.as_bytes())),
                format!("it is of no known kind: write {KNOWN}"),
            ));
        }
    };
    let name = match &check {
        Check::Http(http) => shown(&http.url),
        Check::Tcp(_) => parts.shown(&[]),
        _ => parts.shown(&["expect", "name", "type"]),
    };
    Ok(Target::new(name, check))
}

/// Returns the text without what stands before the host, and without parameters.
fn without_login(text: &str) -> String {
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    if scheme.is_empty() { host.to_owned() } else { format!("{scheme}://{host}") }
}

/// What the parts of a URL mean here.
struct Parts<'a> {
    url: &'a Url,
    host: Option<String>,
    credentials: Credentials,
    /// The path without the slash.
    path: String,
    parameters: Vec<(String, String)>,
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

impl<'a> Parts<'a> {
    fn of(url: &'a Url) -> Result<Self, TargetError> {
        let host = url.host_str().map(|host| decoded(host.trim_start_matches('[').trim_end_matches(']')));
        let host = host.filter(|host| !host.is_empty());
        if host.as_deref().is_some_and(|host| host.contains(|c: char| c.is_control() || c.is_whitespace())) {
            return Err(TargetError::new("a host has no spaces in it"));
        }
        let credentials = Credentials {
            user: Some(decoded(url.username())).filter(|user| !user.is_empty()),
            password: url.password().map(|password| Secret::new(decoded(password))),
        };
        let path = decoded(url.path().trim_start_matches('/'));
        let parameters =
            url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        Ok(Self { url, host, credentials, path, parameters })
    }

    /// Returns the target as it may be printed, with these parameters and no others.
    fn shown(&self, parameters: &[&str]) -> String {
        let mut url = self.url.clone();
        let keep = |(name, _): &&(String, String)| parameters.contains(&name.as_str());
        let kept: Vec<_> = self.parameters.iter().filter(keep).collect();
        url.set_query(None);
        if !kept.is_empty() {
            url.query_pairs_mut().extend_pairs(kept);
        }
        shown(&url)
    }

    fn error(&self, what: &str) -> TargetError {
        TargetError::with_discreet(
            format!("`{}`: {what}", quote(without_login(self.url.as_str()).as_bytes())),
            what,
        )
    }

    fn endpoint(&self, usual_port: Option<u16>, form: &str) -> Result<Endpoint, TargetError> {
        let host = self
            .host
            .clone()
            .ok_or_else(|| self.error(&format!("there is no host in it; write `{form}`")))?;
        let port = self.url.port().or(usual_port).filter(|port| *port != 0);
        let port = port.ok_or_else(|| self.error(&format!("there is no port in it; write `{form}`")))?;
        Ok(Endpoint { host, port })
    }

    fn known(&self, names: &[&str]) -> Result<(), TargetError> {
        for (name, _) in &self.parameters {
            if !names.contains(&name.as_str()) {
                let name = quote(name.as_bytes());
                let known = if names.is_empty() { "none is".to_owned() } else { names.join(", ") };
                let told = self.error(&format!("the parameter `{name}` is not known here; known: {known}"));
                let discreet = format!("it has a parameter that is not known here; known: {known}");
                return Err(TargetError::with_discreet(told.to_string(), discreet));
            }
        }
        Ok(())
    }

    fn no_path(&self) -> Result<(), TargetError> {
        if self.path.is_empty() { Ok(()) } else { Err(self.error("there is nothing to say after the port")) }
    }

    fn no_login(&self) -> Result<(), TargetError> {
        if self.credentials.is_anonymous() { Ok(()) } else { Err(self.error("nobody logs in there")) }
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    fn tcp(&self) -> Result<Check, TargetError> {
        self.known(&["send", "expect"])?;
        self.no_login()?;
        self.no_path()?;
        let bytes = |name| self.parameter(name).unwrap_or_default().as_bytes().to_vec();
        let endpoint = self.endpoint(None, "tcp://HOST:PORT")?;
        Ok(Check::Tcp(Tcp { endpoint, send: bytes("send"), expect: bytes("expect") }))
    }

    fn tls(&self) -> Result<Check, TargetError> {
        self.known(&["name"])?;
        self.no_login()?;
        self.no_path()?;
        let endpoint = self.endpoint(Some(443), "tls://HOST:PORT")?;
        Ok(Check::Tls(Tls { endpoint, name: self.parameter("name").map(str::to_owned) }))
    }

    fn dns(&self) -> Result<Check, TargetError> {
        self.known(&["type", "expect"])?;
        self.no_login()?;
        if self.path.is_empty() {
            return Err(self.error("there is no name to ask for; write `dns://SERVER/NAME?type=A`"));
        }
        let kind = match self.parameter("type") {
            Some(text) => text.parse::<RecordKind>().map_err(|error| {
                let discreet = "the type of its records is not known; write `type=A`";
                TargetError::with_discreet(self.error(&error).to_string(), discreet)
            })?,
            None => RecordKind::A,
        };
        let server = self.host.clone().map(|host| (host, self.url.port().unwrap_or(53)));
        let expected = self.parameters.iter().filter(|(name, _)| name == "expect");
        let expect = expected.map(|(_, value)| value.clone()).collect();
        crate::dns::message::question(0, &self.path, kind).map_err(|error| self.error(error.0))?;
        Ok(Check::Dns(Dns { server, name: self.path.clone(), kind, expect }))
    }

    fn redis(&self, tls: bool) -> Result<Check, TargetError> {
        self.known(&[])?;
        let endpoint = self.endpoint(Some(6379), "redis://HOST")?;
        let database = match self.path.as_str() {
            "" => None,
            path => Some(
                path.parse().map_err(|_| self.error("a database of Redis is a number: `redis://HOST/0`"))?,
            ),
        };
        Ok(Check::Redis(Redis { endpoint, credentials: self.credentials.clone(), database, tls }))
    }

    fn postgres(&self) -> Result<Check, TargetError> {
        self.known(&["sslmode"])?;
        let endpoint = self.endpoint(Some(5432), "postgres://USER:PASSWORD@HOST/DATABASE")?;
        let encryption = match self.parameter("sslmode").unwrap_or("prefer") {
            "disable" => Encryption::Never,
            "prefer" => Encryption::IfOffered,
            "require" => Encryption::Unverified,
            "verify-full" => Encryption::Verified,
            _ => return Err(self.error("`sslmode` is `disable`, `prefer`, `require` or `verify-full`")),
        };
        let (credentials, database) = (self.credentials.clone(), self.database()?);
        Ok(Check::Postgres(Postgres { endpoint, credentials, database, encryption }))
    }

    fn mysql(&self) -> Result<Check, TargetError> {
        self.known(&["ssl-mode"])?;
        let endpoint = self.endpoint(Some(3306), "mysql://USER:PASSWORD@HOST/DATABASE")?;
        let encryption = match self.parameter("ssl-mode").unwrap_or("PREFERRED").to_ascii_uppercase().as_str()
        {
            "DISABLED" => Encryption::Never,
            "PREFERRED" => Encryption::IfOffered,
            "REQUIRED" => Encryption::Unverified,
            "VERIFY_IDENTITY" => Encryption::Verified,
            _ => {
                return Err(
                    self.error("`ssl-mode` is `DISABLED`, `PREFERRED`, `REQUIRED` or `VERIFY_IDENTITY`")
                );
            }
        };
        let (credentials, database) = (self.credentials.clone(), self.database()?);
        Ok(Check::Mysql(Mysql { endpoint, credentials, database, encryption }))
    }

    /// Both protocols end names with a zero byte.
    fn database(&self) -> Result<Option<String>, TargetError> {
        let user = self.credentials.user.as_deref().unwrap_or_default();
        if self.path.contains('\0') || user.contains('\0') {
            return Err(self.error("a name has no zero byte in it"));
        }
        Ok(Some(self.path.clone()).filter(|path| !path.is_empty()))
    }
}

#[cfg(test)]
mod tests;
