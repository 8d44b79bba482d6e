//! Stories, whole.

use chrono::TimeDelta;
use zv_api::{DeathSummary, Exit, LogLine};

use super::*;
use crate::paint::{self, Palette};
use crate::{names, samples};

fn death() -> Death {
    let died = samples::ago(120);
    let line = |seconds, output: &str, text: &str| LogLine {
        stack: "shop".into(),
        service: "orders".into(),
        replica: "b2".repeat(32),
        name: "shop-orders-2".into(),
        output: output.into(),
        at: died - TimeDelta::seconds(seconds),
        text: text.into(),
        cut: false,
    };
    let stats = |seconds, cpu, mebibytes: u64| Stats {
        at: died - TimeDelta::seconds(seconds),
        cpu_seconds: Some(cpu),
        memory_bytes: Some(mebibytes << 20),
        memory_limit_bytes: Some(256 << 20),
        network_receive_bytes: None,
        network_transmit_bytes: None,
        processes: Some(7),
    };
    let check = |seconds, exit_code, output: &str| Check {
        at: died - TimeDelta::seconds(seconds),
        exit_code,
        output: output.into(),
    };
    Death {
        summary: DeathSummary {
            id: "20260301T115800Z-b2b2b2".into(),
            stack: "shop".into(),
            service: "orders".into(),
            replica: "b2".repeat(32),
            name: "shop-orders-2".into(),
            exit: Exit { at: died, code: Some(137), oom: true },
            wanted: false,
        },
        host: "web-1".into(),
        image: "shop/orders:1.4".into(),
        image_id: "sha256:0123456789abcdef".into(),
        started_at: Some(died - TimeDelta::seconds(280)),
        restarts: 3,
        health: Health {
            verdict: "unhealthy".into(),
            failing_streak: 2,
            log: vec![check(20, 0, "ok"), check(10, 1, "connection refused\nsecond line\u{1b}[2J")],
        },
        logs: vec![
            line(3, "stdout", "taking orders"),
            line(2, "stderr", "heap \u{1b}]0;x\u{7}full"),
            line(1, "stdout", "bye"),
        ],
        stats: vec![stats(30, 1.0, 64), stats(20, 1.5, 128), stats(10, 6.5, 250)],
        inspect: None,
    }
}

fn told(facts: &Facts<'_>) -> String {
    paint::render(&tell(facts), Palette::Mono)
}

#[test]
fn the_whole_story_of_a_death() {
    let (snapshot, deaths) = (samples::shop(), [death()]);
    let facts = Facts {
        now: snapshot.at,
        runtime: &snapshot.runtime,
        name: "a name",
        found: Some(names::find(&snapshot, "shop-orders-2", None).unwrap()),
        deaths: &deaths,
        more: true,
        lines: 2,
        agent: Some("http://127.0.0.1:9780"),
        width: Some(100),
    };
    assert_eq!(
        told(&facts),
        "\
shop/orders  ▲ degraded  1 of 2 running (compose file)
└ shop-orders-2 exited with code 137 (out of memory) 2m ago

Now
  ✖ shop-orders-2  exited, ended 2m ago with code 137 (out of memory), restarted 3 times

Last death: shop-orders-2, 2m ago (2026-03-01T11:58:00Z)
  It ran out of memory and the kernel killed it (exit code 137). It had run for 4m 40s; it had been
  restarted 3 times before. Nobody asked for it.
  Memory:    ▃▅█ 64M → 250M of 256M (97%)
  Processor: ▁▅ 5% → 50% of one core
  Processes: 7 at the end
  Health check: unhealthy, it failed 2 times in a row:
    11:57:40 passed: ok
    11:57:50 exit 1: connection refused
             second line
  Its last 2 of 3 log lines that were kept:
    11:57:58 ! heap full
    11:57:59 | bye
  Image: shop/orders:1.4 (0123456789ab)
  The full record: `zv why shop/orders --json`, or http://127.0.0.1:9780/api/zv/v1/deaths/20260301T115800Z-b2b2b2

There are earlier deaths: `--last 3` tells more.
"
    );
}

