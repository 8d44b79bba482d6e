//! Puts the demo on: a folder, the stack file, an agent in this process, and a look at it through its own API.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use chrono::TimeDelta;
use futures_util::StreamExt;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use zv_agent::agent::{Agent, Ended};
use zv_agent::config::{self, LoadOptions, Overrides, Purpose};
use zv_agent::http::ListenError;
use zv_api::client::{Client, Endpoint, EventBody, Notice};
use zv_api::{Snapshot, What};

use super::DemoArgs;
use super::output::{self, Places, Summary};
use crate::console::Console;
use crate::failure::{Failure, Outcome};
use crate::{clock, linked, names};

/// The stack that is shown: the same file that Compose takes.
const STACK_FILE: &str = include_str!("../../../compose-stack/compose.yaml");
/// How long everything may take to become healthy before the banner is shown as it is.
const PATIENCE: Duration = Duration::from_secs(20);
/// Until when the demo ends where nothing else is said.
const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);

/// What the demo saw while it ran.
#[derive(Debug, Default)]
struct Tally {
    happenings: u64,
    deaths: u64,
    /// The first processes of all replicas there ever were.
    pids: BTreeSet<u32>,
    last: Option<Snapshot>,
}

/// Runs the demo to its end.
pub(crate) fn run(args: &DemoArgs, json: bool, console: &mut Console) -> Outcome {
    let folder = Folder::new(args.keep.as_deref())?;
    let agent = build(args, folder.path())?;
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let shown = threads.block_on(show(agent, args, json, &folder, console));
    threads.shutdown_timeout(Duration::from_secs(1));
    shown
}

/// Where the demo lives.
#[derive(Debug)]
enum Folder {
    /// Removed at the end.
    Passing(tempfile::TempDir),
    Kept(PathBuf),
}

impl Folder {
    fn new(keep: Option<&Path>) -> Outcome<Self> {
        let folder = match keep {
            None => Folder::Passing(tempfile::Builder::new().prefix("zv-demo-").tempdir()?),
            Some(path) => {
                fs::create_dir_all(path)
                    .with_context(|| format!("cannot make the folder {}", path.display()))?;
                Folder::Kept(path.canonicalize()?)
            }
        };
        fs::write(folder.path().join("compose.yaml"), STACK_FILE).context("cannot write the stack file")?;
        Ok(folder)
    }

    fn path(&self) -> &Path {
        match self {
            Folder::Passing(folder) => folder.path(),
            Folder::Kept(path) => path,
        }
    }
}

/// Builds an agent that looks at this folder alone: neither the user's configuration nor an engine has a say.
fn build(args: &DemoArgs, folder: &Path) -> Outcome<Agent> {
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    let overrides = Overrides {
        listen: vec![args.listen.to_string()],
        unix: Some("off".to_owned()),
        store: Some(text(folder.join("store"))),
        runtime: Some("local".to_owned()),
        stack_file: Some(text(folder.join("compose.yaml"))),
        ..Overrides::default()
    };
    let mut environment = linked::environment();
    environment.variables.clear();
    environment.default_files.clear();
    let load = LoadOptions { file: None, overrides, environment, purpose: Purpose::Run };
    let loaded = config::load(&load).map_err(|found| linked::mistakes(&found))?;
    let mut surroundings = linked::surroundings()?;
    let program = std::env::current_exe().context("cannot tell where this program is")?;
    surroundings.vars.insert("ZV_EXE".to_owned(), text(program));
    Agent::build(loaded.config, surroundings).map_err(unlistenable)
}

/// Says it in the words of this command where the agent can listen nowhere: it has no configuration to change.
fn unlistenable(error: anyhow::Error) -> Failure {
    match error.downcast_ref::<ListenError>() {
        Some(ListenError::Tcp { address, source }) if source.kind() == ErrorKind::AddrInUse => {
            Failure::new(format!(
                "cannot listen on {address}: another process listens there; stop it, or name another address with \
                 --listen (127.0.0.1:0 takes a free port)"
            ))
        }
        Some(ListenError::Tcp { address, source }) => {
            Failure::new(format!("cannot listen on {address}: {source}; name another address with --listen"))
        }
        _ => error.into(),
    }
}

