//! `cargo xtask bench probe`: what a probe costs the agent, beside blackbox_exporter; and whether targets that hang delay
//! the others. How it is measured is explained in docs/benchmarks.md.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::agent::{Agent, Setup};
use super::figures::Series;
use super::listen::fetch;
use super::note;
use super::process::{cpu_seconds, status};
use super::programs::Programs;
use super::report::{self, ratio, row};
use super::web::Web;
use crate::say;

/// Requests for `/probe` that are under way at once.
const ASKERS: usize = 16;
/// What the agent probes by its own schedule, every second.
const SCHEDULED: usize = 2000;
/// Targets of which some hang, and how often they are asked.
const MANY: usize = 1000;
const HANGING: usize = 200;
const MANY_EVERY_SECONDS: u32 = 5;
const PATIENCE: Duration = Duration::from_secs(60);
/// An engine that is not there: nothing is measured but probes.
const NO_ENGINE: &str = "unix:///nonexistent/docker.sock";

#[derive(Debug)]
struct Plan {
    seconds: u64,
    blackbox: PathBuf,
    write: bool,
}

impl Plan {
    fn parse(args: &[&str]) -> Result<Self> {
        let mut plan = Self { seconds: 20, blackbox: "prometheus-blackbox-exporter".into(), write: false };
        let mut args = args.iter();
        while let Some(name) = args.next() {
            let mut value = || args.next().copied().with_context(|| format!("`{name}` needs a value"));
            match *name {
                "--seconds" => plan.seconds = value()?.parse().context("`--seconds` takes a number")?,
                "--blackbox" => plan.blackbox = value()?.into(),
                "--write" => plan.write = true,
                other => bail!("`{other}` is not an option of `bench probe`"),
            }
        }
        ensure!((1..=3600).contains(&plan.seconds), "`--seconds` has to be between 1 and 3600");
        Ok(plan)
    }
}

/// One way to probe.
#[derive(Debug)]
struct Row {
    name: &'static str,
    probes: u64,
    cpu: f64,
    /// In MiB, at the end.
    rss: f64,
}

impl Row {
    fn each_second(&self) -> f64 {
        self.probes as f64 / self.cpu
    }
}

/// How late the targets that answer were, in seconds beyond their interval.
#[derive(Debug)]
struct Late {
    targets: usize,
    results: usize,
    down: usize,
    beyond: Series,
}

/// Measures, prints, and with `--write` keeps what came of it.
pub(crate) fn run(args: &[&str]) -> Result<()> {
    let plan = Plan::parse(args)?;
    note("building the agent");
    let programs = Programs::build()?;
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let text = threads.block_on(measure(&plan, &programs))?;
    say(&text);
    if plan.write { report::write(report::PROBE, &text) } else { Ok(()) }
}

async fn measure(plan: &Plan, programs: &Programs) -> Result<String> {
    let web = Web::start(true).await?;
    let length = Duration::from_secs(plan.seconds);
    let mut rows = Vec::new();

    note("blackbox_exporter, asked through /probe");
    let exporter = Exporter::start(plan)?;
    rows.push(asked("blackbox_exporter, `/probe`", exporter.pid, exporter.address, &web, length).await?);
    drop(exporter);

    note("the agent, asked through /probe");
    let none = Setup { engine: NO_ENGINE, ..Setup::default() };
    let agent = Agent::start(&programs.agent, &none)?;
    rows.push(asked("`zv-agent`, `/probe`", agent.pid(), agent.address(), &web, length).await?);
    agent.stop().await?;

    note("the agent, by its own schedule");
    let probes = vec![web.address; SCHEDULED];
    let setup = Setup { probes, every_seconds: 1, timeout_seconds: 1, ..none.clone() };
    let agent = Agent::start(&programs.agent, &setup)?;
    rows.push(scheduled(&agent, &web, length).await?);
    agent.stop().await?;

    note("targets of which some hang");
    let late = late(programs, &web, &none, length).await?;
    Ok(markdown(&rows, &late))
}

