//! A probe as YAML, without its secrets.

use super::Probe;
use crate::config::print::{Page, quoted};
use crate::config::secret::Secret;
use crate::config::values::{OneOrMore, Span};

impl Probe {
    /// Writes the probe; `key` is where it stands.
    pub(crate) fn print(&self, page: &mut Page<'_>, key: &str) {
        let file = &self.written;
        let at = |name: &str| format!("{key}.{name}");
        page.line(1, &format!("- name: {}", quoted(&self.name)), &at("name"));
        if let Some(exec) = &file.exec {
            // An argument may be a password.
            let shown = exec.0.iter().enumerate().map(|(n, word)| if n == 0 { word } else { Secret::MASK });
            page.list(2, &at("exec"), shown);
        } else if let Some((kind, written)) = file.address() {
            page.value(2, &at(kind), &self.target.name);
            if written.contains('@') {
                page.line(2, &format!("# login: {}", Secret::MASK), &at(kind));
            }
        }
        let secret = |given: bool| given.then_some(Secret::MASK);
        for (name, value) in [
            ("method", file.method.as_deref()),
            ("body", secret(file.body.is_some())),
            ("send", secret(file.send.is_some())),
        ] {
            if let Some(value) = value {
                page.value(2, &at(name), value);
            }
        }
        for (name, path) in [("password_file", &file.password_file), ("ca_file", &file.ca_file)] {
            if let Some(path) = path {
                page.path(2, &at(name), path);
            }
        }
        if let Some(redirects) = file.redirects {
            page.plain(2, &at("redirects"), &redirects.to_string());
        }
        if let Some(insecure) = file.insecure_skip_verify {
            page.plain(2, &at("insecure_skip_verify"), &insecure.to_string());
        }
        if let Some(headers) = file.headers.as_ref().filter(|headers| !headers.is_empty()) {
            page.open(2, "headers");
            for name in headers.keys() {
                let text = format!("{}: {}", quoted(name), quoted(Secret::MASK));
                page.line(3, &text, &at(&format!("headers.{name}")));
            }
        }
        self.print_expect(page, key);
        page.value(2, &at("timeout"), &Span(self.target.timeout).to_string());
        page.value(2, &at("every"), &Span(self.pace.schedule.interval(false)).to_string());
        page.value(2, &at("failing_every"), &Span(self.pace.schedule.interval(true)).to_string());
        page.value(2, &at("confirm"), &self.pace.confirm.to_string());
    }

    fn print_expect(&self, page: &mut Page<'_>, key: &str) {
        let Some(expect) = &self.written.expect else { return };
        let at = |name: &str| format!("{key}.expect.{name}");
        page.open(2, "expect");
        let within = expect.within.map(|span| span.to_string());
        for (name, value) in [("status", &expect.status), ("answer", &expect.answer), ("within", &within)] {
            if let Some(value) = value {
                page.value(3, &at(name), value);
            }
        }
        let lists: [(&str, &Option<OneOrMore<String>>); 3] = [
            ("body_contains", &expect.body_contains),
            ("body_regex", &expect.body_regex),
            ("records", &expect.records),
        ];
        for (name, list) in lists {
            if let Some(list) = list {
                page.list(3, &at(name), list.0.iter().map(String::as_str));
            }
        }
        if let Some(json) = &expect.json {
            page.open(3, "json");
            for (pointer, wanted) in json {
                let text = format!("{}: {}", quoted(pointer), quoted(wanted));
                page.line(4, &text, &at(&format!("json.{pointer}")));
            }
        }
        if let Some(days) = expect.certificate_days {
            page.plain(3, &at("certificate_days"), &days.to_string());
        }
    }
}
