//! Builds the agent from its configuration and runs it until it is told to stop.
//!
//! Building may fail and starts nothing. Running cannot fail to start; it owns every task and joins it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use zv_api::Host;
use zv_stack::Runtime;
use zv_stack::docker::DockerRuntime;
use zv_stack::local::{LocalOptions, LocalRuntime};

use crate::collect::{self, Collected, Senses};
use crate::config::{Config, LoadOptions, RuntimeChoice, Secret, keep_host_id};
use crate::http::{
    Drained, Face, Limits, ListenOptions, Listeners, Readiness, Reload, Rights, SharedRights, TlsFiles,
    Token, TokenError, token as token_file,
};
use crate::logging::LogControl;
use crate::metrics::Metrics;
use crate::metrics::own::Own;
use crate::probes;
use crate::reload::Reloader;
use crate::stacks::{Settings, Stacks, watch};

/// The engine's socket where nothing else is said.
const DOCKER_SOCKET: &str = "/var/run/docker.sock";

/// What the agent needs beside its configuration.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The command line that runs the guard of a local replica, before the guard's own arguments.
    pub guard: Vec<OsString>,
    /// What `${NAME}` means in a stack file, beside the environment.
    pub vars: BTreeMap<String, String>,
    /// Where the configuration came from, to be read again; absent where a reload makes no sense.
    pub origin: Option<LoadOptions>,
    /// Absent where somebody else logs.
    pub log: Option<LogControl>,
}

/// An agent that is ready to run.
#[derive(Debug)]
pub struct Agent {
    config: Config,
    stacks: Stacks,
    runtime: Runtime,
    listeners: Listeners,
    rights: SharedRights,
    reloader: Option<Reloader>,
    closing: CancellationToken,
}

/// How an agent ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Everything came to its end.
    Cleanly,
    /// The grace was over first.
    Cut,
}

impl Agent {
    /// Binds the addresses, opens the store and makes the runtime.
    pub fn build(mut config: Config, surroundings: Surroundings) -> Result<Self> {
        let runtime = runtime(&config, &surroundings)?;
        let listeners = crate::http::bind(listen_options(&config))?;
        let closing = CancellationToken::new();
        let stacks = Stacks::new(Settings {
            host: host(&config),
            runtime: runtime.clone(),
            collected: Collected::new(Some(config.collect.interval), Own::new()),
            store: Some(config.store.path.clone()),
            death_limits: config.store.deaths.limits(),
            started_at: crate::clock::now(),
            closing: closing.clone(),
        });
        // Before anybody can ask for one.
        stacks.probes().configure(config.probes.clone());
        let rights = rights(&config, surroundings.origin.as_ref());
        // One that was made just now is the one a reload compares with.
        config.api.token = rights.token.as_ref().map(|token| Secret::new(token.reveal()));
        let rights = SharedRights::new(rights);
        let reloader = surroundings.origin.map(|origin| {
            Reloader::new(crate::reload::Parts {
                origin,
                config: config.clone(),
                stacks: stacks.clone(),
                runtime: runtime.clone(),
                rights: rights.clone(),
                tls: listeners.tls(),
                log: surroundings.log,
            })
        });
        Ok(Self { config, stacks, runtime, listeners, rights, reloader, closing })
    }

