//! From an event to the stream: first processes are killed, containers are started, and the arrivals on the agent's
//! stream and on the engine's own are compared.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use serde_json::Value;
use tokio::time::{Instant, timeout};

use super::agent::{Agent, data_of, replicas_of};
use super::engine::Engine;
use super::figures::Series;
use super::listen::Listener;
use super::note;

/// How long the signs of one event may take: a lost one is a fault, not a slow one.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was timed, in milliseconds but for the ratio.
#[derive(Debug)]
pub(super) struct Latency {
    /// From the kill to a pidfd held here: what the kernel alone takes.
    pub(super) kernel: Series,
    /// From the kill to the agent's stream.
    pub(super) agent_died: Series,
    /// From the kill to the engine's stream.
    pub(super) engine_died: Series,
    /// The agent's by the engine's, kill by kill.
    pub(super) died_ratio: Series,
    /// From the kill to the exit code on the agent's stream.
    pub(super) agent_code: Series,
    /// The agent's by the engine's, kill by kill.
    pub(super) code_ratio: Series,
    /// From the request to the engine's stream.
    pub(super) engine_started: Series,
    /// From the request to the agent's stream.
    pub(super) agent_started: Series,
    /// The agent's by the engine's, start by start.
    pub(super) started_ratio: Series,
}

/// When each sign came.
#[derive(Debug, Default)]
struct Signs {
    agent_died: Option<Instant>,
    agent_code: Option<Instant>,
    agent_started: Option<Instant>,
    /// The agent has looked at the new process.
    agent_looked: Option<Instant>,
    engine_died: Option<Instant>,
    engine_started: Option<Instant>,
}

#[derive(Debug)]
struct Death {
    kernel: Duration,
    agent: Duration,
    engine: Duration,
    code: Duration,
}

#[derive(Debug)]
struct Start {
    agent: Duration,
    engine: Duration,
}

/// Both streams, already connected.
struct Ears {
    agent: Listener,
    engine: Listener,
}

/// Kills and starts `events` containers, one after the other.
pub(super) async fn measure(agent: &Agent, engine: &Engine, events: usize) -> Result<Latency> {
    let mut ears = Ears { agent: agent.changes().await?, engine: engine.events().await? };
    // The first message is the snapshot; what follows comes because something happens.
    while data_of(&ears.agent.line().await?.text)?.is_none() {}
    let (mut deaths, mut starts) = (Vec::new(), Vec::new());
    for (index, id) in engine.containers().iter().cycle().take(events).enumerate() {
        // Asked for anew: with few containers it is not the first time for each.
        let pid = engine.pid(id).await?;
        deaths.push(ears.kill(id, pid).await.with_context(|| format!("kill {index}"))?);
        starts.push(ears.start(engine, id).await.with_context(|| format!("start {index}"))?);
        if (index + 1).is_multiple_of(25) {
            note(&format!("{} of {events} containers were killed and started", index + 1));
        }
    }
    let ratio = |agent: Duration, engine: Duration| agent.as_secs_f64() / engine.as_secs_f64();
    Ok(Latency {
        kernel: deaths.iter().map(|death| death.kernel).collect(),
        agent_died: deaths.iter().map(|death| death.agent).collect(),
        engine_died: deaths.iter().map(|death| death.engine).collect(),
        died_ratio: deaths.iter().map(|death| ratio(death.agent, death.engine)).collect(),
        agent_code: deaths.iter().map(|death| death.code).collect(),
        code_ratio: deaths.iter().map(|death| ratio(death.code, death.engine)).collect(),
        engine_started: starts.iter().map(|start| start.engine).collect(),
        agent_started: starts.iter().map(|start| start.agent).collect(),
        started_ratio: starts.iter().map(|start| ratio(start.agent, start.engine)).collect(),
    })
}

