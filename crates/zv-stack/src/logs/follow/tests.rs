//! Replicas that come, go, restart and fail, read through one stream.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use futures_util::stream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::*;
use crate::logs::Output;

/// Logs in memory; following delivers what is appended until the life is ended.
#[derive(Clone, Default)]
struct Fake(Arc<Mutex<BTreeMap<String, Log>>>);

#[derive(Default)]
struct Log {
    lines: Vec<LogLine>,
    followers: Vec<mpsc::UnboundedSender<LogLine>>,
    unreadable: bool,
}

impl Fake {
    fn write(&self, id: &str, nanos: i64, text: &str) {
        let at = DateTime::from_timestamp_nanos(nanos);
        let line = LogLine {
            replica: ReplicaId::new(id),
            output: Output::Stdout,
            at,
            text: text.into(),
            cut: false,
        };
        let mut logs = self.0.lock().unwrap();
        let log = logs.entry(id.into()).or_default();
        log.lines.push(line.clone());
        log.followers.retain(|follower| follower.send(line.clone()).is_ok());
    }

    fn end_life(&self, id: &str) {
        self.0.lock().unwrap().entry(id.into()).or_default().followers.clear();
    }

    fn set_unreadable(&self, id: &str, unreadable: bool) {
        self.0.lock().unwrap().entry(id.into()).or_default().unreadable = unreadable;
    }
}

impl Source for Fake {
    fn read(&self, id: &ReplicaId, range: LogRange) -> BoxStream<'static, Result<LogLine, LogError>> {
        let mut logs = self.0.lock().unwrap();
        let log = logs.entry(id.as_str().into()).or_default();
        if log.unreadable {
            return stream::iter([Err(LogError::Unreadable("none".into()))]).boxed();
        }
        let mut lines: Vec<LogLine> =
            log.lines.iter().filter(|l| range.since.is_none_or(|since| l.at >= since)).cloned().collect();
        if let Some(tail) = range.tail {
            lines.drain(..lines.len().saturating_sub(tail as usize));
        }
        let history = stream::iter(lines);
        if !range.follow {
            return history.map(Ok).boxed();
        }
        let (sender, receiver) = mpsc::unbounded_channel();
        log.followers.push(sender);
        history.chain(UnboundedReceiverStream::new(receiver)).map(Ok).boxed()
    }
}

struct Rig {
    logs: Fake,
    members: mpsc::UnboundedSender<Vec<Member>>,
    follow: Follow<Fake>,
}

fn rig(logs: &Fake, request: Request) -> Rig {
    let (members, receiver) = mpsc::unbounded_channel();
    let follow = Follow::new(logs.clone(), UnboundedReceiverStream::new(receiver).boxed(), request);
    Rig { logs: logs.clone(), members, follow }
}

impl Rig {
    fn name(&self, lives: &[(&str, u64)]) {
        let members =
            lives.iter().map(|(id, life)| Member { id: ReplicaId::new(*id), life: *life, ended_at: None });
        self.members.send(members.collect()).unwrap();
    }

    /// All texts that are ready now.
    fn ready(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.follow.next().now_or_never().flatten())
            .map(|item| match item {
                Item::Line(line) => line.text,
                Item::Trouble { id, error } => format!("{id}: {error}"),
            })
            .collect()
    }
}

fn following() -> Request {
    Request { follow: true, ..Request::default() }
}

#[test]
fn a_backlog_is_ordered_by_time_over_all_replicas_and_ends() {
    let logs = Fake::default();
    for (id, nanos, text) in [("a", 1, "a1"), ("b", 2, "b2"), ("a", 3, "a3"), ("b", 4, "b4")] {
        logs.write(id, nanos, text);
    }
    let mut rig = rig(&logs, Request::default());
    rig.name(&[("a", 1), ("b", 1)]);
    assert_eq!(rig.ready(), ["a1", "b2", "a3", "b4"]);
    assert!(matches!(rig.follow.next().now_or_never(), Some(None)), "it is over");
}

