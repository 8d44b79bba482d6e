//! An engine that goes away and comes back while containers come and go.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use rustix::process::Signal;
use tokio::sync::watch;
use tokio::task::JoinSet;
use zv_api::client::EventBody;
use zv_api::{RuntimeState, Service, Snapshot, What};

use super::lab::{FAIL, Lab, SLEEP};
use super::own::OwnEngine;
use crate::whole::rig::{Agent, PATIENCE, down, eventually, kill, service};

const ROUNDS: usize = 10;
const SEED: u64 = 0x5eed_2026;

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// All that the event stream told, in order, with when.
struct Recording {
    told: watch::Receiver<Vec<(Instant, EventBody)>>,
    _task: JoinSet<()>,
}

impl Recording {
    async fn of(agent: &Agent) -> Self {
        let mut events = agent.client.events(None).await.unwrap();
        let (sender, told) = watch::channel(Vec::new());
        let mut task = JoinSet::new();
        task.spawn(async move {
            while let Some(Ok(event)) = events.next().await {
                sender.send_modify(|told| told.push((Instant::now(), event.body)));
            }
        });
        Self { told, _task: task }
    }

    /// Waits until something is told that `found` takes; returns when.
    async fn when(&mut self, what: &str, from: usize, found: impl Fn(&EventBody) -> bool) -> Instant {
        let wait = self.told.wait_for(|told| told[from..].iter().any(|(_, body)| found(body)));
        let told =
            tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{what}: never told"));
        let told = told.unwrap();
        told[from..].iter().find(|(_, body)| found(body)).map(|(at, _)| *at).unwrap()
    }

    fn len(&self) -> usize {
        self.told.borrow().len()
    }
}

/// Says what is called well although the engine is away.
fn called_well(service: &Service) -> Option<String> {
    let well = |status: &str| matches!(status, "ok" | "healthy" | "running" | "starting" | "finished");
    let replica = service.replicas.iter().find(|one| one.pid.is_some() && well(&one.status));
    let is_called = service.status == "ok" || replica.is_some();
    is_called
        .then(|| format!("{} is {} with {:?}", service.name, service.status, replica.map(|one| &one.status)))
}

fn all_of(snapshot: &Snapshot) -> impl Iterator<Item = &Service> {
    snapshot.stacks.iter().flat_map(|stack| &stack.services)
}

/// Goes through all that was told: between the loss of the engine and its return nothing was called well.
fn nothing_was_called_well_in_the_dark(told: &[(Instant, EventBody)]) -> usize {
    let (mut is_down, mut losses) = (false, 0);
    for (_, body) in told {
        match body {
            EventBody::Snapshot(snapshot) => {
                is_down = down(snapshot).is_some();
                let called = all_of(snapshot).find_map(called_well).filter(|_| is_down);
                assert_eq!(called, None);
            }
            EventBody::Stats(_) => {}
            EventBody::Change(change) => match &change.what {
                What::Runtime { runtime } => {
                    let now_down = matches!(runtime, RuntimeState::Down { .. });
                    losses += usize::from(now_down && !is_down);
                    is_down = now_down;
                }
                What::Service { service } if is_down => assert_eq!(called_well(service), None),
                _ => {}
            },
        }
    }
    losses
}

/// Lets containers come and go until it is told to stop. What fails, fails: the engine is away half of the time.
async fn churn(lab: Arc<Lab>, mut dice: Dice, stop: Arc<AtomicBool>) -> Dice {
    while !stop.load(Ordering::Acquire) {
        let service = format!("s{}", dice.below(6));
        let name = format!("{}-{service}-1", lab.project);
        let _ = match dice.below(7) {
            0..3 => {
                let command: &[&str] = if dice.below(3) == 0 { &FAIL } else { &SLEEP };
                let all = lab.run_arguments(&service, &["-d"], command);
                lab.try_docker(&all.iter().map(String::as_str).collect::<Vec<_>>()).await
            }
            3 => lab.try_docker(&["rm", "-f", &name]).await,
            4 => lab.try_docker(&["stop", "-t", "5", &name]).await,
            5 => lab.try_docker(&["kill", &name]).await,
            _ => lab.try_docker(&["start", &name]).await,
        };
    }
    dice
}

/// What a fresh list says: names and states.
async fn listed(lab: &Lab) -> BTreeMap<String, String> {
    let filter = format!("label=com.docker.compose.project={}", lab.project);
    let format = "{{.Names}} {{.State}}";
    let text = lab.docker(&["ps", "-a", "--filter", &filter, "--format", format]).await;
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    pairs.map(|(name, state)| (name.to_owned(), state.to_owned())).collect()
}

fn seen(snapshot: &Snapshot) -> BTreeMap<String, String> {
    let replicas = all_of(snapshot).flat_map(|service| &service.replicas);
    replicas.map(|one| (one.name.clone(), one.state.clone())).collect()
}

