//! A service from its start to its end. [`Service::bind`] builds and may fail; [`Bound::serve`] runs and says how it
//! ended; [`Service::run`] is both, with the process's signals.

use std::fmt;
use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::builtin::{self, Facts};
use crate::clock;
use crate::context::{Identity, RequestIds};
use crate::exchange::{Shared, panic_text, surround};
use crate::log::{Level, Log, Outlet};
use crate::metrics::Metrics;
use crate::readiness::Readiness;
use crate::server::{Ending, Server};
use crate::settings::{Mistakes, Settings};
use crate::signals::Signals;

/// How long the last lines of the log may take on their way out.
const LOG_FLUSH: Duration = Duration::from_secs(1);

/// The exit code of a process whose settings are wrong.
const USAGE: u8 = 2;

/// A service that has yet to be bound.
pub struct Service {
    name: &'static str,
    version: &'static str,
    metrics: Metrics,
    output: Box<dyn Write + Send>,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("name", &self.name)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// Why a service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address}; free it, or set `PORT`, `BIND` or `LISTEN` to another")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("cannot take over the signals that end it")]
    Signals(#[source] std::io::Error),
    #[error("cannot start the thread that writes the log")]
    Log(#[source] std::io::Error),
}

impl StartError {
    /// Returns the text with its cause.
    fn whole(&self) -> String {
        let cause = std::error::Error::source(self).map(ToString::to_string).unwrap_or_default();
        format!("{self}: {cause}")
    }
}

impl Service {
    /// Returns the service called `name`, logging to standard output.
    pub fn new(name: &'static str, version: &'static str) -> Self {
        Self { name, version, metrics: Metrics::new(), output: Box::new(std::io::stdout()) }
    }

    /// Returns the service with its log going elsewhere.
    #[must_use]
    pub fn log_to(mut self, output: impl Write + Send + 'static) -> Self {
        self.output = Box::new(output);
        self
    }

    /// Returns the service's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the service's version.
    pub fn version(&self) -> &'static str {
        self.version
    }

    /// Returns the registry that `/metrics` shows, for metrics of the service's own.
    pub fn registry(&self) -> &Registry {
        &self.metrics.registry
    }

    /// Starts the log and takes the address.
    pub async fn bind(self, settings: Settings) -> Result<Bound, StartError> {
        self.open(settings)?.bind().await
    }

    /// Serves `router` until SIGTERM or SIGINT, drains, and returns the process's exit code: 0 if every request was
    /// answered. A second signal ends the draining.
    pub async fn run(self, router: Router, readiness: Readiness, settings: Settings) -> ExitCode {
        let name = self.name;
        let opened = match self.open(settings) {
            Ok(opened) => opened,
            Err(error) => return speechless(name, &error),
        };
        let log = opened.log.clone();
        log_panics(log.clone());
        let code = match opened.run(router, readiness).await {
            Ok(Ending::Drained) => ExitCode::SUCCESS,
            Ok(Ending::Cut { .. } | Ending::Forced { .. }) => ExitCode::FAILURE,
            Err(error) => {
                log.error("cannot start", |line| line.field("error", &error.whole()));
                ExitCode::FAILURE
            }
        };
        log.flush(LOG_FLUSH).await;
        code
    }

    /// Logs what is wrong with the settings, each mistake on a line, and returns the process's exit code.
    pub async fn refuse(self, mistakes: &Mistakes) -> ExitCode {
        let name = self.name;
        let log = match self.log(Level::Info, "") {
            Ok((_, log)) => log,
            Err(error) => return speechless(name, &error),
        };
        for mistake in mistakes.iter() {
            log.error("wrong setting", |line| line.field("error", mistake));
        }
        log.flush(LOG_FLUSH).await;
        ExitCode::from(USAGE)
    }

    fn log(self, level: Level, replica: &str) -> Result<(Metrics, Log), StartError> {
        let dropped = self.metrics.log_dropped.clone();
        let outlet =
            Outlet { output: self.output, dropped, level, service: self.name, replica: replica.to_owned() };
        Ok((self.metrics, Log::start(outlet).map_err(StartError::Log)?))
    }

    fn open(self, settings: Settings) -> Result<Opened, StartError> {
        let identity = Identity {
            service: self.name,
            version: self.version,
            replica: settings.replica.clone(),
            started_at: clock::text(clock::now()),
        };
        let (metrics, log) = self.log(settings.log_level, &settings.replica)?;
        metrics.identify(identity.service, identity.version, &identity.replica);
        Ok(Opened { identity: Arc::new(identity), metrics, settings, log })
    }
}

/// A service that can log.
struct Opened {
    identity: Arc<Identity>,
    metrics: Metrics,
    settings: Settings,
    log: Log,
}

impl Opened {
    async fn bind(self) -> Result<Bound, StartError> {
        let wanted = self.settings.listen;
        let failed = |source| StartError::Listen { address: wanted, source };
        let listener = TcpListener::bind(wanted).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Bound { opened: self, listener, address })
    }

