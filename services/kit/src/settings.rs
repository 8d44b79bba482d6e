//! What a service can be told through its environment, and the only place that reads it.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `LISTEN` | address and port to listen on; wins over the next two | – |
//! | `BIND` | address to listen on; an image sets `0.0.0.0` | `127.0.0.1` |
//! | `PORT` | port to listen on; 0 takes a free one | `8080` |
//! | `DRAIN_GRACE` | how long requests in flight may take after the signal to stop | `8s` |
//! | `DRAIN_LEAD` | how long to go on accepting while `/ready` already refuses; part of the grace | `0s` |
//! | `REQUEST_TIMEOUT` | until the answer's head is due | `30s` |
//! | `IDLE_TIMEOUT` | until the head of a connection's next request is complete, waiting included | `30s` |
//! | `WRITE_TIMEOUT` | how long a client may take nothing of its answer | `30s` |
//! | `MAX_BODY` | the largest request body | `1MiB` |
//! | `MAX_CONNECTIONS` | connections served at once; more wait in the kernel's queue | `1024` |
//! | `LOG_LEVEL` | `debug`, `info`, `warn` or `error` | `info` |
//! | `ZV_REPLICA` | this replica's name; `HOSTNAME`, then the host's name, stand in | – |
//!
//! An empty value counts as unset, because Compose passes `${NAME:-}` that way.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::log::Level;

/// How a service listens, drains and limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub listen: SocketAddr,
    /// From the signal to stop until what is left is cut.
    pub drain_grace: Duration,
    /// At most [`Settings::drain_grace`].
    pub drain_lead: Duration,
    pub request_timeout: Duration,
    pub idle_timeout: Duration,
    pub write_timeout: Duration,
    /// Bytes.
    pub max_body: usize,
    pub max_connections: usize,
    pub log_level: Level,
    pub replica: String,
}

impl Settings {
    /// Reads the kit's own variables. What is wrong is collected by `reader`; the value returned is then of no use.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let bind = reader.take("BIND", IpAddr::V4(Ipv4Addr::LOCALHOST), address);
        let port = reader.take("PORT", 8080, port);
        let listen = reader.take("LISTEN", SocketAddr::new(bind, port), listen);
        let drain_grace = reader.take("DRAIN_GRACE", Duration::from_secs(8), duration);
        let drain_lead = reader.take("DRAIN_LEAD", Duration::ZERO, duration);
        if drain_lead > drain_grace {
            reader.mistake("DRAIN_LEAD", "is longer than `DRAIN_GRACE`, of which it is a part");
        }
        Self {
            listen,
            drain_grace,
            drain_lead,
            request_timeout: reader.take("REQUEST_TIMEOUT", Duration::from_secs(30), some_duration),
            idle_timeout: reader.take("IDLE_TIMEOUT", Duration::from_secs(30), some_duration),
            write_timeout: reader.take("WRITE_TIMEOUT", Duration::from_secs(30), some_duration),
            max_body: reader.take("MAX_BODY", 1024 * 1024, size),
            max_connections: reader.take("MAX_CONNECTIONS", 1024, connections),
            log_level: reader.take("LOG_LEVEL", Level::Info, level),
            replica: replica(reader),
        }
    }

    /// Reads the kit's variables alone, for a service that has none of its own.
    pub fn from_environment(environment: &Environment) -> Result<Self, Mistakes> {
        let mut reader = environment.reader();
        let settings = Self::read(&mut reader);
        reader.finish()?;
        Ok(settings)
    }
}

/// The variables a service was started with.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl fmt::Debug for Environment {
    /// Names only: values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Environment {
    /// Reads the process's environment. Bytes that are not UTF-8 are replaced, so that no value passes for another.
    pub fn of_process() -> Self {
        let text = |value: std::ffi::OsString| value.to_string_lossy().into_owned();
        Self(std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect())
    }

    /// Starts to read settings, whose mistakes are collected.
    pub fn reader(&self) -> Reader<'_> {
        Reader { environment: self, mistakes: Vec::new() }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// Takes settings out of an environment and collects every mistake instead of stopping at the first.
#[derive(Debug)]
pub struct Reader<'a> {
    environment: &'a Environment,
    mistakes: Vec<String>,
}

impl Reader<'_> {
    /// Returns what `parse` makes of the variable, or `default` where it is unset or wrong. The text of an error follows
    /// the variable's name, as in ``is `x`: give a number``; a parser of secrets quotes nothing.
    pub fn take<T>(&mut self, name: &str, default: T, parse: impl FnOnce(&str) -> Result<T, String>) -> T {
        let Some(value) = self.environment.get(name) else { return default };
        match parse(value) {
            Ok(parsed) => parsed,
            Err(mistake) => {
                self.mistake(name, &mistake);
                default
            }
        }
    }

    /// Notes that `name` is wrong.
    pub fn mistake(&mut self, name: &str, what: &str) {
        self.mistakes.push(format!("`{name}` {what}"));
    }

    /// Returns all mistakes, if there are any.
    pub fn finish(self) -> Result<(), Mistakes> {
        if self.mistakes.is_empty() { Ok(()) } else { Err(Mistakes(self.mistakes)) }
    }
}

