//! The options of `zv health-check`, and what they mean together.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use zv_agent::config::{Overrides, Purpose};
use zv_probe::{BodyRule, Check, Prober, StatusSet, Target, Trust};

use super::project::Project;
use crate::connect::Options;
use crate::failure::{Failure, Outcome};
use crate::{linked, span};

const AFTER_HELP: &str = "\
Targets:
  http://HOST/PATH  https://…     a page: its status, and with --expect-body its content
  tcp://HOST:PORT                 a port; ?expect=TEXT waits for it, ?send=TEXT asks first
  tls://HOST:PORT                 a certificate; ?name=NAME where it is made for another one
  dns://SERVER/NAME?type=A        a name server; &expect=ADDRESS for each answer that must be there
  redis://:PASSWORD@HOST          PING; rediss:// over TLS
  postgres://USER:PASSWORD@HOST/DATABASE    a login and a query; ?sslmode=require or verify-full
  mysql://USER:PASSWORD@HOST/DATABASE       a login and a ping; ?ssl-mode=REQUIRED or VERIFY_IDENTITY
  docker://CONTAINER  docker://PROJECT/SERVICE    what an agent or the engine says of it
Without any, and with --services, every service is looked at that an agent, or else the engine of this host, knows. The
services of a compose file are judged by their containers, and each container is asked what its labels `zv.probe.…` say. --ca-file is for https,
tls and rediss targets too. A database without a user or password is up where it asks for a login.

Exit codes: 0 healthy, 1 degraded (slow, a certificate about to end, fewer replicas than desired), 2 down, 3 could not
tell (also a mistake in the arguments). The worst of all targets counts, and down is worse than unknown.

Examples:
  zv health-check                                         every service on this host
  zv health-check https://shop.example redis://cache docker://shop/orders
  zv health-check http://localhost:8080/ready --expect-body '\"ok\"' --retries 3
  zv health-check --format nagios tcp://db:5432           as a monitoring plugin
  zv health-check --config /etc/zv/zv.yaml                the probes of a configuration
  zv health-check -f compose.yaml -f compose.prod.yaml    the services of a compose file, and their probes

In a crontab, one mail for each change, and a reminder while it lasts:
  MAILTO=ops@shop.example
  */5 * * * * zv health-check https://shop.example docker://shop/orders --only-changes --remind 6h";

/// How a run is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Json,
    /// One line with the verdict and the times, then a line for each target
    Nagios,
    /// XML for continuous integration: each target is a test case
    Junit,
}

/// Check services and addresses once: for cron, scripts and monitoring plugins
#[derive(Debug, Clone, Args)]
#[command(after_help = AFTER_HELP)]
pub struct HealthCheckArgs {
    /// What to check, as `http://HOST/PATH`, `redis://HOST`, `docker://PROJECT/SERVICE` and the like; every service
    /// of this host where none is named
    #[arg(value_name = "TARGET")]
    pub targets: Vec<String>,
    /// Ask the probes of the configuration: --config, else zv.yaml here, else /etc/zv/zv.yaml. A --config that has
    /// probes says so by itself
    #[arg(long)]
    pub probes: bool,
    /// Check the services of this compose file, or of the one in this folder; repeat it as for docker compose
    #[arg(long = "compose", short = 'f', value_name = "FILE")]
    pub compose: Vec<PathBuf>,
    /// The project of the compose file; else COMPOSE_PROJECT_NAME, the file's `name`, the name of its folder
    #[arg(long, short = 'p', value_name = "NAME", requires = "compose")]
    pub project: Option<String>,
    /// Services with this profile should run, too; else as COMPOSE_PROFILES says. Repeat it for more than one
    #[arg(long, value_name = "NAME", requires = "compose")]
    pub profile: Vec<String>,
    /// Look at every service of this host beside what else is named
    #[arg(long)]
    pub services: bool,
    /// The time for everything, retries included
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = span::positive)]
    pub deadline: Duration,
    /// How often a target that is not up is asked again, within the deadline
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub retries: u32,
    /// The pause before each of them
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = span::parse)]
    pub retry_pause: Duration,
    /// The status that pages must have: `200`, `2xx` (the default), `200-299,304`
    #[arg(long, value_name = "STATUS")]
    pub expect_status: Option<StatusSet>,
    /// A text that pages must have in their first MiB; repeat it for more than one
    #[arg(long, value_name = "TEXT")]
    pub expect_body: Vec<String>,
    /// Call whoever takes longer degraded
    #[arg(long, value_name = "TIME", value_parser = span::positive)]
    pub within: Option<Duration>,
    /// Believe every certificate; when it ends is still told
    #[arg(long)]
    pub insecure: bool,
    /// How to print it; --json is the same as json
    #[arg(long, value_name = "FORMAT", default_value = "text", hide_default_value = true)]
    pub format: Format,
    /// Print only what changed since the last run with the same state file, and nothing where nothing did. A target
    /// that is seen for the first time has changed unless it is up
    #[arg(long)]
    pub only_changes: bool,
    /// Where --only-changes remembers; else health-check.json in $XDG_STATE_HOME/zv, /var/lib/zv (root) or
    /// ~/.local/state/zv
    #[arg(long, value_name = "FILE", requires = "only_changes")]
    pub state: Option<PathBuf>,
    /// With --only-changes, print again what still is not up after this time
    #[arg(long, value_name = "TIME", value_parser = span::positive, requires = "only_changes")]
    pub remind: Option<Duration>,
    /// Tell a heartbeat monitor: GET URL/start first, then URL where all is healthy, URL/fail where not
    #[arg(long, value_name = "URL")]
    pub ping: Option<String>,
    /// Send the results to a Prometheus Pushgateway, under the job zv_health_check unless the address has a
    /// /metrics/job/NAME
    #[arg(long, value_name = "URL")]
    pub push_gateway: Option<String>,
}

