//! The Docker runtime: stacks of containers through the engine's API.

mod actions;
pub mod checkup;
mod connect;
mod engine;
mod evidence;
mod log_file;
mod logs;
mod scale;
mod seen;
mod stats;
mod transport;
mod watch;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream::BoxStream;
use tokio::time::Instant;

use self::connect::Endpoint;
use self::engine::{ApiError, Engine};
use crate::death::Evidence;
use crate::input::Input;
use crate::logs::LogLine;
use crate::model::{ReplicaId, ServiceKey};
use crate::runtime::{ActionError, LogError, LogRange};
use crate::stats::Measurement;

/// A version agreed on this long ago is agreed on anew: the engine may have been replaced since.
const AGREED_FOR: Duration = Duration::from_secs(30);

/// How to reach the engine. Nothing here is read from the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DockerOptions {
    /// `unix://…`, `tcp://…`, `http://…`, `https://…`; the context's or the system's where absent.
    pub host: Option<String>,
    /// A context of the docker command, by name.
    pub context: Option<String>,
    /// The folder with `config.json` and `contexts/`.
    pub config_dir: Option<PathBuf>,
    /// A folder with `ca.pem`, `cert.pem`, `key.pem`; sets TLS for `tcp://`.
    pub cert_dir: Option<PathBuf>,
    /// Only these Compose projects; all where empty.
    pub projects: Vec<String>,
}

/// Containers of one engine. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DockerRuntime {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: DockerOptions,
    endpoint: Endpoint,
    /// The engine as last agreed with. Never held across an await: it is only looked at and replaced.
    engine: Mutex<Option<(Arc<Engine>, Instant)>>,
    log_files: log_file::LogFiles,
    /// One scaling at a time: two would count the same replicas.
    scaling: tokio::sync::Mutex<Templates>,
}

/// The last replica of each service that was scaled to none: what a later scaling copies.
type Templates = HashMap<ServiceKey, serde_json::Value>;

impl DockerRuntime {
    /// Finds out where the engine is; it is asked only when it is needed.
    pub fn new(options: DockerOptions) -> Result<Self, ActionError> {
        let endpoint =
            connect::resolve(&options).map_err(|error| ActionError::Unavailable(error.to_string()))?;
        let inner = Inner {
            options,
            endpoint,
            engine: Mutex::default(),
            log_files: log_file::LogFiles::default(),
            scaling: tokio::sync::Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    pub(crate) fn watch(&self) -> BoxStream<'static, Input> {
        watch::watch(Arc::clone(&self.inner))
    }

    pub(crate) fn logs(
        &self,
        id: &ReplicaId,
        range: LogRange,
    ) -> BoxStream<'static, Result<LogLine, LogError>> {
        logs::read(Arc::clone(&self.inner), id.clone(), range)
    }

    pub(crate) async fn measure(&self, id: &ReplicaId) -> Option<Measurement> {
        stats::measure(&self.inner, id).await
    }

    pub(crate) async fn evidence(&self, id: &ReplicaId) -> Evidence {
        evidence::gather(&self.inner, id).await
    }

    pub(crate) async fn start(&self, id: &ReplicaId) -> Result<(), ActionError> {
        actions::start(&self.inner, id).await
    }

    pub(crate) async fn stop(&self, id: &ReplicaId, grace: Option<Duration>) -> Result<(), ActionError> {
        actions::stop(&self.inner, id, grace).await
    }

    pub(crate) async fn restart(&self, id: &ReplicaId, grace: Option<Duration>) -> Result<(), ActionError> {
        actions::restart(&self.inner, id, grace).await
    }

    pub(crate) async fn scale(&self, key: &ServiceKey, replicas: u32) -> Result<(), ActionError> {
        scale::scale(&self.inner, key, replicas).await
    }
}

impl Inner {
    /// Returns the engine as last agreed with, or agrees anew.
    async fn engine(&self) -> Result<Arc<Engine>, ApiError> {
        let agreed = self.engine.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match agreed {
            Some((engine, at)) if at.elapsed() < AGREED_FOR => Ok(engine),
            _ => self.connect().await,
        }
    }

    /// Agrees with the engine anew.
    async fn connect(&self) -> Result<Arc<Engine>, ApiError> {
        let engine = Arc::new(Engine::connect(&self.endpoint).await?);
        let agreed = Some((Arc::clone(&engine), Instant::now()));
        *self.engine.lock().unwrap_or_else(PoisonError::into_inner) = agreed;
        Ok(engine)
    }

    /// Forgets what was agreed: the engine that answers next may be another.
    fn forget(&self) {
        *self.engine.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Reads what may be a line of an event stream, for the fuzz target.
#[cfg(any(test, fuzzing))]
pub(crate) fn check_event(line: &str) {
    watch::check_event(line);
}
