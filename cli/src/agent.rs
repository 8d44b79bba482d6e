//! `zv agent`: the daemon, inside this binary.

use clap::Args;

use crate::failure::Outcome;
use crate::{connect, linked};

const AFTER_HELP: &str = "\
Options win over the environment (ZV_LISTEN, ZV_STORE, ZV_RUNTIME, ZV_LOG, DOCKER_HOST), that over the file, that over \
the defaults. Without --config, zv.yaml here and /etc/zv/zv.yaml are looked for; no file at all is fine. SIGHUP reads \
the configuration again, SIGTERM ends the agent in good order.

Examples:
  zv agent
  zv agent --config /etc/zv/zv.yaml
  zv agent --listen 0.0.0.0:9780 --store /var/lib/zv
  zv agent --runtime local --file compose.yaml";

/// Run the agent: watch the stacks of this host and serve what is seen
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = AFTER_HELP)]
pub struct AgentArgs {
    /// Addresses to listen on [default: 127.0.0.1:9780]
    #[arg(long, value_name = "ADDR", value_delimiter = ',')]
    pub listen: Vec<String>,
    /// The unix socket to listen on, or `off`
    #[arg(long, value_name = "PATH")]
    pub unix: Option<String>,
    /// What runs the replicas: `auto`, `docker` or `local`
    #[arg(long, value_name = "RUNTIME")]
    pub runtime: Option<String>,
    /// Compose projects to watch [default: all]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub project: Vec<String>,
    /// The stack file with `x-zv.local`, for the local runtime
    #[arg(long, short, value_name = "FILE")]
    pub file: Option<String>,
    /// The folder for what the agent keeps
    #[arg(long, value_name = "DIR")]
    pub store: Option<String>,
    /// The Docker engine, like DOCKER_HOST
    #[arg(long, value_name = "URL")]
    pub docker_host: Option<String>,
    /// The Docker context
    #[arg(long, value_name = "NAME")]
    pub docker_context: Option<String>,
    /// How much to log: `error`, `warn`, `info`, `debug`, `trace`
    #[arg(long, value_name = "LEVEL", alias = "log")]
    pub log_level: Option<String>,
    /// How to log: `text` or `json`
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
}

/// Runs the agent until it is told to stop.
pub fn run(args: &AgentArgs, options: &connect::Options) -> Outcome {
    linked::agent(args, options)
}
