//! Reads the compose files that containers' labels name, where this host has them, and again when they change.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File as DiskFile;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bollard::models::ContainerSummary;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use rustix::fs::{Mode, OFlags};
use tokio::task::JoinHandle;

use crate::compose::{self, label};
use crate::input::Declared;
use crate::model::ServiceKey;

/// How long reading one project's files may take.
const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest file that is read.
const FILE_LIMIT: u64 = 1024 * 1024;
/// The most files of one project.
const FILES: usize = 32;

type Project = Arc<str>;

/// The compose files of all projects seen.
#[derive(Default)]
pub(super) struct ComposeFiles {
    projects: HashMap<Project, State>,
    reads: FuturesUnordered<BoxFuture<'static, (Project, Outcome)>>,
    /// Empty declarations for the services of projects that are gone.
    dropped: Vec<Declared>,
}

#[derive(Default)]
struct State {
    /// What the last reading was of.
    stamp: Option<Stamp>,
    declared: BTreeSet<Arc<str>>,
    reading: bool,
    /// A reading that hangs: no other is begun before it has ended.
    stuck: Option<JoinHandle<Outcome>>,
}

/// Where a project's files are, and for which configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Source {
    files: Vec<PathBuf>,
    env: PathBuf,
    hashes: BTreeSet<String>,
}

/// Tells whether anything changed without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    source: Source,
    files: Vec<Option<(SystemTime, u64)>>,
}

enum Outcome {
    Unchanged,
    Read(Stamp, compose::File),
    /// Not here, not readable, not a compose file: another source of the desired count applies.
    Unreadable(String),
    Stuck(JoinHandle<Outcome>),
}

impl ComposeFiles {
    /// Begins to read the files of all projects in a list, each only if it changed.
    pub(super) fn consider<'a>(&mut self, containers: impl Iterator<Item = &'a ContainerSummary>) {
        let sources = sources(containers);
        self.projects.retain(|project, state| {
            let kept = sources.contains_key(project) || state.reading || state.stuck.is_some();
            if !kept {
                self.dropped.extend(state.take(project, compose::File::default()));
            }
            kept
        });
        for (project, source) in sources {
            let state = self.projects.entry(Arc::clone(&project)).or_default();
            if state.reading || state.stuck.as_ref().is_some_and(|stuck| !stuck.is_finished()) {
                continue;
            }
            state.reading = true;
            state.stuck = None;
            let before = state.stamp.clone();
            self.reads.push(Box::pin(async move {
                let mut reading = tokio::task::spawn_blocking(move || read(source, before.as_ref()));
                let outcome = match tokio::time::timeout(READ_TIMEOUT, &mut reading).await {
                    Ok(Ok(outcome)) => outcome,
                    Ok(Err(panicked)) => Outcome::Unreadable(panicked.to_string()),
                    Err(_) => Outcome::Stuck(reading),
                };
                (project, outcome)
            }));
        }
    }

    /// Waits for something new; safe to drop at any time.
    pub(super) async fn changed(&mut self) -> Vec<Declared> {
        if !self.dropped.is_empty() {
            return std::mem::take(&mut self.dropped);
        }
        loop {
            let Some((project, outcome)) = self.reads.next().await else {
                return std::future::pending().await;
            };
            let Some(state) = self.projects.get_mut(&project) else { continue };
            state.reading = false;
            match outcome {
                Outcome::Unchanged => {}
                Outcome::Unreadable(reason) => {
                    tracing::debug!(stack.name = %project, reason, "compose files not read");
                }
                Outcome::Stuck(reading) => {
                    tracing::warn!(stack.name = %project, "reading the compose files takes too long");
                    state.stuck = Some(reading);
                }
                Outcome::Read(stamp, file) => {
                    state.stamp = Some(stamp);
                    return state.take(&project, file);
                }
            }
        }
    }
}

impl State {
    /// Returns what is declared now, and an empty declaration for each service that no longer is.
    fn take(&mut self, project: &Project, file: compose::File) -> Vec<Declared> {
        let key = |service: &str| ServiceKey::new(Arc::clone(project), service);
        let before = std::mem::take(&mut self.declared);
        let dropped = before.iter().filter(|name| !file.services.contains_key(&***name));
        let mut declared: Vec<_> = dropped
            .map(|name| Declared { key: key(name), named: false, replicas: None, depends_on: Vec::new() })
            .collect();
        for (name, service) in file.services {
            let (replicas, depends_on) = (service.replicas, service.depends_on);
            declared.push(Declared { key: key(&name), named: true, replicas, depends_on });
            self.declared.insert(name.into());
        }
        declared
    }
}

