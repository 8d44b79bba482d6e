//! The table at several widths, and that nothing hostile gets through it.

use proptest::prelude::*;
use zv_api::{Snapshot, Stack};

use super::*;
use crate::paint::{self, Palette};
use crate::{ps, samples, text};

fn args() -> PsArgs {
    PsArgs { names: Vec::new(), all: false, replicas: false, problems: false }
}

fn shown(snapshot: &Snapshot, args: &PsArgs, width: Option<usize>) -> String {
    let selected = ps::select(snapshot, args).unwrap();
    paint::render(&render(&selected, args, width), Palette::Mono)
}

#[test]
fn a_wide_terminal_shows_everything() {
    assert_eq!(
        shown(&samples::shop(), &args(), None),
        "\
STACK  SERVICE  STATUS      REPLICAS  HEALTH    CPU     MEMORY       NET  RESTARTS  UP  IMAGE
blog   db       ✓ ok             1/1  healthy  3.4%  312M/512M  1.5K/90B         0  3h  shop/orders:1.4
shop   db       ✓ ok             1/1  healthy  3.4%  312M/512M  1.5K/90B         0  3h  shop/orders:1.4
shop   mail     ■ stopped        0/0  –           –          –         –         0   –  shop/orders:1.4
shop   migrate  ▪ finished         –  –           –          –         –         0   –  shop/orders:1.4
shop   orders   ▲ degraded       1/2  healthy  3.4%  312M/512M  1.5K/90B         3  3h  shop/orders:1.4
  └ shop-orders-2 exited with code 137 (out of memory) 2m ago
"
    );
}

#[test]
fn replicas_stand_below_their_service() {
    let args = PsArgs { replicas: true, names: vec!["orders".into()], ..args() };
    assert_eq!(
        shown(&samples::shop(), &args, None),
        "\
STACK  SERVICE          STATUS                  REPLICAS  HEALTH    CPU     MEMORY       NET  RESTARTS      UP  IMAGE            PORTS
shop   orders           ▲ degraded                   1/2  healthy  3.4%  312M/512M  1.5K/90B         3      3h  shop/orders:1.4
  └ shop-orders-2 exited with code 137 (out of memory) 2m ago
         shop-orders-1  ✓ healthy                         healthy  3.4%  312M/512M  1.5K/90B         0      3h  shop/orders:1.4  127.0.0.1:8080->8080/tcp
         shop-orders-2  ✖ exited out of memory            –           –          –         –         3  2m ago  shop/orders:1.4  127.0.0.1:8080->8080/tcp
"
    );
}

#[test]
fn one_off_containers_are_shown_where_they_are_asked_for() {
    let args = PsArgs { all: true, names: vec!["orders".into()], ..args() };
    let told = shown(&samples::shop(), &args, None);
    assert!(told.contains("  shop-orders-run-1  ") && !told.contains("  shop-orders-1  "), "{told}");
}

