//! `zv.yaml`, the environment and the flags, parsed and checked as a whole.
//!
//! A file is read in four steps: YAML to a tree that knows its places, variables put in, the tree held against the JSON
//! schema, and one function per rule that needs more than a schema. No step stops at its first mistake. Flags win over
//! the environment, that over the file, and that over the defaults; all of them go the same way, so a flag is checked
//! as a key is. One module per area holds what is written, what it resolves to, and its rules.

mod api;
mod collect;
mod environment;
mod expand;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod global;
mod layers;
mod log;
mod mistake;
mod nearest;
mod plan;
mod print;
mod probes;
mod reading;
mod schema;
mod secret;
mod stack;
mod store;
mod tree;
mod values;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

pub use self::api::{Api, DEFAULT_PORT, ReadRight, Tls};
pub use self::collect::Collect;
pub use self::environment::{Environment, Overrides};
pub use self::global::{Global, keep_host_id};
pub use self::log::{Log, LogFormat, LogLevel};
pub use self::mistake::{Mistake, Mistakes, Place};
pub use self::plan::{Plan, Setting, diff};
pub use self::probes::Probe;
pub use self::schema::schema;
pub use self::secret::Secret;
pub use self::stack::{Docker, RuntimeChoice, Stack};
pub use self::store::{Deaths, Store};

use self::mistake::{Collector, unreadable};
use self::reading::Reading;
use self::schema::File;
use self::tree::Node;
pub(crate) use self::values::Span;
use self::walk::Walked;

/// The bytes that a configuration file has at most.
const FILE_LIMIT: usize = 1 << 20;
/// How long a shutdown may take where nothing else is said.
const DEFAULT_SHUTDOWN_GRACE: Duration = Duration::from_secs(10);
/// The longest grace: a service manager kills sooner than that.
const MAX_SHUTDOWN_GRACE: Duration = Duration::from_secs(3600);

/// What a configuration is loaded for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Purpose {
    /// To run or to check the agent: secrets and other files are read, and must be readable.
    #[default]
    Run,
    /// To ask what the probes ask: the files that they name are read, the agent's own secrets are not.
    Probe,
    /// To find the agent or the engine, by a user who may not be allowed to read secrets: no other file is read.
    Look,
}

/// What to load.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// A file that must be there; the default files, which need not, where absent.
    pub file: Option<PathBuf>,
    pub overrides: Overrides,
    pub environment: Environment,
    pub purpose: Purpose,
}

/// A sound configuration.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub config: Config,
    /// What works and is probably not what was meant.
    pub warnings: Vec<Mistake>,
}

/// The effective configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it was read from.
    pub file: Option<PathBuf>,
    pub global: Global,
    pub stack: Stack,
    pub collect: Collect,
    pub store: Store,
    pub api: Api,
    pub probes: Vec<Arc<Probe>>,
    pub log: Log,
    /// How long a shutdown may take before what is left is cut off.
    pub shutdown_grace: Duration,
    /// Where the values came from, by dotted key.
    places: BTreeMap<String, Place>,
}

impl Config {
    /// Returns where the value of a dotted key comes from.
    pub fn place(&self, key: &str) -> &Place {
        self.places.get(key).unwrap_or(&Place::Default)
    }
}

/// Loads the configuration, or returns everything that is wrong with it.
pub fn load(options: &LoadOptions) -> Result<Loaded, Mistakes> {
    let mut found = Collector::default();
    let file = file_of(options, &mut found);
    load_text(options, file, found)
}

