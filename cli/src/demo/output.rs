//! What the demo says: a banner on what runs and where to look, a line for whatever happens, a summary at the end.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use zv_api::{Happening, Replica, Snapshot};

use crate::paint::{Line, Style};
use crate::{names, span, words};

/// Where to look while the demo runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Places<'a> {
    /// `http://127.0.0.1:9780`.
    pub agent: &'a str,
    /// How this program was called.
    pub program: &'a str,
    /// The agent's token, where it asks for one.
    pub token_file: Option<&'a str>,
    /// The folder of the demo, where it is kept.
    pub kept: Option<&'a str>,
    /// How long it lasts; until Ctrl-C where absent.
    pub lasts: Option<TimeDelta>,
}

/// Returns the banner.
pub fn banner(snapshot: &Snapshot, places: &Places<'_>) -> Vec<Line> {
    let Places { agent, program, token_file, .. } = places;
    let (option, header) = token_file.map_or_else(Default::default, |file| {
        (format!(" --token-file {file}"), format!("-H \"Authorization: Bearer $(cat {file})\" "))
    });
    let mut lines = vec![headline(snapshot, places), Line::new()];
    for service in names::services(snapshot) {
        let mark = words::mark(&service.status);
        lines.push(
            Line::of(format!("{}/{}", service.stack, service.name), Style::Strong)
                .with("  ", Style::Plain)
                .with(words::marked(&service.status), mark.style)
                .with(format!("  {}/{} replicas", service.running, service.desired), Style::Plain),
        );
        lines.extend(service.replicas.iter().map(replica));
    }
    lines.push(Line::new());
    let stack = snapshot.stacks.first().map_or("demo", |stack| stack.name.as_str());
    let service = names::services(snapshot).next().map_or("main-server", |service| service.name.as_str());
    let mut look = vec![
        ("Status page", agent.to_string()),
        ("The table", format!("{program} ps --agent {agent}{option} --replicas")),
        ("The logs", format!("{program} logs --agent {agent}{option} -f {service}")),
        ("The API", format!("curl {header}{agent}{}/stack", zv_api::BASE)),
        ("Its stream", format!("curl -N {header}{agent}{}/events", zv_api::BASE)),
    ];
    if let Some(address) = addresses(snapshot).next() {
        look.push(("A replica", format!("curl http://{address}/health")));
    }
    if let Some(pid) =
        names::services(snapshot).flat_map(|service| &service.replicas).find_map(|replica| replica.pid)
    {
        look.push((
            "Break one",
            format!("kill -9 {pid}, and then: {program} why --agent {agent}{option} {stack}/{service}"),
        ));
    }
    if let Some(kept) = places.kept {
        look.push(("Kept in", kept.to_owned()));
    }
    let width = look.iter().map(|(title, _)| title.len()).max().unwrap_or(0);
    for (title, text) in look {
        lines.push(Line::of(format!("{title:width$}  "), Style::Faint).with(text, Style::Plain));
    }
    lines.push(Line::new());
    lines
}

fn headline(snapshot: &Snapshot, places: &Places<'_>) -> Line {
    let replicas = names::services(snapshot).map(|service| service.replicas.len()).sum::<usize>();
    let lasts = match places.lasts {
        Some(lasts) => format!("for {}", span::short(lasts)),
        None => "until Ctrl-C".to_owned(),
    };
    Line::of("zv demo", Style::Strong).with(
        format!(": {replicas} processes without an engine, an agent beside them, {lasts}."),
        Style::Plain,
    )
}

fn replica(replica: &Replica) -> Line {
    let mark = words::mark(&replica.status);
    let port = replica.ports.first().map(|port| format!("  http://{port}")).unwrap_or_default();
    Line::plain("  ")
        .with(words::marked(&replica.status), mark.style)
        .with(format!("  {}{port}", replica.name), Style::Plain)
}