/// All that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct Mistakes(Vec<String>);

impl Mistakes {
    /// Returns them one by one, each a fragment that names its variable.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

fn address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("is `{text}`: give an IP address, such as 127.0.0.1 or 0.0.0.0"))
}

fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| format!("is `{text}`: give a number from 0 to 65535"))
}

fn listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("is `{text}`: give an IP address and a port, such as 127.0.0.1:8080"))
}

fn level(text: &str) -> Result<Level, String> {
    Level::parse(text).ok_or_else(|| format!("is `{text}`: give debug, info, warn or error"))
}

fn connections(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=1_000_000).contains(number));
    number.ok_or_else(|| format!("is `{text}`: give a number from 1 to 1000000"))
}

/// Splits `30s` into 30 and `s`.
fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim()))
}

/// Parses `500ms`, `30s`, `5m`: at most a day, so that no sum of times overflows.
fn duration(text: &str) -> Result<Duration, String> {
    let parsed = split(text).and_then(|(number, unit)| match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_secs(number.checked_mul(60)?)),
        _ => None,
    });
    let parsed = parsed.filter(|duration| *duration <= Duration::from_secs(86_400));
    parsed
        .ok_or_else(|| format!("is `{text}`: give a number and a unit up to a day, such as 500ms, 30s or 5m"))
}

fn some_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err(format!("is `{text}`: give more than zero")),
        some => Ok(some),
    }
}

/// Parses `65536`, `512KiB`, `1MiB`, `1MB`.
fn size(text: &str) -> Result<usize, String> {
    let parsed = split(text).and_then(|(number, unit)| {
        let factor = match unit {
            "" | "B" => 1,
            "kB" | "KB" => 1000,
            "KiB" => 1024,
            "MB" => 1_000_000,
            "MiB" => 1024 * 1024,
            _ => return None,
        };
        usize::try_from(number.checked_mul(factor)?).ok()
    });
    parsed.ok_or_else(|| format!("is `{text}`: give a number of bytes, such as 65536, 512KiB or 1MiB"))
}

fn replica(reader: &mut Reader<'_>) -> String {
    let host = || std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let fallback = reader.take("HOSTNAME", None, |name| Ok(Some(name.to_owned())));
    let fallback = fallback.unwrap_or_else(|| host().trim().to_owned());
    reader.take("ZV_REPLICA", fallback, |name| match name.len() {
        1..=128 if name.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(name.to_owned()),
        _ => Err("is not a name: give at most 128 visible ASCII characters".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings<const N: usize>(variables: [(&str, &str); N]) -> Result<Settings, Mistakes> {
        Settings::from_environment(&variables.into_iter().collect())
    }

    #[test]
    fn an_empty_environment_listens_on_loopback_only() {
        let settings = settings([]).unwrap();
        assert_eq!(settings.listen, "127.0.0.1:8080".parse().unwrap());
        assert_eq!(settings.drain_grace, Duration::from_secs(8));
        assert_eq!(settings.max_body, 1 << 20);
    }

    #[test]
    fn an_empty_value_is_an_unset_one() {
        assert_eq!(settings([("PORT", ""), ("LISTEN", "")]).unwrap().listen.port(), 8080);
    }

    #[test]
    fn bind_and_port_make_an_address_and_listen_wins_over_both() {
        let parts = settings([("BIND", "::"), ("PORT", "0")]).unwrap();
        assert_eq!(parts.listen, "[::]:0".parse().unwrap());
        let whole = settings([("BIND", "::"), ("PORT", "1"), ("LISTEN", "127.0.0.2:9")]).unwrap();
        assert_eq!(whole.listen, "127.0.0.2:9".parse().unwrap());
    }

    #[test]
    fn times_and_sizes_have_units() {
        for (text, millis) in [("500ms", 500), ("30s", 30_000), ("5m", 300_000), ("0s", 0)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in
            ["", "5", "s", "-1s", "1.5s", "1h30", "99999999999999999999s", "18446744073709551615m", "2000m"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
        for (text, bytes) in [("7", 7), ("2kB", 2000), ("2KiB", 2048), ("1MB", 1_000_000), ("1MiB", 1 << 20)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "1GiB", "MiB", "18446744073709551615MiB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_replica_is_named_by_zv_then_by_the_container() {
        let named = settings([("ZV_REPLICA", "main-server-2"), ("HOSTNAME", "4f")]).unwrap();
        assert_eq!(named.replica, "main-server-2");
        assert_eq!(settings([("HOSTNAME", "4f")]).unwrap().replica, "4f");
    }

    #[test]
    fn debug_shows_no_values() {
        let environment: Environment = [("TOKEN", "s3cret")].into_iter().collect();
        assert_eq!(format!("{environment:?}"), r#"{"TOKEN"}"#);
    }
}
