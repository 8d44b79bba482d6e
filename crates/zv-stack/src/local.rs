//! The local runtime: services of a stack file as supervised processes.

use std::time::Duration;

use futures_util::stream::BoxStream;

use crate::death::Evidence;
use crate::input::Input;
use crate::logs::LogLine;
use crate::model::{ReplicaId, ServiceKey};
use crate::runtime::{ActionError, LogError, LogRange};
use crate::stats::Stats;


/// What to run, and where its files go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalOptions {
    /// The stack file with `x-zv.local`.
    pub file: std::path::PathBuf,
    /// Logs are kept here.
    pub state_dir: std::path::PathBuf,
    /// The command line that runs [`guard::main`], before its own arguments: the path is never guessed.
    pub guard: Vec<std::ffi::OsString>,
}

/// Processes of one stack file.
#[derive(Debug, Clone)]
pub struct LocalRuntime {}

impl LocalRuntime {
    pub fn new(_options: LocalOptions) -> Result<Self, crate::runtime::ActionError> {
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
    pub(crate) async fn shutdown(&self) {
        unimplemented!()
    }
}
