//! Runs the commands of README.md: what a newcomer types must work as it stands there.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::command::root;
use crate::say;

/// How long a command may take, a first build included.
const PATIENCE: Duration = Duration::from_secs(1200);
/// What the demo prints once it is up; then a person may leave it with Ctrl-C.
const DEMO_IS_UP: &str = "Ctrl-C";

/// Runs every line of the blocks marked `sh`, but for the tests, which call this.
pub(crate) fn run() -> Result<()> {
    let text = fs::read_to_string(root().join("README.md"))?;
    let commands = commands_of(&text);
    ensure!(commands.contains(&"cargo run --release -- demo"), "README.md lost its first command");
    ensure!(commands.contains(&"cargo test --workspace"), "README.md lost its second command");
    for line in commands {
        if line == "cargo test --workspace" {
            continue;
        }
        say(&format!("$ {line}"));
        let is_endless = line.ends_with(" demo");
        run_line(line, is_endless).with_context(|| format!("`{line}` of README.md"))?;
    }
    Ok(())
}

/// Returns the lines of all blocks that begin with three backticks and `sh`.
fn commands_of(text: &str) -> Vec<&str> {
    let mut commands = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        match line.trim_end() {
            "```sh" => inside = true,
            "```" => inside = false,
            line if inside && !line.is_empty() && !line.starts_with('#') => commands.push(line),
            _ => {}
        }
    }
    commands
}

fn run_line(line: &str, is_endless: bool) -> Result<()> {
    let mut child = Command::new("sh")
        .args(["-c", &format!("exec {line}")])
        .current_dir(root())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let stdout = child.stdout.take().context("no output")?;
    let (lines, received) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
    loop {
        match received.recv_timeout(PATIENCE) {
            Ok(line) if is_endless && line.contains(DEMO_IS_UP) => {
                let pid = child.id().to_string();
                Command::new("kill").args(["-INT", &pid]).status()?;
            }
            Ok(_) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                child.kill()?;
                bail!("it printed nothing for {PATIENCE:?}");
            }
        }
    }
    let status = child.wait()?;
    let _ = reader.join();
    ensure!(status.success(), "it ended with {status}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_the_lines_of_sh_blocks() {
        let text = "x\n```sh\n# a comment\nls -l\n\npwd\n```\n```text\nno\n```\n";
        assert_eq!(commands_of(text), ["ls -l", "pwd"]);
    }
}
