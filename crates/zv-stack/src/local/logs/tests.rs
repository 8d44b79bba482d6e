//! Captured lines over rotation, crashes and a slow disk.

use std::fs::OpenOptions;
use std::io::Write;

use futures_util::StreamExt;

use super::*;
use crate::runtime::LogRange;

const ALL: LogRange = LogRange { since: None, tail: None, follow: false };

fn open(folder: &Path) -> (Arc<LogStore>, Arc<Tap>) {
    let store = Arc::new(LogStore::open(folder.to_owned()).expect("a folder"));
    let tap = Arc::new(Tap::new(ReplicaId::new("local-demo-web-1"), "web-1", store.clone()));
    (store, tap)
}

fn at(nanoseconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_nanos(nanoseconds)
}

async fn texts(tap: &Arc<Tap>, range: LogRange) -> Vec<String> {
    follow(tap.clone(), range).map(|line| line.expect("readable").text).collect().await
}

#[tokio::test]
async fn lines_come_back_with_all_they_had() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_store, tap) = open(folder.path());
    tap.push(Output::Stdout, "one  two".into(), false, at(5));
    tap.push(Output::Stderr, String::new(), true, at(7));
    let lines: Vec<LogLine> = follow(tap, ALL).map(|line| line.expect("readable")).collect().await;
    let line = |output, nanoseconds, text: &str, cut| LogLine {
        replica: ReplicaId::new("local-demo-web-1"),
        output,
        at: at(nanoseconds),
        text: text.into(),
        cut,
    };
    assert_eq!(lines, [line(Output::Stdout, 5, "one  two", false), line(Output::Stderr, 7, "", true)]);
}

#[tokio::test]
async fn times_grow_even_if_the_clock_does_not_and_over_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, tap) = open(folder.path());
    for _ in 0..3 {
        tap.push(Output::Stdout, "x".into(), false, at(100));
    }
    store.sync().await;
    drop((store, tap));
    let (_store, tap) = open(folder.path());
    tap.push(Output::Stdout, "x".into(), false, at(50));
    let times: Vec<i64> = follow(tap, ALL)
        .map(|line| line.expect("readable").at.timestamp_nanos_opt().unwrap())
        .collect()
        .await;
    assert_eq!(times, [100, 101, 102, 103]);
}

#[tokio::test]
async fn since_and_tail_choose() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_store, tap) = open(folder.path());
    for number in 1..=9 {
        tap.push(Output::Stdout, number.to_string(), false, at(number));
    }
    assert_eq!(texts(&tap, LogRange { tail: Some(2), ..ALL }).await, ["8", "9"]);
    assert_eq!(texts(&tap, LogRange { tail: Some(0), ..ALL }).await, Vec::<String>::new());
    assert_eq!(texts(&tap, LogRange { since: Some(at(7)), ..ALL }).await, ["7", "8", "9"]);
    assert_eq!(texts(&tap, LogRange { since: Some(at(7)), tail: Some(1), ..ALL }).await, ["9"]);
}

#[tokio::test]
async fn a_torn_line_is_skipped_and_then_cut_off() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("web-1.log");
    OpenOptions::new().create(true).append(true).open(&path).unwrap().write_all(b"1 o good\n2 o to").unwrap();
    let (_store, tap) = open(folder.path());
    assert_eq!(texts(&tap, ALL).await, ["good"]);
    tap.push(Output::Stdout, "next".into(), false, at(3));
    assert_eq!(texts(&tap, ALL).await, ["good", "next"]);
    assert_eq!(std::fs::read_to_string(path).unwrap(), "1 o good\n3 o next\n");
}

#[tokio::test]
async fn a_follower_gets_history_then_live_lines_then_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_store, tap) = open(folder.path());
    tap.begin();
    tap.push(Output::Stdout, "before".into(), false, at(1));
    let mut lines = follow(tap.clone(), LogRange { follow: true, ..ALL });
    assert_eq!(lines.next().await.unwrap().unwrap().text, "before");
    tap.push(Output::Stdout, "after".into(), false, at(2));
    assert_eq!(lines.next().await.unwrap().unwrap().text, "after");
    tap.push(Output::Stdout, "last".into(), false, at(3));
    tap.end();
    assert_eq!(lines.next().await.unwrap().unwrap().text, "last");
    assert!(lines.next().await.is_none());
    assert_eq!(texts(&tap, LogRange { follow: true, ..ALL }).await, ["before", "after", "last"]);
}

#[tokio::test]
async fn a_follower_that_falls_far_behind_misses_and_repeats_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_store, tap) = open(folder.path());
    tap.begin();
    tap.push(Output::Stdout, "0".into(), false, at(1));
    let mut lines = follow(tap.clone(), LogRange { follow: true, tail: Some(0), since: None });
    // One poll attaches the follower; then far more lines come than it can be behind.
    assert!(futures_util::poll!(lines.next()).is_pending());
    let many = LIVE * 5;
    for number in 1..=many {
        tap.push(Output::Stdout, number.to_string(), false, at(1));
    }
    tap.end();
    let got: Vec<usize> = lines.map(|line| line.unwrap().text.parse::<usize>().unwrap()).collect().await;
    assert_eq!(got, (1..=many).collect::<Vec<_>>());
}

