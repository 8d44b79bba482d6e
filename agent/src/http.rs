//! The HTTP face: listeners, rights, routes.
//!
//! - [`listen`]: addresses and the unix socket are bound first, served later, and drained at the end.
//! - [`auth`]: who may read and who may act; the check against DNS rebinding. [`token`] keeps the secret.
//! - [`routes`]: what is served, listed in that module's header. [`in_process`] serves it without a socket.

mod accept;
pub mod auth;
mod connection;
mod group;
pub mod in_process;
pub mod listen;
mod metrics;
mod page;
mod params;
mod probe;
mod problem;
pub mod routes;
mod sse;
mod stall;
pub mod tls;
pub mod token;
mod unix;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use zv_api::{
    ActionReport, ActionRequest, Death, Deaths, Happenings, HostReport, LogQuery, Snapshot, StatsPace,
};

use crate::metrics::Metrics;
use crate::probes::Probes;
use crate::stacks::{LogMessage, Message, Refusal, Stacks};

pub use auth::{Origin, ReadRight, Rights, SharedRights};
pub use listen::{Drained, Limits, ListenError, ListenOptions, Listeners, bind};
pub use routes::router;
pub use tls::{Tls, TlsError, TlsFiles};
pub use token::{Token, TokenError};

/// What the routes ask: [`Stacks`], or a script in tests.
pub trait Source: Clone + Send + Sync + 'static {
    /// Returns all that is known now.
    fn snapshot(&self) -> Snapshot;

    /// Streams changes after `last_event_id`, or from a snapshot on, and measurements where a pace for them is given.
    fn events(&self, last_event_id: Option<&str>, stats: Option<StatsPace>) -> BoxStream<'static, Message>;

    /// Returns what is known of the host.
    fn host(&self) -> HostReport;

    /// Returns the last things that happened, oldest first.
    fn happenings(&self, limit: usize) -> Happenings;

    /// Lists deaths, newest first.
    fn deaths(
        &self,
        stack: Option<&str>,
        service: Option<&str>,
        limit: usize,
    ) -> impl Future<Output = Result<Deaths, Refusal>> + Send;

    /// Reads one death record.
    fn death(&self, id: &str) -> impl Future<Output = Result<Death, Refusal>> + Send;

    /// Streams log lines of all replicas that match; `cursor` resumes an earlier stream.
    fn logs(&self, query: LogQuery, cursor: Option<&str>) -> Result<BoxStream<'static, LogMessage>, Refusal>;

    /// Carries out an action and waits for it.
    fn act(&self, request: ActionRequest) -> impl Future<Output = Result<ActionReport, Refusal>> + Send;

    /// Returns the probes.
    fn probes(&self) -> Probes;
}

impl Source for Stacks {
    fn snapshot(&self) -> Snapshot {
        Stacks::snapshot(self)
    }

    fn events(&self, last_event_id: Option<&str>, stats: Option<StatsPace>) -> BoxStream<'static, Message> {
        Stacks::events(self, last_event_id, stats)
    }

    fn host(&self) -> HostReport {
        Stacks::host(self)
    }

    fn happenings(&self, limit: usize) -> Happenings {
        Stacks::happenings(self, limit)
    }

    async fn deaths(
        &self,
        stack: Option<&str>,
        service: Option<&str>,
        limit: usize,
    ) -> Result<Deaths, Refusal> {
        Stacks::deaths(self, stack, service, limit).await
    }

    async fn death(&self, id: &str) -> Result<Death, Refusal> {
        Stacks::death(self, id).await
    }

    fn logs(&self, query: LogQuery, cursor: Option<&str>) -> Result<BoxStream<'static, LogMessage>, Refusal> {
        Stacks::logs(self, query, cursor)
    }

    async fn act(&self, request: ActionRequest) -> Result<ActionReport, Refusal> {
        Stacks::act(self, request).await
    }

    fn probes(&self) -> Probes {
        Stacks::probes(self)
    }
}

/// All that the routes need.
#[derive(Debug, Clone)]
pub struct Face<S> {
    pub source: S,
    pub rights: SharedRights,
    pub readiness: Readiness,
    pub metrics: Metrics,
    /// Absent where there is no configuration to read again.
    pub reload: Option<Reload>,
}

/// Whether the agent knows enough to be asked: a latch that somebody else sets.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Says that the first list arrived, or that the runtime is known to be away.
    pub fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Says whether it was set.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Reads the configuration again and applies it: what was done, or all its mistakes.
#[derive(Clone)]
pub struct Reload(Arc<dyn Fn() -> BoxFuture<'static, Result<String, Vec<String>>> + Send + Sync>);

impl Reload {
    /// Returns the reload that `run` does.
    pub fn new<F, R>(run: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<String, Vec<String>>> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(run())))
    }

    fn run(&self) -> BoxFuture<'static, Result<String, Vec<String>>> {
        (self.0)()
    }
}

impl fmt::Debug for Reload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reload")
    }
}
