//! One probe that somebody asks for: a target and a module, as blackbox_exporter calls a way of asking.

use std::time::Duration;

use tokio::time::Instant;
use zv_probe::{Check, Method, Report, Target, TargetError};

use super::Probes;

/// The ways of asking that are always there.
const BUILT_IN: [&str; 9] = [
    "http_2xx",
    "http_post_2xx",
    "tcp_connect",
    "tls_connect",
    "ssh_banner",
    "dns",
    "redis",
    "postgres",
    "mysql",
];

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// One of those that are built in, or the name of a probe of the configuration.
    pub module: &'a str,
    pub target: &'a str,
    /// The longest that whoever asks waits; the module's own time limit where absent.
    pub patience: Option<Duration>,
}

/// What was found.
#[derive(Debug)]
pub struct Found {
    pub target: Target,
    pub report: Report,
}

/// Why nothing was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Module or target are not understood.
    #[error("{0}")]
    Misunderstood(String),
    #[error("too many probes are under way; ask again in a moment")]
    TooMany,
}

impl Probes {
    /// Probes once, beside the schedule; nothing is remembered of it.
    pub async fn once(&self, asked: Asked<'_>) -> Result<Found, Refused> {
        let mut target = self.target(asked)?;
        let _turn = self.inner.once.try_acquire().map_err(|_| Refused::TooMany)?;
        if let Some(patience) = asked.patience {
            let is_built_in = !self.is_configured(asked.module);
            target.timeout = if is_built_in { patience } else { target.timeout.min(patience) };
        }
        let deadline = Instant::now() + target.timeout;
        let report = self.inner.prober.run(&target, deadline).await;
        Ok(Found { target, report })
    }

    fn is_configured(&self, module: &str) -> bool {
        self.inner.configured.borrow().iter().any(|probe| probe.name == module)
    }

    fn target(&self, asked: Asked<'_>) -> Result<Target, Refused> {
        let Asked { module, target, .. } = asked;
        let configured = self.inner.configured.borrow().iter().find(|probe| probe.name == module).cloned();
        let made = match configured {
            Some(probe) => probe.target.elsewhere(target),
            None => built_in(module, target).ok_or_else(|| self.unknown(module))?,
        };
        made.map_err(|error| Refused::Misunderstood(format!("the target is not understood: {error}")))
    }

    fn unknown(&self, module: &str) -> Refused {
        let module: String = module.chars().filter(|c| !c.is_control()).take(80).collect();
        let configured = self.inner.configured.borrow();
        let fit = configured.iter().filter(|probe| !matches!(probe.target.check, Check::Exec(_)));
        let known = BUILT_IN.into_iter().chain(fit.map(|probe| probe.name.as_str()));
        let known = known.collect::<Vec<_>>().join(", ");
        Refused::Misunderstood(format!("there is no module `{module}`; there are {known}"))
    }
}

/// Returns the target that a module of ours makes of a text, or nothing where there is no such module.
fn built_in(module: &str, target: &str) -> Option<Result<Target, TargetError>> {
    let kind = match module {
        "http_2xx" | "http_post_2xx" => "http",
        "tcp_connect" | "ssh_banner" => "tcp",
        "tls_connect" => "tls",
        "dns" | "redis" | "postgres" | "mysql" => module,
        _ => return None,
    };
    let text = if target.contains("://") { target.to_owned() } else { format!("{kind}://{target}") };
    Some(Target::parse(&text).and_then(|mut target| {
        if target.check.kind() != kind {
            let how = format!("`{module}` asks targets of the kind {kind}; write `{kind}://HOST`");
            return Err(TargetError::new(how));
        }
        match &mut target.check {
            Check::Http(http) if module == "http_post_2xx" => http.method = Method::POST,
            Check::Tcp(tcp) if module == "ssh_banner" => tcp.expect = b"SSH-2.0-".to_vec(),
            _ => {}
        }
        Ok(target)
    }))
}