    /// Returns the TCP addresses, with the ports the kernel chose.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.addresses()
    }

    /// Returns the agent's view of its stacks.
    pub fn stacks(&self) -> Stacks {
        self.stacks.clone()
    }

    /// Returns what reads the configuration again.
    pub fn reloader(&self) -> Option<Reloader> {
        self.reloader.clone()
    }

    /// Runs until `stop`, then ends in order: the replicas it supervises, the watch with its last records, the streams,
    /// and HTTP last.
    pub async fn run(self, stop: CancellationToken) -> Result<Ended> {
        let Self { config, stacks, runtime, listeners, rights, reloader, closing } = self;
        let readiness = Readiness::default();
        let reload = reloader.clone().map(|reloader| {
            let stacks = stacks.clone();
            Reload::new(move || {
                let (stacks, reloader) = (stacks.clone(), reloader.clone());
                // A client that leaves midway must not leave half a configuration behind.
                let reload = async move { reloader.reload().await };
                async move {
                    stacks.to_its_end(reload).await.unwrap_or_else(|refusal| Err(vec![refusal.to_string()]))
                }
            })
        });
        let metrics = Metrics::of(&stacks);
        let face = Face { source: stacks.clone(), rights, readiness: readiness.clone(), metrics, reload };
        let router = crate::http::router(face);

        let http_stop = CancellationToken::new();
        let (collect_stop, watch_stop) = (CancellationToken::new(), CancellationToken::new());
        let mut http = JoinSet::new();
        let grace = config.shutdown_grace;
        http.spawn(listeners.serve(router, http_stop.clone().cancelled_owned(), grace));
        let mut watching = JoinSet::new();
        watching.spawn(watch::run(stacks.clone(), watch_stop.clone()));
        let senses = Senses::new(&stacks, &runtime, &config.collect.host_root, true);
        watching.spawn(collect::task::run(stacks.collected().clone(), senses, collect_stop.clone()));
        let probe_stop = CancellationToken::new();
        let mut probing = JoinSet::new();
        probing.spawn(probes::run(stacks.clone(), probe_stop.clone()));
        let mut latch = JoinSet::new();
        latch.spawn(set_when_ready(stacks.clone(), readiness));

        let failure = tokio::select! {
            () = stop.cancelled() => None,
            Some(ended) = http.join_next() => Some(match ended {
                Ok(Ok(_)) => anyhow::anyhow!("the HTTP face ended by itself"),
                Ok(Err(error)) => anyhow::Error::new(error).context("cannot serve HTTP"),
                Err(error) => panic_of(error),
            }),
            Some(ended) = watching.join_next() => Some(match ended {
                Ok(()) => anyhow::anyhow!("the watch ended by itself"),
                Err(error) => panic_of(error),
            }),
            Some(ended) = probing.join_next() => Some(match ended {
                Ok(()) => anyhow::anyhow!("the probes ended by themselves"),
                Err(error) => panic_of(error),
            }),
        };
        tracing::info!("shutting down");
        // First of all: what goes down because the agent does is nobody's news. Nothing in it waits.
        probe_stop.cancel();
        while probing.join_next().await.is_some() {}
        let grace = reloader.map_or(grace, |reloader| reloader.shutdown_grace());
        let ended = shut_down(
            &runtime,
            &stacks,
            grace,
            Stages { watching, collect_stop, watch_stop, closing, http, http_stop },
        )
        .await;
        latch.shutdown().await;
        match failure {
            Some(error) => Err(error),
            None => Ok(ended),
        }
    }
}

/// What is ended one after the other.
struct Stages {
    /// The watch and the collector.
    watching: JoinSet<()>,
    collect_stop: CancellationToken,
    watch_stop: CancellationToken,
    closing: CancellationToken,
    http: JoinSet<std::io::Result<Drained>>,
    http_stop: CancellationToken,
}

async fn shut_down(runtime: &Runtime, stacks: &Stacks, grace: Duration, stages: Stages) -> Ended {
    let Stages { mut watching, collect_stop, watch_stop, closing, mut http, http_stop } = stages;
    let mut ended = Ended::Cleanly;
    collect_stop.cancel();
    // What ends because the agent does is nobody's wish for the next time.
    stacks.keep_wishes_as_they_are();
    // While the watch still sees it: what stops now was asked to, and is recorded so.
    if timeout(grace, runtime.shutdown()).await.is_err() {
        tracing::warn!("replicas were still running when the grace was over");
        ended = Ended::Cut;
    }
    if timeout(grace, stacks.finish_actions()).await.is_err() {
        tracing::warn!("an action was still under way when the grace was over");
        ended = Ended::Cut;
    }
    watch_stop.cancel();
    if timeout(grace, async { while watching.join_next().await.is_some() {} }).await.is_err() {
        tracing::warn!("the watch did not end within the grace");
        watching.shutdown().await;
        ended = Ended::Cut;
    }
    closing.cancel();
    http_stop.cancel();
    while let Some(served) = http.join_next().await {
        if let Ok(Ok(Drained::Cut { connections })) = served {
            tracing::warn!(connections, "connections were cut");
            ended = Ended::Cut;
        }
    }
    ended
}

