//! The supervisor's end of one guard: starts it, hears from it, asks it.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::path::PathBuf;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

use super::guard;

/// The variable that marks every process of a replica, whoever adopts it.
pub(super) const MARK: &str = "ZV_REPLICA";

/// The agent's own secret, which no replica is to inherit.
const AGENT_TOKEN: &str = "ZV_TOKEN";

/// What to run under a guard.
#[derive(Debug)]
pub(super) struct Order<'a> {
    /// The command line of [`guard::main`].
    pub guard: &'a [OsString],
    pub command: &'a [String],
    pub dir: &'a PathBuf,
    pub env: Vec<(&'a str, String)>,
    /// The value of [`MARK`].
    pub mark: &'a str,
}

/// What a guard tells.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Word {
    Started {
        pid: u32,
    },
    /// The command could not be executed.
    Failed {
        code: i32,
        reason: String,
    },
    Exited {
        code: i32,
        oom: bool,
    },
}

/// A guard with its replica. Dropping it ends the replica within a second.
#[derive(Debug)]
pub(super) struct Process {
    guard: Child,
    heard: Lines<BufReader<OwnedReadHalf>>,
    ask: OwnedWriteHalf,
}

/// The two outputs of a replica.
pub(super) type Outputs = (ChildStdout, ChildStderr);

impl Process {
    /// Starts a guard, which starts the command.
    pub(super) fn spawn(order: &Order<'_>) -> io::Result<(Self, Outputs)> {
        if !order.dir.is_dir() {
            let text = format!("the working directory `{}` does not exist", order.dir.display());
            return Err(io::Error::new(io::ErrorKind::NotFound, text));
        }
        let (own, theirs) = StdStream::pair()?;
        own.set_nonblocking(true)?;
        let (program, prefix) = order
            .guard
            .split_first()
            .ok_or_else(|| io::Error::other("no command line of a guard was given"))?;
        let mut guard = Command::new(program)
            .args(prefix)
            .arg("watch")
            .arg(order.guard.len().to_string())
            .args(order.guard)
            .args(order.command)
            .envs(order.env.iter().map(|(name, value)| (name, value)))
            .env_remove(AGENT_TOKEN)
            .env(MARK, order.mark)
            .current_dir(order.dir)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A Ctrl-C in the terminal is for the supervisor alone.
            .process_group(0)
            .spawn()?;
        let outputs = guard.stdout.take().zip(guard.stderr.take());
        let outputs = outputs.ok_or_else(|| io::Error::other("the outputs of the guard are not pipes"))?;
        let (read, ask) = UnixStream::from_std(own)?.into_split();
        Ok((Self { guard, heard: BufReader::new(read).lines(), ask }, outputs))
    }

    /// Returns what the guard says next; none once it has ended. Safe to cancel.
    pub(super) async fn next(&mut self) -> Option<Word> {
        loop {
            // A guard that was killed in the middle of a word has said nothing.
            let line = self.heard.next_line().await.ok().flatten()?;
            if let Some(word) = parse(&line) {
                return Some(word);
            }
        }
    }

    /// Asks the replica to end.
    pub(super) async fn term(&mut self) {
        self.send(guard::TERM).await;
    }

    /// Ends the replica at once.
    pub(super) async fn kill(&mut self) {
        self.send(guard::KILL).await;
    }

    async fn send(&mut self, word: u8) {
        // One byte always fits. If the guard is gone, `next` tells.
        let _gone = self.ask.write_all(&[word]).await;
    }

    /// Waits until the guard is gone. Returns whether it ended by itself, which it does once nothing of the replica is left.
    pub(super) async fn gone(&mut self) -> bool {
        while self.next().await.is_some() {}
        match self.guard.wait().await {
            Ok(status) => status.success(),
            Err(error) => {
                tracing::warn!(error = %error, "a guard cannot be waited for");
                false
            }
        }
    }
}

fn parse(line: &str) -> Option<Word> {
    let (word, rest) = line.split_once(' ')?;
    match word {
        "started" => Some(Word::Started { pid: rest.parse().ok()? }),
        "failed" => {
            let (code, reason) = rest.split_once(' ')?;
            Some(Word::Failed { code: code.parse().ok()?, reason: reason.to_owned() })
        }
        "exited" | "starved" => Some(Word::Exited { code: rest.parse().ok()?, oom: word == "starved" }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_guard() {
        assert_eq!(parse("started 12"), Some(Word::Started { pid: 12 }));
        assert_eq!(parse("exited 137"), Some(Word::Exited { code: 137, oom: false }));
        assert_eq!(parse("starved 137"), Some(Word::Exited { code: 137, oom: true }));
        let reason = "cannot start `x y`: no such program".to_owned();
        assert_eq!(parse(&format!("failed 127 {reason}")), Some(Word::Failed { code: 127, reason }));
        assert_eq!(parse("started"), None);
    }
}
