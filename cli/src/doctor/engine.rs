//! The engine: where it is, whether it answers, which version, and which rights there are at it or the proxy before it.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;
use zv_agent::config::{Config, Place, RuntimeChoice};
use zv_stack::docker::checkup::{
    Answering, Container, Info, Listed, Located, Origin, Route, Trouble, locate,
};

use super::finding::{Area, Finding, Findings, Level};
use super::here::Here;

/// How long the engine may take to say who it is.
const GREETING: Duration = Duration::from_secs(4);
/// How long it may take over one question.
const ANSWER: Duration = Duration::from_secs(5);
/// So many running containers are looked at: what holds for them holds for the rest.
const LOOKED_AT: usize = 50;

/// What an engine told, for the checks that go by it.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) info: Option<Info>,
    /// All containers there are.
    pub(super) count: usize,
    pub(super) running: Vec<Container>,
    /// The statistics of a container may be asked for.
    pub(super) stats: bool,
    /// It runs its containers elsewhere.
    pub(super) is_remote: bool,
}

/// Asks the engine everything that watching it needs.
pub(super) async fn ask(config: &Config, here: &Here, deadline: Instant) -> (Vec<Finding>, Option<Told>) {
    let mut findings = Findings::of(Area::Engine);
    if config.stack.runtime == RuntimeChoice::Local {
        findings.ok("engine", "none is wanted: `stack.runtime` is local");
        return (findings.all, None);
    }
    let located = match locate(&config.stack.docker_options()) {
        Ok(located) => located,
        Err(why) => {
            findings.problem(
                "address",
                why,
                "name the engine: DOCKER_HOST, a Docker context or `stack.docker.host`",
            );
            return (findings.all, None);
        }
    };
    findings.ok("address", format!("{}, {}", located.address, said_by(config, &located.origin)));
    let answering = match located.agree(left(deadline, GREETING)).await {
        Ok(answering) => answering,
        Err(trouble) => {
            // A host on which processes run has no use for an engine.
            let level = if config.stack.file.is_some() { Level::Note } else { Level::Problem };
            let advice = unreachable(&trouble, &located, here);
            findings.at(level, "answers", trouble.to_string(), advice);
            return (findings.all, None);
        }
    };
    let Answering { version, agreed, offered, .. } = &answering;
    findings.ok("answers", versions(version, agreed, offered));

    let told = question(&answering, &located, deadline).await;
    let mut all = findings.all;
    all.extend(rights(&told.routes));
    (all, Some(told.told))
}

struct Questioned {
    routes: Vec<(Route, Result<(), Trouble>)>,
    told: Told,
}

async fn question(answering: &Answering, located: &Located, deadline: Instant) -> Questioned {
    let limit = || left(deadline, ANSWER);
    let (listed, info) = tokio::join!(answering.list(limit()), answering.info(limit()));
    let listed: Vec<Listed> = listed.unwrap_or_default();
    let up = || listed.iter().filter(|container| container.state == "running");
    let subject = up().next().or(listed.first()).map(|container| container.id.as_str());
    let ids: Vec<String> = up().take(LOOKED_AT).map(|container| container.id.clone()).collect();
    let asking = Route::ALL
        .map(|route| async move { (route, answering.ask(route, subject, left(deadline, ANSWER)).await) });
    let (routes, running) = tokio::join!(join_all(asking), answering.inspect(&ids, limit()));
    let info = info.ok();
    let is_remote = is_remote(located, info.as_ref());
    let stats = routes.iter().any(|(route, asked)| *route == Route::Stats && asked.is_ok());
    Questioned { told: Told { info, count: listed.len(), running, stats, is_remote }, routes }
}

/// Returns `at_most`, or what is left.
fn left(deadline: Instant, at_most: Duration) -> Duration {
    deadline.saturating_duration_since(Instant::now()).min(at_most)
}

/// Containers of a machine inside or beyond this one cannot be seen from here.
fn is_remote(located: &Located, info: Option<&Info>) -> bool {
    let desktop = info.and_then(|info| info.operating_system.as_deref()) == Some("Docker Desktop");
    // A proxy beside the agent has a name or a private address, and the engine may still be this host's.
    desktop || located.address.ends_with("with TLS")
}

fn said_by(config: &Config, origin: &Origin) -> String {
    let from = |key: &str| match config.place(key) {
        Place::Default => None,
        place => Some(format!("from {place}")),
    };
    match origin {
        Origin::Named => from("stack.docker.host").unwrap_or_else(|| "as named".to_owned()),
        Origin::Context(name) => match from("stack.docker.context") {
            Some(from) => format!("context `{name}` {from}"),
            None => format!("the docker command's current context `{name}`"),
        },
        Origin::System => "where engines are by default".to_owned(),
    }
}

