//! The area `probes`: what is asked from outside, how often, and what it must answer.

mod file;
mod print;
mod rules;

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use zv_probe::{BodyRule, Check, Encryption, Exec, Http, Pace, Target, TargetError, Trust};

pub(crate) use self::file::ProbeFile;

use super::reading::Reading;
use super::secret::Secret;

/// The shortest interval.
const LEAST_INTERVAL: Duration = Duration::from_millis(100);
/// The longest interval and time limit.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// A probe of the configuration.
#[derive(Clone)]
pub struct Probe {
    /// Unique among the probes of the configuration.
    pub name: String,
    pub target: Target,
    pub pace: Pace,
    /// Tells one content from another, that of files it names too. A reload leaves alone what has the same.
    pub fingerprint: u64,
    written: ProbeFile,
}

impl PartialEq for Probe {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.fingerprint == other.fingerprint
    }
}

impl Eq for Probe {}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe")
            .field("name", &self.name)
            .field("target", &self.target)
            .field("pace", &self.pace)
            .finish_non_exhaustive()
    }
}

/// Resolves the area: the sound probes, in the order of the file.
pub(crate) fn resolve(files: Vec<ProbeFile>, reading: &mut Reading<'_>) -> Vec<Arc<Probe>> {
    let anything = Arc::new(Trust::anything());
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    let mut probes = Vec::new();
    for (index, file) in files.into_iter().enumerate() {
        let key = format!("probes[{index}]");
        if file == ProbeFile::default() && reading.has_mistake(&key) {
            continue;
        }
        rules::check(&file, &key, reading);
        if let Some(name) = &file.name {
            match names.get(name) {
                Some(first) => {
                    let text = format!("`{key}.name` is that of `probes[{first}]`; names are unique");
                    reading.mistake(&format!("{key}.name"), text);
                }
                None => {
                    names.insert(name.clone(), index);
                }
            }
        }
        let made = Making { file: &file, key: &key, anything: &anything, files: Vec::new() }.probe(reading);
        probes.extend(made.map(Arc::new));
    }
    probes
}

/// One probe in the making.
struct Making<'a> {
    file: &'a ProbeFile,
    key: &'a str,
    anything: &'a Arc<Trust>,
    /// What was read of files, for the fingerprint.
    files: Vec<String>,
}