/// Finds each project's files: those of its newest container, as a project may have moved.
fn sources<'a>(containers: impl Iterator<Item = &'a ContainerSummary>) -> HashMap<Project, Source> {
    let mut newest: HashMap<Project, (i64, Source)> = HashMap::new();
    for container in containers {
        let Some(labels) = &container.labels else { continue };
        let (Some(project), Some(files)) = (labels.get(label::PROJECT), labels.get(label::CONFIG_FILES))
        else {
            continue;
        };
        let folder = Path::new(labels.get(label::WORKING_DIR).map_or("/", String::as_str));
        let (created, source) =
            newest.entry(project.as_str().into()).or_insert((i64::MIN, Source::default()));
        source.hashes.extend(labels.get(label::CONFIG_HASH).cloned());
        let this = container.created.unwrap_or(0);
        if this > *created {
            *created = this;
            source.files = files.split(',').take(FILES).map(|file| folder.join(file.trim())).collect();
            source.env = folder.join(".env");
        }
    }
    newest.into_iter().map(|(project, (_, source))| (project, source)).collect()
}

fn read(source: Source, before: Option<&Stamp>) -> Outcome {
    let stamp_of = |path: &PathBuf| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    let files = source.files.iter().chain([&source.env]).map(stamp_of).collect();
    let stamp = Stamp { source, files };
    if before == Some(&stamp) {
        return Outcome::Unchanged;
    }
    let env = match text(&stamp.source.env) {
        Ok(text) => compose::parse_env(&text),
        Err(_) => BTreeMap::new(),
    };
    let mut merged = compose::File::default();
    for path in &stamp.source.files {
        let parsed = text(path)
            .map_err(|error| error.to_string())
            .and_then(|text| compose::parse(&text, &env).map_err(|error| error.to_string()));
        match parsed {
            Ok(file) => merged.merge(file),
            Err(reason) => return Outcome::Unreadable(format!("{}: {reason}", path.display())),
        }
    }
    Outcome::Read(stamp, merged)
}

/// Reads a regular file of bounded size: a label may name anything, and what it names may be exchanged meanwhile.
fn text(path: &Path) -> io::Result<String> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = DiskFile::from(rustix::fs::open(path, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a file"));
    }
    let mut text = String::new();
    file.take(FILE_LIMIT + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_LIMIT { Err(io::Error::other("larger than 1 MiB")) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn container(folder: &Path, files: &str, hash: &str) -> ContainerSummary {
        let labels = [
            (label::PROJECT, "shop"),
            (label::SERVICE, "api"),
            (label::CONFIG_FILES, files),
            (label::WORKING_DIR, folder.to_str().unwrap()),
            (label::CONFIG_HASH, hash),
        ];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        ContainerSummary { labels: Some(labels), created: Some(1), ..ContainerSummary::default() }
    }

    #[tokio::test]
    async fn files_are_merged_and_read_again_only_when_they_change() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        write("a.yaml", "services: {api: {scale: 1, depends_on: [db]}, db: {}}");
        write("b.yaml", "services: {api: {scale: '${N:-1}'}}");
        write(".env", "N=3");
        let absolute = dir.path().join("b.yaml").display().to_string();
        let containers = [container(dir.path(), &format!("a.yaml,{absolute}"), "1")];
        let mut files = ComposeFiles::default();

        files.consider(containers.iter());
        let declared = files.changed().await;
        let api = declared.iter().find(|one| &*one.key.service == "api").unwrap();
        assert_eq!((api.replicas, api.depends_on.len(), declared.len()), (Some(3), 1, 2));

        write("a.yaml", "services: {api: {depends_on: []}}");
        files.consider(containers.iter());
        let declared = files.changed().await;
        assert_eq!(&*declared[0].key.service, "db");
        assert_eq!((declared[0].replicas, declared.len()), (None, 2));

        files.consider(containers.iter());
        let (_, outcome) = files.reads.next().await.unwrap();
        assert!(matches!(outcome, Outcome::Unchanged));
    }

    #[tokio::test]
    async fn a_project_that_is_gone_declares_nothing_any_more() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.yaml"), "services: {api: {scale: 2}}").unwrap();
        let mut files = ComposeFiles::default();
        files.consider([container(dir.path(), "a.yaml", "1")].iter());
        assert_eq!(files.changed().await[0].replicas, Some(2));
        files.consider([].iter());
        let gone = files.changed().await;
        assert_eq!((&*gone[0].key.service, gone[0].replicas, gone.len()), ("api", None, 1));
        assert!(files.projects.is_empty() && files.dropped.is_empty());
    }

    #[test]
    fn what_is_not_a_small_regular_file_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        assert!(text(dir.path()).is_err());
        assert!(text(Path::new("/dev/zero")).is_err());
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert!(text(&pipe).is_err(), "and nobody waits for its writer");
        let large = dir.path().join("large");
        fs::write(&large, vec![b'#'; FILE_LIMIT as usize + 1]).unwrap();
        assert!(text(&large).is_err());
    }
}