#[test]
fn following_goes_on_after_the_tail() {
    let logs = Fake::default();
    (0..10).for_each(|n| logs.write("a", n, &format!("old{n}")));
    let mut rig = rig(&logs, Request { tail: Some(2), ..following() });
    rig.name(&[("a", 1)]);
    assert_eq!(rig.ready(), ["old8", "old9"]);
    rig.logs.write("a", 20, "new");
    assert_eq!(rig.ready(), ["new"]);
}

#[test]
fn a_tail_of_none_begins_with_what_comes() {
    let logs = Fake::default();
    logs.write("a", 1, "old");
    let mut rig = rig(&logs, Request { tail: Some(0), ..following() });
    rig.name(&[("a", 1)]);
    assert_eq!(rig.ready(), [""; 0]);
    rig.logs.write("a", 2, "new");
    assert_eq!(rig.ready(), ["new"]);
}

#[test]
fn a_tail_of_none_stays_one_when_a_silent_replica_is_restarted() {
    let logs = Fake::default();
    logs.write("a", 1, "old");
    let mut rig = rig(&logs, Request { tail: Some(0), ..following() });
    rig.name(&[("a", 1)]);
    assert_eq!(rig.ready(), [""; 0]);
    rig.logs.end_life("a");
    assert_eq!(rig.ready(), [""; 0]);
    rig.logs.write("a", 7, "new");
    let ended_at = Some(DateTime::from_timestamp_nanos(5));
    rig.members.send(vec![Member { id: ReplicaId::new("a"), life: 2, ended_at }]).unwrap();
    assert_eq!(rig.ready(), ["new"]);
}

#[test]
fn a_restart_loses_and_repeats_no_line() {
    let mut rig = rig(&Fake::default(), following());
    rig.name(&[("a", 1)]);
    rig.logs.write("a", 5, "one");
    rig.logs.write("a", 5, "two at the same time");
    assert_eq!(rig.ready(), ["one", "two at the same time"]);
    rig.logs.end_life("a");
    assert_eq!(rig.ready(), [""; 0]);
    rig.logs.write("a", 5, "third at the same time, written by the next life");
    rig.logs.write("a", 6, "four");
    rig.name(&[("a", 2)]);
    assert_eq!(rig.ready(), ["third at the same time, written by the next life", "four"]);
}

#[test]
fn a_life_that_began_before_the_last_was_read_is_read_too() {
    let mut rig = rig(&Fake::default(), following());
    rig.name(&[("a", 1)]);
    assert_eq!(rig.ready(), [""; 0]);
    rig.logs.write("a", 1, "first");
    rig.name(&[("a", 2)]);
    assert_eq!(rig.ready(), ["first"]);
    rig.logs.end_life("a");
    rig.logs.write("a", 2, "second");
    assert_eq!(rig.ready(), ["second"]);
}

#[test]
fn a_replica_that_appears_later_is_read_from_its_start_whatever_the_tail() {
    let mut rig = rig(&Fake::default(), Request { tail: Some(1), ..following() });
    rig.name(&[("a", 1)]);
    rig.logs.write("b", 1, "b1");
    rig.logs.write("b", 2, "b2");
    rig.name(&[("a", 1), ("b", 1)]);
    assert_eq!(rig.ready(), ["b1", "b2"]);
}

#[test]
fn a_short_life_is_read_although_it_is_over() {
    let mut rig = rig(&Fake::default(), following());
    rig.name(&[]);
    rig.logs.write("b", 1, "hello and goodbye");
    rig.name(&[("b", 1)]);
    rig.logs.end_life("b");
    rig.name(&[]);
    assert_eq!(rig.ready(), ["hello and goodbye"]);
}

