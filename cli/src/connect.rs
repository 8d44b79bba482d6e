//! The only way from a command to an agent: which one, with which token, and the few questions that commands ask it.

mod token;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::time::{sleep, timeout};
use zv_api::client::{Client, ClientError, Endpoint, LogEntry};
use zv_api::{ActionReport, ActionRequest, Death, DeathSummary, HostUsage, LogLine, LogQuery, Snapshot};

use crate::args::Globals;
use crate::console::Console;
use crate::embedded::{self, Embedded};
use crate::environment::Environment;
use crate::failure::{Failure, Outcome};

/// Where an agent is looked for when none is named: the socket first, which needs no port and names its users.
pub(crate) const DEFAULT_ADDRESSES: [&str; 2] = ["unix:///run/zv/zv.sock", "http://127.0.0.1:9780"];
/// Given as the agent, it means to look at the local engine even where an agent runs.
pub(crate) const NO_AGENT: &str = "none";
/// How long an agent at a default address may take to say that it is there.
const LOOK_TIME: Duration = Duration::from_secs(2);
/// What an action may take besides the grace of each replica.
const ACTION_TIME: Duration = Duration::from_secs(120);
/// The grace that is assumed where a replica's own is not known here.
const ASSUMED_GRACE: Duration = Duration::from_secs(30);
/// The pauses between attempts to follow a log again: doubling from the first to the last.
const RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// What the global options say, with what the environment adds.
#[derive(Clone, Default)]
pub struct Options {
    pub agent: Option<String>,
    pub token_file: Option<PathBuf>,
    pub ca_file: Option<PathBuf>,
    pub config: Option<PathBuf>,
    pub json: bool,
    pub no_color: bool,
    pub verbose: u8,
    token: Option<String>,
    /// Where an agent of this user keeps its state.
    own_state: Option<PathBuf>,
    /// `DOCKER_HOST` or `DOCKER_CONTEXT` names an engine.
    names_engine: bool,
    /// A look without an agent is at every project of the host, whatever the configuration watches.
    pub whole_host: bool,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("agent", &self.agent)
            .field("token_file", &self.token_file)
            .field("ca_file", &self.ca_file)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Options {
    /// Returns the options that were typed, with what the environment adds.
    pub fn new(globals: Globals, environment: Environment) -> Self {
        let Globals { agent, token_file, ca_file, config, json, no_color, verbose } = globals;
        let Environment { token, own_state, names_engine, .. } = environment;
        let whole_host = false;
        Self {
            agent,
            token_file,
            ca_file,
            config,
            json,
            no_color,
            verbose,
            token,
            own_state,
            names_engine,
            whole_host,
        }
    }
}

impl Options {
    /// Refuses to act where the engine that the environment names may be another than the one that the agent watches.
    pub fn check_action(&self, agent: &Agent) -> Outcome {
        match agent.address() {
            Some(address) if self.names_engine && self.agent.is_none() => Err(Failure::Usage(format!(
                "DOCKER_HOST or DOCKER_CONTEXT names an engine, and the agent at {address} acts on the one that it watches: \
                 say which is meant, with `--agent {address}` or `--agent none`"
            ))),
            _ => Ok(()),
        }
    }
}

/// An agent that answers.
#[derive(Debug)]
pub struct Agent {
    client: Client,
    /// Kept for as long as it is asked: the agent in this process ends with it.
    embedded: Option<Embedded>,
}

/// What following a log brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogEvent {
    Line(Box<LogLine>),
    /// The agent is gone, and why. The log goes on by itself once it is back.
    Lost(String),
    Back,
}