fn versions(version: &str, agreed: &str, offered: &(Option<String>, Option<String>)) -> String {
    let range = match offered {
        (Some(newest), Some(oldest)) => format!(" (the engine speaks {oldest} to {newest})"),
        _ => String::new(),
    };
    format!("engine {version}, agreed on API {agreed}{range}")
}

/// Says what to do about an engine that does not answer.
fn unreachable(trouble: &Trouble, located: &Located, here: &Here) -> String {
    let socket = located.socket();
    match (trouble, socket) {
        (Trouble::Denied, Some(socket)) => match std::fs::metadata(socket) {
            Ok(found) => {
                let joining = here.joining(found.gid());
                format!("{joining}; that is as good as root, and a socket proxy that only reads is the other way")
            }
            Err(_) => "run this as root, or give this user the folders on the way to the socket".to_owned(),
        },
        (Trouble::Absent, Some(socket)) => here.fitting(
            format!("{}; or name a socket proxy with DOCKER_HOST", mounting(socket)),
            "`sudo systemctl start docker`, or name another engine with DOCKER_HOST or a Docker context",
        ),
        (Trouble::Closed, Some(socket)) => here.fitting(
            format!(
                "the engine was restarted and made a new socket: restart this container, or mount the folder `{}`",
                socket.parent().unwrap_or(Path::new("/var/run")).display()
            ),
            "`sudo systemctl restart docker`: what made the socket is gone",
        ),
        (Trouble::Absent | Trouble::Closed | Trouble::Denied, _) => {
            "start the engine or the proxy there, or correct the address in DOCKER_HOST".to_owned()
        }
        (Trouble::Silent(_), _) => here.fitting(
            "it hangs: look at `docker ps` and `journalctl -u docker` on its host",
            "it hangs: look at `journalctl -u docker`, then `sudo systemctl restart docker`",
        ),
        (Trouble::Refused { .. }, _) => format!("{}; it is needed first of all", granting(None)),
        (Trouble::Unsuitable(_), _) => "update the older of the two; Docker 20.10 is the oldest that works".to_owned(),
        (Trouble::Garbled(_), _) => "name an engine's address; something else answers there".to_owned(),
        (Trouble::Other(_), _) => "correct the address, or what is between here and the engine".to_owned(),
    }
}

fn mounting(socket: &Path) -> String {
    let socket = socket.display();
    format!("run the container with `-v {socket}:{socket}`")
}

/// What is lost without a right, and how much that is.
fn loss(route: Route) -> (Level, &'static str) {
    match route {
        Route::List => (Level::Problem, "no container is seen"),
        Route::Inspect => (Level::Problem, "exit codes, restarts, health and processes stay unknown"),
        Route::Events => (Level::Problem, "nothing is watched"),
        Route::Logs => (Level::Problem, "no logs, none in death records and mails either"),
        Route::Stats => (Level::Note, "only what the cgroups here show is measured"),
        Route::Info => (Level::Note, "the memory of the engine's host stays unknown"),
        Route::Ping => (Level::Note, "an engine that hangs is noticed late"),
        Route::Act => (Level::Ok, "actions are refused"),
    }
}

/// The switch of docker-socket-proxy, which most images for this have.
fn switch(route: Route) -> &'static str {
    match route {
        Route::List | Route::Inspect | Route::Logs | Route::Stats => "CONTAINERS=1",
        Route::Events => "EVENTS=1",
        Route::Info => "INFO=1",
        Route::Ping => "PING=1",
        Route::Act => "POST=1",
    }
}

/// Says how a proxy grants a right; the one to learn the version where no route is named.
fn granting(route: Option<Route>) -> String {
    let (switch, request) =
        route.map_or(("VERSION=1", "GET /version"), |route| (switch(route), route.request()));
    format!("set `{switch}` on the socket proxy (docker-socket-proxy), or allow `{request}` in its rules")
}