/// Returns where the replicas listen, as far as they say `HOST:PORT`.
fn addresses(snapshot: &Snapshot) -> impl Iterator<Item = &str> {
    let ports =
        names::services(snapshot).flat_map(|service| &service.replicas).flat_map(|replica| &replica.ports);
    ports.map(|port| port.split("->").next().unwrap_or(port))
}

/// Where everything is once it is up: the first line of `--json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Up {
    pub agent: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    pub replicas: Vec<ReplicaAddress>,
}

/// Where a replica is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReplicaAddress {
    pub service: String,
    pub name: String,
    pub status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

impl Up {
    /// Returns what programs are told of a demo that is up.
    pub fn of(snapshot: &Snapshot, places: &Places<'_>) -> Self {
        let all = names::services(snapshot).flat_map(|service| {
            service.replicas.iter().map(|replica| ReplicaAddress {
                service: format!("{}/{}", service.stack, service.name),
                name: replica.name.clone(),
                status: replica.status.clone(),
                url: replica.ports.first().map(|port| format!("http://{port}")),
            })
        });
        Self {
            agent: places.agent.to_owned(),
            token_file: places.token_file.map(str::to_owned),
            folder: places.kept.map(str::to_owned),
            replicas: all.collect(),
        }
    }
}

/// Returns the line for something that happened.
pub fn happening(happening: &Happening) -> Line {
    let (glyph, style) = match happening.kind.as_str() {
        "healthy" | "runtime-up" => ("✓", Style::Good),
        "started" | "unpaused" | "scaled" | "created" => ("●", Style::Plain),
        "stopped" | "finished" | "removed" | "paused" => ("■", Style::Faint),
        "died" | "out-of-memory" | "unhealthy" | "crash-loop" | "runtime-down" => ("✖", Style::Bad),
        "action" => ("›", Style::Strong),
        _ => ("·", Style::Plain),
    };
    Line::of(format!("{} ", happening.at.format("%H:%M:%S%.3f")), Style::Faint)
        .with(glyph, style)
        .with(format!(" {} ", happening.name), Style::Strong)
        .with(&happening.text, Style::Plain)
}

/// What the demo has seen: the last line of `--json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    pub started_at: DateTime<Utc>,
    pub ended_at: DateTime<Utc>,
    /// As the last snapshot before the end had it.
    pub services: Vec<ServiceSummary>,
    /// How many things happened, and how many of them were deaths.
    pub happenings: u64,
    pub deaths: u64,
    /// Processes that outlived the demo: there should be none.
    pub left_behind: u32,
}

/// One service of the summary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceSummary {
    pub name: String,
    pub status: String,
    pub healthy: u32,
    pub desired: u32,
}

impl Summary {
    /// Returns the services as a snapshot has them.
    pub fn services_of(snapshot: &Snapshot) -> Vec<ServiceSummary> {
        let services = names::services(snapshot).map(|service| ServiceSummary {
            name: format!("{}/{}", service.stack, service.name),
            status: service.status.clone(),
            healthy: service.healthy,
            desired: service.desired,
        });
        services.collect()
    }

    /// Returns the last lines of the demo.
    pub fn lines(&self) -> Vec<Line> {
        let ran = span::short(self.ended_at - self.started_at);
        let deaths = match self.deaths {
            0 => "no death".to_owned(),
            1 => "1 death".to_owned(),
            deaths => format!("{deaths} deaths"),
        };
        let mut lines = vec![Line::new()];
        let services = self.services.iter().map(|service| {
            let text = format!("  {} of {} healthy at the end", service.healthy, service.desired);
            Line::of(format!("{}  ", service.name), Style::Strong)
                .with(words::marked(&service.status), words::mark(&service.status).style)
                .with(text, Style::Plain)
        });
        lines.extend(services);
        lines.push(Line::plain(format!(
            "Ran for {ran}; {} things happened, {deaths} among them.",
            self.happenings
        )));
        lines.push(match self.left_behind {
            0 => Line::of("✓ ", Style::Good).with("No process is left behind.", Style::Plain),
            1 => Line::of("✖ ", Style::Bad).with("1 process is left behind.", Style::Plain),
            count => {
                Line::of("✖ ", Style::Bad).with(format!("{count} processes are left behind."), Style::Plain)
            }
        });
        lines
    }
}

