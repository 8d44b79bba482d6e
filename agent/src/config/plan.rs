//! What a reload changes, decided before anything is touched: all of it can be applied, or nothing is.

use super::Config;

/// A setting that changes while the agent runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Setting {
    /// The path of the stack file, or what is in it.
    StackFile,
    CollectInterval,
    StoreDeaths,
    ApiToken,
    ApiRead,
    /// The certificate or its key, by path or by content.
    ApiTls,
    ApiHosts,
    /// Probes that are new, gone or different; the others keep their state.
    Probes,
    LogLevel,
    ShutdownGrace,
}

impl Setting {
    /// Returns the key in `zv.yaml`.
    pub fn key(self) -> &'static str {
        match self {
            Setting::StackFile => "stack.file",
            Setting::CollectInterval => "collect.interval",
            Setting::StoreDeaths => "store.deaths",
            Setting::ApiToken => "api.token_file",
            Setting::ApiRead => "api.read",
            Setting::ApiTls => "api.tls",
            Setting::ApiHosts => "api.hosts",
            Setting::Probes => "probes",
            Setting::LogLevel => "log.level",
            Setting::ShutdownGrace => "shutdown_grace",
        }
    }
}

/// What a reload changes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Areas in which nothing changed: what they configure keeps its state.
    pub unchanged: Vec<&'static str>,
    /// Areas in which something changed.
    pub changed: Vec<&'static str>,
    /// To be applied, if nothing needs a restart.
    pub apply: Vec<Setting>,
    /// One sentence for each change that cannot be applied; the reload is refused where there is one.
    pub needs_restart: Vec<String>,
}

impl Plan {
    /// Says whether the agent can go over to the new configuration without a restart.
    pub fn is_applicable(&self) -> bool {
        self.needs_restart.is_empty()
    }
}

/// Compares the running configuration with a new one.
pub fn diff(old: &Config, new: &Config) -> Plan {
    let mut plan = Plan::default();
    for (area, differs) in [
        ("global", old.global != new.global),
        ("stack", old.stack != new.stack),
        ("collect", old.collect != new.collect),
        ("store", old.store != new.store),
        ("api", old.api != new.api),
        ("probes", old.probes != new.probes),
        ("log", old.log != new.log),
        ("shutdown_grace", old.shutdown_grace != new.shutdown_grace),
    ] {
        if differs { plan.changed.push(area) } else { plan.unchanged.push(area) }
    }
    for (setting, differs) in [
        (
            Setting::StackFile,
            (&old.stack.file, old.stack.file_fingerprint) != (&new.stack.file, new.stack.file_fingerprint),
        ),
        (Setting::CollectInterval, old.collect.interval != new.collect.interval),
        (Setting::StoreDeaths, old.store.deaths != new.store.deaths),
        (Setting::ApiToken, (&old.api.token_file, &old.api.token) != (&new.api.token_file, &new.api.token)),
        (Setting::ApiRead, old.api.read != new.api.read),
        (Setting::ApiTls, old.api.tls != new.api.tls && old.api.tls.is_some() == new.api.tls.is_some()),
        (Setting::ApiHosts, old.api.hosts != new.api.hosts),
        (Setting::Probes, old.probes != new.probes),
        (Setting::LogLevel, old.log.level != new.log.level),
        (Setting::ShutdownGrace, old.shutdown_grace != new.shutdown_grace),
    ] {
        if differs {
            plan.apply.push(setting);
        }
    }
    for (key, differs) in [
        ("global.external_labels.host", old.global != new.global),
        ("stack.runtime", old.stack.runtime != new.stack.runtime),
        ("stack.project", old.stack.projects != new.stack.projects),
        ("stack.docker", old.stack.docker != new.stack.docker),
        ("collect.host_root", old.collect.host_root != new.collect.host_root),
        ("store.path", old.store.path != new.store.path),
        ("api.listen", old.api.listen != new.api.listen),
        ("api.unix", old.api.unix != new.api.unix),
        ("api.tls", old.api.tls.is_some() != new.api.tls.is_some()),
        ("log.format", old.log.format != new.log.format),
    ] {
        if differs {
            plan.needs_restart.push(format!("`{key}` changed, which needs a restart of the agent"));
        }
    }
    plan
}
