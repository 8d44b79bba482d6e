//! One run of a replica's process, from its start until nothing of it is left.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Command, Next, Replica, Then, answer};
use crate::clock;
use crate::input::EventKind;
use crate::local::file::Spec;
use crate::local::health::{self, Target};
use crate::local::logs::capture;
use crate::local::process::{Order, Outputs, Process, Word};
use crate::local::sweep;
use crate::logs::Output;
use crate::model::{Check, Exit, State, Verdict};
use crate::runtime::ActionError;

/// The time a guard has to get the command executed.
const START_WAIT: Duration = Duration::from_secs(10);
/// The time the kernel has to end what was killed.
const KILL_WAIT: Duration = Duration::from_secs(10);
/// The time for the last output to arrive once every process is gone.
const DRAIN_WAIT: Duration = Duration::from_secs(2);
/// The exit code of what could not even be tried.
const NOT_STARTED: i32 = 126;

/// A process and all that watches it.
struct Running {
    process: Process,
    spec: Arc<Spec>,
    started: Instant,
    /// Since when it is as well as it can be known to be.
    well_since: Option<Instant>,
    checks: BoxStream<'static, Check>,
    then: Then,
    /// When the next harder measure is due, once it was asked to end.
    next_measure: Option<Instant>,
    killed: bool,
    captures: JoinSet<()>,
}

/// Why there is no process.
struct NotStarted {
    code: i32,
    reason: String,
    /// The guard that tried.
    left: Option<(Process, JoinSet<()>)>,
}

impl NotStarted {
    fn because(error: &std::io::Error) -> Self {
        Self { code: NOT_STARTED, reason: error.to_string(), left: None }
    }
}

impl Replica {
    /// Starts the process and stays with it to its end.
    pub(super) async fn run(&mut self) -> Next {
        let spec = self.shared.facts().spec;
        let launched = self.launch(&spec).await;
        let mut running = match launched {
            Ok(running) => running,
            Err(failure) => return self.not_started(failure).await,
        };
        answer(&mut self.starting, &Ok(()));
        let exit = self.attend(&mut running).await;
        let well = running.well_since.map_or(Duration::ZERO, |since| since.elapsed());
        let next = self.ended(exit, running.then, well).await;
        // Its port and its place are free only when nothing of it is left.
        self.settle(running.process, running.captures).await;
        if !matches!(next, Next::Leave) {
            answer(&mut self.stopping, &Ok(()));
        }
        next
    }

    /// Starts the guard and waits until the command runs.
    async fn launch(&mut self, spec: &Arc<Spec>) -> Result<Running, NotStarted> {
        let held = self.shared.facts().port;
        let port = self.context.ports.claim(held).map_err(|error| NotStarted::because(&error))?;
        self.shared.update(|facts| facts.port = Some(port));
        let mut env: Vec<(&str, String)> =
            spec.env.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        env.push(("PORT", port.to_string()));
        let mark = format!("{}{}", self.shared.id.as_str(), self.context.mark);
        let order = Order {
            guard: &self.context.guard,
            command: &spec.command,
            dir: &spec.working_dir,
            env,
            mark: &mark,
        };
        let (mut process, outputs) = Process::spawn(&order).map_err(|error| NotStarted::because(&error))?;
        self.shared.tap.begin();
        let captures = self.capture(outputs);
        let pid = match first_word(&mut process).await {
            Ok(pid) => pid,
            Err((code, reason)) => {
                process.kill().await;
                return Err(NotStarted { code, reason, left: Some((process, captures)) });
            }
        };
        let target = Target {
            port,
            guard: self.context.guard.clone(),
            dir: spec.working_dir.clone(),
            env: spec.env.clone().into_iter().chain([("PORT".to_owned(), port.to_string())]).collect(),
            mark: format!("{}/check{}", self.shared.id.as_str(), self.context.mark),
        };
        let checks =
            spec.health.clone().map_or(stream::pending().boxed(), |health| health::checks(health, target));
        self.shared.update(|facts| {
            facts.state = State::Running;
            facts.pid = Some(pid);
            facts.started_at = Some(clock::now());
            facts.health = health::at_start(spec.health.as_ref());
        });
        self.tell(EventKind::Started { pid: Some(pid) }).await;
        let started = Instant::now();
        let well_since = spec.health.is_none().then_some(started);
        let (spec, then) = (spec.clone(), Then::AsPolicy);
        Ok(Running {
            process,
            spec,
            started,
            well_since,
            checks,
            then,
            next_measure: None,
            killed: false,
            captures,
        })
    }

    fn capture(&self, (stdout, stderr): Outputs) -> JoinSet<()> {
        let mut captures = JoinSet::new();
        let tap = self.shared.tap.clone();
        captures.spawn(async move { capture(stdout, Output::Stdout, &tap).await });
        let tap = self.shared.tap.clone();
        captures.spawn(async move { capture(stderr, Output::Stderr, &tap).await });
        captures
    }

