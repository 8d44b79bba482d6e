//! `zv demo`: a stack of processes with an agent beside it, without an engine. What it does is in [`stage`], what it
//! says in [`output`].

pub mod output;
mod stage;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::console::Console;
use crate::failure::Outcome;
use crate::{connect, span};

const AFTER_HELP: &str = "\
Two replicas of main-server run as processes, an agent watches them. Nothing is installed, nothing is left behind: all \
of it lives in a temporary folder and ends with this command.

With --json, a line says where everything is once it is up, and another at the end what was seen.

Examples:
  zv demo                    until Ctrl-C
  zv demo --for 20s          for twenty seconds
  zv demo --keep /tmp/demo   with the agent's records kept for a look afterwards";

/// Run a small stack with an agent beside it, without an engine
#[derive(Debug, Clone, Args)]
#[command(after_help = AFTER_HELP)]
pub struct DemoArgs {
    /// End after this span; else with Ctrl-C
    #[arg(long = "for", value_name = "SPAN", value_parser = span::parse)]
    pub lasts: Option<Duration>,
    /// Where the agent listens; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Keep the agent's records, the logs and the stack file in this folder
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}

/// Runs the demo.
pub fn run(args: &DemoArgs, options: &connect::Options, console: &mut Console) -> Outcome {
    stage::run(args, options.json, console)
}
