//! What the configuration takes from outside its file: the process environment, the host, and the flags. Everything
//! is gathered into a value first, so tests bring their own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::mistake::{Collector, Place};
use super::nearest::nearest;
use super::tree::{Entry, Kind, Node};

/// The variables that set a key, strongest first where two set the same.
const VARIABLES: [(&str, &str); 9] = [
    ("ZV_LISTEN", "api.listen"),
    ("ZV_STORE", "store.path"),
    ("ZV_RUNTIME", "stack.runtime"),
    ("ZV_LOG", "log.level"),
    ("DOCKER_HOST", "stack.docker.host"),
    ("DOCKER_CONTEXT", "stack.docker.context"),
    ("DOCKER_CERT_PATH", "stack.docker.cert_dir"),
    (TOKEN, ""),
    ("ZV_CONFIG", ""),
];

/// The variable that holds the token itself.
pub(crate) const TOKEN: &str = "ZV_TOKEN";

/// The process environment and the host, as far as the configuration looks at them.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    pub variables: BTreeMap<String, String>,
    /// The user's number; 0 is root.
    pub uid: u32,
    /// What the kernel calls the host.
    pub host_name: Option<String>,
    /// The content of `/etc/machine-id`.
    pub machine_id: Option<String>,
    /// Looked for in this order where no file is named.
    pub default_files: Vec<PathBuf>,
    /// Variables that start with `ZV_` and that some other part of the program knows.
    pub also_known: Vec<&'static str>,
}

impl Environment {
    /// Reads the environment of this process: the only place that does.
    pub fn of_process() -> Self {
        let line = |path: &str| {
            let text = std::fs::read_to_string(path).ok()?;
            let text = text.trim();
            (!text.is_empty()).then(|| text.to_owned())
        };
        Self {
            // A variable that is not text cannot be meant by any key.
            variables: std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
            uid: rustix::process::geteuid().as_raw(),
            host_name: line("/proc/sys/kernel/hostname"),
            machine_id: line("/etc/machine-id").or_else(|| line("/var/lib/dbus/machine-id")),
            default_files: vec!["zv.yaml".into(), "/etc/zv/zv.yaml".into()],
            also_known: Vec::new(),
        }
    }

    /// Returns a variable, empty ones too.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// Returns a variable that is not empty: Compose hands an unset one on as an empty one.
    pub(crate) fn given(&self, name: &str) -> Option<&str> {
        self.variable(name).filter(|value| !value.is_empty())
    }

    /// Returns a variable that names a folder by its whole path; others are ignored, as the XDG standard says.
    pub(crate) fn folder(&self, name: &str) -> Option<&Path> {
        self.given(name).map(Path::new).filter(|path| path.is_absolute())
    }

    /// Returns what the variables say as a tree.
    pub(crate) fn tree(&self) -> Node {
        let mut tree = empty();
        for (name, key) in VARIABLES {
            let Some(value) = self.given(name).filter(|_| !key.is_empty()) else { continue };
            // As the docker command has it: the host wins over the context.
            if name == "DOCKER_CONTEXT" && self.given("DOCKER_HOST").is_some() {
                continue;
            }
            let place = Place::Variable(name.into());
            let node = match name {
                "ZV_LISTEN" => list(&place, value.split(',').map(str::trim)),
                _ => Node::plain(place, value),
            };
            set(&mut tree, key, node);
        }
        tree
    }

    /// Warns of variables that look like zv's and that nothing reads. `used` are those the file refers to.
    pub(crate) fn warn_of_unknown(&self, used: &std::collections::BTreeSet<String>, found: &mut Collector) {
        let known = || {
            let own = VARIABLES.iter().map(|(name, _)| *name).filter(|name| name.starts_with("ZV_"));
            own.chain(self.also_known.iter().copied())
        };
        for name in self.variables.keys().filter(|name| name.starts_with("ZV_")) {
            if used.contains(name) || known().any(|k| k == name) {
                continue;
            }
            let hint = nearest(name, known()).map_or(String::new(), |k| format!("; did you mean `{k}`?"));
            found.warn(&Place::Variable(name.as_str().into()), format!("no such variable is known{hint}"));
        }
    }
}

/// What the flags say; it wins over all else. Values are checked like those of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--listen`
    pub listen: Vec<String>,
    /// `--unix`
    pub unix: Option<String>,
    /// `--store`
    pub store: Option<String>,
    /// `--runtime`
    pub runtime: Option<String>,
    /// `--project`
    pub projects: Vec<String>,
    /// `--file`
    pub stack_file: Option<String>,
    /// `--docker-host`
    pub docker_host: Option<String>,
    /// `--docker-context`
    pub docker_context: Option<String>,
    /// `--log-level`
    pub log_level: Option<String>,
    /// `--log-format`
    pub log_format: Option<String>,
}

impl Overrides {
    /// Returns what the flags say as a tree.
    pub(crate) fn tree(&self) -> Node {
        let mut tree = empty();
        let single = [
            ("--unix", "api.unix", &self.unix),
            ("--store", "store.path", &self.store),
            ("--runtime", "stack.runtime", &self.runtime),
            ("--file", "stack.file", &self.stack_file),
            ("--docker-host", "stack.docker.host", &self.docker_host),
            ("--docker-context", "stack.docker.context", &self.docker_context),
            ("--log-level", "log.level", &self.log_level),
            ("--log-format", "log.format", &self.log_format),
        ];
        for (flag, key, value) in single {
            if let Some(value) = value {
                set(&mut tree, key, Node::plain(Place::Flag(flag), value));
            }
        }
        for (flag, key, values) in
            [("--listen", "api.listen", &self.listen), ("--project", "stack.project", &self.projects)]
        {
            if !values.is_empty() {
                set(&mut tree, key, list(&Place::Flag(flag), values.iter().map(String::as_str)));
            }
        }
        tree
    }
}

fn empty() -> Node {
    Node { place: Place::Default, kind: Kind::Map(Vec::new()) }
}

fn list<'a>(place: &Place, items: impl Iterator<Item = &'a str>) -> Node {
    let items = items.map(|item| Node::plain(place.clone(), item)).collect();
    Node { place: place.clone(), kind: Kind::List(items) }
}

/// Puts `value` under the dotted `key`.
fn set(tree: &mut Node, key: &str, value: Node) {
    let Kind::Map(entries) = &mut tree.kind else { return };
    let (first, rest) = key.split_once('.').map_or((key, None), |(first, rest)| (first, Some(rest)));
    let index = entries.iter().position(|entry| entry.key == first).unwrap_or_else(|| {
        entries.push(Entry { key: first.to_owned(), key_place: value.place.clone(), value: empty() });
        entries.len() - 1
    });
    match rest {
        Some(rest) => set(&mut entries[index].value, rest, value),
        None => entries[index].value = value,
    }
}