    async fn run(self, router: Router, readiness: Readiness) -> Result<Ending, StartError> {
        let mut signals = Signals::new().map_err(StartError::Signals)?;
        let log = self.log.clone();
        #[expect(clippy::async_yields_async, reason = "the second signal is waited for only after the first")]
        let stop = async move {
            let signal = signals.next().await;
            log.info("asked to stop", |line| line.field("signal", signal));
            async move {
                signals.next().await;
            }
        };
        Ok(self.bind().await?.serve(router, readiness, stop).await)
    }
}

/// A service whose address is taken: clients can connect, and are answered once it serves.
pub struct Bound {
    opened: Opened,
    listener: TcpListener,
    address: SocketAddr,
}

impl fmt::Debug for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bound").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Bound {
    /// Returns the address it listens on, with the port that was given where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the log.
    pub fn log(&self) -> &Log {
        &self.opened.log
    }

    /// Serves until `stop` resolves and drains; what `stop` resolves to ends the draining when it resolves in turn.
    pub async fn serve<F>(self, router: Router, readiness: Readiness, stop: impl Future<Output = F>) -> Ending
    where
        F: Future<Output = ()>,
    {
        let Opened { identity, metrics, settings, log } = self.opened;
        let facts = Facts {
            identity: Arc::clone(&identity),
            readiness: readiness.clone(),
            metrics: metrics.clone(),
            since: Instant::now(),
        };
        let version = identity.version;
        let shared = Arc::new(Shared {
            identity,
            log: log.clone(),
            metrics,
            ids: RequestIds::default(),
            request_timeout: settings.request_timeout,
            max_body: settings.max_body,
        });
        // The limit of the kit holds for every body; axum's own, for some extractors only, would come before it.
        let router = builtin::routes(facts)
            .merge(router)
            .layer(axum::extract::DefaultBodyLimit::disable())
            .layer(from_fn_with_state(Arc::clone(&shared), surround));
        log.info("listening", |line| {
            line.field("address", &self.address);
            line.field("version", version);
        });
        let started = Instant::now();
        let ending =
            Server { listener: self.listener, router, shared, readiness, settings }.serve(stop).await;
        log_ending(&log, ending, started.elapsed());
        ending
    }
}

fn log_ending(log: &Log, ending: Ending, ran: Duration) {
    let (level, message, connections) = match ending {
        Ending::Drained => (Level::Info, "stopped: every request was answered", 0),
        Ending::Cut { connections } => {
            (Level::Error, "stopped: the grace was over before the requests", connections)
        }
        Ending::Forced { connections } => (Level::Warn, "stopped at once by a second signal", connections),
    };
    log.write(level, message, |line| {
        line.field("cut_connections", &connections);
        line.field("uptime_seconds", &ran.as_secs());
    });
}

/// Makes every panic of the process a line of its log.
fn log_panics(log: Log) {
    std::panic::set_hook(Box::new(move |panic| {
        log.error("panicked", |line| {
            line.field("error", panic_text(panic.payload()));
            if let Some(place) = panic.location() {
                line.field("place", &place.to_string());
            }
        });
    }));
}

/// Says on standard error why there is not even a log.
fn speechless(name: &str, error: &StartError) -> ExitCode {
    // Nothing is left to tell if this fails as well.
    let _unheard = writeln!(std::io::stderr(), "{name}: {}", error.whole());
    ExitCode::FAILURE
}