#[tokio::test]
async fn rotation_keeps_three_files_and_the_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, tap) = open(folder.path());
    let filler = "x".repeat(10_000);
    let count = 2000;
    for number in 0..count {
        tap.push(Output::Stdout, format!("{number} {filler}"), false, at(1));
        if number % 500 == 0 {
            store.sync().await;
        }
    }
    let kept: Vec<usize> =
        texts(&tap, ALL).await.iter().map(|text| text.split(' ').next().unwrap().parse().unwrap()).collect();
    let first = kept[0];
    assert!(first > 0 && kept.len() > 800, "{first} {}", kept.len());
    assert_eq!(kept, (first..count).collect::<Vec<_>>());
    assert_eq!(store.dropped(), 0);
    for file in std::fs::read_dir(folder.path()).unwrap() {
        assert!(file.unwrap().metadata().unwrap().len() <= write::ROTATE_AT);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
}

#[tokio::test]
async fn cleared_history_is_gone_and_files_of_strangers_are_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, tap) = open(folder.path());
    tap.push(Output::Stdout, "old".into(), false, at(1));
    tap.clear();
    tap.push(Output::Stdout, "new".into(), false, at(2));
    assert_eq!(texts(&tap, ALL).await, ["new"]);
    std::fs::write(folder.path().join("web-2.log.1"), "x").unwrap();
    store.keep_only(&["web-1".to_owned()]);
    assert!(folder.path().join("web-1.log").exists());
    assert!(!folder.path().join("web-2.log.1").exists());
}

#[test]
fn readers_whose_lines_nobody_takes_hold_no_thread() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Arc::new(LogStore::open(folder.path().to_owned()).expect("a folder"));
    let taps: Vec<Arc<Tap>> = (0..8)
        .map(|number| {
            let id = ReplicaId::new(format!("local-demo-web-{number}"));
            let tap = Arc::new(Tap::new(id, &format!("web-{number}"), store.clone()));
            (0..2000).for_each(|line| tap.push(Output::Stdout, line.to_string(), false, at(line)));
            tap
        })
        .collect();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(2).build().unwrap();
    let read = async {
        // As a merged log does: the first line of each, then one after the other to its end.
        let mut streams: Vec<_> = taps.iter().map(|tap| follow(tap.clone(), ALL)).collect();
        for stream in &mut streams {
            assert_eq!(stream.next().await.expect("a line").expect("readable").text, "0");
        }
        tokio::task::spawn_blocking(|| ()).await.expect("a thread is free");
        for stream in streams {
            assert_eq!(stream.count().await, 1999);
        }
    };
    let done =
        runtime.block_on(async { tokio::time::timeout(std::time::Duration::from_secs(20), read).await });
    runtime.shutdown_background();
    done.expect("nothing waits for ever");
}

#[tokio::test]
async fn the_log_of_a_replica_is_not_for_everybody() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let (store, tap) = open(&folder.path().join("logs"));
    tap.push(Output::Stdout, "x".into(), false, at(1));
    store.sync().await;
    for path in ["logs", "logs/web-1.log"] {
        let mode = std::fs::metadata(folder.path().join(path)).unwrap().permissions().mode();
        assert_eq!(mode & 0o007, 0, "{path}");
    }
}

#[test]
fn a_search_by_time_never_skips_a_wanted_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.log");
    let mut text = String::new();
    for n in 0..20_000_u64 {
        // Long and short lines, and a torn one now and then.
        let filler = "x".repeat(usize::try_from(n % 97).unwrap());
        text += &if n % 1000 == 7 { format!("torn {filler}\n") } else { format!("{} o {filler}\n", n * 10) };
    }
    std::fs::write(&path, &text).unwrap();
    for after in [i64::MIN, -1, 0, 5, 69, 70, 71, 1_000, 99_999, 150_003, 199_989, 199_990, i64::MAX] {
        let mut rest = String::new();
        let mut reader = super::read::wanted_part(std::fs::File::open(&path).unwrap(), after).unwrap();
        std::io::Read::read_to_string(&mut reader, &mut rest).unwrap();
        let wanted = |text: &str| -> Vec<i64> {
            let times = text.lines().filter_map(|line| line.split(' ').next()?.parse().ok());
            times.filter(|time| *time > after).collect()
        };
        assert_eq!(wanted(&rest), wanted(&text), "after {after}");
        let unwanted =
            rest.len() - rest.lines().rev().take(wanted(&rest).len()).map(|l| l.len() + 1).sum::<usize>();
        assert!(unwanted < 200 * 1024, "after {after}: {unwanted} bytes read for nothing");
    }
}
