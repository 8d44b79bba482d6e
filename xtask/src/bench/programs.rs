//! The programs under measurement, built as they are shipped.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use cargo_metadata::Message;

use crate::command::cargo;

const AGENT: &str = "zv-agent";
const CLI: &str = "zv";
const SUBJECT: &str = "zv-test-subject";

#[derive(Debug)]
pub(super) struct Programs {
    pub(super) agent: PathBuf,
    pub(super) cli: PathBuf,
    /// What the containers run.
    pub(super) subject: PathBuf,
}

impl Programs {
    /// Builds all at once: one after the other, each would want its dependencies with other features.
    pub(super) fn build() -> Result<Self> {
        let mut command = cargo(&["build", "--release", "--message-format=json-render-diagnostics"]);
        for (package, program) in [("zv-agent", AGENT), ("zv", CLI), ("zv-stack", SUBJECT)] {
            command.args(["--package", package, "--bin", program]);
        }
        let output = command.stderr(Stdio::inherit()).output().context("cannot run cargo")?;
        ensure!(output.status.success(), "the build ended with {}", output.status);
        let messages = Message::parse_stream(output.stdout.as_slice()).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            agent: find(&messages, AGENT)?,
            cli: find(&messages, CLI)?,
            subject: find(&messages, SUBJECT)?,
        })
    }
}

/// Returns where cargo put a program.
fn find(messages: &[Message], name: &str) -> Result<PathBuf> {
    let program = messages.iter().find_map(|message| match message {
        Message::CompilerArtifact(artifact) if artifact.target.name == name => artifact.executable.clone(),
        _ => None,
    });
    program.map(Into::into).with_context(|| format!("cargo built no program `{name}`"))
}
