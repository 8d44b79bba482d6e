//! How long a person waits for `zv ps`, beside `docker ps`.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;
use tokio::time::Instant;

use super::agent::Agent;
use super::figures::Series;

/// Runs of each command.
const RUNS: usize = 20;

/// Wall-clock times in milliseconds.
#[derive(Debug)]
pub(super) struct Commands {
    pub(super) asking_the_agent: Series,
    /// Without an agent: it looks at the engine itself.
    pub(super) alone: Series,
    pub(super) docker: Series,
}

/// Runs the commands in turn, so that what else the machine does meets all of them.
pub(super) async fn measure(cli: &Path, agent: &Agent, host: &str) -> Result<Commands> {
    let (address, config) = (agent.url(), agent.config());
    let ps = |agent: &str| {
        let mut command = Command::new(cli);
        command.args(["ps", "--agent", agent, "--config"]).arg(&config).env("DOCKER_HOST", host);
        command
    };
    let docker = || {
        let mut command = Command::new("docker");
        command.args(["-H", host, "ps", "--all"]);
        command
    };
    let (mut asking_the_agent, mut alone, mut docker_ps) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        asking_the_agent.push(time(ps(&address)).await?);
        alone.push(time(ps("none")).await?);
        docker_ps.push(time(docker()).await?);
    }
    Ok(Commands {
        asking_the_agent: asking_the_agent.into_iter().collect(),
        alone: alone.into_iter().collect(),
        docker: docker_ps.into_iter().collect(),
    })
}

async fn time(mut command: Command) -> Result<Duration> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let began = Instant::now();
    let output = command.output().await.context("a command cannot be run")?;
    let took = began.elapsed();
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} ended with {}: {errors}", output.status);
    Ok(took)
}
