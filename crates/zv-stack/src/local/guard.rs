//! The guard: a small process between the supervisor and each replica, so that nothing outlives either of them.
//!
//! Its standard input is a socket to the supervisor. End-of-file there means that the supervisor is gone, however it
//! ended: the replica is asked to stop, and after a second everything that descends from it is killed. The guard is a
//! subreaper, so a process that left its group and session is still found and killed. If the guard itself is killed,
//! the kernel kills the replica (a parent-death signal, set in a second stage so that no code runs between fork and
//! exec), and the supervisor sweeps what is left by the mark in its environment.
//!
//! One thread, no runtime: the parent-death signal is bound to the thread that started the child.

use std::ffi::OsString;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, WaitStatus};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout, stdin};

use crate::stats::proc;

/// The supervisor's words to the guard, one byte each.
pub(super) const TERM: u8 = b't';
pub(super) const KILL: u8 = b'k';

/// The exit codes of a command that could not be started, as shells use them.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;
/// The time a replica has to end once its supervisor is gone.
const ORPHAN_GRACE: Duration = Duration::from_secs(1);
/// How often ended grandchildren are collected and the kernel's out-of-memory count is read.
const ROUND: Duration = Duration::from_secs(5);
/// The same where the kernel has no process descriptors (before 5.3): then it is also how a death is noticed.
const ROUND_WITHOUT_PIDFD: Duration = Duration::from_millis(50);

/// Runs a guard; `args` are those behind the command line that leads here (see [`super::LocalOptions::guard`]).
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let done = match args.first().and_then(|stage| stage.to_str()) {
        Some("watch") => watch(&args[1..]),
        Some("child") => return child(&args[1..]),
        _ => None,
    };
    // Nobody reads an error here: the supervisor sees the socket close without a word.
    if done.is_some() { ExitCode::SUCCESS } else { ExitCode::from(2) }
}

/// First stage. Arguments: how many words lead to this program, those words, the replica's command line.
fn watch(args: &[OsString]) -> Option<()> {
    let words: usize = args.first()?.to_str()?.parse().ok()?;
    let (prefix, command) = args.get(1..)?.split_at_checked(words)?;
    let own = rustix::process::getpid();
    rustix::process::set_child_subreaper(Some(own)).ok()?;
    let (report, write_end) = std::io::pipe().ok()?;
    let child = Command::new(prefix.first()?)
        .args(&prefix[1..])
        .arg("child")
        .arg(own.as_raw_nonzero().to_string())
        .args(command)
        .stdin(Stdio::from(write_end))
        .process_group(0)
        .spawn()
        .map_err(|error| say(&format!("failed {NOT_EXECUTABLE} cannot start the guard: {error}\n")))
        .ok()?;
    let pid = Pid::from_raw(i32::try_from(child.id()).ok()?)?;
    // Only the replica writes to the log: its pipes close when it and its descendants are gone.
    let nothing = std::fs::File::options().read(true).write(true).open("/dev/null").ok()?;
    dup2_stdout(&nothing).ok()?;
    dup2_stderr(&nothing).ok()?;
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok();
    let watch = Watch {
        pid,
        pidfd,
        report: Some(report),
        socket: true,
        killed: false,
        deadline: None,
        oom_kills: proc::oom_kills(),
        status: None,
    };
    watch.run();
    Some(())
}

/// Second stage: becomes the replica. Arguments: the guard's process number, the command line.
fn child(args: &[OsString]) -> ExitCode {
    let failed = |code: u8| ExitCode::from(code);
    // The report closes when the command is executed, and that is how the guard knows.
    let Ok(report) = rustix::io::fcntl_dupfd_cloexec(stdin(), 3) else { return failed(NOT_EXECUTABLE) };
    let Some((parent, command)) = args.split_first() else { return failed(NOT_EXECUTABLE) };
    let Some((program, rest)) = command.split_first() else { return failed(NOT_EXECUTABLE) };
    let bound = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    let orphaned = rustix::process::getppid()
        .is_none_or(|pid| parent.as_bytes() != pid.as_raw_nonzero().to_string().as_bytes());
    if bound.is_err() || orphaned {
        return failed(NOT_EXECUTABLE);
    }
    let error = match std::fs::File::open("/dev/null").map(|nothing| dup2_stdin(&nothing)) {
        Ok(Ok(())) => Command::new(program).args(rest).exec(),
        Ok(Err(error)) => error.into(),
        Err(error) => error,
    };
    let code = if error.kind() == std::io::ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE };
    let reason = match error.kind() {
        std::io::ErrorKind::NotFound => "no such program".to_owned(),
        std::io::ErrorKind::PermissionDenied => "not an executable file, or no right to run it".to_owned(),
        _ => error.to_string(),
    };
    let report_text = format!("{code} cannot start `{}`: {reason}", program.display());
    // If this fails the guard is gone, and so is this process at once.
    let _unheard = rustix::io::write(&report, report_text.as_bytes());
    failed(code)
}

/// Writes to the supervisor; if it is gone, the next poll says so.
fn say(text: &str) {
    let _unheard = rustix::io::write(stdin(), text.replace('\n', " ").trim_end().as_bytes());
    let _unheard = rustix::io::write(stdin(), b"\n");
}

struct Watch {
    pid: Pid,
    pidfd: Option<OwnedFd>,
    /// Open until the command is executed or has failed to be.
    report: Option<std::io::PipeReader>,
    socket: bool,
    /// The death by SIGKILL is this guard's doing.
    killed: bool,
    /// When everything is killed; set once the supervisor is gone.
    deadline: Option<Instant>,
    oom_kills: Option<u64>,
    /// Set where the first process was collected together with adopted ones.
    status: Option<WaitStatus>,
}

