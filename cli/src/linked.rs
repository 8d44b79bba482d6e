//! The calls into the crates that become the whole process or hold the agent's configuration: one place for each.

#[cfg(feature = "demo")]
use std::ffi::OsStr;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use serde_json::Value;
use zv_agent::agent::Surroundings;
use zv_agent::config::{self, Environment, LoadOptions, Loaded, Mistake, Mistakes, Overrides, Purpose};

use crate::agent::AgentArgs;
use crate::config::{Finding, Findings};
use crate::connect::Options;
use crate::failure::{self, Failure, Outcome};

/// The first arguments that make this program another one.
const GUARD: &str = "guard";
const SERVICE: &str = "service";

/// Variables that the command line itself reads, so that nobody is warned of them.
const OWN_VARIABLES: [&str; 1] = ["ZV_AGENT"];

/// Becomes another program where the first argument says so, before anything of this one is set up. People never type
/// these: the local runtime starts `zv guard …` around each process, the demo's stack file `zv service NAME …`. Their
/// arguments are somebody else's command line and must pass untouched.
pub fn other_program(mut arguments: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    match arguments.next()?.to_str()? {
        GUARD => Some(guard(arguments)),
        SERVICE => Some(service(arguments)),
        _ => None,
    }
}

/// Becomes the guard of a local replica.
fn guard(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    zv_stack::local::guard::main(arguments)
}

/// Becomes a service of the reference stack.
#[cfg(feature = "demo")]
fn service(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match (arguments.next().as_deref().and_then(OsStr::to_str), threads) {
        (Some(main_server::NAME), Ok(threads)) => threads.block_on(main_server::run(arguments)),
        _ => ExitCode::from(failure::USAGE),
    }
}

/// A build without the services has none to become.
#[cfg(not(feature = "demo"))]
fn service(_arguments: impl Iterator<Item = OsString>) -> ExitCode {
    ExitCode::from(failure::USAGE)
}

/// Runs the agent until it is told to stop.
pub fn agent(args: &AgentArgs, options: &Options) -> Outcome {
    let load = LoadOptions {
        file: options.config.clone(),
        overrides: overrides(args),
        environment: environment(),
        purpose: Purpose::Run,
    };
    Ok(zv_agent::process::run(load, surroundings()?)?)
}

/// Returns what an agent needs to know of this program: how it becomes the guard of a local replica.
pub(crate) fn surroundings() -> Outcome<Surroundings> {
    let program = std::env::current_exe().context("cannot tell where this program is")?;
    Ok(Surroundings { guard: vec![program.into_os_string(), GUARD.into()], ..Surroundings::default() })
}

/// Loads the agent's configuration as this process sees it.
pub(crate) fn load(
    file: Option<PathBuf>,
    overrides: Overrides,
    purpose: Purpose,
) -> Result<Loaded, Mistakes> {
    config::load(&LoadOptions { file, overrides, environment: environment(), purpose })
}

/// Returns the environment of this process as the agent's configuration sees it.
pub(crate) fn environment() -> Environment {
    Environment { also_known: OWN_VARIABLES.to_vec(), ..Environment::of_process() }
}

/// Turns the mistakes of a configuration into a failure that tells all of them.
pub(crate) fn mistakes(mistakes: &Mistakes) -> Failure {
    Failure::new(format!("the configuration is not sound:\n{mistakes}"))
}

/// Returns what the options of `zv agent` say.
fn overrides(args: &AgentArgs) -> Overrides {
    let AgentArgs {
        listen,
        unix,
        runtime,
        project,
        file,
        store,
        docker_host,
        docker_context,
        log_level,
        log_format,
    } = args.clone();
    Overrides {
        listen,
        unix,
        store,
        runtime,
        projects: project,
        stack_file: file,
        docker_host,
        docker_context,
        log_level,
        log_format,
    }
}

/// Checks a configuration.
pub fn check_config(file: Option<PathBuf>) -> Findings {
    let finding =
        |mistake: &Mistake| Finding { place: mistake.place.to_string(), text: mistake.text.clone() };
    match load(file, Overrides::default(), Purpose::Run) {
        Ok(loaded) => Findings {
            file: loaded.config.file.map(|file| file.display().to_string()),
            warnings: loaded.warnings.iter().map(finding).collect(),
            ..Findings::default()
        },
        Err(mistakes) => Findings {
            file: mistakes
                .all
                .iter()
                .find_map(|mistake| mistake.place.file())
                .map(|file| file.display().to_string()),
            mistakes: mistakes.all.iter().map(finding).collect(),
            more: mistakes.more,
            warnings: Vec::new(),
        },
    }
}

/// Returns the effective configuration as YAML. Secrets are masked in it.
pub fn effective_config(file: Option<PathBuf>) -> Outcome<String> {
    let loaded = load(file, Overrides::default(), Purpose::Run).map_err(|found| mistakes(&found))?;
    Ok(loaded.config.print())
}

/// Returns the JSON schema of zv.yaml.
pub fn config_schema() -> &'static Value {
    config::schema()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_two_first_words_lead_to_another_program() {
        for first in ["ps", "--json", "guards", ""] {
            assert!(other_program([OsString::from(first)].into_iter()).is_none(), "{first}");
        }
        assert!(other_program(std::iter::empty()).is_none());
    }
}