/// Loads the configuration whose file has been read, and reports beside what was found so far.
fn load_text(
    options: &LoadOptions,
    file: Option<(Arc<Path>, Vec<u8>)>,
    mut found: Collector,
) -> Result<Loaded, Mistakes> {
    let environment = &options.environment;
    let mut merged = Walked::default();
    let mut used = BTreeSet::new();
    if let Some((path, text)) = &file
        && let Some(mut document) = parse(path, text, &mut found)
    {
        used = expand::expand(&mut document, environment, &mut found);
        merged = walk::walk(schema(), &document, &mut found);
    }
    for layer in [environment.tree(), options.overrides.tree()] {
        layers::lay_over(&mut merged, &layer, &mut found);
    }
    if environment.given(environment::TOKEN).is_some() {
        merged.places.insert(environment::TOKEN.into(), Place::Variable(environment::TOKEN.into()));
    }
    environment.warn_of_unknown(&used, &mut found);

    let path = file.map(|(path, _)| path);
    let typed = serde_json::from_value::<File>(Value::Object(merged.value)).unwrap_or_else(|error| {
        let place = path.clone().map_or(Place::Default, Place::File);
        found.mistake(&place, format!("it cannot be read: {error}"));
        File::default()
    });
    let mut reading =
        Reading { environment, purpose: options.purpose, places: &merged.places, found: &mut found };
    let mut config = resolve(typed, &mut reading);
    config.file = path.map(|path| path.to_path_buf());
    let warnings = found.finish()?;
    config.places = merged.places;
    Ok(Loaded { config, warnings })
}

fn resolve(file: File, reading: &mut Reading<'_>) -> Config {
    let store = Store::resolve(file.store.unwrap_or_default(), reading);
    Config {
        file: None,
        global: Global::resolve(file.global.unwrap_or_default(), reading, &store.path),
        stack: Stack::resolve(file.stack.unwrap_or_default(), reading),
        collect: Collect::resolve(file.collect.unwrap_or_default(), reading),
        api: Api::resolve(file.api.unwrap_or_default(), reading, &store.path),
        probes: probes::resolve(file.probes.unwrap_or_default(), reading),
        log: Log::resolve(&file.log.unwrap_or_default()),
        shutdown_grace: shutdown_grace(file.shutdown_grace.map(|span| span.0), reading),
        store,
        places: BTreeMap::new(),
    }
}

fn shutdown_grace(given: Option<Duration>, reading: &mut Reading<'_>) -> Duration {
    let grace = given.unwrap_or(DEFAULT_SHUTDOWN_GRACE);
    if grace > MAX_SHUTDOWN_GRACE {
        reading.mistake("shutdown_grace", "`shutdown_grace` is longer than an hour");
    }
    grace
}

/// Finds and reads the file. Only a default file may be absent.
fn file_of(options: &LoadOptions, found: &mut Collector) -> Option<(Arc<Path>, Vec<u8>)> {
    let by_variable = || options.environment.given("ZV_CONFIG").map(PathBuf::from);
    let named = options.file.clone().or_else(by_variable);
    let candidates =
        named.as_ref().map_or(options.environment.default_files.as_slice(), std::slice::from_ref);
    for path in candidates {
        let place = || Place::File(path.as_path().into());
        match read(path) {
            Ok(bytes) if bytes.len() > FILE_LIMIT => {
                found.mistake(&place(), "the file is larger than 1 MiB; no configuration is");
                return None;
            }
            Ok(bytes) => return Some((path.as_path().into(), bytes)),
            Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) if named.is_none() && options.purpose == Purpose::Look => {
                found.warn(&place(), format!("{}; it is left out", unreadable(path, &error)));
            }
            Err(error) => {
                found.mistake(&place(), unreadable(path, &error));
                return None;
            }
        }
    }
    None
}

/// Reads at most one byte more than is allowed.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(FILE_LIMIT as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Turns bytes into a tree. Some editors put a byte order mark in front.
fn parse(file: &Arc<Path>, bytes: &[u8], found: &mut Collector) -> Option<Node> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => {
            tree::parse(file, text).map_err(|mistake| found.mistake(&mistake.place, mistake.text)).ok()
        }
        Err(error) => {
            let sound = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let line = sound.matches('\n').count() as u64 + 1;
            let column = sound.rsplit('\n').next().unwrap_or_default().chars().count() as u64 + 1;
            let place = Place::Line { file: Arc::clone(file), line, column };
            found.mistake(&place, "the file is not UTF-8; save it as such");
            None
        }
    }
}
