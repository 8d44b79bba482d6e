//! The agent inside another process: it looks at the local engine for as long as a command runs, serves the same routes
//! over a pipe in memory, and keeps nothing on disk.

use std::io;
use std::time::Duration;

use anyhow::Result;
use tokio::io::DuplexStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use zv_api::Host;

use crate::agent::{Surroundings, runtime};
use crate::collect::{self, Collected, Senses};
use crate::config::Config;
use crate::http::in_process::{self, Dialler};
use crate::http::{Face, Readiness, Rights, SharedRights};
use crate::metrics::Metrics;
use crate::metrics::own::Own;
use crate::stacks::{Settings, Stacks, watch};

/// How long an answer may take while the command ends.
const GRACE: Duration = Duration::from_millis(200);

/// How long the two measurements lie apart that tell a rate.
const BETWEEN: Duration = Duration::from_millis(200);
/// How long one may take: below that, a host full of containers is measured.
const MEASURING: Duration = Duration::from_millis(150);

/// A look at the local engine. It ends when it is dropped.
#[derive(Debug)]
pub struct Embedded {
    stacks: Stacks,
    dialler: Dialler,
    /// Aborted on drop: nothing of a look outlives it, and nothing of it needs an orderly end.
    _tasks: JoinSet<()>,
}

impl Embedded {
    /// Begins to look. Needs a tokio runtime.
    pub fn start(config: &Config, surroundings: &Surroundings) -> Result<Self> {
        let closing = CancellationToken::new();
        let runtime = runtime(config, surroundings)?;
        let stacks = Stacks::new(Settings {
            // A look keeps nothing on disk, an id of the host neither.
            host: Host {
                id: config.global.host_id.clone().unwrap_or_else(|| config.global.host_name.clone()),
                name: config.global.host_name.clone(),
            },
            runtime: runtime.clone(),
            // Measured when somebody asks for it.
            collected: Collected::new(None, Own::new()),
            store: None,
            death_limits: config.store.deaths.limits(),
            started_at: crate::clock::now(),
            closing: closing.clone(),
        });
        let face = Face {
            source: stacks.clone(),
            rights: SharedRights::new(Rights::in_process()),
            readiness: Readiness::default(),
            metrics: Metrics::of(&stacks),
            reload: None,
        };
        let router = crate::http::router(face);
        let (dialler, server) = in_process::pair();
        let mut tasks = JoinSet::new();
        tasks.spawn(watch::run(stacks.clone(), closing.clone()));
        // Asking an old engine takes a second for each replica: a look shows what can be seen by itself.
        let senses = Senses::new(&stacks, &runtime, &config.collect.host_root, false);
        tasks.spawn(collect::task::run(stacks.collected().clone(), senses, closing.clone()));
        tasks.spawn(async move {
            server.serve(router, closing.cancelled_owned(), GRACE).await;
        });
        Ok(Self { stacks, dialler, _tasks: tasks })
    }

    /// Waits until everything there is has been looked at, or the engine is known not to answer, but no longer than
    /// `patience`.
    pub async fn settled(&self, patience: Duration) {
        // What is known by then is shown as known, and the rest as unknown.
        let _ = tokio::time::timeout(patience, self.stacks.settled()).await;
    }

    /// Measures what can be seen from here, twice, so that rates are known.
    pub async fn measured(&self) {
        let collected = self.stacks.collected();
        collected.refresh(Duration::ZERO, MEASURING).await;
        let latest = collected.latest();
        if latest.replicas.is_empty() {
            return;
        }
        tokio::time::sleep(BETWEEN).await;
        collected.refresh(Duration::ZERO, MEASURING).await;
    }

    /// Returns what opens connections to it.
    pub fn dialler(&self) -> Dialler {
        self.dialler.clone()
    }

    /// Opens one connection to it.
    pub async fn dial(&self) -> io::Result<DuplexStream> {
        self.dialler.dial().await
    }
}
