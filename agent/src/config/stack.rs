//! The area `stack`: what is watched, and through which runtime.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use zv_stack::docker::DockerOptions;

use super::Purpose;
use super::reading::Reading;
use super::values::OneOrMore;

/// What runs the replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RuntimeChoice {
    /// Docker where an engine can be reached, else the stack file.
    #[default]
    Auto,
    /// A Docker engine.
    Docker,
    /// The services of the stack file, as supervised processes.
    Local,
}

impl RuntimeChoice {
    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            RuntimeChoice::Auto => "auto",
            RuntimeChoice::Docker => "docker",
            RuntimeChoice::Local => "local",
        }
    }
}

/// What is watched.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StackFile {
    /// What runs the replicas. Default: `auto`.
    runtime: Option<RuntimeChoice>,
    /// The Compose project to watch, or a list of them. Default: every project on the host.
    project: Option<OneOrMore<String>>,
    /// The stack file; with the runtime `local`, its part `x-zv.local` says what to run.
    file: Option<PathBuf>,
    /// How to reach the Docker engine. Default: as the `docker` command does.
    docker: Option<DockerFile>,
}

/// How to reach the Docker engine.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DockerFile {
    /// Its address: `unix:///var/run/docker.sock`, `tcp://host:2376`, `http://…` or `https://…`.
    host: Option<String>,
    /// A context of the `docker` command, by name. Not together with `host`.
    context: Option<String>,
    /// The folder with `ca.pem`, `cert.pem` and `key.pem`; switches TLS on for `tcp://`.
    cert_dir: Option<PathBuf>,
}

/// What is watched, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    pub runtime: RuntimeChoice,
    /// Compose projects; all where empty.
    pub projects: Vec<String>,
    /// The stack file; always there with [`RuntimeChoice::Local`].
    pub file: Option<PathBuf>,
    /// Tells one content of the stack file from another, so that a reload sees a change inside it.
    pub file_fingerprint: Option<u64>,
    pub docker: Docker,
}

/// How to reach the Docker engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Docker {
    pub host: Option<String>,
    pub context: Option<String>,
    /// The docker command's own folder, where one is known.
    pub config_dir: Option<PathBuf>,
    pub cert_dir: Option<PathBuf>,
}

impl Stack {
    pub(crate) fn resolve(file: StackFile, reading: &mut Reading<'_>) -> Self {
        let mut stack = Self {
            runtime: file.runtime.unwrap_or_default(),
            projects: file.project.map_or(Vec::new(), |projects| projects.0),
            file: file.file.map(|path| reading.path("stack.file", path)),
            file_fingerprint: None,
            docker: Docker::resolve(file.docker.unwrap_or_default(), reading),
        };
        stack.local_needs_a_file(reading);
        stack.local_ignores_docker(reading);
        stack.the_file_is_readable(reading);
        stack
    }

    /// Returns what the Docker runtime wants to know.
    pub fn docker_options(&self) -> DockerOptions {
        DockerOptions {
            host: self.docker.host.clone(),
            context: self.docker.context.clone(),
            config_dir: self.docker.config_dir.clone(),
            cert_dir: self.docker.cert_dir.clone(),
            projects: self.projects.clone(),
        }
    }

    fn local_needs_a_file(&self, reading: &mut Reading<'_>) {
        if self.runtime == RuntimeChoice::Local && !reading.is_given("stack.file") {
            let text = "the runtime `local` needs `stack.file`, a stack file with `x-zv.local`";
            reading.mistake("stack.runtime", text);
        }
    }

    fn local_ignores_docker(&self, reading: &mut Reading<'_>) {
        let own = reading.place("stack.docker").file().is_some();
        if self.runtime == RuntimeChoice::Local && own {
            reading.warn("stack.docker", "`stack.docker` is not used with the runtime `local`");
        }
    }

    fn the_file_is_readable(&mut self, reading: &mut Reading<'_>) {
        let Some(path) = self.file.as_deref().filter(|_| reading.purpose == Purpose::Run) else { return };
        match std::fs::read(path) {
            Ok(content) => self.file_fingerprint = Some(fingerprint(&content)),
            Err(error) => reading.unreadable("stack.file", path, &error),
        }
    }
}

/// Only compared within one process, so it need not be the same for every version of the standard library.
fn fingerprint(content: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    hasher.finish()
}

impl Docker {
    fn resolve(file: DockerFile, reading: &mut Reading<'_>) -> Self {
        let environment = reading.environment;
        let home = environment.folder("HOME").map(|home| home.join(".docker"));
        let config_dir = environment.folder("DOCKER_CONFIG").map(Path::to_owned).or(home);
        let cert_dir = file.cert_dir.map(|path| reading.path("stack.docker.cert_dir", path));
        // As the docker command has it: verification without a folder looks into the command's own. A context brings
        // its certificates along.
        let verify = environment.given("DOCKER_TLS_VERIFY").is_some() && file.context.is_none();
        let cert_dir = cert_dir.or_else(|| config_dir.clone().filter(|_| verify));
        let docker = Self { host: file.host, context: file.context, config_dir, cert_dir };
        docker.host_is_understood(reading);
        docker.host_or_context(reading);
        docker
    }

    fn host_is_understood(&self, reading: &mut Reading<'_>) {
        let Some(host) = &self.host else { return };
        let (scheme, rest) = host.split_once("://").unwrap_or(("", host));
        let text = match scheme {
            "unix" if rest.starts_with('/') => return,
            "unix" => "`stack.docker.host` needs the whole path of a socket: `unix:///var/run/docker.sock`",
            "tcp" | "http" | "https" if !rest.is_empty() => return,
            "ssh" => "`ssh://` is not supported; forward the engine's socket with ssh and name that",
            _ => {
                "`stack.docker.host` is not an engine's address; write `unix:///var/run/docker.sock` or `tcp://host:2376`"
            }
        };
        reading.mistake("stack.docker.host", text);
    }

    fn host_or_context(&self, reading: &mut Reading<'_>) {
        if self.host.is_some() && self.context.is_some() {
            let text = "`stack.docker` names a host and a context; keep one";
            reading.mistake("stack.docker.context", text);
        }
    }
}