    /// The command could not be executed: says so in the log and to whoever asked, then goes on as after any failure.
    async fn not_started(&mut self, failure: NotStarted) -> Next {
        let NotStarted { code, reason, left } = failure;
        self.shared.tap.push(Output::Stderr, reason.clone(), false, clock::now());
        if let Some((process, captures)) = left {
            self.settle(process, captures).await;
        }
        tracing::warn!(replica.name = %self.shared.name, error = reason, "a replica was not started");
        let action = format!("start {}", self.shared.name);
        answer(&mut self.starting, &Err(ActionError::Refused { action, reason }));
        let exit = Exit { at: clock::now(), code: Some(code), oom: false };
        self.ended(exit, Then::AsPolicy, Duration::ZERO).await
    }

    /// Stays with the process until it has ended.
    async fn attend(&mut self, running: &mut Running) -> Exit {
        loop {
            let measure = running.next_measure;
            tokio::select! {
                word = running.process.next() => match word {
                    Some(Word::Started { .. } | Word::Failed { .. }) => {}
                    Some(Word::Exited { code, oom }) => return Exit { at: clock::now(), code: Some(code), oom },
                    // The guard was killed, and the replica by the kernel with it.
                    None => return Exit { at: clock::now(), code: None, oom: false },
                },
                Some(check) = running.checks.next() => self.checked(running, check).await,
                () = due(measure) => {
                    if running.killed {
                        tracing::warn!(replica.name = %self.shared.name, "a process does not end although it was killed");
                        return Exit { at: clock::now(), code: None, oom: false };
                    }
                    running.process.kill().await;
                    running.killed = true;
                    running.next_measure = Some(Instant::now() + KILL_WAIT);
                }
                // One that leaves takes no further word.
                command = self.commands.recv(), if running.then != Then::Leave => self.told(running, command).await,
            }
        }
    }

    /// Takes a check's outcome.
    async fn checked(&mut self, running: &mut Running, check: Check) {
        let Some(spec) = &running.spec.health else { return };
        let verdict = self.shared.update(|facts| {
            let changed = health::judge(&mut facts.health, check, spec, running.started.elapsed());
            changed.then_some(facts.health.verdict)
        });
        match verdict {
            Some(verdict) => {
                running.well_since = (verdict == Verdict::Healthy).then(Instant::now);
                self.tell(EventKind::Health(verdict)).await;
            }
            None => self.tell_seen().await,
        }
    }

    /// Takes a command while the process runs.
    async fn told(&mut self, running: &mut Running, command: Option<Command>) {
        match command {
            Some(Command::Start(reply)) => {
                if running.next_measure.is_none() {
                    answer(&mut vec![reply], &Ok(()));
                } else {
                    self.starting.push(reply);
                    running.then = Then::Launch;
                }
            }
            Some(Command::Stop { grace, reply }) => {
                self.stopping.push(reply);
                running.end(grace, Then::Rest).await;
            }
            Some(Command::Restart { grace, reply }) => {
                self.starting.push(reply);
                running.end(grace, Then::Launch).await;
            }
            Some(Command::Replace { spec, reply }) => {
                self.shared.update(|facts| facts.spec = spec);
                self.starting.push(reply);
                running.end(None, Then::Launch).await;
            }
            Some(Command::Remove { reply }) => {
                self.stopping.push(reply);
                running.end(None, Then::Leave).await;
            }
            None => running.end(None, Then::Leave).await,
        }
    }

    async fn settle(&mut self, mut process: Process, mut captures: JoinSet<()>) {
        match tokio::time::timeout(KILL_WAIT, process.gone()).await {
            Ok(true) => {}
            Ok(false) => self.sweep().await,
            Err(_) => {
                tracing::warn!(replica.name = %self.shared.name, "processes of a replica do not end although they were killed");
            }
        }
        let drained = async { while captures.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN_WAIT, drained).await.is_err() {
            tracing::warn!(replica.name = %self.shared.name, "the output of a replica does not end: somebody else holds it");
        }
        self.shared.tap.end();
    }

    /// Ends what a guard that was killed could not.
    async fn sweep(&self) {
        let mark = format!("{}{}", self.shared.id.as_str(), self.context.mark);
        match tokio::task::spawn_blocking(move || sweep::sweep(&mark)).await {
            Ok(0) => {}
            Ok(swept) => {
                tracing::info!(replica.name = %self.shared.name, swept, "ended processes that a replica left behind");
            }
            Err(error) => {
                tracing::warn!(error = %error, "processes that a replica left behind cannot be looked for");
            }
        }
    }
}

impl Running {
    /// Asks the process to end and notes what follows; a later word overrules an earlier one.
    async fn end(&mut self, grace: Option<Duration>, then: Then) {
        if self.then != Then::Leave {
            self.then = then;
        }
        self.checks = stream::pending().boxed();
        let at = Instant::now() + grace.unwrap_or(self.spec.stop_grace);
        if !self.killed {
            self.next_measure = Some(self.next_measure.map_or(at, |earlier| earlier.min(at)));
        }
        self.process.term().await;
    }
}

/// Waits until the command runs; otherwise says why it does not.
async fn first_word(process: &mut Process) -> Result<u32, (i32, String)> {
    match tokio::time::timeout(START_WAIT, process.next()).await {
        Ok(Some(Word::Started { pid })) => Ok(pid),
        Ok(Some(Word::Failed { code, reason })) => Err((code, reason)),
        Ok(_) => Err((NOT_STARTED, "the guard ended before the command was started".to_owned())),
        Err(_) => Err((NOT_STARTED, format!("the command was not started within {START_WAIT:?}"))),
    }
}

async fn due(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