impl HealthCheckArgs {
    /// Returns the form of output.
    pub(super) fn format(&self, options: &Options) -> Format {
        if options.json { Format::Json } else { self.format }
    }
}

/// What is to be done, each target with its place on the command line.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) prober: Prober,
    pub(super) probes: Vec<(usize, Target)>,
    /// Names of containers and services.
    pub(super) looks: Vec<(usize, String)>,
    /// A compose file, its services at this place and after it.
    pub(super) project: Option<(usize, Project)>,
    /// Every service is meant, and has its place here and after it: nothing was named, or this was.
    pub(super) everything: Option<usize>,
}

impl Plan {
    pub(super) fn of(args: &HealthCheckArgs, options: &Options) -> Outcome<Self> {
        if args.only_changes && matches!(args.format(options), Format::Nagios | Format::Junit) {
            return Err(usage(
                "--only-changes prints text or JSON: who reads the other forms wants every run",
            ));
        }
        if options.json && !matches!(args.format, Format::Text | Format::Json) {
            return Err(usage("--json and --format name two forms of output"));
        }
        let (mut probes, mut looks) = (Vec::new(), Vec::new());
        for (place, text) in args.targets.iter().enumerate() {
            match text.strip_prefix("docker://") {
                Some(name) if is_name(name) => looks.push((place, name.to_owned())),
                Some(_) => {
                    return Err(usage(
                        "a container is written `docker://NAME`, a service `docker://PROJECT/SERVICE`",
                    ));
                }
                None => probes.push((place, target(text, args)?)),
            }
        }
        let is_page = |(_, target): &(usize, Target)| matches!(target.check, Check::Http(_));
        if (args.expect_status.is_some() || !args.expect_body.is_empty()) && !probes.iter().any(is_page) {
            return Err(usage(
                "--expect-status and --expect-body are for http and https targets, and none is named",
            ));
        }
        let typed = args.targets.len();
        let configured = configured(args, options)?;
        let after_probes = typed + configured.len();
        probes.extend(configured.into_iter().enumerate().map(|(place, target)| (typed + place, target)));
        let project = Project::of(args)?.map(|project| (after_probes, project));
        let after_project = after_probes + project.as_ref().map_or(0, |(_, project)| project.places());
        let nothing_else = after_probes == 0 && project.is_none();
        let everything = (args.services || nothing_else).then_some(after_project);
        let prober = Prober::new(Arc::new(trust(args, options)?));
        Ok(Self { prober, probes, looks, project, everything })
    }
}

fn is_name(name: &str) -> bool {
    let parts: Vec<&str> = name.split('/').collect();
    parts.len() <= 2 && parts.iter().all(|part| !part.is_empty() && !part.contains(char::is_whitespace))
}

/// Returns how long one attempt may take: the pauses are part of the deadline, what is left is shared.
fn share(args: &HealthCheckArgs) -> Duration {
    let attempts = args.retries + 1;
    args.deadline.saturating_sub(args.retry_pause * args.retries).max(args.deadline / 2) / attempts
}

/// Fits a target that has limits of its own into this run.
pub(super) fn fitted(mut target: Target, args: &HealthCheckArgs) -> Target {
    target.timeout = target.timeout.min(share(args));
    target.within = target.within.or(args.within);
    target
}

/// Returns the probes of the configuration, where they are asked for.
fn configured(args: &HealthCheckArgs, options: &Options) -> Outcome<Vec<Target>> {
    if !args.probes && options.config.is_none() {
        return Ok(Vec::new());
    }
    let loaded = linked::load(options.config.clone(), Overrides::default(), Purpose::Probe);
    let config = loaded.map_err(|found| linked::mistakes(&found))?.config;
    if config.probes.is_empty() && args.probes {
        let place = match config.file {
            Some(file) => format!("`{}` has no `probes`", file.display()),
            None => "no configuration is found".to_owned(),
        };
        return Err(usage(&format!("--probes: {place}")));
    }
    let probes = config.probes.iter().map(|probe| {
        let mut target = fitted(probe.target.clone(), args);
        target.name = format!("{} ({})", probe.name, target.name);
        target
    });
    Ok(probes.collect())
}

fn target(text: &str, args: &HealthCheckArgs) -> Outcome<Target> {
    let mut target = Target::parse(text).map_err(|error| Failure::Usage(error.to_string()))?;
    target.timeout = share(args);
    target.within = args.within;
    if let Check::Http(http) = &mut target.check {
        if let Some(status) = &args.expect_status {
            http.expect.status = status.clone();
        }
        http.expect.body.extend(args.expect_body.iter().cloned().map(BodyRule::Contains));
    }
    Ok(target)
}

fn trust(args: &HealthCheckArgs, options: &Options) -> Outcome<Trust> {
    match &options.ca_file {
        _ if args.insecure => Ok(Trust::anything()),
        None => Ok(Trust::system()),
        Some(file) => {
            let shown = file.display();
            let unusable =
                |error: &dyn std::fmt::Display| Failure::Usage(format!("--ca-file {shown}: {error}"));
            let pem = std::fs::read(file).map_err(|error| unusable(&error))?;
            Trust::only(&pem).map_err(|error| unusable(&error))
        }
    }
}

fn usage(text: &str) -> Failure {
    Failure::Usage(text.to_owned())
}
