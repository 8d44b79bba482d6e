//! The area `store`: where what is remembered goes, and how much of it.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::reading::Reading;
use super::values::Size;

/// Where what is remembered goes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoreFile {
    /// The folder. Default: `/var/lib/zv` for root, else `$XDG_STATE_HOME/zv` or `~/.local/state/zv`.
    path: Option<PathBuf>,
    /// How many death records are kept.
    deaths: Option<DeathsFile>,
}

/// How many death records are kept; the oldest go first.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeathsFile {
    /// The records kept. Default: 200.
    keep: Option<u32>,
    /// The bytes kept of all records, as `64MB`. Default: 64MB.
    max_bytes: Option<Size>,
}

/// Where what is remembered goes, and how much of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    pub path: PathBuf,
    pub deaths: Deaths,
}

/// How many death records are kept; the oldest go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deaths {
    pub keep: u32,
    pub max_bytes: u64,
}

impl Deaths {
    /// Returns them as the store of death records takes them.
    pub fn limits(self) -> zv_stack::death::store::Limits {
        zv_stack::death::store::Limits { records: self.keep as usize, bytes: self.max_bytes }
    }
}

impl Default for Deaths {
    fn default() -> Self {
        Self { keep: 200, max_bytes: 64 << 20 }
    }
}

impl Store {
    pub(crate) fn resolve(file: StoreFile, reading: &mut Reading<'_>) -> Self {
        let path = match file.path {
            Some(path) => reading.path("store.path", path),
            None => default_path(reading),
        };
        let (deaths, default) = (file.deaths.unwrap_or_default(), Deaths::default());
        Self {
            path,
            deaths: Deaths {
                keep: deaths.keep.unwrap_or(default.keep),
                max_bytes: deaths.max_bytes.map_or(default.max_bytes, |size| size.0),
            },
        }
    }
}

fn default_path(reading: &mut Reading<'_>) -> PathBuf {
    let environment = reading.environment;
    if environment.uid == 0 {
        return "/var/lib/zv".into();
    }
    if let Some(state) = environment.folder("XDG_STATE_HOME") {
        return state.join("zv");
    }
    if let Some(home) = environment.folder("HOME") {
        return home.join(".local/state/zv");
    }
    // The user's number keeps users apart, who share this folder.
    let folder =
        environment.folder("TMPDIR").unwrap_or("/tmp".as_ref()).join(format!("zv-{}", environment.uid));
    if !reading.is_given("store.path") {
        let text = format!(
            "nothing says where to keep the state: `{}` is used and may be lost at any time; set `store.path` or `ZV_STORE`",
            folder.display()
        );
        reading.warn("store.path", text);
    }
    folder
}
