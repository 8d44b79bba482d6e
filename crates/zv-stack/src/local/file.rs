//! The part of a stack file that describes local services: `x-zv.local`. The rest of the file is not looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};
use serde_saphyr::{Location, Spanned};

use crate::model::RestartPolicy;

/// The most bytes of a stack file.
const LIMIT: u64 = 1 << 20;
/// The most replicas of one service.
pub(super) const MAX_REPLICAS: u32 = 1000;

/// A stack of local services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StackFile {
    pub name: Arc<str>,
    pub services: BTreeMap<Arc<str>, Arc<Spec>>,
}

/// One service as the file defines it, variables expanded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Spec {
    pub command: Vec<String>,
    /// Not part of the definition's hash: a service that is scaled is not a changed one.
    #[serde(skip)]
    pub replicas: u32,
    pub env: BTreeMap<String, String>,
    pub working_dir: PathBuf,
    pub depends_on: Vec<Arc<str>>,
    pub health: Option<HealthSpec>,
    pub restart: RestartPolicy,
    pub stop_grace: Duration,
    pub labels: BTreeMap<String, String>,
    #[serde(skip)]
    pub hash: String,
}

/// How a replica's health is checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct HealthSpec {
    pub test: Test,
    pub interval: Duration,
    pub timeout: Duration,
    pub retries: u32,
    pub start_period: Duration,
    /// The interval within the start period, until the first success.
    pub start_interval: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) enum Test {
    /// A path on the replica's port that answers 2xx or 3xx.
    Http(String),
    /// The replica's port accepts a connection.
    Tcp,
    /// A command that exits 0.
    Exec(Vec<String>),
}

/// Why a stack file cannot be used: file, line and what to do.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}{}: {message}", file.display(), line.map(|line| format!(":{line}")).unwrap_or_default())]
pub(super) struct FileError {
    file: PathBuf,
    line: Option<u64>,
    message: String,
}

#[derive(Deserialize)]
struct Document {
    name: Option<String>,
    #[serde(rename = "x-zv")]
    extension: Option<Extension>,
}

#[derive(Deserialize)]
struct Extension {
    local: Option<BTreeMap<String, Spanned<Entry>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    command: Spanned<Vec<Spanned<String>>>,
    replicas: Option<Spanned<u32>>,
    #[serde(default)]
    env: BTreeMap<String, Spanned<String>>,
    working_dir: Option<Spanned<String>>,
    #[serde(default)]
    depends_on: Vec<Spanned<String>>,
    health: Option<Spanned<HealthEntry>>,
    #[serde(default)]
    restart: RestartPolicy,
    stop_grace: Option<Span>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HealthEntry {
    http: Option<Spanned<String>>,
    #[serde(default)]
    tcp: bool,
    exec: Option<Vec<Spanned<String>>>,
    interval: Option<Span>,
    timeout: Option<Span>,
    retries: Option<u32>,
    start_period: Option<Span>,
    start_interval: Option<Span>,
}

/// A duration such as `500ms`, `2s` or `1m30s`.
#[derive(Clone, Copy)]
struct Span(Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let message = || format!("`{text}` is not a duration; write it like `500ms`, `2s` or `1m30s`");
        parse_duration(&text).map(Span).ok_or_else(|| serde::de::Error::custom(message()))
    }
}

/// Parses numbers with units, largest first: `1h`, `1m30s`, `500ms`, `1.5s`.
fn parse_duration(text: &str) -> Option<Duration> {
    let (mut rest, mut sum, mut last) = (text, 0.0, f64::INFINITY);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 0.001,
            _ => return None,
        };
        if unit >= last {
            return None;
        }
        (sum, last, rest) = (sum + number * unit, unit, &rest[end..]);
    }
    let parsed = if text.is_empty() { None } else { Duration::try_from_secs_f64(sum).ok() };
    parsed.filter(|duration| *duration <= Duration::from_secs(24 * 3600))
}

/// Reads a stack file; `${NAME}` is taken from `vars`.
pub(super) fn read(file: &Path, vars: &BTreeMap<String, String>) -> Result<StackFile, FileError> {
    let failed = |message: String| FileError { file: file.to_owned(), line: None, message };
    let size = std::fs::metadata(file).map_err(|error| failed(format!("cannot be read: {error}")))?.len();
    if size > LIMIT {
        return Err(failed(format!("has {size} bytes; at most {LIMIT} are read")));
    }
    let text = std::fs::read_to_string(file).map_err(|error| failed(format!("cannot be read: {error}")))?;
    parse(file, &text, vars)
}

