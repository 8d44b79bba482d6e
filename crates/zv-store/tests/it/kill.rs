//! A process that is killed while it writes loses nothing that it had committed, and its store always opens.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use zv_model::Matcher;
use zv_store::{Source, Store};

use crate::support::{EVER, contents, quick, sample, series};

const SERIES: usize = 20;

/// The process that is killed: only ever run by the tests below, which tell it where.
#[test]
#[ignore = "the other half of the tests below"]
fn writes_until_it_is_killed() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    if line.is_empty() {
        return;
    }
    let (mut store, recovery) = Store::open(Path::new(line.trim()), &quick()).unwrap();
    assert!(recovery.is_clean(), "{recovery:?}");
    let syncer = store.syncer();
    let newest = contents(&store.reader(), EVER, &[Matcher::equal("n", "0")]);
    let from = newest.first().and_then(|(_, samples)| samples.last()).map_or(0, |(at, _)| at / 10 + 1);
    for round in from..from + 1_000_000 {
        for number in 0..SERIES {
            let value = (round * number as i64) as f64;
            store.append(Source(1), &series(number), sample(round * 10, value)).unwrap();
        }
        store.commit();
        // Once it is told, it must be there.
        if round % 7 == 0 {
            syncer.sync().unwrap();
            println!("synced {}", round * 10);
        }
        if round % 25 == 0 {
            store.maintain(round * 10).unwrap();
        }
    }
}

fn start(folder: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::writes_until_it_is_killed", "--ignored", "--nocapture", "--test-threads=1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "{}", folder.display()).unwrap();
    child
}

/// Kills after so many lines, which come at other places of its work each time.
fn kill_after(mut child: Child, lines: usize) -> i64 {
    let out = BufReader::new(child.stdout.take().unwrap());
    let mut synced = out.lines().map_while(Result::ok).filter_map(|line| {
        // The test harness writes in front of the first.
        line.split("synced ").nth(1).and_then(|at| at.trim().parse::<i64>().ok())
    });
    let told = synced.by_ref().nth(lines).expect("the child writes until it is killed");
    child.kill().unwrap();
    let last = synced.last().unwrap_or(told);
    child.wait().unwrap();
    last
}

fn rounds(count: usize) {
    let folder = tempfile::tempdir().unwrap();
    let mut last = 0;
    for round in 0..count {
        last = kill_after(start(folder.path()), round * 5 % 17).max(last);
        let (store, recovery) = Store::open(folder.path(), &quick()).unwrap();
        assert!(recovery.is_clean(), "round {round}: {recovery:?}");
        let found = contents(&store.reader(), EVER, &[]);
        assert_eq!(found.len(), SERIES);
        for (labels, samples) in found {
            let number: i64 = labels.get("n").parse().unwrap();
            let reached = samples.last().map_or(0, |(at, _)| *at);
            assert!(reached >= last, "round {round}: {labels:?} ends at {reached}, {last} was synced");
            let expected = (0..=reached / 10).map(|at| (at * 10, ((at * number) as f64).to_bits()));
            assert!(samples.into_iter().eq(expected), "round {round}: {labels:?} has holes");
        }
    }
}

#[test]
fn killed_twenty_times() {
    rounds(20);
}

#[test]
#[ignore = "takes a minute or two"]
fn killed_two_hundred_times() {
    rounds(200);
}