/// Finds the agent: the one that is named, else one at a default address, else one in this process that looks at the
/// local engine.
pub async fn connect(options: &Options, console: &mut Console) -> Outcome<Agent> {
    if options.agent.as_deref() == Some(NO_AGENT) {
        return by_itself(options).await;
    }
    if let Some(address) = &options.agent {
        let client = client(address, options)?;
        return Ok(Agent { client, embedded: None });
    }
    for address in DEFAULT_ADDRESSES {
        let client = client(address, options)?;
        match timeout(LOOK_TIME, client.healthy()).await {
            Ok(Ok(())) => {
                if options.names_engine {
                    console.tell(&format!(
                        "The agent at {address} answers, for the engine that it watches itself; `--agent none` looks at the one \
                         that DOCKER_HOST or DOCKER_CONTEXT names."
                    ));
                }
                return Ok(Agent { client, embedded: None });
            }
            Ok(Err(error)) if error.is_absence() => {}
            // Somebody is there who will not talk to us: that explains why what follows may differ from the agent's view.
            Ok(Err(error)) => console.tell(&Failure::new(error.to_string()).to_string()),
            Err(_) => console.tell(&format!("Something at {address} takes connections and does not answer.")),
        }
    }
    if options.verbose > 0 {
        console.tell("No agent answers here: looking at the local engine without one.");
    }
    by_itself(options).await
}

async fn by_itself(options: &Options) -> Outcome<Agent> {
    let embedded = embedded::client(options).await?;
    Ok(Agent { client: embedded.client(), embedded: Some(embedded) })
}

/// Returns a client of the agent at `address`, with the token that is meant for it.
pub(crate) fn client(address: &str, options: &Options) -> Outcome<Client> {
    let usage = |error: &dyn std::fmt::Display| Failure::Usage(format!("--agent: {error}"));
    let mut endpoint = Endpoint::parse(address).map_err(|error| usage(&error))?;
    if let Some(file) = &options.ca_file {
        endpoint = endpoint.trusting(file.clone());
    }
    let token = token::find(
        options.token_file.as_deref(),
        options.token.as_deref(),
        options.own_state.as_deref(),
        &endpoint,
    )?;
    Client::new(endpoint, token).map_err(failure)
}

impl Agent {
    /// Returns the agent's address where another process can reach it.
    pub fn address(&self) -> Option<&str> {
        self.embedded.is_none().then(|| self.client.endpoint())
    }

    /// Returns all that is known now.
    pub async fn snapshot(&self) -> Outcome<Snapshot> {
        self.client.snapshot().await.map_err(failure)
    }

    /// Makes sure that what can be measured is: an agent measures all the time, a look when it is told to.
    pub async fn measure(&self) {
        if let Some(embedded) = &self.embedded {
            embedded.measure().await;
        }
    }

    /// Returns what the host uses, where that is known: an older agent does not tell, and a look at the engine of another
    /// host sees nothing of it.
    pub async fn host(&self, snapshot: &Snapshot) -> Option<HostUsage> {
        let mut services = snapshot.stacks.iter().flat_map(|stack| &stack.services);
        if self.embedded.is_some() && services.all(|service| service.usage.is_none()) {
            return None;
        }
        self.client.host().await.ok()?.usage
    }

    /// Lists deaths, newest first.
    pub async fn deaths(
        &self,
        stack: Option<&str>,
        service: Option<&str>,
        limit: u32,
    ) -> Outcome<Vec<DeathSummary>> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(self.client.deaths(stack, service, limit).await.map_err(failure)?.deaths)
    }

    /// Reads one death record.
    pub async fn death(&self, id: &str) -> Outcome<Death> {
        self.client.death(id).await.map_err(failure)
    }

    /// Carries out an action on so many replicas and waits for it.
    pub async fn act(&self, request: &ActionRequest, replicas: usize) -> Outcome<ActionReport> {
        let grace = request.grace_seconds.map_or(ASSUMED_GRACE, Duration::from_secs);
        // Replicas may be stopped one after the other.
        let graces = grace.saturating_mul(u32::try_from(replicas.max(1)).unwrap_or(u32::MAX));
        self.client.act(request, ACTION_TIME.saturating_add(graces)).await.map_err(failure)
    }

    /// Streams a log. One that is followed goes on when the agent comes back, where it was cut off.
    pub fn logs(&self, query: LogQuery) -> BoxStream<'static, Outcome<LogEvent>> {
        let reading = Reading {
            client: self.client.clone(),
            query,
            cursor: None,
            lines: None,
            lost: false,
            pause: RETRY.0,
            ready: VecDeque::new(),
            ended: false,
        };
        stream::unfold(reading, |mut reading| async {
            let event = reading.next().await?;
            Some((event, reading))
        })
        .boxed()
    }
}

