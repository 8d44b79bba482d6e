//! Probes that labels of a replica ask for. Pure: labels, addresses and ports in, targets out.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::schedule::Pace;
use crate::target::{BodyRule, Check, Target, TargetError};
use crate::words::quote;

/// What the labels of probes begin with.
pub const PREFIX: &str = "zv.probe.";

/// The kinds of probe: the label after its prefix, the scheme, and the port where none is said.
const KINDS: [(&str, Option<u16>); 8] = [
    ("http", None),
    ("https", None),
    ("tcp", None),
    ("tls", None),
    ("redis", Some(6379)),
    ("postgres", Some(5432)),
    ("mysql", Some(3306)),
    ("dns", Some(53)),
];
const SETTINGS: [&str; 6] = ["interval", "timeout", "confirm", "status", "contains", "within"];
/// Nobody writes more.
const MOST: usize = 4 * 1024;
/// No time of a label is longer.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Where a replica can be asked.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// How people know the replica.
    pub name: &'a str,
    /// Its own addresses, one for each network; none where it shares the host's.
    pub addresses: &'a [IpAddr],
    /// `HOST:PORT->PORT/PROTO` as published, or `HOST:PORT` where it listens.
    pub ports: &'a [String],
}

/// A probe that a label asks for.
#[derive(Debug, Clone)]
pub struct Labelled {
    /// The label without its prefix: `http`, `https`, `tcp`. At most one of each on a replica.
    pub kind: &'static str,
    pub target: Target,
    pub pace: Pace,
}

/// Says whether any label is one of a probe.
pub fn ask_for_probes<'a>(mut names: impl Iterator<Item = &'a str>) -> bool {
    names.any(|name| name.starts_with(PREFIX))
}

/// Returns the probes that the labels of a replica ask for, or everything that is wrong with them and what to write.
///
/// | label | value |
/// |---|---|
/// | `zv.probe.http`, `zv.probe.https` | `:8080/health`, `8080/health`, `/health` on the replica's first port, or a whole URL |
/// | `zv.probe.tcp`, `zv.probe.tls` | `5432`, `HOST:PORT`, or a whole URL (`tcp://…`, `tls://…`) |
/// | `zv.probe.redis`, `zv.probe.postgres`, `zv.probe.mysql` | `on` for the usual port, a port, `HOST:PORT`, or a whole URL with the login |
/// | `zv.probe.dns` | the name to ask for (`example.org`), `5353/example.org`, or `dns://SERVER/NAME?type=A` |
/// | `zv.probe.interval` | how often: `10s` |
/// | `zv.probe.timeout` | when it is down: `5s` |
/// | `zv.probe.within` | when it is degraded: `300ms` |
/// | `zv.probe.confirm` | how many results must agree: `2 of 3` |
/// | `zv.probe.status` | of http and https: `200`, `2xx`, `200-299,304` |
/// | `zv.probe.contains` | of http and https: what the body holds |
///
/// Ports are the replica's own. There is no `zv.probe.exec`: a label does not run programs on the host.
pub fn targets(labels: &BTreeMap<String, String>, place: &Place<'_>) -> Result<Vec<Labelled>, TargetError> {
    let mut asked = BTreeMap::new();
    let mut mistakes = Vec::new();
    for (label, value) in labels {
        let Some(name) = label.strip_prefix(PREFIX) else { continue };
        match check_name(name, value) {
            Ok(()) => {
                asked.insert(name, value.trim());
            }
            Err(mistake) => mistakes.push(mistake),
        }
    }
    let settings = Settings::read(&asked, &mut mistakes);
    let mut found = Vec::new();
    for (kind, usual_port) in KINDS {
        let Some(value) = asked.get(kind) else { continue };
        let made = target(kind, usual_port, value, place).and_then(|target| settings.apply(target));
        match made {
            Ok(target) => found.push(Labelled { kind, target, pace: settings.pace }),
            Err(error) => mistakes.push(format!("`{PREFIX}{kind}`: {error}")),
        }
    }
    if found.is_empty() && mistakes.is_empty() && !asked.is_empty() {
        let kinds = KINDS.map(|(kind, _)| kind).join(", ");
        mistakes.push(format!("labels say how to probe and not what: add `{PREFIX}` and one of {kinds}"));
    }
    if mistakes.is_empty() { Ok(found) } else { Err(TargetError::new(mistakes.join("; "))) }
}