/// Parses the text of a stack file.
pub(super) fn parse(
    file: &Path,
    text: &str,
    vars: &BTreeMap<String, String>,
) -> Result<StackFile, FileError> {
    let document: Document = serde_saphyr::from_str(text).map_err(|error| {
        let error = error.without_snippet();
        let line = error.location().map(|location| location.line());
        FileError { file: file.to_owned(), line, message: without_place(&error.to_string()) }
    })?;
    let reader = Reader { file, vars };
    let entries = document.extension.and_then(|extension| extension.local).unwrap_or_default();
    if entries.is_empty() {
        return Err(reader.error(None, "names no local service; add one under `x-zv: local:`".into()));
    }
    let folder =
        file.canonicalize().ok().and_then(|path| path.parent()?.file_name()?.to_str().map(str::to_owned));
    let name = document.name.or(folder).unwrap_or_else(|| "local".to_owned());
    if !is_name(&name) {
        return Err(
            reader.error(None, format!("`name: {name}` may hold only letters, digits, `-`, `_` and `.`"))
        );
    }
    let names: BTreeSet<&str> = entries.keys().map(String::as_str).collect();
    let mut services = BTreeMap::new();
    for (service, entry) in &entries {
        services.insert(Arc::from(service.as_str()), Arc::new(reader.spec(service, entry, &names)?));
    }
    let stack = StackFile { name: name.into(), services };
    match stack.cycle() {
        Some(cycle) => {
            let at = entries.get(&*cycle[0]).map(|entry| entry.referenced);
            Err(reader.error(at, format!("`depends_on` goes round in a circle: {}", cycle.join(" → "))))
        }
        None => Ok(stack),
    }
}

/// The parser ends its messages with the place, which stands in front here.
fn without_place(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let end = line.rfind(" at line ").or_else(|| line.rfind(" (line ")).unwrap_or(line.len());
    line[..end].trim_end_matches([',', ':']).to_owned()
}

fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    text.chars().all(allowed) && text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.len() <= 100
}

struct Reader<'a> {
    file: &'a Path,
    vars: &'a BTreeMap<String, String>,
}