#[cfg(test)]
mod tests {
    use zv_api::Stack;

    use super::*;
    use crate::paint::{self, Palette};
    use crate::samples;

    fn demo() -> Snapshot {
        let replica = |number: u32| {
            let mut replica = samples::replica(&format!("main-server-{number}"), number);
            replica.ports = vec![format!("127.0.0.1:4000{number}")];
            replica
        };
        let service = samples::service("demo", "main-server", vec![replica(1), replica(2)]);
        samples::snapshot(vec![Stack { name: "demo".into(), services: vec![service] }])
    }

    #[test]
    fn the_banner_says_what_runs_and_where_to_look() {
        let places = Places {
            agent: "http://127.0.0.1:9780",
            program: "zv",
            token_file: None,
            kept: None,
            lasts: Some(TimeDelta::seconds(20)),
        };
        assert_eq!(
            paint::render(&banner(&demo(), &places), Palette::Mono),
            "\
zv demo: 2 processes without an engine, an agent beside them, for 20s.

demo/main-server  ✓ ok  2/2 replicas
  ✓ healthy  main-server-1  http://127.0.0.1:40001
  ✓ healthy  main-server-2  http://127.0.0.1:40002

Status page  http://127.0.0.1:9780
The table    zv ps --agent http://127.0.0.1:9780 --replicas
The logs     zv logs --agent http://127.0.0.1:9780 -f main-server
The API      curl http://127.0.0.1:9780/api/zv/v1/stack
Its stream   curl -N http://127.0.0.1:9780/api/zv/v1/events
A replica    curl http://127.0.0.1:40001/health
Break one    kill -9 4242, and then: zv why --agent http://127.0.0.1:9780 demo/main-server

"
        );
    }

    #[test]
    fn where_the_agent_wants_a_token_the_commands_bring_it() {
        let (agent, token_file) = ("http://0.0.0.0:9780", Some("/tmp/demo/token"));
        let places = Places { agent, program: "zv", token_file, kept: None, lasts: None };
        let told = paint::render(&banner(&demo(), &places), Palette::Mono);
        assert!(told.contains("zv ps --agent http://0.0.0.0:9780 --token-file /tmp/demo/token"), "{told}");
        assert!(told.contains("curl -H \"Authorization: Bearer $(cat /tmp/demo/token)\" http://"), "{told}");
    }

    #[test]
    fn what_happens_has_a_glyph_and_a_time() {
        let died = Happening {
            at: samples::now(),
            stack: Some("demo".into()),
            service: Some("main-server".into()),
            replica: Some("local-main-server-1".into()),
            name: "main-server-1".into(),
            kind: "died".into(),
            text: "exited with code 137\u{1b}[2J".into(),
        };
        assert_eq!(
            happening(&died).render(Palette::Mono),
            "12:00:00.000 ✖ main-server-1 exited with code 137\u{fffd}[2J"
        );
    }

    #[test]
    fn the_summary_admits_what_is_left_behind() {
        let mut summary = Summary {
            started_at: samples::ago(20),
            ended_at: samples::now(),
            services: Summary::services_of(&demo()),
            happenings: 6,
            deaths: 1,
            left_behind: 0,
        };
        assert_eq!(
            paint::render(&summary.lines(), Palette::Mono),
            "
demo/main-server  ✓ ok  2 of 2 healthy at the end
Ran for 20s; 6 things happened, 1 death among them.
✓ No process is left behind.
"
        );
        summary.left_behind = 2;
        assert!(paint::render(&summary.lines(), Palette::Mono).ends_with("✖ 2 processes are left behind.\n"));
    }
}
