//! The command line as a whole: the global options and the commands. Each command's own options stand in its module.

use std::path::PathBuf;

use clap::builder::Styles;
use clap::builder::styling::AnsiColor;
use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::actions::{RestartArgs, ScaleArgs, StartArgs, StopArgs};
use crate::agent::AgentArgs;
use crate::config::ConfigArgs;
#[cfg(feature = "demo")]
use crate::demo::DemoArgs;
use crate::doctor::DoctorArgs;
use crate::generate::{CompletionsArgs, ManArgs};
use crate::health_check::HealthCheckArgs;
use crate::logs::LogsArgs;
use crate::ps::PsArgs;
use crate::why::WhyArgs;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const AFTER_HELP: &str = "\
Without --agent, zv looks for an agent at /run/zv/zv.sock and 127.0.0.1:9780; where there is none, it looks at the \
engine of this host by itself.

Exit codes: 0 done, 1 findings or failure, 2 the command was not understood; `zv health-check` has its own.

Examples:
  zv ps                     what runs, and what should
  zv why orders             why it died, and how it is now
  zv logs -f orders         its log, across restarts
  zv demo --for 20s         all of it, without an engine";

/// Watches, shows and operates stacks of containers
#[derive(Debug, Parser)]
#[command(name = "zv", version, styles = STYLES, after_help = AFTER_HELP, max_term_width = 120)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    pub globals: Globals,
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct Globals {
    /// The agent to ask: `http://HOST:PORT`, `https://…` or `unix:///PATH`; `none` looks at the local engine
    #[arg(long, global = true, value_name = "URL", env = "ZV_AGENT", hide_env_values = true)]
    pub agent: Option<String>,
    /// A file with the agent's token; else ZV_TOKEN, else /var/lib/zv/token where it can be read
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Certificates (PEM) that an https agent is checked against, instead of the system's
    #[arg(long, global = true, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// The configuration file; also spelled --config.file
    #[arg(long, global = true, value_name = "FILE", alias = "config.file")]
    pub config: Option<PathBuf>,
    /// Print JSON for programs instead of text for people
    #[arg(long, global = true)]
    pub json: bool,
    /// Print without colours; also where NO_COLOR is set or the output is no terminal (CLICOLOR_FORCE overrules that)
    #[arg(long, global = true)]
    pub no_color: bool,
    /// Say more on stderr
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    Ps(PsArgs),
    Why(WhyArgs),
    Logs(LogsArgs),
    HealthCheck(HealthCheckArgs),
    Doctor(DoctorArgs),
    /// Stop a service, or one replica of it
    Stop(StopArgs),
    /// Start a service that was stopped, or one replica of it
    Start(StartArgs),
    /// Stop and start a service, or one replica of it
    Restart(RestartArgs),
    /// Bring services to a number of replicas
    Scale(ScaleArgs),
    #[cfg(feature = "demo")]
    Demo(DemoArgs),
    Agent(AgentArgs),
    Config(ConfigArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
}

/// Returns the definition that help, completions, manual pages and the reference are made from.
pub fn definition() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        definition().debug_assert();
    }

    #[test]
    fn global_options_stand_before_and_after_the_command() {
        for arguments in [["zv", "--json", "ps"], ["zv", "ps", "--json"]] {
            let cli = Cli::try_parse_from(arguments).unwrap();
            assert!(cli.globals.json);
        }
        let cli = Cli::try_parse_from(["zv", "agent", "--config.file", "zv.yaml"]).unwrap();
        assert_eq!(cli.globals.config, Some(PathBuf::from("zv.yaml")));
    }

    #[test]
    fn every_visible_command_has_examples() {
        for command in definition().get_subcommands().filter(|command| !command.is_hide_set()) {
            let commands: Vec<&clap::Command> = command.get_subcommands().collect();
            let all = if commands.is_empty() { vec![command] } else { commands };
            for command in all {
                let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.contains("Examples:\n  zv "), "`{}` has no examples", command.get_name());
                assert!(command.get_about().is_some(), "`{}` says nothing of itself", command.get_name());
            }
        }
    }
}
