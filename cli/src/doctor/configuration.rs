//! The configuration: where it was found, whether it is sound, and what the other checks go by where it is not.

use std::path::Path;

use zv_agent::config::{self, Config, LoadOptions, Mistakes, Overrides, Purpose};

use super::DoctorArgs;
use super::finding::{Area, Finding, Findings, Level};
use super::here::Here;
use crate::linked;

/// More mistakes than this are for `zv config check`.
const SHOWN: usize = 8;

/// What was loaded.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) findings: Vec<Finding>,
    /// What the agent would go by; the defaults where it is not sound.
    pub(super) config: Option<Config>,
}

/// Loads the configuration as the agent would.
pub(super) fn read(args: &DoctorArgs, file: Option<&Path>, here: &Here) -> Read {
    let overrides = Overrides {
        docker_host: args.docker_host.clone(),
        docker_context: args.docker_context.clone(),
        ..Overrides::default()
    };
    let load = |purpose| linked::load(file.map(Path::to_owned), overrides.clone(), purpose);
    let mut findings = Findings::of(Area::Configuration);
    let config = match load(Purpose::Run) {
        Ok(loaded) => {
            match &loaded.config.file {
                Some(file) => findings.ok("file", format!("{}, sound", file.display())),
                None => {
                    findings
                        .ok("file", "none: the defaults hold (zv.yaml here, /etc/zv/zv.yaml or --config)");
                }
            }
            for warning in &loaded.warnings {
                findings.note(
                    "warning",
                    warning.to_string(),
                    "`zv config check` tells it, too, once it is changed",
                );
            }
            Some(loaded.config)
        }
        // Somebody who may not read the secrets in it can still look by it.
        Err(mistakes) => match load(Purpose::Look) {
            Ok(loaded) => {
                let level = if here.uid == 0 { Level::Problem } else { Level::Note };
                tell(&mut findings, &mistakes, level, "run this as the agent's user, or mend it");
                Some(loaded.config)
            }
            Err(_) => {
                tell(
                    &mut findings,
                    &mistakes,
                    Level::Problem,
                    "mend it; `zv config check` tells whether it is sound",
                );
                defaults()
            }
        },
    };
    Read { findings: findings.all, config }
}

fn tell(findings: &mut Findings, mistakes: &Mistakes, level: Level, advice: &str) {
    for mistake in mistakes.all.iter().take(SHOWN) {
        findings.at(level, "mistake", mistake.to_string(), advice);
    }
    let more = mistakes.all.len().saturating_sub(SHOWN) + mistakes.more;
    if more > 0 {
        findings.at(level, "mistake", format!("and {more} more"), "`zv config check` tells all of them");
    }
}

/// Returns what holds where nobody says anything.
fn defaults() -> Option<Config> {
    let mut environment = linked::environment();
    environment.default_files.clear();
    environment.variables.retain(|name, _| !name.starts_with("ZV_") && !name.starts_with("DOCKER_"));
    let options = LoadOptions { environment, purpose: Purpose::Look, ..LoadOptions::default() };
    config::load(&options).ok().map(|loaded| loaded.config)
}