fn check_name(name: &str, value: &str) -> Result<(), String> {
    let known = || KINDS.iter().map(|(kind, _)| *kind).chain(SETTINGS);
    if name == "exec" {
        return Err(format!(
            "`{PREFIX}exec`: a label does not run programs; write an `exec` probe in zv.yaml"
        ));
    }
    if !known().any(|known| known == name) {
        let known = known().collect::<Vec<_>>().join(", ");
        let name = quote(name.as_bytes());
        return Err(format!("`{PREFIX}{name}` is no label of a probe; known after `{PREFIX}`: {known}"));
    }
    if value.len() > MOST {
        return Err(format!("`{PREFIX}{name}` is longer than {MOST} characters"));
    }
    if value.trim().is_empty() {
        return Err(format!("`{PREFIX}{name}` is empty; leave it out or say what is meant"));
    }
    Ok(())
}

/// What holds for every probe of a replica.
struct Settings {
    pace: Pace,
    timeout: Option<Duration>,
    within: Option<Duration>,
    status: Option<String>,
    contains: Option<String>,
}

impl Settings {
    fn read(asked: &BTreeMap<&str, &str>, mistakes: &mut Vec<String>) -> Self {
        let mut note = |name: &str, error: String| mistakes.push(format!("`{PREFIX}{name}`: {error}"));
        let mut time = |name: &str| {
            let parsed = span(asked.get(name)?);
            parsed.map_err(|error| note(name, error)).ok()
        };
        let (interval, timeout, within) = (time("interval"), time("timeout"), time("within"));
        let confirm = asked.get("confirm").map(|text| text.parse());
        let confirm = confirm.transpose().map_err(|error: TargetError| note("confirm", error.to_string()));
        let text = |name: &str| asked.get(name).map(|text| (*text).to_owned());
        let pace = Pace::new(interval, None, confirm.unwrap_or_default());
        let is_web = asked.contains_key("http") || asked.contains_key("https");
        for name in ["status", "contains"] {
            if asked.contains_key(name) && !is_web {
                note(name, format!("it is of `{PREFIX}http` and `{PREFIX}https` only"));
            }
        }
        Self { pace, timeout, within, status: text("status"), contains: text("contains") }
    }

    fn apply(&self, mut target: Target) -> Result<Target, TargetError> {
        target.timeout = self.timeout.unwrap_or(target.timeout);
        target.within = self.within;
        if let Check::Http(http) = &mut target.check {
            if let Some(status) = &self.status {
                http.expect.status = status.parse()?;
            }
            http.expect.body.extend(self.contains.clone().map(BodyRule::Contains));
        }
        Ok(target)
    }
}

/// Returns the time that `10s`, `500ms` or `1m30s` stands for.
fn span(text: &str) -> Result<Duration, String> {
    const HOW: &str = "write a time like `10s`, `500ms` or `1m30s`";
    const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
    let (mut rest, mut millis, mut units) = (text, 0_u64, UNITS.as_slice());
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count());
        let (unit, after) = after.split_at(after.bytes().take_while(u8::is_ascii_lowercase).count());
        let place = units.iter().position(|(name, _)| *name == unit).ok_or(HOW)?;
        let more = number.parse::<u64>().map_err(|_| HOW)?.checked_mul(units[place].1);
        millis = more.and_then(|more| more.checked_add(millis)).ok_or(HOW)?;
        units = &units[place + 1..];
        rest = after;
    }
    let time = Duration::from_millis(millis);
    if time.is_zero() || time > LONGEST { Err(format!("{HOW}, of a day at most")) } else { Ok(time) }
}