/// Judges the rights.
fn rights(routes: &[(Route, Result<(), Trouble>)]) -> Vec<Finding> {
    let mut findings = Findings::of(Area::Rights);
    let granted: Vec<&str> = routes
        .iter()
        .filter(|(route, asked)| asked.is_ok() && *route != Route::Act)
        .map(|(route, _)| name(*route))
        .collect();
    if !granted.is_empty() {
        findings.ok("reading", granted.join(", "));
    }
    for (route, asked) in routes {
        let (level, lost) = loss(*route);
        match asked {
            Ok(()) if *route == Route::Act => findings.ok("acting", "orders are let through"),
            Ok(()) => {}
            Err(trouble) if *route == Route::Act && trouble.is_refusal() => {
                findings
                    .ok("acting", "refused: this agent only reads, and zv says so where somebody wants more");
            }
            Err(trouble) if trouble.is_refusal() => {
                findings.at(
                    level,
                    name(*route),
                    format!("{} is {trouble}: {lost}", route.request()),
                    granting(Some(*route)),
                );
            }
            Err(trouble) => {
                // Silence is a fault; a status of the engine's own is that container's: its log driver cannot be read.
                let level =
                    if matches!(trouble, Trouble::Silent(_)) { level.max(Level::Note) } else { Level::Note };
                let advice =
                    "ask the engine the same with `docker`, and look into its log: `journalctl -u docker`";
                findings.at(level, name(*route), format!("{}: {trouble}", route.request()), advice);
            }
        }
    }
    findings.all
}

fn name(route: Route) -> &'static str {
    match route {
        Route::Ping => "ping",
        Route::List => "list",
        Route::Inspect => "inspect",
        Route::Events => "events",
        Route::Logs => "logs",
        Route::Stats => "stats",
        Route::Info => "info",
        Route::Act => "acting",
    }
}

#[cfg(test)]
mod tests {
    use super::super::here::tests::here;
    use super::*;

    fn refused() -> Result<(), Trouble> {
        Err(Trouble::Refused { status: 403, message: "Forbidden".into() })
    }

    #[test]
    fn each_missing_right_names_what_is_lost_and_the_switch() {
        for (route, level, words) in [
            (Route::List, Level::Problem, ["no container is seen", "CONTAINERS=1"]),
            (Route::Events, Level::Problem, ["nothing is watched", "EVENTS=1"]),
            (Route::Logs, Level::Problem, ["no logs", "GET /containers/{id}/logs"]),
            (Route::Stats, Level::Note, ["cgroups", "CONTAINERS=1"]),
            (Route::Info, Level::Note, ["memory", "INFO=1"]),
        ] {
            let found = rights(&[(route, refused())]);
            let text = format!("{} {}", found[0].found, found[0].advice.as_ref().unwrap());
            assert_eq!(found[0].status, level, "{text}");
            assert!(words.iter().all(|word| text.contains(word)), "{text}");
        }
        // A proxy that only reads is as it should be.
        let found = rights(&[(Route::List, Ok(())), (Route::Act, refused())]);
        assert!(found.iter().all(|finding| finding.status == Level::Ok), "{found:?}");
        let slow = rights(&[
            (Route::List, Err(Trouble::Silent(ANSWER))),
            (Route::Act, Err(Trouble::Silent(ANSWER))),
        ]);
        assert_eq!((slow[0].status, slow[1].status), (Level::Problem, Level::Note));
        let driver = Err(Trouble::Refused { status: 501, message: "cannot read".into() });
        assert_eq!(rights(&[(Route::Logs, driver)])[0].status, Level::Note);
    }

    #[test]
    fn an_engine_that_does_not_answer_gets_advice_that_fits_the_place() {
        let options =
            |host: &str| zv_stack::docker::DockerOptions { host: Some(host.into()), ..Default::default() };
        let socket = locate(&options("unix:///no/such.sock")).unwrap();
        let tcp = locate(&options("tcp://proxy:2375")).unwrap();
        for (trouble, located, contained, words) in [
            (Trouble::Absent, &socket, true, "-v /no/such.sock:/no/such.sock"),
            (Trouble::Absent, &socket, false, "systemctl start docker"),
            (Trouble::Closed, &socket, true, "mount the folder `/no`"),
            (Trouble::Closed, &tcp, true, "DOCKER_HOST"),
            (Trouble::Silent(GREETING), &socket, false, "journalctl"),
            (Trouble::Refused { status: 403, message: String::new() }, &tcp, true, "VERSION=1"),
            (Trouble::Unsuitable("too old".into()), &tcp, true, "20.10"),
        ] {
            let advice = unreachable(&trouble, located, &here(contained, 1000));
            assert!(advice.contains(words), "{trouble:?}: {advice}");
        }
        let own = locate(&options("unix:///")).unwrap();
        assert!(unreachable(&Trouble::Denied, &own, &here(false, 1000)).contains("usermod -aG root ann"));
    }
}