#[test]
fn a_narrow_terminal_keeps_what_matters_most() {
    let narrow = shown(&samples::shop(), &PsArgs { problems: true, ..args() }, Some(48));
    assert_eq!(
        narrow,
        "\
SERVICE  STATUS      REPLICAS   CPU     MEMORY
orders   ▲ degraded       1/2  3.4%  312M/512M
  └ shop-orders-2 exited with code 137 (out of …
"
    );
    let tiny = shown(&samples::shop(), &PsArgs { problems: true, ..args() }, Some(20));
    assert!(tiny.contains("orders") && tiny.contains("degraded") && !tiny.contains("STACK"), "{tiny}");
}

#[test]
fn eighty_columns_hold_what_is_asked_for_most() {
    let mut snapshot = samples::shop();
    for service in snapshot.stacks.iter_mut().flat_map(|stack| &mut stack.services) {
        service.stack = "a-rather-long-project".into();
        service.name = format!("{}-with-a-long-name", service.name);
    }
    let shown = shown(&snapshot, &PsArgs { problems: true, ..args() }, Some(80));
    assert_eq!(
        shown,
        "\
STACK   SERVICE              STATUS      REPLICAS   CPU     MEMORY  RESTARTS  UP
a-rat…  orders-with-a-long…  ▲ degraded       1/2  3.4%  312M/512M         3  3h
  └ shop-orders-2 exited with code 137 (out of memory) 2m ago
"
    );
}

#[test]
fn what_is_not_known_is_a_dash_and_a_limit_that_is_near_stands_out() {
    let mut snapshot = samples::shop();
    let orders = &mut snapshot.stacks[1].services[3];
    let usage = orders.usage.as_mut().unwrap();
    (usage.cpu_cores, usage.network_receive_bytes_per_second) = (None, None);
    (usage.memory_bytes, usage.memory_limit_bytes) = (Some(500 << 20), Some(512 << 20));
    let args = PsArgs { problems: true, ..args() };
    let lines = render(&snapshot, &args, Some(120));
    let row = paint::render(&lines, Palette::Mono)
        .lines()
        .find(|line| line.contains("degraded"))
        .unwrap()
        .to_owned();
    assert!(row.contains("healthy     –  500M/512M         –  "), "{row}");
    assert!(paint::render(&lines, Palette::Colour).contains("\u{1b}[33m500M/512M\u{1b}[0m"));
    snapshot.stacks[1].services[3].usage.as_mut().unwrap().memory_limit_bytes = None;
    assert!(paint::render(&render(&snapshot, &args, None), Palette::Mono).contains(" 500M "));
}

#[test]
fn a_guess_and_what_cannot_be_seen_are_marked() {
    let mut snapshot = samples::shop();
    snapshot.runtime = RuntimeState::Down { since: samples::ago(90), reason: "no answer".into() };
    let db = &mut snapshot.stacks[0].services[0];
    db.desired_source = "highest-seen".into();
    db.status = "unknown".into();
    db.running = 0;
    db.replicas[0].status = "unknown".into();
    let shown = shown(&snapshot, &PsArgs { names: vec!["blog".into()], ..args() }, None);
    assert!(
        shown.starts_with("? The runtime cannot be asked for 1m 30s: no answer. What follows"),
        "{shown}"
    );
    assert!(
        shown.contains("? unknown      ?/1?  unknown  3.4%  312M/512M  1.5K/90B         0   –"),
        "{shown}"
    );
    assert!(!shown.contains("healthy"), "{shown}");
}

#[test]
fn health_tells_the_worst_and_how_many() {
    let verdicts = |verdicts: &[&str]| {
        let replicas = verdicts.iter().map(|verdict| {
            let mut replica = samples::replica("a", 1);
            replica.health.verdict = (*verdict).to_owned();
            replica
        });
        service_health(&samples::service("shop", "a", replicas.collect())).0
    };
    for (given, expected) in [
        (&["healthy", "unhealthy"][..], "1 unhealthy"),
        (&["unhealthy"], "unhealthy"),
        (&["starting", "starting"], "2 starting"),
        (&["none", "none"], "no check"),
        (&["none", "healthy"], "healthy"),
        (&["healthy", "unknown"], "1 unknown"),
        (&[], "–"),
    ] {
        assert_eq!(verdicts(given), expected, "{given:?}");
    }
}

#[test]
fn nothing_to_show_says_what_to_do() {
    let empty = samples::snapshot(Vec::new());
    assert!(shown(&empty, &args(), None).contains("`docker compose up -d`"));
    assert_eq!(shown(&empty, &PsArgs { problems: true, ..args() }, None), "No problems.\n");
}

#[test]
fn colour_repeats_what_the_words_say() {
    let snapshot = samples::shop();
    let lines = render(&snapshot, &args(), None);
    let coloured = paint::render(&lines, Palette::Colour);
    assert!(coloured.contains("\u{1b}[33m▲ degraded\u{1b}[0m"));
    assert!(coloured.contains("\u{1b}[2mmail\u{1b}[0m"), "what is stopped is faint");
}

/// Names as nobody should choose them: escape sequences, wide characters, joiners, line ends.
fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9_-]{1,20}",
        "\\PC{0,30}",
        "[\\x00-\\x7f]{0,30}",
        Just("\u{1b}[2J\u{1b}]0;title\u{7}".to_owned()),
        Just("日本語のとても長いサービス名".to_owned()),
        Just("👩\u{200d}👩\u{200d}👧\u{fe0f} e\u{301}\u{202e}".to_owned()),
    ]
}

fn status() -> impl Strategy<Value = String> {
    const KNOWN: [&str; 8] =
        ["ok", "starting", "finished", "stopped", "unknown", "degraded", "down", "crash-loop"];
    prop_oneof![prop::sample::select(&KNOWN[..]).prop_map(str::to_owned), hostile()]
}

fn service_like() -> impl Strategy<Value = Service> {
    let numbers = (prop::option::of(0.0..1e20f64), any::<u64>(), prop::option::of(any::<u64>()));
    let words = (hostile(), hostile(), status(), hostile(), hostile(), hostile());
    (words, numbers, prop::option::of(hostile()), any::<u32>(), -100_000_000i64..100_000_000).prop_map(
        |((stack, name, status, image, verdict, port), (rate, used, limit), reason, count, age)| {
            let mut replica = samples::replica(&name, 1);
            replica.image = image;
            replica.health.verdict = verdict;
            replica.restarts = count;
            replica.ports = vec![port];
            replica.status = status.clone();
            replica.started_at = Some(samples::ago(age));
            let usage = replica.usage.as_mut().unwrap();
            (usage.cpu_cores, usage.memory_bytes, usage.memory_limit_bytes) = (rate, Some(used), limit);
            usage.network_receive_bytes_per_second = rate;
            let mut service = samples::service(&stack, &name, vec![replica.clone(), replica]);
            service.status = status;
            service.reason = reason;
            service.desired = count;
            service
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_table_is_wider_than_the_terminal_and_none_acts_on_it(
        services in prop::collection::vec(service_like(), 0..6),
        width in 1usize..200,
        replicas in any::<bool>(),
    ) {
        let snapshot = samples::snapshot(vec![Stack { name: "s".into(), services }]);
        let args = PsArgs { replicas, ..args() };
        for line in render(&snapshot, &args, Some(width)) {
            prop_assert!(line.width() <= width, "{:?} is wider than {width}", line.text());
            prop_assert!(!line.render(Palette::Mono).chars().any(text::acts), "{:?}", line.text());
        }
    }
}
