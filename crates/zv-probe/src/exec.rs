//! A program of somebody's own: well where it exits with 0. It runs in a process group, and nothing of that outlives the
//! probe, however that ends.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncReadExt, Interest};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::target::Exec;
use crate::trace::{Phase, Trace};
use crate::verdict::{Fault, Report};
use crate::words::quote;

/// What is kept of each output; the rest is read and forgotten, so that the program does not wait.
const KEPT: usize = 64 * 1024;
/// How long outputs may stay open once the whole group is killed: somebody who left it may hold them.
const DRAIN: Duration = Duration::from_millis(200);

/// Variables that are ours and none of the program's business.
const HIDDEN: [&str; 1] = ["ZV_TOKEN"];

/// Runs a probe.
pub(crate) async fn check(exec: &Exec, trace: &mut Trace) -> Result<String, Fault> {
    let program = &exec.program;
    trace.enter_for(Phase::Processing, format!("`{program}`"));
    let mut command = Command::new(program);
    command.args(&exec.arguments).process_group(0).kill_on_drop(true);
    for name in HIDDEN {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child =
        command.spawn().map_err(|error| Fault::unknown(format!("`{program}` cannot be run: {error}")))?;
    let mut group = Group::of(&child);
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (mut said, mut complained) = (Vec::new(), Vec::new());
    let status = {
        let mut reading = Box::pin(async {
            tokio::join!(keep(stdout, &mut said), keep(stderr, &mut complained));
        });
        let ended = tokio::select! {
            status = ended(&mut child, &mut group) => {
                // An output that stays open longer than the group is somebody else's by now; what was read is kept.
                timeout(DRAIN, reading).await.ok();
                status
            }
            // Outputs may be closed long before the end.
            () = &mut reading => ended(&mut child, &mut group).await,
        };
        ended.map_err(|error| Fault::unknown(format!("`{program}` cannot be waited for: {error}")))?
    };
    for output in [&said, &complained] {
        // The end is what tells; half the room for each.
        trace.hear(&output[output.len().saturating_sub(Report::OUTPUT_LIMIT / 2)..]);
    }
    let told = last_line(&said).or_else(|| last_line(&complained));
    if status.success() {
        return Ok(told.unwrap_or_default());
    }
    let told = last_line(&complained).or(told).map(|line| format!(": {line}")).unwrap_or_default();
    Err(Fault::down(format!("`{program}` {}{told}", how(status))))
}

fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended in an unknown way".to_owned(),
    }
}

/// Waits for the end, and ends whatever the program left behind. The group is killed while its first process is not yet
/// waited for, so that its number still is its own.
async fn ended(child: &mut Child, group: &mut Group) -> io::Result<ExitStatus> {
    if let Some(pid) = group.0
        && let Ok(pidfd) = pidfd_open(pid, PidfdFlags::NONBLOCK)
    {
        register(pidfd)?.readable().await?.retain_ready();
        group.kill();
    }
    child.wait().await
}

#[expect(unsafe_code, reason = "the only way to wait for a descriptor; safe as long as it stays open")]
fn register(pidfd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: `OwnedFd` owns an open descriptor, and nothing replaces or closes it while `AsyncFd` holds it.
    Ok(unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE)? })
}

/// Reads an output to its end and keeps its last part.
async fn keep(output: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut output) = output else { return };
    let mut chunk = vec![0; 8 * 1024];
    // An output that cannot be read has said all that it will.
    while let Ok(count @ 1..) = output.read(&mut chunk).await {
        kept.extend_from_slice(&chunk[..count]);
        if kept.len() > 2 * KEPT {
            kept.drain(..kept.len() - KEPT);
        }
    }
}

fn last_line(output: &[u8]) -> Option<String> {
    let lines = output.split(|byte| *byte == b'\n');
    lines.map(quote).rfind(|line| !line.is_empty())
}

/// The program with all that it started; killed where the probe is cut off.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }

    /// Kills all of it, once.
    fn kill(&mut self) {
        if let Some(pid) = self.0.take() {
            // Nobody left is what is wanted.
            kill_process_group(pid, Signal::KILL).ok();
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
