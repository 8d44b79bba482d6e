//! What must hold of a probe beyond the shape of its values.

use std::time::Duration;

use super::file::ProbeFile;
use super::{LEAST_INTERVAL, LONGEST};
use crate::config::reading::Reading;
use crate::config::values::Span;

const KINDS: &str = "`http`, `tcp`, `tls`, `dns`, `redis`, `postgres`, `mysql` or `exec`";
/// More is no name.
const LONGEST_NAME: usize = 100;

/// Reports what is wrong with a probe as a whole.
pub(super) fn check(file: &ProbeFile, key: &str, reading: &mut Reading<'_>) {
    name_is_fit(file, key, reading);
    let kinds = kinds(file);
    match kinds.as_slice() {
        [] if !kind_is_wrong(key, reading) => {
            reading.mistake(key, format!("`{key}` does not say what to ask; give {KINDS}"));
        }
        [] => {}
        [kind] => keys_are_of_the_kind(file, key, kind, reading),
        [first, second, ..] => {
            let text = format!("`{key}` has both `{first}` and `{second}`; one probe asks one thing");
            reading.mistake(&format!("{key}.{second}"), text);
        }
    }
    the_program_is_one(file, key, reading);
    times_make_sense(file, key, reading);
    if file.ca_file.is_some() && file.insecure_skip_verify == Some(true) {
        let text = format!("`{key}` names authorities and trusts anybody; keep one");
        reading.mistake(&format!("{key}.insecure_skip_verify"), text);
    }
}

fn kinds(file: &ProbeFile) -> Vec<&'static str> {
    let addresses = file.addresses().into_iter().filter(|(_, given)| given.is_some()).map(|(kind, _)| kind);
    addresses.chain(file.exec.is_some().then_some("exec")).collect()
}

/// A kind whose value is wrong was reported as that.
fn kind_is_wrong(key: &str, reading: &Reading<'_>) -> bool {
    let names = ["http", "tcp", "tls", "dns", "redis", "postgres", "mysql", "exec"];
    names.iter().any(|kind| reading.is_given(&format!("{key}.{kind}")))
}

fn name_is_fit(file: &ProbeFile, key: &str, reading: &mut Reading<'_>) {
    let name_key = format!("{key}.name");
    match &file.name {
        None if !reading.is_given(&name_key) => {
            reading.mistake(key, format!("`{key}` needs the key `name`"));
        }
        None => {}
        Some(name) if name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) => {
            let text = format!("`{name_key}` is not fit to be shown; take at most {LONGEST_NAME} characters");
            reading.mistake(&name_key, text);
        }
        Some(_) => {}
    }
}

/// Where a key means something.
const OF_KINDS: [(&str, &[&str]); 15] = [
    ("method", &["http"]),
    ("headers", &["http"]),
    ("body", &["http"]),
    ("redirects", &["http"]),
    ("send", &["tcp"]),
    ("password_file", &["http", "redis", "postgres", "mysql"]),
    ("ca_file", &["http", "tls", "redis", "postgres", "mysql"]),
    ("insecure_skip_verify", &["http", "tls", "redis", "postgres", "mysql"]),
    ("expect.status", &["http"]),
    ("expect.body_contains", &["http"]),
    ("expect.body_regex", &["http"]),
    ("expect.json", &["http"]),
    ("expect.answer", &["tcp"]),
    ("expect.records", &["dns"]),
    ("expect.certificate_days", &["http", "tls", "redis", "postgres", "mysql"]),
];

fn keys_are_of_the_kind(file: &ProbeFile, key: &str, kind: &str, reading: &mut Reading<'_>) {
    for (name, kinds) in OF_KINDS {
        let full = format!("{key}.{name}");
        if reading.is_given(&full) && !kinds.contains(&kind) {
            let kinds = kinds.join(", ");
            reading.mistake(
                &full,
                format!("`{full}` means nothing to a probe of kind {kind}; it is of {kinds}"),
            );
        }
    }
    if kind == "http"
        && file.password_file.is_some()
        && !file.http.as_ref().is_some_and(|url| url.contains('@'))
    {
        let text = format!("`{key}.password_file` needs a user in the address: `http://USER@HOST/`");
        reading.mistake(&format!("{key}.password_file"), text);
    }
}

fn the_program_is_one(file: &ProbeFile, key: &str, reading: &mut Reading<'_>) {
    let Some(exec) = &file.exec else { return };
    let key = format!("{key}.exec");
    match exec.0.as_slice() {
        [] => reading.mistake(&key, format!("`{key}` is empty; give a program and its arguments as a list")),
        [line] if line.contains(char::is_whitespace) => {
            reading
                .mistake(&key, format!("`{key}` goes through no shell; write a list: [program, argument]"));
        }
        _ => {}
    }
}

fn times_make_sense(file: &ProbeFile, key: &str, reading: &mut Reading<'_>) {
    let within = file.expect.as_ref().and_then(|expect| expect.within);
    let mut bounded = |name: &str, span: Option<Span>, least: Duration| {
        let Some(span) = span else { return };
        let key = format!("{key}.{name}");
        if span.0 < least || span.0 > LONGEST {
            let least = Span(least);
            reading.mistake(&key, format!("`{key}`: write a time from `{least}` to `1d`"));
        }
    };
    bounded("every", file.every, LEAST_INTERVAL);
    bounded("failing_every", file.failing_every, LEAST_INTERVAL);
    bounded("timeout", file.timeout, Duration::from_millis(1));
    bounded("expect.within", within, Duration::from_millis(1));
    if let (Some(within), Some(timeout)) = (within, file.timeout)
        && within.0 >= timeout.0
    {
        let text = format!("`{key}` is never degraded: `expect.within` is not shorter than `timeout`");
        reading.warn(&format!("{key}.expect.within"), text);
    }
    if let (Some(every), Some(failing)) = (file.every, file.failing_every)
        && failing.0 > every.0
    {
        let text = format!("`{key}.failing_every` is longer than `every`, which is used instead");
        reading.warn(&format!("{key}.failing_every"), text);
    }
}