impl Watch {
    fn run(mut self) {
        while self.status.is_none() && !self.child_ended() {
            if self.deadline.is_some_and(|at| at <= Instant::now()) {
                self.kill();
                self.deadline = None;
            }
            let ready = self.wait();
            if ready.socket {
                self.listen();
            }
            if ready.report {
                self.read_report();
            }
            if !ready.any {
                self.oom_kills = proc::oom_kills();
                self.collect_adopted();
            }
        }
        self.end();
    }

    /// Waits until something can be read, or for a round.
    fn wait(&self) -> Ready {
        let round = if self.pidfd.is_some() { ROUND } else { ROUND_WITHOUT_PIDFD };
        let timeout =
            self.deadline.map_or(round, |at| at.saturating_duration_since(Instant::now()).min(round));
        let (input, mut fds) = (stdin(), Vec::with_capacity(3));
        let socket = self.socket.then(|| push(&mut fds, PollFd::from_borrowed_fd(input, PollFlags::IN)));
        let report = self.report.as_ref().map(|report| push(&mut fds, PollFd::new(report, PollFlags::IN)));
        let child = self.pidfd.as_ref().map(|pidfd| push(&mut fds, PollFd::new(pidfd, PollFlags::IN)));
        let timeout =
            Timespec { tv_sec: timeout.as_secs().cast_signed(), tv_nsec: timeout.subsec_nanos().into() };
        // An interrupted wait is a round without news.
        if rustix::event::poll(&mut fds, Some(&timeout)).is_err() {
            return Ready { socket: false, report: false, any: false };
        }
        let is_ready = |at: Option<usize>| at.is_some_and(|at| !fds[at].revents().is_empty());
        let (socket, report) = (is_ready(socket), is_ready(report));
        Ready { socket, report, any: socket || report || is_ready(child) }
    }

    /// Takes what the supervisor says, or notices that it is gone.
    fn listen(&mut self) {
        let mut words = [0; 16];
        match rustix::io::read(stdin(), &mut words) {
            Ok(read) if read > 0 => {
                for &word in &words[..read] {
                    match word {
                        TERM => self.signal(Signal::TERM),
                        KILL => self.kill(),
                        _ => {}
                    }
                }
            }
            Err(rustix::io::Errno::INTR) => {}
            _ => {
                self.socket = false;
                self.signal(Signal::TERM);
                self.deadline = Some(Instant::now() + ORPHAN_GRACE);
            }
        }
    }

    /// Tells the supervisor whether the command runs.
    fn read_report(&mut self) {
        let Some(report) = self.report.take() else { return };
        let mut text = String::new();
        // The write end closes with the exec or with the child's end, so this waits for neither long.
        let read = report.take(4096).read_to_string(&mut text);
        if read.is_ok() && text.is_empty() {
            say(&format!("started {}", self.pid.as_raw_nonzero()));
        } else {
            say(&format!("failed {text}"));
        }
    }

    /// Signals the replica's group, and its first process where that has left the group.
    fn signal(&self, signal: Signal) {
        // What cannot be signalled has ended.
        let _gone = rustix::process::kill_process_group(self.pid, signal);
        if rustix::process::getpgid(Some(self.pid)).is_ok_and(|group| group != self.pid) {
            let _gone = rustix::process::kill_process(self.pid, signal);
        }
    }

    fn kill(&mut self) {
        self.killed = true;
        self.signal(Signal::KILL);
    }

    /// Says whether the first process has ended; it stays uncollected, so its number and its group stay its own.
    fn child_ended(&self) -> bool {
        let options = rustix::process::WaitIdOptions::EXITED
            | rustix::process::WaitIdOptions::NOHANG
            | rustix::process::WaitIdOptions::NOWAIT;
        !matches!(rustix::process::waitid(rustix::process::WaitId::Pid(self.pid), options), Ok(None))
    }

    /// Kills what is left of the group, tells how the first process ended, and then kills every other descendant.
    fn end(mut self) {
        self.read_report();
        let _none_left = rustix::process::kill_process_group(self.pid, Signal::KILL);
        let wait = || rustix::process::waitpid(Some(self.pid), WaitOptions::empty()).ok().flatten();
        if let Some(status) = self.status.or_else(|| Some(wait()?.1)) {
            self.tell_exit(status);
        }
        let mut pause = Duration::from_millis(1);
        while !collect_all() {
            for pid in proc::children_of(rustix::process::getpid().as_raw_nonzero().get().unsigned_abs()) {
                if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                    let _gone = rustix::process::kill_process(pid, Signal::KILL);
                }
            }
            let timeout = Timespec { tv_sec: 0, tv_nsec: pause.subsec_nanos().into() };
            let _slept = rustix::event::poll(&mut [], Some(&timeout));
            pause = (pause * 2).min(Duration::from_millis(100));
        }
    }

    /// Collects grandchildren that this guard adopted and that have ended.
    fn collect_adopted(&mut self) {
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if pid == self.pid {
                self.status = Some(status);
            }
        }
    }

    fn tell_exit(&self, status: WaitStatus) {
        match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => say(&format!("exited {code}")),
            (None, Some(signal)) => {
                let grew = proc::oom_kills() > self.oom_kills;
                let oom = signal == Signal::KILL.as_raw() && !self.killed && grew;
                say(&format!("{} {}", if oom { "starved" } else { "exited" }, 128 + signal));
            }
            (None, None) => {}
        }
    }
}

struct Ready {
    socket: bool,
    report: bool,
    any: bool,
}

fn push<T>(list: &mut Vec<T>, item: T) -> usize {
    list.push(item);
    list.len() - 1
}

/// Collects descendants that have ended; says whether no child is left.
fn collect_all() -> bool {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Ok(None) => return false,
            Err(_) => return true,
        }
    }
}
