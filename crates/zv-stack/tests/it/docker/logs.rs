//! Logs of containers that run, have ended, are gone, or write more than a line holds.

use std::time::Duration;

use chrono::TimeDelta;
use futures_util::StreamExt as _;
use zv_stack::logs::{LogLine, Output};
use zv_stack::runtime::{LogError, LogRange};
use zv_stack::{ReplicaId, Runtime};

use super::lab::Lab;

const ALL: LogRange = LogRange { since: None, tail: None, follow: false };
const FOLLOW: LogRange = LogRange { follow: true, ..ALL };

async fn read(runtime: &Runtime, id: &ReplicaId, range: LogRange) -> Result<Vec<LogLine>, LogError> {
    let lines: Vec<_> =
        tokio::time::timeout(Duration::from_secs(60), runtime.logs(id, range).collect()).await.unwrap();
    lines.into_iter().collect()
}

fn texts(lines: &[LogLine]) -> Vec<&str> {
    lines.iter().map(|line| line.text.as_str()).collect()
}

#[tokio::test]
async fn long_lines_are_joined_with_and_without_a_terminal() {
    let Some(lab) = Lab::open("long").await else { return };
    for options in [&[][..], &["-t"], &["--log-driver", "local"], &["-t", "--log-driver", "local"]] {
        let id = lab.run("a", options, &["print", "--lines", "3", "--long", "40000"]).await;
        lab.docker(&["wait", id.as_str()]).await;
        let lines = read(&lab.runtime(), &id, ALL).await.unwrap();
        let lengths: Vec<_> = lines.iter().map(|line| (line.text.len(), line.cut)).collect();
        // `line 1 ` and the filler.
        assert_eq!(lengths, [(40_007, false); 3], "{options:?}");
        assert!(lines.iter().all(|line| line.text[7..].bytes().all(|byte| byte == b'x')), "{options:?}");
        assert!(lines.is_sorted_by_key(|line| line.at), "{options:?}");
        lab.docker(&["rm", id.as_str()]).await;
    }
}

#[tokio::test]
async fn outputs_are_told_apart() {
    let Some(lab) = Lab::open("stderr").await else { return };
    let id = lab.run("a", &[], &["print", "--lines", "2", "--stderr"]).await;
    lab.docker(&["wait", id.as_str()]).await;
    let lines = read(&lab.runtime(), &id, ALL).await.unwrap();
    assert_eq!(texts(&lines), ["line 1", "line 2"]);
    assert!(lines.iter().all(|line| line.output == Output::Stderr && line.replica == id));
}

#[tokio::test]
async fn a_short_life_is_read_whole() {
    let Some(lab) = Lab::open("short").await else { return };
    let id = lab.run("a", &[], &["print", "--lines", "4", "--every-ms", "50"]).await;
    let lines = read(&lab.runtime(), &id, FOLLOW).await.unwrap();
    assert_eq!(texts(&lines), ["line 1", "line 2", "line 3", "line 4"]);
    let lines = read(&lab.runtime(), &id, FOLLOW).await.unwrap();
    assert_eq!(lines.len(), 4, "after its end, too");
}

#[tokio::test]
async fn following_ends_with_the_process() {
    let Some(lab) = Lab::open("follow").await else { return };
    for options in [&[][..], &["-t"]] {
        let id = lab.run("a", options, &["print", "--lines", "10", "--every-ms", "100"]).await;
        let runtime = lab.runtime();
        let mut stream = runtime.logs(&id, FOLLOW);
        let first = tokio::time::timeout(Duration::from_secs(30), stream.next()).await.unwrap();
        assert_eq!(first.unwrap().unwrap().text, "line 1");
        let rest = tokio::time::timeout(Duration::from_secs(30), stream.collect::<Vec<_>>()).await.unwrap();
        assert_eq!(rest.len(), 9);
        assert_eq!(rest.last().unwrap().as_ref().unwrap().text, "line 10");
        lab.docker(&["rm", id.as_str()]).await;
    }
}

#[tokio::test]
async fn a_point_in_time_is_kept_to_the_nanosecond() {
    let Some(lab) = Lab::open("since").await else { return };
    let id = lab.run("a", &[], &["print", "--lines", "6", "--every-ms", "20"]).await;
    lab.docker(&["wait", id.as_str()]).await;
    let all = read(&lab.runtime(), &id, ALL).await.unwrap();
    let since = |at| LogRange { since: Some(at), ..ALL };
    let from = read(&lab.runtime(), &id, since(all[3].at)).await.unwrap();
    assert_eq!(texts(&from), ["line 4", "line 5", "line 6"]);
    let after = read(&lab.runtime(), &id, since(all[3].at + TimeDelta::nanoseconds(1))).await.unwrap();
    assert_eq!(texts(&after), ["line 5", "line 6"]);
    let tail = read(&lab.runtime(), &id, LogRange { tail: Some(2), ..ALL }).await.unwrap();
    assert_eq!(texts(&tail), ["line 5", "line 6"]);
}

#[tokio::test]
async fn what_cannot_be_read_says_why() {
    let Some(lab) = Lab::open("unreadable").await else { return };
    let id = lab.run("a", &["--log-driver", "none"], &["print"]).await;
    lab.docker(&["wait", id.as_str()]).await;
    let error = read(&lab.runtime(), &id, ALL).await.unwrap_err();
    assert!(matches!(&error, LogError::Unreadable(why) if why.contains("`none`")), "{error}");
    lab.docker(&["rm", id.as_str()]).await;
    assert!(matches!(read(&lab.runtime(), &id, ALL).await, Err(LogError::Gone(gone)) if gone == id));
}
