//! Compose: the names of its labels, and what its files say of each service.

mod interpolate;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{self, MapAccess, SeqAccess, Visitor};

/// The labels that Compose puts on what it makes.
pub mod label {
    use std::sync::Arc;

    pub const PROJECT: &str = "com.docker.compose.project";
    pub const SERVICE: &str = "com.docker.compose.service";
    pub const NUMBER: &str = "com.docker.compose.container-number";
    pub const ONE_OFF: &str = "com.docker.compose.oneoff";
    pub const CONFIG_HASH: &str = "com.docker.compose.config-hash";
    pub const DEPENDS_ON: &str = "com.docker.compose.depends_on";
    /// The container that this one replaced.
    pub const REPLACE: &str = "com.docker.compose.replace";
    /// Separated by commas.
    pub const CONFIG_FILES: &str = "com.docker.compose.project.config_files";
    pub const WORKING_DIR: &str = "com.docker.compose.project.working_dir";

    /// Reads the services out of `db:service_healthy:true,redis:service_started:false`.
    pub fn depends_on(value: &str) -> Vec<Arc<str>> {
        let names = value.split(',').filter_map(|one| one.split(':').next());
        names.map(str::trim).filter(|name| !name.is_empty()).map(Arc::from).collect()
    }
}

/// What compose files say, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct File {
    /// The project's name; absent where a variable in it is unknown, too.
    pub name: Option<String>,
    pub services: BTreeMap<String, Service>,
    /// It takes services from other files, which are not read.
    pub includes: bool,
}

/// What they say of one service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Service {
    /// `deploy.replicas` or `scale`; absent where neither stands or where a variable in it is unknown.
    pub replicas: Option<u32>,
    pub depends_on: Vec<Arc<str>>,
    /// It is meant to run only with one of these; always where there are none.
    pub profiles: Vec<Arc<str>>,
}

/// The services of a file; no real one comes near.
const SERVICES: usize = 1000;

/// Why a file could not be understood. It never quotes the file: labels name it, and it may be any file of the host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    #[error("not a compose file: see line {0}")]
    Line(u64),
    #[error("names more than {SERVICES} services")]
    TooMany,
}

impl File {
    /// Puts a later file on top: it wins where it says something, and adds to what a service needs.
    pub fn merge(&mut self, later: File) {
        self.name = later.name.or(self.name.take());
        self.includes |= later.includes;
        for (name, service) in later.services {
            let merged = self.services.entry(name).or_default();
            merged.replicas = service.replicas.or(merged.replicas);
            add(&mut merged.depends_on, service.depends_on);
            add(&mut merged.profiles, service.profiles);
        }
    }
}

fn add(names: &mut Vec<Arc<str>>, more: Vec<Arc<str>>) {
    for name in more {
        if !names.contains(&name) {
            names.push(name);
        }
    }
}

/// Returns the project's name that Compose makes of the name of a folder: what may not stand in one is left out.
pub fn project_name(folder: &str) -> String {
    let allowed = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    let name: String = folder.to_lowercase().chars().filter(allowed).collect();
    name.trim_start_matches(['_', '-']).to_owned()
}

/// Parses one compose file; `env` holds what its variables may be.
pub fn parse(text: &str, env: &BTreeMap<String, String>) -> Result<File, ParseError> {
    // A file may be empty, or hold comments only.
    let raw: Option<RawFile> = serde_saphyr::from_str(text)
        .map_err(|error| ParseError::Line(error.location().map_or(1, |at| at.line())))?;
    let raw = raw.unwrap_or_default();
    let name = raw.name.and_then(|name| interpolate::expand(&name, env));
    let includes = raw.include.is_some();
    let services = raw.services.unwrap_or_default();
    if services.len() > SERVICES {
        return Err(ParseError::TooMany);
    }
    let read = |(name, service): (String, Option<RawService>)| {
        let service = service.unwrap_or_default();
        let replicas = service.deploy.and_then(|deploy| deploy.replicas).or(service.scale);
        let replicas = replicas.and_then(|scalar| interpolate::expand(&scalar.0, env)?.trim().parse().ok());
        let depends_on = service.depends_on.map(|names| names.0).unwrap_or_default();
        let profiles = service.profiles.map(|names| names.0).unwrap_or_default();
        (name, Service { replicas, depends_on, profiles })
    };
    Ok(File { name, services: services.into_iter().map(read).collect(), includes })
}

/// Parses a `.env` file: the last of several equal names wins, what is no assignment is passed over.
pub fn parse_env(text: &str) -> BTreeMap<String, String> {
    text.lines().filter_map(assignment).collect()
}

fn assignment(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = line.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    if name.is_empty() || name.starts_with('#') {
        return None;
    }
    let quoted =
        |quote: char| value.strip_prefix(quote).and_then(|rest| rest.split_once(quote)).map(|(v, _)| v);
    let bare = || value.split(" #").next().unwrap_or_default().trim_end();
    let value = quoted('"').or_else(|| quoted('\'')).unwrap_or_else(bare);
    Some((name.to_owned(), value.to_owned()))
}

#[derive(Deserialize, Default)]
struct RawFile {
    name: Option<String>,
    include: Option<de::IgnoredAny>,
    services: Option<BTreeMap<String, Option<RawService>>>,
}

#[derive(Deserialize, Default)]
struct RawService {
    scale: Option<Scalar>,
    deploy: Option<RawDeploy>,
    depends_on: Option<Names>,
    profiles: Option<Names>,
}

#[derive(Deserialize)]
struct RawDeploy {
    replicas: Option<Scalar>,
}