impl Making<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.key)
    }

    fn probe(mut self, reading: &mut Reading<'_>) -> Option<Probe> {
        let file = self.file;
        let password = self.read(&file.password_file, "password_file", reading).map(zv_probe::Secret::new);
        let authorities = self.read(&file.ca_file, "ca_file", reading);
        let confirm = file.confirm.as_ref().and_then(|text| self.noted("confirm", text.parse(), reading));
        let mut target = self.target(password.as_ref(), reading)?;
        if let Some(pem) = authorities {
            target.trust = self.noted("ca_file", Trust::only(pem.as_bytes()), reading).map(Arc::new);
            insist_on_trust(&mut target.check);
        } else if file.insecure_skip_verify == Some(true) {
            target.trust = Some(Arc::clone(self.anything));
        }
        let expect = file.expect.clone().unwrap_or_default();
        target.timeout = file.timeout.map_or(target.timeout, |span| span.0);
        target.within = expect.within.map(|span| span.0);
        target.certificate_days = expect.certificate_days.unwrap_or(target.certificate_days);
        let every = file.every.map(|span| span.0);
        let failing = file.failing_every.map(|span| span.0);
        let name = file.name.clone()?;
        let mut hasher = DefaultHasher::new();
        (file, &self.files).hash(&mut hasher);
        Some(Probe {
            name,
            target,
            pace: Pace::new(every, failing, confirm),
            fingerprint: hasher.finish(),
            written: file.clone(),
        })
    }

    /// Reads a file that the probe names.
    fn read(&mut self, path: &Option<PathBuf>, name: &str, reading: &mut Reading<'_>) -> Option<String> {
        let key = self.key(name);
        let path = reading.path(&key, path.clone()?);
        let text = reading.secret(&key, &path).map(|secret: Secret| secret.expose().to_owned())?;
        self.files.push(text.clone());
        Some(text)
    }

    /// Reports what is wrong with the value of a key; what was written is not repeated.
    fn noted<T>(&self, name: &str, made: Result<T, TargetError>, reading: &mut Reading<'_>) -> Option<T> {
        let key = self.key(name);
        made.map_err(|error| reading.mistake(&key, format!("`{key}`: {}", error.discreet()))).ok()
    }

    fn target(&self, password: Option<&zv_probe::Secret>, reading: &mut Reading<'_>) -> Option<Target> {
        if let Some(command) = &self.file.exec {
            let (program, arguments) = command.0.split_first()?;
            let exec = Exec { program: program.clone(), arguments: arguments.to_vec() };
            return Some(Target::new(program.clone(), Check::Exec(exec)));
        }
        let (kind, text) = self.file.address()?;
        let text = if text.contains("://") {
            text.to_owned()
        } else if kind == "dns" && !text.contains('/') {
            format!("dns:///{text}")
        } else {
            format!("{kind}://{text}")
        };
        let parsed = match password {
            Some(password) => Target::parse_with_password(&text, password),
            None => Target::parse(&text),
        };
        let Some(mut target) = self.noted(kind, parsed, reading) else {
            // What else is wrong is said all the same.
            if kind == "http"
                && let Ok(mut other) = Target::parse("http://localhost/")
            {
                self.expect(&mut other.check, reading);
            }
            return None;
        };
        if target.check.kind() != kind {
            let key = self.key(kind);
            reading.mistake(&key, format!("`{key}` is the address of another kind; write `{kind}://…`"));
            return None;
        }
        self.expect(&mut target.check, reading);
        Some(target)
    }

    /// Says what must be answered. What is not of the kind has been reported.
    fn expect(&self, check: &mut Check, reading: &mut Reading<'_>) {
        let file = self.file;
        let expect = file.expect.clone().unwrap_or_default();
        match check {
            Check::Http(http) => self.web(http, reading),
            Check::Tcp(tcp) => {
                if let Some(send) = &file.send {
                    tcp.send = send.clone().into_bytes();
                }
                if let Some(answer) = &expect.answer {
                    tcp.expect = answer.clone().into_bytes();
                }
            }
            Check::Dns(dns) => dns.expect.extend(expect.records.map_or(Vec::new(), |records| records.0)),
            Check::Tls(_) | Check::Redis(_) | Check::Postgres(_) | Check::Mysql(_) | Check::Exec(_) => {}
        }
    }

    fn web(&self, http: &mut Box<Http>, reading: &mut Reading<'_>) {
        let file = self.file;
        if let Some(method) = &file.method {
            let upper = method.to_ascii_uppercase();
            let parsed = zv_probe::Method::from_bytes(upper.as_bytes());
            match parsed {
                Ok(method) => http.method = method,
                Err(_) => {
                    let key = self.key("method");
                    reading.mistake(&key, format!("`{key}` is no method; write `GET`, `HEAD` or `POST`"));
                }
            }
        }
        for (name, value) in file.headers.iter().flatten() {
            let key = format!("headers.{name}");
            if let Some(with) = self.noted(&key, (**http).clone().with_header(name, value), reading) {
                **http = with;
            }
        }
        if let Some(body) = &file.body {
            http.body = body.clone().into();
        }
        http.redirects = file.redirects.unwrap_or(http.redirects);
        let expect = file.expect.clone().unwrap_or_default();
        if let Some(status) = &expect.status
            && let Some(status) = self.noted("expect.status", status.parse(), reading)
        {
            http.expect.status = status;
        }
        let mut rules = Vec::new();
        let texts = expect.body_contains.map_or(Vec::new(), |texts| texts.0);
        rules.extend(texts.into_iter().map(BodyRule::Contains));
        for pattern in expect.body_regex.map_or(Vec::new(), |patterns| patterns.0) {
            rules.extend(self.noted("expect.body_regex", BodyRule::matches(&pattern), reading));
        }
        for (pointer, wanted) in expect.json.into_iter().flatten() {
            let rule = BodyRule::json(&pointer, Some(wanted.into()));
            rules.extend(self.noted(&format!("expect.json.{pointer}"), rule, reading));
        }
        http.expect.body.extend(rules);
    }
}

/// Whoever names the authorities wants a certificate of theirs, where the protocol lets the server choose.
fn insist_on_trust(check: &mut Check) {
    let encryption = match check {
        Check::Postgres(postgres) => &mut postgres.encryption,
        Check::Mysql(mysql) => &mut mysql.encryption,
        Check::Http(_) | Check::Tcp(_) | Check::Tls(_) | Check::Dns(_) | Check::Redis(_) | Check::Exec(_) => {
            return;
        }
    };
    if *encryption == Encryption::IfOffered {
        *encryption = Encryption::Verified;
    }
}