#[test]
fn a_log_that_cannot_be_read_is_said_once_and_tried_again_later() {
    let logs = Fake::default();
    logs.write("a", 1, "line");
    logs.write("b", 2, "other");
    logs.set_unreadable("a", true);
    let mut rig = rig(&logs, following());
    rig.name(&[("a", 1), ("b", 1)]);
    assert_eq!(rig.ready(), ["a: the log cannot be read: none", "other"]);
    rig.name(&[("a", 1), ("b", 1)]);
    assert_eq!(rig.ready(), [""; 0], "it still cannot be read, which is no news");
    rig.logs.set_unreadable("a", false);
    rig.name(&[("a", 1), ("b", 1)]);
    assert_eq!(rig.ready(), ["line"]);
}

#[test]
fn a_cursor_resumes_exactly() {
    let logs = Fake::default();
    for n in 0..5 {
        logs.write("a", n / 2, &format!("a{n}"));
    }
    logs.write("b", 0, "b0");
    let mut whole = rig(&logs, following());
    whole.name(&[("a", 1), ("b", 1)]);
    let all = whole.ready();
    for taken in 0..all.len() {
        let mut first = rig(&logs, following());
        first.name(&[("a", 1), ("b", 1)]);
        let mut got = Vec::new();
        for _ in 0..taken {
            if let Some(Some(Item::Line(line))) = first.follow.next().now_or_never() {
                got.push(line.text);
            }
        }
        let cursor: Cursor = first.follow.cursor().to_string().parse().unwrap();
        let mut second = rig(&logs, Request { cursor, ..following() });
        second.name(&[("a", 1), ("b", 1)]);
        got.extend(second.ready());
        assert_eq!(got, all, "after {taken} lines");
    }
}

#[test]
fn a_cursor_forgets_replicas_that_are_gone() {
    let mut rig = rig(&Fake::default(), following());
    rig.name(&[("a", 1)]);
    for number in 0..100 {
        let name = format!("job{number}");
        rig.logs.write(&name, number, "done");
        rig.name(&[("a", 1), (&name, 1)]);
        assert_eq!(rig.ready(), ["done"]);
        rig.logs.end_life(&name);
        assert_eq!(rig.ready(), [""; 0]);
        rig.name(&[("a", 1)]);
        assert_eq!(rig.ready(), [""; 0]);
    }
    rig.logs.write("a", 200, "line");
    assert_eq!(rig.ready(), ["line"]);
    assert_eq!(rig.follow.cursor().to_string(), "a@200+1");
}

/// Replicas that say nothing, but for one.
#[derive(Clone)]
struct Silent {
    asked: Arc<AtomicUsize>,
    voice: Fake,
}

impl Source for Silent {
    fn read(&self, id: &ReplicaId, range: LogRange) -> BoxStream<'static, Result<LogLine, LogError>> {
        if id.as_str() == "voice" || !range.follow {
            return self.voice.read(id, range);
        }
        let asked = Arc::clone(&self.asked);
        stream::poll_fn(move |_| {
            asked.fetch_add(1, Ordering::Relaxed);
            Poll::Pending
        })
        .boxed()
    }
}

#[test]
fn the_silent_are_not_asked_for_each_line_of_another() {
    let source = Silent { asked: Arc::default(), voice: Fake::default() };
    let mut names: Vec<_> = (0..300).map(|number| ReplicaId::new(number.to_string())).collect();
    names.push(ReplicaId::new("voice"));
    let members = names.into_iter().map(|id| Member { id, life: 1, ended_at: None }).collect();
    let members = stream::iter([members]).chain(stream::pending()).boxed();
    let mut follow = Follow::new(source.clone(), members, following());
    assert!(follow.next().now_or_never().is_none());
    for nanos in 0..1000 {
        source.voice.write("voice", nanos, "line");
        assert!(follow.next().now_or_never().is_some());
    }
    assert_eq!(source.asked.load(Ordering::Relaxed), 300);
}