/// A number, or a text with variables that makes one.
struct Scalar(String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Scalar;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of replicas")
            }
            fn visit_u64<E>(self, value: u64) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }
            fn visit_str<E>(self, value: &str) -> Result<Scalar, E> {
                Ok(Scalar(value.to_owned()))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// A list of names, or a map whose keys are names.
struct Names(Vec<Arc<str>>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Names;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list or a map of services")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = list.next_element::<String>()? {
                    names.push(name.into());
                }
                Ok(Names(names))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some((name, _)) = map.next_entry::<String, de::IgnoredAny>()? {
                    names.push(name.into());
                }
                Ok(Names(names))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn replicas(service: &str) -> Option<u32> {
        let text = format!("services:\n  web:\n    {service}\n");
        parse(&text, &env(&[("N", "4")])).unwrap().services["web"].replicas
    }

    #[test]
    fn replicas_in_every_way_they_are_written() {
        assert_eq!(replicas("scale: 3"), Some(3));
        assert_eq!(replicas("deploy: {replicas: 2}"), Some(2));
        assert_eq!(replicas("deploy: {replicas: '2'}"), Some(2));
        assert_eq!(replicas("scale: ${N}"), Some(4));
        assert_eq!(replicas("scale: $N"), Some(4));
        assert_eq!(replicas("scale: ${N:-7}"), Some(4));
        assert_eq!(replicas("scale: ${M:-7}"), Some(7));
        assert_eq!(replicas("scale: 0"), Some(0));
    }

    #[test]
    fn what_cannot_be_known_is_not_declared() {
        for unknown in
            ["scale: ${M}", "scale: ${M:?say it}", "scale: -1", "scale: many", "image: x", "scale: null"]
        {
            assert_eq!(replicas(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn dependencies_as_list_and_as_map() {
        let text = "
x-base: &base {depends_on: [db]}
services:
  a: {<<: *base}
  b:
    depends_on:
      db: {condition: service_healthy, restart: true}
      cache: {condition: service_started}
  c:
";
        let file = parse(text, &env(&[])).unwrap();
        assert_eq!(file.services["a"].depends_on, ["db".into()] as [Arc<str>; 1]);
        assert_eq!(file.services["b"].depends_on, ["db".into(), "cache".into()] as [Arc<str>; 2]);
        assert!(file.services["c"].depends_on.is_empty());
    }

    #[test]
    fn names_profiles_and_includes_are_read() {
        let text =
            "name: ${P:-shop}\ninclude: [other.yaml]\nservices: {a: {profiles: [debug, dev]}, b: {}}\n";
        let mut file = parse(text, &env(&[])).unwrap();
        assert_eq!((file.name.as_deref(), file.includes), (Some("shop"), true));
        assert_eq!(file.services["a"].profiles, ["debug".into(), "dev".into()] as [Arc<str>; 2]);
        assert!(file.services["b"].profiles.is_empty());
        file.merge(parse("name: other\nservices: {b: {profiles: [dev]}}", &env(&[])).unwrap());
        assert_eq!((file.name.as_deref(), file.services["b"].profiles.len()), (Some("other"), 1));
        for (folder, name) in [("My Shop", "myshop"), ("_x-1", "x-1"), ("läden", "lden"), ("...", "")] {
            assert_eq!(project_name(folder), name);
        }
    }

    #[test]
    fn a_later_file_wins_where_it_speaks() {
        let mut file = parse("services: {a: {scale: 1, depends_on: [x]}, b: {scale: 2}}", &env(&[])).unwrap();
        file.merge(
            parse("services: {a: {deploy: {replicas: 5}, depends_on: [y]}, c: {}}", &env(&[])).unwrap(),
        );
        assert_eq!(file.services["a"].replicas, Some(5));
        assert_eq!(file.services["a"].depends_on.len(), 2);
        assert_eq!(file.services["b"].replicas, Some(2));
        assert_eq!(file.services["c"], Service::default());
    }

    #[test]
    fn empty_files_and_wrong_ones() {
        assert_eq!(parse("", &env(&[])).unwrap(), File::default());
        assert_eq!(parse("# nothing\n", &env(&[])).unwrap(), File::default());
        assert_eq!(parse("services:\n", &env(&[])).unwrap(), File::default());
        assert!(parse("services: [1", &env(&[])).is_err());
        assert!(parse("services: 3", &env(&[])).is_err());
    }

    #[test]
    fn an_error_never_quotes_the_file() {
        // Labels name the file: it may be any file of the host.
        for text in
            ["hunter2", "root:hunter2:1\nx:\n", "services: hunter2\n", "services: {a: {depends_on: hunter2}}"]
        {
            let error = parse(text, &env(&[])).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_bomb_is_refused_calmly() {
        let deep = |open: &str, close: &str| open.repeat(100_000) + &close.repeat(100_000);
        for text in [
            deep("[", "]"),
            deep("{a: ", "}"),
            format!("services: {{a: {{deploy: {}}}}}", deep("[", "]")),
            format!("x-a: {}", deep("- ", "")),
            format!("services:\n  a:\n    depends_on:\n      b: {}\n", deep("[", "]")),
        ] {
            assert!(parse(&text, &env(&[])).is_err());
        }
        let many: String = (0..=SERVICES).map(|n| format!(" s{n}:\n")).collect();
        assert_eq!(parse(&format!("services:\n{many}"), &env(&[])), Err(ParseError::TooMany));
    }

    #[test]
    fn env_files_with_quotes_comments_and_export() {
        let text = "# c\nA=1\nexport B=\"two # words\" # c\nC='$x'\nD=4 # c\nE=\nnonsense\n";
        let parsed = parse_env(text);
        assert_eq!(parsed, env(&[("A", "1"), ("B", "two # words"), ("C", "$x"), ("D", "4"), ("E", "")]));
    }
}