impl Ears {
    async fn kill(&mut self, id: &str, pid: u32) -> Result<Death> {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("not the number of a process")?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).context("the first process cannot be watched")?;
        let own = tokio::task::spawn_blocking(move || {
            let patience = Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
            let ended = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&patience));
            (Instant::now(), ended)
        });
        let began = Instant::now();
        kill_process(pid, Signal::KILL).context("the first process cannot be killed")?;
        let signs = self.listen(id, |signs| {
            signs.agent_died.is_some() && signs.agent_code.is_some() && signs.engine_died.is_some()
        });
        let signs = signs.await?;
        let (kernel, ended) = own.await?;
        ended.context("the end of the first process was not seen")?;
        Ok(Death {
            kernel: kernel - began,
            agent: since(began, signs.agent_died)?,
            engine: since(began, signs.engine_died)?,
            code: since(began, signs.agent_code)?,
        })
    }

    async fn start(&mut self, engine: &Engine, id: &str) -> Result<Start> {
        let began = Instant::now();
        let heard = self.listen(id, |signs| {
            signs.agent_started.is_some() && signs.agent_looked.is_some() && signs.engine_started.is_some()
        });
        let (signs, started) = tokio::join!(heard, engine.start(id));
        started?;
        let signs = signs?;
        Ok(Start { agent: since(began, signs.agent_started)?, engine: since(began, signs.engine_started)? })
    }

    /// Listens on both streams until there are enough signs.
    async fn listen(&mut self, id: &str, enough: impl Fn(&Signs) -> bool) -> Result<Signs> {
        let mut signs = Signs::default();
        let listening = async {
            while !enough(&signs) {
                tokio::select! {
                    line = self.agent.line() => {
                        let line = line?;
                        if let Some(data) = data_of(&line.text)? {
                            signs.note_agent(id, &data, line.at);
                        }
                    }
                    line = self.engine.line() => {
                        let line = line?;
                        signs.note_engine(id, &serde_json::from_str(&line.text)?, line.at);
                    }
                }
            }
            anyhow::Ok(())
        };
        match timeout(PATIENCE, listening).await {
            Ok(heard) => heard.map(|()| signs),
            Err(_) => Err(anyhow!("not all signs came within {PATIENCE:?}: {signs:?}")),
        }
    }
}

impl Signs {
    /// Takes a change of the agent's.
    fn note_agent(&mut self, id: &str, data: &Value, at: Instant) {
        if let Some(replica) = replicas_of(data).find(|replica| replica["id"] == id) {
            if replica["state"] == "running" {
                self.agent_started.get_or_insert(at);
                if replica["pid"].is_u64() {
                    self.agent_looked.get_or_insert(at);
                }
            } else {
                self.agent_died.get_or_insert(at);
                if replica["exit"]["code"].is_i64() {
                    self.agent_code.get_or_insert(at);
                }
            }
        }
    }

    /// Takes an event of the engine's.
    fn note_engine(&mut self, id: &str, event: &Value, at: Instant) {
        if event["Actor"]["ID"] == id {
            match event["Action"].as_str() {
                Some("die") => self.engine_died.get_or_insert(at),
                Some("start") => self.engine_started.get_or_insert(at),
                _ => return,
            };
        }
    }
}

fn since(began: Instant, sign: Option<Instant>) -> Result<Duration> {
    sign.map(|at| at - began).context("a sign is missing")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn change(replica: &Value) -> Value {
        json!({ "type": "service", "service": { "replicas": [{ "id": "other", "state": "exited" }, replica] } })
    }

    #[test]
    fn the_first_sign_of_each_kind_counts() {
        let (mut signs, began) = (Signs::default(), Instant::now());
        let after = |ms| began + Duration::from_millis(ms);
        signs.note_agent(
            "x",
            &change(&json!({ "id": "x", "state": "exited", "exit": { "code": null } })),
            after(1),
        );
        assert_eq!((signs.agent_died, signs.agent_code), (Some(after(1)), None));
        signs.note_engine("x", &json!({ "Action": "die", "Actor": { "ID": "y" } }), after(2));
        assert_eq!(signs.engine_died, None, "another container died");
        signs.note_engine("x", &json!({ "Action": "die", "Actor": { "ID": "x" } }), after(3));
        signs.note_agent(
            "x",
            &change(&json!({ "id": "x", "state": "exited", "exit": { "code": 137 } })),
            after(4),
        );
        assert_eq!(signs.engine_died, Some(after(3)));
        assert_eq!((signs.agent_died, signs.agent_code), (Some(after(1)), Some(after(4))));
        signs.note_agent("x", &change(&json!({ "id": "x", "state": "running", "pid": null })), after(5));
        signs.note_agent("x", &change(&json!({ "id": "x", "state": "running", "pid": 7 })), after(6));
        assert_eq!((signs.agent_started, signs.agent_looked), (Some(after(5)), Some(after(6))));
    }
}