async fn show(agent: Agent, args: &DemoArgs, json: bool, folder: &Folder, console: &mut Console) -> Outcome {
    let started_at = clock::now();
    let address = agent.addresses().first().copied().context("the agent listens nowhere")?;
    let url = format!("http://{address}");
    // Where others can reach it, the agent asks everybody for its token.
    let token_file = (!address.ip().is_loopback()).then(|| folder.path().join("store/token"));
    let token =
        token_file.as_ref().map(fs::read_to_string).transpose().context("cannot read the agent's token")?;
    let token = token.map(|token| token.trim().to_owned());
    let client =
        Client::new(Endpoint::parse(&url).map_err(anyhow::Error::new)?, token).map_err(anyhow::Error::new)?;
    let mut signals = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stop = CancellationToken::new();
    let mut running = JoinSet::new();
    running.spawn(agent.run(stop.clone()));

    let mut tally = Tally::default();
    let quiet = json;
    let show = async {
        console.progress("Starting the stack …");
        let snapshot = until_healthy(&client).await?;
        console.progress("");
        let program = program_name();
        let kept = match folder {
            Folder::Kept(path) => Some(path.to_string_lossy().into_owned()),
            Folder::Passing(_) => None,
        };
        let lasts = args.lasts.and_then(|lasts| TimeDelta::from_std(lasts).ok());
        let token_file = token_file.map(|file| file.to_string_lossy().into_owned());
        let places = Places {
            agent: &url,
            program: &program,
            token_file: token_file.as_deref(),
            kept: kept.as_deref(),
            lasts,
        };
        if quiet {
            console.json_line(&output::Up::of(&snapshot, &places))?;
        } else {
            console.lines(&output::banner(&snapshot, &places))?;
        }
        console.flush()?;
        tally.take(snapshot);
        follow(&client, &mut tally, quiet, console).await
    };
    let lasts = args.lasts.unwrap_or(FOREVER);
    let shown = tokio::select! {
        shown = show => shown,
        () = sleep_until(Instant::now() + lasts) => Ok(()),
        _ = signals.0.recv() => Ok(()),
        _ = signals.1.recv() => Ok(()),
        Some(ended) = running.join_next() => Err(Failure::Failed(match ended {
            Ok(Ok(Ended::Cleanly | Ended::Cut)) => anyhow::anyhow!("the agent ended by itself"),
            Ok(Err(error)) => error,
            Err(error) => error.into(),
        })),
    };
    if let Ok(snapshot) = client.snapshot().await {
        tally.take(snapshot);
    }
    console.progress("Stopping …");
    stop.cancel();
    let ended = tokio::select! {
        ended = running.join_next() => ended,
        _ = signals.0.recv() => return Err(Failure::new("ended at once by a second signal")),
        _ = signals.1.recv() => return Err(Failure::new("ended at once by a second signal")),
    };
    console.progress("");
    shown?;
    if let Some(ended) = ended {
        ended.context("the agent broke off")??;
    }
    let summary = Summary {
        started_at,
        ended_at: clock::now(),
        services: tally.last.as_ref().map(Summary::services_of).unwrap_or_default(),
        happenings: tally.happenings,
        deaths: tally.deaths,
        left_behind: left_behind(&tally.pids),
    };
    if json {
        console.json_line(&summary)?;
    } else {
        console.lines(&summary.lines())?;
    }
    if summary.left_behind > 0 { Err(Failure::Told) } else { Ok(()) }
}

/// Waits until every service is well, and returns what there is then; or after a while whatever there is.
async fn until_healthy(client: &Client) -> Outcome<Snapshot> {
    let mut events = client.events_forever();
    let all_well = async {
        while let Some(notice) = events.next().await {
            if matches!(notice, Notice::Event(_))
                && let Ok(snapshot) = client.snapshot().await
                && names::services(&snapshot).next().is_some()
                && names::services(&snapshot).all(|service| service.status == "ok")
            {
                return Some(snapshot);
            }
        }
        None
    };
    match timeout(PATIENCE, all_well).await {
        Ok(Some(snapshot)) => Ok(snapshot),
        Ok(None) | Err(_) => Ok(client.snapshot().await.map_err(anyhow::Error::new)?),
    }
}

/// Prints what happens until the agent is gone for good.
async fn follow(client: &Client, tally: &mut Tally, quiet: bool, console: &mut Console) -> Outcome {
    let mut events = client.events_forever();
    while let Some(notice) = events.next().await {
        let Notice::Event(event) = notice else { continue };
        match event.body {
            EventBody::Snapshot(snapshot) => tally.take(*snapshot),
            EventBody::Stats(_) => {}
            EventBody::Change(change) => match change.what {
                What::Happened { happening } => {
                    tally.happenings += 1;
                    tally.deaths += u64::from(happening.kind == "died");
                    if !quiet {
                        console.lines(&[output::happening(&happening)])?;
                        console.flush()?;
                    }
                }
                What::Service { service } => tally.pids.extend(service.replicas.iter().filter_map(|r| r.pid)),
                What::ServiceGone { .. }
                | What::Runtime { .. }
                | What::Probe { .. }
                | What::ProbeGone { .. } => {}
            },
        }
    }
    Ok(())
}

impl Tally {
    fn take(&mut self, snapshot: Snapshot) {
        self.pids
            .extend(names::services(&snapshot).flat_map(|service| &service.replicas).filter_map(|r| r.pid));
        self.last = Some(snapshot);
    }
}

/// Counts processes of the demo that are still there: children of this process, and replicas that run this program.
fn left_behind(pids: &BTreeSet<u32>) -> u32 {
    let own = fs::read_link("/proc/self/exe").ok();
    let is_ours = |pid: &&u32| own.is_some() && fs::read_link(format!("/proc/{pid}/exe")).ok() == own;
    let replicas = pids.iter().filter(is_ours).count();
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let children = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let children: usize = children.map(|list| list.split_whitespace().count()).sum();
    u32::try_from(replicas + children).unwrap_or(u32::MAX)
}

/// Returns how a person calls this program: as it was called, where that would work again.
fn program_name() -> String {
    let called = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    match called.to_str() {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => "zv".to_owned(),
    }
}
