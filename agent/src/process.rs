//! The agent as a process: logging, threads, signals. Both binaries come here once their arguments are read.

mod memory;

use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::agent::{Agent, Ended, Surroundings};
use crate::config::{self, LoadOptions};
use crate::logging;
use crate::reload::Reloader;

/// Two suffice: nothing here computes for long.
const WORKERS: usize = 2;
/// Threads for the disk; one that hangs must not use up all of them.
const BLOCKING_THREADS: usize = 16;
/// How long a disk that hangs may hold up the end of the process.
const BLOCKING_GRACE: Duration = Duration::from_secs(1);

/// Loads the configuration and runs the agent until SIGTERM or SIGINT; SIGHUP reloads. A second signal ends it at once.
pub fn run(load: LoadOptions, surroundings: Surroundings) -> Result<()> {
    let loaded = config::load(&load).context("the configuration is not sound")?;
    let log = logging::start(loaded.config.log).context("cannot log")?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    raise_file_limit();
    memory::be_lean();
    let surroundings = Surroundings { origin: Some(load), log: Some(log), ..surroundings };
    let agent = Agent::build(loaded.config, surroundings)?;
    let threads = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()
        .context("cannot start threads")?;
    let ended = threads.block_on(run_until_signal(agent));
    threads.shutdown_timeout(BLOCKING_GRACE);
    if ended? == Ended::Cut {
        tracing::warn!("ended, with something cut off");
    } else {
        tracing::info!("ended");
    }
    Ok(())
}

async fn run_until_signal(agent: Agent) -> Result<Ended> {
    for address in agent.addresses() {
        tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "listening");
    }
    let stop = CancellationToken::new();
    let reloader = agent.reloader();
    let running = agent.run(stop.clone());
    tokio::pin!(running);
    let mut signals = Signals::new()?;
    let first = tokio::select! {
        ended = &mut running => return ended,
        signal = signals.end(reloader) => signal,
    };
    tracing::info!(signal = first, "asked to end");
    stop.cancel();
    tokio::select! {
        ended = running => ended,
        signal = signals.end(None) => anyhow::bail!("ended at once by a second signal ({signal})"),
    }
}

/// The signals of a daemon.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for a signal that ends the process, and reloads on those that ask for it. A reload may wait for replicas
    /// that take their time to end: it runs beside, and is given up when the process is to end.
    async fn end(&mut self, reloader: Option<Reloader>) -> &'static str {
        let mut reloads = FuturesUnordered::new();
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.hangup.recv() => {
                    // One that waits for its turn will see what others would.
                    if let Some(reloader) = &reloader && reloads.len() <= 1 {
                        reloads.push(reloader.reload());
                    }
                }
                // It says in the log how it went; whoever sent a signal hears nothing else.
                Some(_) = reloads.next() => {}
            }
        }
    }
}

/// Every replica takes some descriptors: the soft limit of 1024 is for programs that still use `select`.
fn raise_file_limit() {
    if let Err(error) = zv_stack::stats::raise_file_limit() {
        tracing::debug!(error = %error, "the limit of open files stays as it is");
    }
}