/// Asks a server's `/probe` as fast as it answers.
async fn asked(name: &'static str, pid: u32, server: SocketAddr, web: &Web, length: Duration) -> Result<Row> {
    wait_for(server).await?;
    let path = format!("/probe?target=http://{}/&module=http_2xx", web.address);
    let count = Arc::new(AtomicU64::new(0));
    let (cpu, end) = (cpu_seconds(pid)?, Instant::now() + length);
    let mut askers = JoinSet::new();
    for _ in 0..ASKERS {
        let (path, count) = (path.clone(), Arc::clone(&count));
        askers.spawn(async move {
            while Instant::now() < end {
                let answer = fetch(TcpStream::connect(server).await?, &path).await?;
                let text = String::from_utf8_lossy(&answer);
                ensure!(text.lines().any(|line| line == "probe_success 1"), "a probe failed: {text}");
                count.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
    }
    while let Some(ended) = askers.join_next().await {
        ended??;
    }
    let cpu = cpu_seconds(pid)? - cpu;
    Ok(Row { name, probes: count.load(Ordering::Relaxed), cpu, rss: status(pid)?.rss / 1024.0 })
}

/// Lets the agent probe by itself and counts what arrives.
async fn scheduled(agent: &Agent, web: &Web, length: Duration) -> Result<Row> {
    wait_for(agent.address()).await?;
    sleep(Duration::from_secs(3)).await;
    let (cpu, answered) = (cpu_seconds(agent.pid())?, web.answered());
    sleep(length).await;
    let (cpu, probes) = (cpu_seconds(agent.pid())? - cpu, web.answered() - answered);
    let rss = status(agent.pid())?.rss / 1024.0;
    Ok(Row { name: "`zv-agent`, 2000 targets every second", probes, cpu, rss })
}

/// Reads from the agent's own history when each target was asked.
async fn late(programs: &Programs, web: &Web, none: &Setup<'_>, length: Duration) -> Result<Late> {
    let silent = Web::start(false).await?;
    let address =
        |number: usize| if number.is_multiple_of(MANY / HANGING) { silent.address } else { web.address };
    let setup = Setup {
        probes: (0..MANY).map(address).collect(),
        every_seconds: MANY_EVERY_SECONDS,
        timeout_seconds: 4,
        ..none.clone()
    };
    let agent = Agent::start(&programs.agent, &setup)?;
    wait_for(agent.address()).await?;
    sleep(length.max(Duration::from_secs(20))).await;
    let mut late = Late { targets: 0, results: 0, down: 0, beyond: Series::default() };
    let mut beyond = Vec::new();
    for number in (0..MANY).filter(|number| address(*number) == web.address) {
        let path = format!("/api/zv/v1/probes/web-{number}");
        let body = fetch(TcpStream::connect(agent.address()).await?, &path).await?;
        let probe: Value = serde_json::from_slice(&body)?;
        let probe = probe["probes"].get(0).unwrap_or(&probe);
        let history = probe["history"].as_array().context("a probe without a history")?;
        late.targets += 1;
        late.results += history.len();
        late.down += history.iter().filter(|result| result["verdict"] != "up").count();
        let times: Vec<f64> = history.iter().filter_map(|result| seconds(result["at"].as_str()?)).collect();
        let gaps = times.windows(2).map(|pair| pair[1] - pair[0] - f64::from(MANY_EVERY_SECONDS));
        beyond.extend(gaps);
    }
    agent.stop().await?;
    late.beyond = beyond.into_iter().collect();
    Ok(late)
}

/// Reads the seconds within a day of `2026-01-02T03:04:05.678Z`.
fn seconds(text: &str) -> Option<f64> {
    let time = text.split_once('T')?.1.trim_end_matches('Z');
    let mut parts = time.splitn(3, ':');
    let mut next = || parts.next()?.parse::<f64>().ok();
    Some(next()? * 3600.0 + next()? * 60.0 + next()?)
}

fn markdown(rows: &[Row], late: &Late) -> String {
    let mut text = "Plain HTTP probes of one server on the same machine:\n\n".to_owned();
    text.push_str(
        "| who | probes | CPU s | probes for a second of CPU | ÷ blackbox_exporter's | RSS MiB |\n",
    );
    text.push_str("|---|---:|---:|---:|---:|---:|\n");
    let peer = rows.first().map_or(f64::NAN, Row::each_second);
    for one in rows {
        let cells = [
            one.name.to_owned(),
            one.probes.to_string(),
            format!("{:.2}", one.cpu),
            format!("{:.0}", one.each_second()),
            ratio(one.each_second(), peer),
            format!("{:.1}", one.rss),
        ];
        row(&mut text, &cells);
    }
    let Late { targets, results, down, beyond } = late;
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "\n{MANY} targets every {MANY_EVERY_SECONDS} s, of which {HANGING} take the connection and never answer: the other {targets} were asked \
         {results} times, {down} of these not up. Between two results of a target lay the interval and, in ms: median {:+.0}, \
         p95 {:+.0}, max {:+.0} (the interval is spread by 5 % to either side on purpose, which is ±250 ms).\n",
        beyond.median() * 1000.0,
        beyond.percentile(95) * 1000.0,
        beyond.max() * 1000.0,
    );
    text
}

async fn wait_for(server: SocketAddr) -> Result<()> {
    let knocking = async {
        while TcpStream::connect(server).await.is_err() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, knocking).await.with_context(|| format!("nobody listens on {server}"))
}

/// blackbox_exporter with a module like the agent's.
#[derive(Debug)]
struct Exporter {
    _child: Child,
    pid: u32,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Exporter {
    fn start(plan: &Plan) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("blackbox.yml");
        std::fs::write(&config, "modules:\n  http_2xx:\n    prober: http\n    timeout: 5s\n")?;
        let address = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let child = Command::new(&plan.blackbox)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--web.listen-address={address}"))
            .args(["--log.level=error", "--log.prober=error"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let child = child.with_context(|| {
            format!(
                "cannot start `{}`: install Debian's prometheus-blackbox-exporter, or name it by --blackbox",
                plan.blackbox.display()
            )
        })?;
        let pid = child.id().context("blackbox_exporter ended at once")?;
        Ok(Self { _child: child, pid, address, _folder: folder })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_mistakes_refused() {
        let plan = Plan::parse(&["--seconds", "5", "--blackbox", "/x", "--write"]).unwrap();
        assert_eq!((plan.seconds, plan.write), (5, true));
        for (args, words) in [
            (&["--seconds", "0"][..], "between"),
            (&["--blackbox"], "needs a value"),
            (&["--x"], "not an option"),
        ] {
            let error = format!("{:#}", Plan::parse(args).unwrap_err());
            assert!(error.contains(words), "{args:?}: {error}");
        }
    }

    #[test]
    fn times_are_read_within_a_day() {
        assert_eq!(seconds("2026-01-02T01:01:01.5Z"), Some(3661.5));
        assert_eq!(seconds("yesterday"), None);
    }
}
