//! What the host is: its kernel, its name, its system.

use std::ffi::CStr;
use std::path::Path;

use super::source::read_once;

/// The labels of `node_os_info`, in their order, which are the keys of `os-release` in small letters.
pub(crate) const OS_LABELS: [&str; 12] = [
    "build_id",
    "id",
    "id_like",
    "image_id",
    "image_version",
    "name",
    "pretty_name",
    "variant",
    "variant_id",
    "version",
    "version_codename",
    "version_id",
];

const ID: usize = 1;
const ID_LIKE: usize = 2;
const NAME: usize = 5;
const VERSION_ID: usize = 11;

/// What changes only when the host is renamed, updated or started anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) sysname: Box<str>,
    pub(crate) release: Box<str>,
    pub(crate) version: Box<str>,
    pub(crate) machine: Box<str>,
    pub(crate) nodename: Box<str>,
    pub(crate) domainname: Box<str>,
    pub(crate) os: Option<Os>,
}

/// What `os-release` says; texts are empty where it is silent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Os {
    /// By [`OS_LABELS`].
    pub(crate) texts: [Box<str>; 12],
}

impl Os {
    /// Returns the labels that name the system, without its version.
    pub(crate) fn system(&self) -> [(&'static str, &str); 3] {
        [ID, ID_LIKE, NAME].map(|at| (OS_LABELS[at], &*self.texts[at]))
    }

    /// Returns the version as a number, as far as it is one: 12.4 of `12.4.1`.
    pub(crate) fn version(&self) -> Option<f64> {
        let text = &*self.texts[VERSION_ID];
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let whole = digits(text);
        let part = match text.as_bytes().get(whole) {
            Some(b'.') => 1 + digits(&text[whole + 1..]),
            _ => 0,
        };
        text[..whole + part].parse().ok().filter(|_| whole > 0)
    }

    fn parse(text: &str) -> Self {
        let mut os = Self::default();
        for line in text.lines() {
            let Some((key, value)) = line.trim().split_once('=') else { continue };
            if let Some(at) = OS_LABELS.iter().position(|label| label.eq_ignore_ascii_case(key)) {
                os.texts[at] = unquote(value).into();
            }
        }
        os
    }
}

impl Identity {
    /// Reads it; `root` is where the host's own files are.
    pub(super) fn read(root: &Path, buffer: &mut Vec<u8>) -> Self {
        let uname = rustix::system::uname();
        let text = |text: &CStr| Box::<str>::from(text.to_string_lossy());
        let files = ["etc/os-release", "usr/lib/os-release"];
        let os =
            files.iter().find_map(|file| read_once(&root.join(file), buffer).map(|text| Os::parse(&text)));
        // In a container, the kernel tells the container's name.
        let elsewhere = root != Path::new("/");
        let name = elsewhere.then(|| read_once(&root.join("etc/hostname"), buffer)).flatten();
        Self {
            sysname: text(uname.sysname()),
            release: text(uname.release()),
            version: text(uname.version()),
            machine: text(uname.machine()),
            nodename: name.filter(|name| !name.is_empty()).map_or_else(|| text(uname.nodename()), Box::from),
            domainname: text(uname.domainname()),
            os,
        }
    }
}

/// Takes off a shell's quotes.
fn unquote(value: &str) -> String {
    let value = value.trim();
    if let Some(inner) = value.strip_prefix('\'').and_then(|value| value.strip_suffix('\'')) {
        return inner.to_owned();
    }
    let inner = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    let mut out = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        out.push(if character == '\\' { characters.next().unwrap_or('\\') } else { character });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_is_named() {
        let os = Os::parse("NAME=\"A \\\"B\\\"\"\nVERSION_ID='12.4.1'\nID=debian\n# ID_LIKE=x\nBROKEN\n");
        assert_eq!(os.system(), [("id", "debian"), ("id_like", ""), ("name", "A \"B\"")]);
        assert_eq!(os.version(), Some(12.4));
    }

    #[test]
    fn a_version_is_a_number_or_none() {
        for (text, version) in
            [("12", Some(12.0)), ("3.", Some(3.0)), ("rolling", None), ("", None), (".5", None)]
        {
            let os = Os::parse(&format!("VERSION_ID={text}"));
            assert_eq!(os.version(), version, "{text}");
        }
    }
}