/// Returns the target that a label's value means at this replica.
fn target(
    kind: &'static str,
    usual_port: Option<u16>,
    value: &str,
    place: &Place<'_>,
) -> Result<Target, TargetError> {
    if let Some((scheme, _)) = value.split_once("://") {
        let same = scheme == kind
            || matches!(
                (kind, scheme),
                ("redis", "rediss") | ("postgres", "postgresql") | ("mysql", "mariadb")
            )
            || matches!((kind, scheme), ("http", "https") | ("https", "http"));
        if !same {
            let scheme = quote(scheme.as_bytes());
            return Err(TargetError::new(format!("`{scheme}://` is another kind; write `{kind}://…`")));
        }
        return Target::parse(value);
    }
    let (asked, rest) = Asked::read(kind, value)?;
    let at = match asked {
        Asked::Host(host) => return parsed(kind, &host, rest),
        Asked::Port(port) => place.own(port),
        Asked::Usual => match (usual_port, place.first()) {
            (Some(port), _) => place.own(port),
            (None, Some(at)) => at,
            (None, None) => {
                let name = quote(place.name.as_bytes());
                return Err(TargetError::new(format!(
                    "`{name}` publishes no port; say which one: `{kind_form}`",
                    kind_form = form(kind)
                )));
            }
        },
    };
    let mut target = parsed(kind, &at.to_string(), rest)?;
    if place.addresses.first() == Some(&at.ip()) {
        target.addresses = place.addresses.to_vec();
    }
    Ok(target)
}

fn parsed(kind: &str, host: &str, rest: &str) -> Result<Target, TargetError> {
    let slash = if rest.is_empty() || rest.starts_with(['/', '?']) { "" } else { "/" };
    Target::parse(&format!("{kind}://{host}{slash}{rest}"))
}

/// How a label of this kind is written.
fn form(kind: &str) -> &'static str {
    match kind {
        "http" | "https" => ":8080/health",
        "dns" => "53/example.org",
        "tls" => "443",
        _ => "5432",
    }
}

/// Which port of the replica is meant, or whom else.
enum Asked {
    Usual,
    Port(u16),
    Host(String),
}

impl Asked {
    /// Reads what stands before the path; returns the path, too.
    fn read<'a>(kind: &str, value: &'a str) -> Result<(Self, &'a str), TargetError> {
        let unclear = || {
            let value = quote(value.as_bytes());
            TargetError::new(format!("`{value}` is not understood; write it like `{}`", form(kind)))
        };
        if matches!(kind, "redis" | "postgres" | "mysql") && matches!(value, "on" | "true") {
            return Ok((Self::Usual, ""));
        }
        let (head, rest) = value.split_at(value.find(['/', '?']).unwrap_or(value.len()));
        if head.is_empty() && kind != "dns" {
            return Ok((Self::Usual, rest));
        }
        let digits = head.strip_prefix(':').unwrap_or(head);
        if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            let port = digits.parse().ok().filter(|port: &u16| *port != 0).ok_or_else(unclear)?;
            return Ok((Self::Port(port), rest));
        }
        match head.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                Ok((Self::Host(head.to_owned()), rest))
            }
            // A name alone is what is asked for.
            None if kind == "dns" && !rest.starts_with('/') => Ok((Self::Usual, value)),
            _ => Err(unclear()),
        }
    }
}

impl Place<'_> {
    /// Returns where a port of the replica's own is reached: at its own address, else where it is published, else at the
    /// host that it shares.
    fn own(&self, port: u16) -> SocketAddr {
        if let Some(address) = self.addresses.first() {
            return (*address, port).into();
        }
        let published = self.ports.iter().filter_map(|text| Port::read(text));
        let mut published = published.filter(|found| found.own == port);
        published.next().map_or_else(|| (Ipv4Addr::LOCALHOST, port).into(), |found| found.outside)
    }

    /// Returns where the replica's first port is reached.
    fn first(&self) -> Option<SocketAddr> {
        self.ports.iter().find_map(|text| Port::read(text)).map(|port| self.own(port.own))
    }
}

/// A port as a runtime tells it.
struct Port {
    outside: SocketAddr,
    own: u16,
}

impl Port {
    fn read(text: &str) -> Option<Self> {
        let (outside, own) = match text.split_once("->") {
            Some((outside, own)) => {
                let (own, protocol) = own.split_once('/').unwrap_or((own, "tcp"));
                if protocol != "tcp" {
                    return None;
                }
                (outside, own.parse().ok()?)
            }
            None => (text, text.rsplit_once(':')?.1.parse().ok()?),
        };
        let mut outside: SocketAddr = outside.parse().ok()?;
        match outside.ip() {
            IpAddr::V4(address) if address.is_unspecified() => outside.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(address) if address.is_unspecified() => outside.set_ip(Ipv6Addr::LOCALHOST.into()),
            IpAddr::V4(_) | IpAddr::V6(_) => {}
        }
        Some(Self { outside, own })
    }
}

#[cfg(test)]
mod tests;
