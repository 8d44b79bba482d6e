//! The Docker runtime: stacks of containers through the engine's API.

use std::time::Duration;

use futures_util::stream::BoxStream;

use crate::death::Evidence;
use crate::input::Input;
use crate::logs::LogLine;
use crate::model::{ReplicaId, ServiceKey};
use crate::runtime::{ActionError, LogError, LogRange};
use crate::stats::Stats;

/// How to reach the engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DockerOptions {
    /// `unix://…`, `tcp://…`, `http://…`, `https://…`; the context's or the system's where absent.
    pub host: Option<String>,
    /// A context of the docker command, by name.
    pub context: Option<String>,
    /// The folder with `config.json` and `contexts/`.
    pub config_dir: Option<std::path::PathBuf>,
    /// A folder with `ca.pem`, `cert.pem`, `key.pem`; sets TLS for `tcp://`.
    pub cert_dir: Option<std::path::PathBuf>,
    /// Only these Compose projects; all where empty.
    pub projects: Vec<String>,
}

/// Containers of one engine.
#[derive(Debug, Clone)]
pub struct DockerRuntime {}

impl DockerRuntime {
    pub fn new(_options: DockerOptions) -> Result<Self, crate::runtime::ActionError> {
        Ok(Self {})
    }
    pub(crate) fn watch(&self) -> BoxStream<'static, Input> {
        unimplemented!()
    }
    pub(crate) fn logs(&self, _: &ReplicaId, _: LogRange) -> BoxStream<'static, Result<LogLine, LogError>> {
        unimplemented!()
    }
    pub(crate) async fn stats(&self, _: &ReplicaId) -> Option<Stats> {
        unimplemented!()
    }
    pub(crate) async fn evidence(&self, _: &ReplicaId) -> Evidence {
        unimplemented!()
    }
    pub(crate) async fn start(&self, _: &ReplicaId) -> Result<(), ActionError> {
        unimplemented!()
    }
    pub(crate) async fn stop(&self, _: &ReplicaId, _: Option<Duration>) -> Result<(), ActionError> {
        unimplemented!()
    }
    pub(crate) async fn restart(&self, _: &ReplicaId, _: Option<Duration>) -> Result<(), ActionError> {
        unimplemented!()
    }
    pub(crate) async fn scale(&self, _: &ServiceKey, _: u32) -> Result<(), ActionError> {
        unimplemented!()
    }
}