#[tokio::test]
async fn after_ten_restarts_it_equals_a_fresh_list_every_time_and_never_guessed() {
    let Some(mut engine) = OwnEngine::start().await else { return };
    let lab = Arc::new(Lab::at(&engine.host(), "restarts"));
    lab.images().await;
    let place = lab.place();
    let agent = lab.agent(&place).await;
    let mut recording = Recording::of(&agent).await;
    lab.run("stays", &[], &SLEEP).await;
    agent.until_running("stays", 1).await;
    let (mut dice, mut slowest) = (Dice(SEED), Duration::ZERO);
    for round in 0..ROUNDS {
        let from = recording.len();
        let stop = Arc::new(AtomicBool::new(false));
        let mut churning = JoinSet::new();
        churning.spawn(churn(Arc::clone(&lab), Dice(SEED ^ (round as u64 + 1)), Arc::clone(&stop)));
        // A random moment is what this is about.
        tokio::time::sleep(Duration::from_millis(dice.below(1500))).await;
        engine.stop().await;
        let is_loss = |body: &EventBody| {
            matches!(body, EventBody::Change(change)
                if matches!(change.what, What::Runtime { runtime: RuntimeState::Down { .. } }))
        };
        recording.when("the loss of the engine", from, is_loss).await;
        let dark = agent.answers_promptly().await;
        assert!(down(&dark).is_some());
        assert_eq!(all_of(&dark).find_map(called_well), None);
        let victim = all_of(&dark)
            .flat_map(|service| &service.replicas)
            .find(|one| one.pid.is_some() && !one.name.contains("stays") && round % 2 == 0);
        if let Some(pid) = victim.and_then(|one| one.pid) {
            kill(pid, Signal::KILL);
        }
        tokio::time::sleep(Duration::from_millis(dice.below(800))).await;
        engine.resume().await;
        tokio::time::sleep(Duration::from_millis(dice.below(800))).await;
        stop.store(true, Ordering::Release);
        churning.join_next().await.unwrap().unwrap();

        let quiet = Instant::now();
        let mut last = (BTreeMap::new(), BTreeMap::new());
        let equal = async {
            loop {
                let snapshot = agent.client.snapshot().await.unwrap();
                last = (listed(&lab).await, seen(&snapshot));
                let is_up = matches!(snapshot.runtime, RuntimeState::Up { .. });
                if is_up && last.0 == last.1 && all_of(&snapshot).all(|one| one.status != "unknown") {
                    return;
                }
            }
        };
        let outcome = tokio::time::timeout(PATIENCE, equal).await;
        assert!(outcome.is_ok(), "round {round}: listed, seen: {last:#?}");
        slowest = slowest.max(quiet.elapsed());
        let stays = service(&agent.client.snapshot().await.unwrap(), "stays").cloned().unwrap();
        assert_eq!(stays.status, "ok", "round {round}: {stays:#?}");
    }
    let told = recording.told.borrow().clone();
    let losses = nothing_was_called_well_in_the_dark(&told);
    println!("{ROUNDS} restarts, {losses} losses, {} messages; equal after {slowest:?} at most", told.len());
    assert!(losses >= ROUNDS, "{losses}");
    drop(agent);
    drop(lab);
    engine.stop().await;
}

#[tokio::test]
async fn a_death_is_on_the_stream_while_the_engine_is_away() {
    let Some(mut engine) = OwnEngine::start().await else { return };
    let lab = Lab::at(&engine.host(), "away");
    lab.images().await;
    let place = lab.place();
    let agent = lab.agent(&place).await;
    lab.run("web", &[], &SLEEP).await;
    lab.run("other", &[], &SLEEP).await;
    let pid = agent.until_running("web", 1).await[0].pid.unwrap();
    agent.until_running("other", 1).await;
    let mut recording = Recording::of(&agent).await;
    engine.stop().await;
    agent.until("the engine is away", down).await;
    let from = recording.len();
    let killed = Instant::now();
    kill(pid, Signal::KILL);
    let is_death = |body: &EventBody| {
        matches!(body, EventBody::Change(change) if matches!(&change.what, What::Happened { happening }
            if happening.kind == "died" && happening.service.as_deref() == Some("web")))
    };
    let told = recording.when("the death", from, is_death).await;
    println!("a death while the engine was away was on the stream after {:?}", told - killed);
    assert!(told - killed <= Duration::from_secs(1), "{:?}", told - killed);
    let web = agent.until_status("web", "down").await;
    assert_eq!(web.replicas[0].status, "exited", "{web:#?}");
    assert_eq!(agent.until_status("other", "unknown").await.replicas[0].status, "unknown");
    engine.resume().await;
    agent.until_status("web", "down").await;
    agent.until_status("other", "ok").await;
    let death = eventually("a record", async || {
        agent.client.deaths(None, Some("web"), 10).await.ok()?.deaths.into_iter().next()
    })
    .await;
    assert!(!death.wanted);
    drop(agent);
    drop(lab);
    engine.stop().await;
}
