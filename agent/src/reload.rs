//! Reads the configuration again and goes over to it, all or nothing. What did not change keeps its state.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex as AsyncMutex;
use zv_stack::Runtime;

use crate::config::{self, Config, LoadOptions, Plan, Setting};
use crate::http::{Rights, SharedRights, Tls, TlsFiles};
use crate::logging::LogControl;
use crate::stacks::Stacks;

/// What a reload can reach.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) origin: LoadOptions,
    pub(crate) config: Config,
    pub(crate) stacks: Stacks,
    pub(crate) runtime: Runtime,
    pub(crate) rights: SharedRights,
    pub(crate) tls: Option<Tls>,
    pub(crate) log: Option<LogControl>,
}

/// Reads the configuration again when it is told to. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reloader {
    parts: Arc<Parts>,
    /// The configuration in force. Locked for the time of a copy.
    current: Arc<Mutex<Config>>,
    /// One reload at a time.
    turn: Arc<AsyncMutex<()>>,
}

impl Reloader {
    pub(crate) fn new(parts: Parts) -> Self {
        let current = Arc::new(Mutex::new(parts.config.clone()));
        Self { parts: Arc::new(parts), current, turn: Arc::default() }
    }

    /// Returns the grace in force.
    pub(crate) fn shutdown_grace(&self) -> Duration {
        self.current().shutdown_grace
    }

    /// Reloads. Returns what changed, or everything that speaks against it; then nothing has changed.
    pub async fn reload(&self) -> Result<String, Vec<String>> {
        let _turn = self.turn.lock().await;
        let outcome = self.try_reload().await;
        match &outcome {
            Ok(text) => tracing::info!("{text}"),
            Err(mistakes) => {
                for mistake in mistakes {
                    tracing::error!("not reloaded: {mistake}");
                }
            }
        }
        outcome
    }

    async fn try_reload(&self) -> Result<String, Vec<String>> {
        let origin = self.parts.origin.clone();
        let loading = tokio::task::spawn_blocking(move || config::load(&origin));
        let loaded = loading.await.map_err(|error| vec![error.to_string()])?;
        let loaded =
            loaded.map_err(|mistakes| mistakes.all.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        let plan = config::diff(&self.current(), &loaded.config);
        if !plan.is_applicable() {
            return Err(plan.needs_restart);
        }
        self.apply(&plan, &loaded.config).await?;
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = loaded.config;
        Ok(summary(&plan))
    }

    /// Applies what can fail first: once the stack file has been taken, nothing is left that could fail.
    async fn apply(&self, plan: &Plan, new: &Config) -> Result<(), Vec<String>> {
        let refused = |error: &dyn std::fmt::Display| vec![error.to_string()];
        let tls = self.parts.tls.as_ref().filter(|_| plan.apply.contains(&Setting::ApiTls));
        if let (Some(_), Some(files)) = (tls, &new.api.tls) {
            let files = TlsFiles { cert_file: files.cert_file.clone(), key_file: files.key_file.clone() };
            Tls::load(files).map_err(|error| refused(&error))?;
        }
        let rights = self.rights(plan, new).await?;
        if plan.apply.contains(&Setting::StackFile)
            && let (Runtime::Local(local), Some(file)) = (&self.parts.runtime, &new.stack.file)
        {
            local.reload_from(file).await.map_err(|error| refused(&error))?;
        }
        if let Some(tls) = tls {
            tls.reload().map_err(|error| refused(&error))?;
        }
        if let Some(rights) = rights {
            self.parts.rights.replace(rights);
        }
        for setting in &plan.apply {
            match setting {
                Setting::CollectInterval => self.parts.stacks.collected().set_interval(new.collect.interval),
                Setting::StoreDeaths => self.parts.stacks.set_death_limits(new.store.deaths.limits()).await,
                Setting::LogLevel => {
                    if let Some(log) = &self.parts.log {
                        log.set_level(new.log.level);
                    }
                }
                Setting::Probes => self.parts.stacks.probes().configure(new.probes.clone()),
                // Applied above, or read when it is needed.
                Setting::StackFile
                | Setting::ApiTls
                | Setting::ApiToken
                | Setting::ApiRead
                | Setting::ApiHosts
                | Setting::ShutdownGrace => {}
            }
        }
        Ok(())
    }

    /// Returns the new rights where they change; a token that cannot be used is refused.
    async fn rights(&self, plan: &Plan, new: &Config) -> Result<Option<Rights>, Vec<String>> {
        let changes = [Setting::ApiToken, Setting::ApiRead, Setting::ApiHosts];
        if !plan.apply.iter().any(|setting| changes.contains(setting)) {
            return Ok(None);
        }
        if !plan.apply.contains(&Setting::ApiToken) {
            return Ok(Some(crate::agent::rights_with(new, self.parts.rights.token())));
        }
        let (config, origin) = (new.clone(), self.parts.origin.clone());
        let reading = tokio::task::spawn_blocking(move || crate::agent::token(&config, Some(&origin)));
        let token = reading.await.map_err(|error| vec![error.to_string()])?;
        let token = token.map_err(|error| {
            let cause = std::error::Error::source(&error).map_or(String::new(), |cause| format!(": {cause}"));
            vec![format!("{error}{cause}")]
        })?;
        Ok(Some(crate::agent::rights_with(new, Some(token))))
    }

    fn current(&self) -> Config {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn summary(plan: &Plan) -> String {
    let keys: Vec<&str> = plan.apply.iter().map(|setting| setting.key()).collect();
    match keys.as_slice() {
        [] => "the configuration is the same".to_owned(),
        keys => format!("reloaded: {}", keys.join(", ")),
    }
}