impl Reader<'_> {
    fn error(&self, at: Option<Location>, message: String) -> FileError {
        FileError { file: self.file.to_owned(), line: at.map(|location| location.line()), message }
    }

    fn spec(&self, service: &str, entry: &Spanned<Entry>, names: &BTreeSet<&str>) -> Result<Spec, FileError> {
        let (at, entry) = (Some(entry.referenced), &entry.value);
        if !is_name(service) {
            return Err(self.error(
                at,
                format!("the service name `{service}` may hold only letters, digits, `-`, `_` and `.`"),
            ));
        }
        for needed in &entry.depends_on {
            if !names.contains(needed.value.as_str()) {
                let text = format!(
                    "`{service}` depends on `{}`, which is not among the local services",
                    needed.value
                );
                return Err(self.error(Some(needed.referenced), text));
            }
        }
        let replicas = entry.replicas.as_ref().map_or(1, |replicas| replicas.value);
        if replicas > MAX_REPLICAS {
            let at = entry.replicas.as_ref().map(|replicas| replicas.referenced);
            return Err(self.error(at, format!("`replicas: {replicas}` is more than {MAX_REPLICAS}")));
        }
        let folder = self.file.parent().unwrap_or(Path::new(""));
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let working_dir = match &entry.working_dir {
            Some(dir) => folder.join(self.expand(dir)?),
            None => folder.to_owned(),
        };
        let env = entry.env.iter().map(|(name, value)| Ok((name.clone(), self.expand(value)?)));
        let spec = Spec {
            command: self.command(&entry.command.value, entry.command.referenced)?,
            replicas,
            env: env.collect::<Result<_, FileError>>()?,
            working_dir,
            depends_on: entry.depends_on.iter().map(|name| Arc::from(name.value.as_str())).collect(),
            health: entry.health.as_ref().map(|health| self.health(health)).transpose()?,
            restart: entry.restart,
            stop_grace: entry.stop_grace.map_or(Duration::from_secs(10), |span| span.0),
            labels: entry.labels.clone(),
            hash: String::new(),
        };
        Ok(Spec { hash: hash_of(&spec), ..spec })
    }

    fn health(&self, health: &Spanned<HealthEntry>) -> Result<HealthSpec, FileError> {
        let (at, entry) = (health.referenced, &health.value);
        let test = match (&entry.http, entry.tcp, &entry.exec) {
            (Some(path), false, None) => {
                let expanded = self.expand(path)?;
                if expanded.parse::<hyper::Uri>().is_err() || !expanded.starts_with('/') {
                    let text = format!("`http: {expanded}` is not a path; write it like `/health`");
                    return Err(self.error(Some(path.referenced), text));
                }
                Test::Http(expanded)
            }
            (None, true, None) => Test::Tcp,
            (None, false, Some(command)) => Test::Exec(self.command(command, at)?),
            _ => {
                let text = "`health` needs one of `http: /path`, `tcp: true` and `exec: [command]`";
                return Err(self.error(Some(at), text.into()));
            }
        };
        let or = |span: Option<Span>, seconds| span.map_or(Duration::from_secs(seconds), |span| span.0);
        let interval = or(entry.interval, 30);
        let spec = HealthSpec {
            test,
            interval,
            timeout: or(entry.timeout, 30),
            retries: entry.retries.unwrap_or(3),
            start_period: or(entry.start_period, 0),
            start_interval: entry.start_interval.map_or(interval.min(Duration::from_secs(1)), |span| span.0),
        };
        let shortest = spec.interval.min(spec.timeout).min(spec.start_interval);
        if shortest < Duration::from_millis(1) || spec.retries == 0 {
            let text = "`interval`, `start_interval` and `timeout` of `health` must be at least 1ms, `retries` at least 1";
            return Err(self.error(Some(at), text.into()));
        }
        Ok(spec)
    }

    fn command(&self, words: &[Spanned<String>], at: Location) -> Result<Vec<String>, FileError> {
        let words: Vec<String> = words.iter().map(|word| self.expand(word)).collect::<Result<_, _>>()?;
        if words.first().is_none_or(String::is_empty) {
            return Err(self.error(Some(at), "the command is empty; its first word is the program".into()));
        }
        Ok(words)
    }

    /// Replaces `${NAME}`; `$$` is a dollar sign.
    fn expand(&self, text: &Spanned<String>) -> Result<String, FileError> {
        let at = Some(text.referenced);
        let (mut rest, mut expanded) = (text.value.as_str(), String::new());
        while let Some(dollar) = rest.find('$') {
            expanded.push_str(&rest[..dollar]);
            rest = &rest[dollar + 1..];
            if let Some(behind) = rest.strip_prefix('{') {
                let (name, behind) = behind.split_once('}').ok_or_else(|| {
                    self.error(at, format!("`{}` has a `${{` without its `}}`", text.value))
                })?;
                let value = self.vars.get(name).ok_or_else(|| {
                    let known: Vec<&str> = self.vars.keys().map(String::as_str).collect();
                    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                    self.error(at, format!("the variable `{name}` is not known here; known: {known}"))
                })?;
                expanded.push_str(value);
                rest = behind;
            } else {
                expanded.push('$');
                rest = rest.strip_prefix('$').unwrap_or(rest);
            }
        }
        Ok(expanded + rest)
    }
}

impl StackFile {
    /// Returns the services in groups: each needs only those of earlier groups.
    pub(super) fn levels(&self) -> Vec<Vec<Arc<str>>> {
        let (mut levels, mut placed): (Vec<Vec<Arc<str>>>, BTreeSet<Arc<str>>) = Default::default();
        while placed.len() < self.services.len() {
            let ready = |(name, spec): &(&Arc<str>, &Arc<Spec>)| {
                !placed.contains(*name) && spec.depends_on.iter().all(|needed| placed.contains(needed))
            };
            let level: Vec<Arc<str>> =
                self.services.iter().filter(ready).map(|(name, _)| name.clone()).collect();
            if level.is_empty() {
                break;
            }
            placed.extend(level.iter().cloned());
            levels.push(level);
        }
        levels
    }

    /// Returns a circle of dependencies, its first service again at the end.
    fn cycle(&self) -> Option<Vec<Arc<str>>> {
        let placed: BTreeSet<Arc<str>> = self.levels().into_iter().flatten().collect();
        let mut path = vec![self.services.keys().find(|name| !placed.contains(*name))?.clone()];
        loop {
            let spec = self.services.get(path.last()?)?;
            let next = spec.depends_on.iter().find(|needed| !placed.contains(*needed))?.clone();
            let seen = path.iter().position(|name| *name == next);
            path.push(next);
            if let Some(start) = seen {
                return Some(path.split_off(start));
            }
        }
    }
}

/// Hashes a definition with FNV-1a: it tells definitions apart from one version to the next, and protects nothing.
fn hash_of(spec: &Spec) -> String {
    let bytes = serde_json::to_vec(spec).unwrap_or_default();
    format!("{:016x}", fnv(&bytes))
}

/// FNV-1a over 64 bits.
pub(super) fn fnv(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests;