/// A log that is being read.
struct Reading {
    client: Client,
    query: LogQuery,
    /// After the last line that was handed out.
    cursor: Option<String>,
    lines: Option<BoxStream<'static, Result<LogEntry, ClientError>>>,
    lost: bool,
    pause: Duration,
    ready: VecDeque<LogEvent>,
    ended: bool,
}

impl Reading {
    async fn next(&mut self) -> Option<Outcome<LogEvent>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            if self.ended {
                return None;
            }
            let Some(lines) = &mut self.lines else {
                match self.client.logs(&self.query, self.cursor.as_deref()).await {
                    Ok(lines) => self.begin(lines),
                    Err(error) => {
                        if let Some(failed) = self.give_up_or_wait(error).await {
                            return Some(Err(failed));
                        }
                    }
                }
                continue;
            };
            match lines.next().await {
                Some(Ok(entry)) => {
                    self.pause = RETRY.0;
                    self.cursor = Some(entry.cursor);
                    return Some(Ok(LogEvent::Line(Box::new(entry.line))));
                }
                Some(Err(error)) => {
                    self.lines = None;
                    if !self.query.follow || !error.is_passing() {
                        self.ended = true;
                        return Some(Err(failure(error)));
                    }
                    self.lose(error.to_string());
                }
                None if self.query.follow => {
                    self.lines = None;
                    self.lose("the agent shut down".to_owned());
                }
                None => self.ended = true,
            }
        }
    }

    fn begin(&mut self, lines: BoxStream<'static, Result<LogEntry, ClientError>>) {
        self.lines = Some(lines);
        if std::mem::take(&mut self.lost) {
            self.ready.push_back(LogEvent::Back);
        }
    }

    /// Notes the loss once, however many attempts follow.
    fn lose(&mut self, reason: String) {
        if !std::mem::replace(&mut self.lost, true) {
            self.ready.push_back(LogEvent::Lost(reason));
        }
    }

    /// Waits before the next attempt, or returns why there will be none: a log that never began is not waited for.
    async fn give_up_or_wait(&mut self, error: ClientError) -> Option<Failure> {
        if !self.lost || !error.is_passing() {
            self.ended = true;
            return Some(failure(error));
        }
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(RETRY.1);
        None
    }
}

/// Turns a client's error into what the person is told, with what to do where that is a matter of options.
fn failure(error: ClientError) -> Failure {
    match &error {
        ClientError::Endpoint(_) => Failure::Usage(error.to_string()),
        ClientError::Unauthorized { .. } => Failure::new(format!(
            "{error}; give zv the token with --token-file FILE or as ZV_TOKEN ({} is looked at by itself)",
            token::DEFAULT_FILE
        )),
        _ => Failure::Failed(anyhow::Error::new(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_never_goes_to_an_agent_that_may_watch_another_engine() {
        let agent =
            Agent { client: client("http://127.0.0.1:9780", &Options::default()).unwrap(), embedded: None };
        let with_engine = Options { names_engine: true, ..Options::default() };
        let refused = with_engine.check_action(&agent).unwrap_err();
        assert_eq!(refused.code(), crate::failure::USAGE);
        assert!(refused.to_string().contains("--agent http://127.0.0.1:9780"), "{refused}");
        let said = Options { agent: Some("http://127.0.0.1:9780".into()), ..with_engine };
        assert!(said.check_action(&agent).is_ok());
        assert!(Options::default().check_action(&agent).is_ok());
    }
}