#[test]
fn a_service_without_deaths_tells_how_it_is() {
    let snapshot = samples::shop();
    let facts = Facts {
        now: snapshot.at,
        runtime: &snapshot.runtime,
        name: "a name",
        found: Some(names::find(&snapshot, "mail", None).unwrap()),
        deaths: &[],
        more: false,
        lines: 20,
        agent: None,
        width: None,
    };
    assert_eq!(
        told(&facts),
        "\
shop/mail  ■ stopped  0 of 0 running (compose file)

Now
  ■ shop-mail-1  stopped, ended 2h ago with code 0, stopped by a person

No death is on record.
"
    );
}

#[test]
fn what_was_removed_still_has_its_deaths() {
    let (snapshot, deaths) = (samples::shop(), [death()]);
    let facts = Facts {
        now: snapshot.at,
        runtime: &snapshot.runtime,
        name: "cart",
        found: None,
        deaths: &deaths,
        more: false,
        lines: 0,
        agent: None,
        width: None,
    };
    let told = told(&facts);
    assert!(
        told.starts_with("cart  is not there any more; its deaths are still on record\n\nLast death: "),
        "{told}"
    );
    assert!(told.ends_with("kept as 20260301T115800Z-b2b2b2\n"), "{told}");
}

#[test]
fn an_unhealthy_replica_tells_its_last_checks() {
    let mut snapshot = samples::shop();
    let replica = &mut snapshot.stacks[0].services[0].replicas[0];
    replica.status = "unhealthy".into();
    replica.health = death().health;
    let facts = Facts {
        now: snapshot.at,
        runtime: &snapshot.runtime,
        name: "a name",
        found: Some(names::find(&snapshot, "blog/db", None).unwrap()),
        deaths: &[],
        more: false,
        lines: 20,
        agent: None,
        width: None,
    };
    let told = told(&facts);
    assert!(
        told.contains(
            "  ✖ blog-db-1  unhealthy, up 3h\n    Health check: unhealthy, it failed 2 times in a row:\n"
        ),
        "{told}"
    );
    assert!(told.contains("exit 1: connection refused"), "{told}");
}

#[test]
fn nothing_that_was_kept_acts_on_the_terminal() {
    let mut hostile = death();
    let evil = "\u{1b}[2J\u{9b}31m\u{202e}";
    hostile.summary.name = evil.into();
    hostile.image = evil.into();
    hostile.health.verdict = evil.into();
    hostile.summary.id = evil.into();
    let mut snapshot = samples::shop();
    snapshot.runtime = RuntimeState::Down { since: samples::ago(10), reason: evil.into() };
    let deaths = [hostile];
    let facts = Facts {
        now: snapshot.at,
        runtime: &snapshot.runtime,
        name: "a name",
        found: Some(names::find(&snapshot, "orders", None).unwrap()),
        deaths: &deaths,
        more: false,
        lines: 20,
        agent: None,
        width: Some(40),
    };
    assert!(!told(&facts).chars().any(|c| c != '\n' && text::acts(c)), "{}", told(&facts));
}

#[test]
fn a_log_that_nobody_could_keep_is_told_apart_from_silence() {
    let snapshot = samples::shop();
    let story = |state: &str| {
        let inspect = Some(serde_json::json!({"State": {"Status": state}}));
        let deaths = [Death { logs: Vec::new(), inspect, ..death() }];
        told(&Facts {
            now: snapshot.at,
            runtime: &snapshot.runtime,
            name: "orders",
            found: None,
            deaths: &deaths,
            more: false,
            lines: 20,
            agent: None,
            width: None,
        })
    };
    assert!(story("exited").contains("No line of its log could be read."));
    assert!(story("removing").contains("Its log could not be kept: it was removed, or may not be read."));
}