async fn set_when_ready(stacks: Stacks, readiness: Readiness) {
    stacks.ready().await;
    readiness.set();
    tracing::info!("ready");
}

fn panic_of(error: tokio::task::JoinError) -> anyhow::Error {
    match error.try_into_panic() {
        // A bug stays a bug: it is not turned into a message.
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(error) => error.into(),
    }
}

/// Returns the runtime that the configuration means. `auto` is Docker where an engine is named or its socket exists, else
/// the stack file where one is named.
pub(crate) fn runtime(config: &Config, surroundings: &Surroundings) -> Result<Runtime> {
    let docker = &config.stack.docker;
    let engine_is_meant =
        docker.host.is_some() || docker.context.is_some() || std::path::Path::new(DOCKER_SOCKET).exists();
    match (config.stack.runtime, &config.stack.file) {
        (RuntimeChoice::Local, Some(file)) => local(config, surroundings, file),
        (RuntimeChoice::Auto, Some(file)) if !engine_is_meant => local(config, surroundings, file),
        (RuntimeChoice::Local | RuntimeChoice::Auto | RuntimeChoice::Docker, _) => {
            Ok(Runtime::Docker(DockerRuntime::new(config.stack.docker_options())?))
        }
    }
}

fn local(config: &Config, surroundings: &Surroundings, file: &std::path::Path) -> Result<Runtime> {
    let mut vars: BTreeMap<String, String> =
        surroundings.origin.iter().flat_map(|origin| origin.environment.variables.clone()).collect();
    vars.extend(surroundings.vars.clone());
    let options = LocalOptions {
        file: file.to_owned(),
        state_dir: config.store.path.join("local"),
        guard: surroundings.guard.clone(),
        vars,
    };
    Ok(Runtime::Local(LocalRuntime::new(options).context("the stack file is not sound")?))
}

fn listen_options(config: &Config) -> ListenOptions {
    ListenOptions {
        tcp: config.api.listen.clone(),
        unix: config.api.unix.clone(),
        unix_group: Some(token_file::GROUP.to_owned()),
        tls: config
            .api
            .tls
            .as_ref()
            .map(|tls| TlsFiles { cert_file: tls.cert_file.clone(), key_file: tls.key_file.clone() }),
        limits: Limits::STANDARD,
    }
}

/// Returns who this host is. A host without an id of its own gets one that the store keeps.
fn host(config: &Config) -> Host {
    let kept = || {
        std::fs::create_dir_all(&config.store.path).and_then(|()| keep_host_id(&config.store.path)).unwrap_or_else(
            |error| {
                tracing::warn!(error = %error, "this host has no id and the store keeps none: its name stands in for it");
                config.global.host_name.clone()
            },
        )
    };
    Host { id: config.global.host_id.clone().unwrap_or_else(kept), name: config.global.host_name.clone() }
}

/// Returns the rights that the configuration grants. Without a token nobody can act, but everybody can still look.
fn rights(config: &Config, origin: Option<&LoadOptions>) -> Rights {
    let token = token(config, origin)
        .inspect_err(|error| {
            tracing::error!(error = %error, cause = ?std::error::Error::source(error).map(ToString::to_string),
                "there is no token: nobody can act through this agent");
        })
        .ok();
    rights_with(config, token)
}

/// Returns the token that the configuration means; makes one on first start.
pub(crate) fn token(config: &Config, origin: Option<&LoadOptions>) -> Result<Token, TokenError> {
    let given =
        origin.and_then(|origin| origin.environment.variable("ZV_TOKEN")).filter(|token| !token.is_empty());
    match given {
        Some(secret) => Token::given("ZV_TOKEN", secret),
        None => Token::load_or_create(&config.api.token_file),
    }
}

/// Returns what the configuration grants to whoever has this token, and to others.
pub(crate) fn rights_with(config: &Config, token: Option<Token>) -> Rights {
    let read = match config.api.read {
        crate::config::ReadRight::Open => crate::http::ReadRight::Open,
        crate::config::ReadRight::Token => crate::http::ReadRight::Token,
    };
    Rights { token, read, hosts: config.api.hosts.clone() }
}
