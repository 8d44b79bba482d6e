//! The effective configuration as YAML that reads back to the same, each value with its origin.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use super::mistake::Place;
use super::secret::Secret;
use super::values::{Size, Span};
use super::{Config, Tls};

impl Config {
    /// Returns the effective configuration as YAML. Secrets are masked; a comment tells where each value came from.
    pub fn print(&self) -> String {
        let mut page = Page { text: String::new(), places: &self.places };
        page.open(0, "global");
        page.open(1, "external_labels");
        page.value(2, "global.external_labels.host", &self.global.host_name);
        self.print_stack(&mut page);
        page.open(0, "collect");
        page.value(1, "collect.interval", &Span(self.collect.interval).to_string());
        page.path(1, "collect.host_root", &self.collect.host_root);
        page.open(0, "store");
        page.path(1, "store.path", &self.store.path);
        page.open(1, "deaths");
        page.plain(2, "store.deaths.keep", &self.store.deaths.keep.to_string());
        page.value(2, "store.deaths.max_bytes", &Size(self.store.deaths.max_bytes).to_string());
        self.print_api(&mut page);
        if !self.probes.is_empty() {
            page.open(0, "probes");
        }
        for (index, probe) in self.probes.iter().enumerate() {
            probe.print(&mut page, &format!("probes[{index}]"));
        }
        page.open(0, "log");
        page.value(1, "log.level", self.log.level.as_str());
        page.value(1, "log.format", self.log.format.as_str());
        page.value(0, "shutdown_grace", &Span(self.shutdown_grace).to_string());
        page.text
    }

    fn print_stack(&self, page: &mut Page<'_>) {
        page.open(0, "stack");
        page.value(1, "stack.runtime", self.stack.runtime.as_str());
        if !self.stack.projects.is_empty() {
            page.list(1, "stack.project", self.stack.projects.iter().map(String::as_str));
        }
        if let Some(file) = &self.stack.file {
            page.path(1, "stack.file", file);
        }
        let docker = &self.stack.docker;
        if docker.host.is_none() && docker.context.is_none() && docker.cert_dir.is_none() {
            return;
        }
        page.open(1, "docker");
        for (key, value) in [("stack.docker.host", &docker.host), ("stack.docker.context", &docker.context)] {
            if let Some(value) = value {
                page.value(2, key, value);
            }
        }
        if let Some(folder) = &docker.cert_dir {
            page.path(2, "stack.docker.cert_dir", folder);
        }
    }

    fn print_api(&self, page: &mut Page<'_>) {
        let api = &self.api;
        page.open(0, "api");
        let listen: Vec<String> = api.listen.iter().map(ToString::to_string).collect();
        page.list(1, "api.listen", listen.iter().map(String::as_str));
        match &api.unix {
            Some(path) => page.path(1, "api.unix", path),
            None => page.value(1, "api.unix", "off"),
        }
        page.path(1, "api.token_file", &api.token_file);
        if api.token.is_some() && self.places.contains_key(super::environment::TOKEN) {
            page.line(1, &format!("# token: {}", Secret::MASK), super::environment::TOKEN);
        }
        page.value(1, "api.read", api.read.as_str());
        if let Some(Tls { cert_file, key_file, .. }) = &api.tls {
            page.open(1, "tls");
            page.path(2, "api.tls.cert_file", cert_file);
            page.path(2, "api.tls.key_file", key_file);
        }
        if !api.hosts.is_empty() {
            page.list(1, "api.hosts", api.hosts.iter().map(String::as_str));
        }
    }
}

/// The YAML, while it is written.
pub(crate) struct Page<'a> {
    text: String,
    places: &'a BTreeMap<String, Place>,
}

impl Page<'_> {
    pub(crate) fn open(&mut self, depth: usize, key: &str) {
        self.text.push_str(&"  ".repeat(depth));
        self.text.push_str(key);
        self.text.push_str(":\n");
    }

    pub(crate) fn value(&mut self, depth: usize, key: &str, value: &str) {
        self.plain(depth, key, &quoted(value));
    }

    pub(crate) fn path(&mut self, depth: usize, key: &str, value: &Path) {
        self.value(depth, key, &value.to_string_lossy());
    }

    pub(crate) fn list<'i>(&mut self, depth: usize, key: &str, items: impl Iterator<Item = &'i str>) {
        let items: Vec<String> = items.map(quoted).collect();
        self.plain(depth, key, &format!("[{}]", items.join(", ")));
    }

    pub(crate) fn plain(&mut self, depth: usize, key: &str, value: &str) {
        let name = key.rsplit('.').next().unwrap_or(key);
        self.line(depth, &format!("{name}: {value}"), key);
    }

    pub(crate) fn line(&mut self, depth: usize, text: &str, key: &str) {
        let place = self.places.get(key).unwrap_or(&Place::Default).to_string();
        let place: String = place.chars().flat_map(char::escape_debug).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{}{text}  # {place}", "  ".repeat(depth));
    }
}

/// Returns `text` as a YAML scalar that is text for sure: plain where it cannot be anything else.
pub(crate) fn quoted(text: &str) -> String {
    let number_and_unit = text.ends_with(|c: char| c.is_ascii_alphabetic())
        && !text.starts_with('0')
        && text.parse::<f64>().is_err();
    let plain_start = text.starts_with(|c: char| {
        c.is_ascii_alphabetic() || c == '/' || (c.is_ascii_digit() && number_and_unit)
    });
    let plain_rest = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b));
    let reserved = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    if plain_start && plain_rest && !reserved.contains(&text.to_ascii_lowercase().as_str()) {
        return text.to_owned();
    }
    serde_json::Value::String(text.to_owned()).to_string()
}
