//! Rounds with senses that a test scripts. Where something hangs, real time is used: a thread that blocks stops the paused
//! clock.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};

use futures_util::FutureExt;
use zv_api::StatsMessage;

use super::super::host::{HostMeter, Roots};
use super::*;
use crate::metrics::own::Own;

/// What the senses do, and how often they were used.
#[derive(Default)]
struct Script {
    rounds: AtomicUsize,
    asked: Mutex<Vec<ReplicaId>>,
    /// Those that cannot be seen.
    unseen: Mutex<Vec<ReplicaId>>,
    running: Mutex<Vec<Running>>,
    /// Those of which an answer never comes.
    hangs: Mutex<Vec<ReplicaId>>,
    host: Gate,
    meter: Gate,
    panics: AtomicBool,
}

/// Closed for as long as what goes through it is to hang.
#[derive(Default)]
struct Gate {
    closed: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn close(&self) {
        *self.closed.lock().unwrap() = true;
    }

    fn open(&self) {
        *self.closed.lock().unwrap() = false;
        self.opened.notify_all();
    }

    fn pass(&self) {
        let closed = self.closed.lock().unwrap();
        drop(self.opened.wait_while(closed, |closed| *closed).unwrap());
    }
}

impl Script {
    fn of(ids: &[&str]) -> Arc<Self> {
        let running = ids.iter().map(|id| Running { id: ReplicaId::new(*id), pid: Some(7) });
        Arc::new(Self { running: Mutex::new(running.collect()), ..Self::default() })
    }

    fn senses(self: &Arc<Self>) -> Senses {
        let [sight, known, meter, ask, host] = std::array::from_fn(|_| Arc::clone(self));
        Senses {
            sight: Box::new(move || Sight { running: sight.running.lock().unwrap().clone(), answers: true }),
            is_known: Box::new(move || {
                known.running.lock().unwrap().iter().map(|one| one.id.clone()).collect()
            }),
            meter: Box::new(move || {
                let script = Arc::clone(&meter);
                Box::new(move |running, at| script.measure(running, at))
            }),
            ask: Some(Arc::new(move |id| {
                let script = Arc::clone(&ask);
                script.asked.lock().unwrap().push(id.clone());
                let hangs = script.hangs.lock().unwrap().contains(&id);
                async move {
                    if hangs {
                        std::future::pending::<()>().await;
                    }
                    Some(Measurement { at: crate::clock::now(), ..Measurement::default() })
                }
                .boxed()
            })),
            host: Box::new(move || {
                let (mut meter, script) = (HostMeter::new(Roots::default()), Arc::clone(&host));
                Box::new(move |at| {
                    script.host.pass();
                    meter.measure(at)
                })
            }),
        }
    }

    fn measure(&self, running: &[Running], at: DateTime<Utc>) -> Round {
        self.meter.pass();
        assert!(!self.panics.swap(false, Ordering::AcqRel), "a fault that a test asked for");
        self.rounds.fetch_add(1, Ordering::AcqRel);
        let unseen = self.unseen.lock().unwrap();
        let (unseen, seen): (Vec<_>, Vec<_>) =
            running.iter().map(|one| one.id.clone()).partition(|id| unseen.contains(id));
        let measured = seen.into_iter().map(|id| (id, Measurement { at, ..Measurement::default() }));
        Round { measured: measured.collect(), unseen }
    }

    fn rounds(&self) -> usize {
        self.rounds.load(Ordering::Acquire)
    }
}

const EVERY: Duration = Duration::from_secs(10);

fn started(script: &Arc<Script>, every: Option<Duration>) -> (Collected, JoinSet<()>) {
    let collected = Collected::new(every, Own::new());
    let mut tasks = JoinSet::new();
    tasks.spawn(run(collected.clone(), script.senses(), CancellationToken::new()));
    (collected, tasks)
}

async fn until(mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(60), waiting).await.expect("this takes too long");
}

#[tokio::test(start_paused = true)]
async fn every_second_is_measured_only_while_somebody_watches() {
    let script = Script::of(&["a"]);
    let (collected, _tasks) = started(&script, Some(EVERY));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(script.rounds(), 6, "for the record alone");

    let mut live = collected.stats(StatsPace::Live);
    let other = collected.stats(StatsPace::Live);
    for _ in 0..20 {
        let message: StatsMessage = serde_json::from_str(&live.next().await.unwrap()).unwrap();
        assert!(message.replicas.contains_key("a"));
    }
    let watched = script.rounds() - 6;
    assert!((20..=24).contains(&watched), "{watched}");
    assert!(collected.take_record(&ReplicaId::new("a")).len() <= 9, "the ring is of the record");

    drop(live);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let before = script.rounds();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(script.rounds() - before >= 9, "the other one still watches");
    drop(other);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = script.rounds();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(script.rounds() - before, 6);
}

#[tokio::test(start_paused = true)]
async fn those_who_follow_the_record_cause_no_rounds() {
    let script = Script::of(&["a"]);
    let (collected, _tasks) = started(&script, Some(EVERY));
    let mut recorded = collected.stats(StatsPace::Recorded);
    for _ in 0..5 {
        recorded.next().await.unwrap();
    }
    assert_eq!(script.rounds(), 5);
    collected.set_interval(Duration::from_secs(2));
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!((9..=11).contains(&script.rounds()), "{}", script.rounds());
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_lags_gets_the_next_one() {
    let script = Script::of(&["a"]);
    let (collected, _tasks) = started(&script, Some(EVERY));
    let mut slow = collected.stats(StatsPace::Recorded);
    tokio::time::sleep(Duration::from_secs(95)).await;
    slow.next().await.unwrap();
    assert!(slow.next().now_or_never().is_none(), "what was missed is not told again");
}

#[tokio::test(start_paused = true)]
async fn one_that_never_answers_delays_neither_rounds_nor_the_others() {
    let script = Script::of(&["seen", "hangs", "b", "c", "d", "e"]);
    let id = |text: &str| ReplicaId::new(text);
    script.unseen.lock().unwrap().extend(["hangs", "b", "c", "d", "e"].map(id));
    script.hangs.lock().unwrap().push(id("hangs"));
    let (collected, _tasks) = started(&script, Some(EVERY));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let latest = collected.latest();
    let asked = |one: &str| latest.replicas.get(&id(one)).map(|measured| measured.asked);
    assert_eq!((asked("seen"), asked("hangs")), (Some(false), None));
    for one in ["b", "c", "d", "e"] {
        assert_eq!(asked(one), Some(true), "{one}");
    }
    tokio::time::sleep(Duration::from_secs(50)).await;
    assert_eq!((script.rounds(), script.asked.lock().unwrap().len()), (6, 5), "asking has its own pace");
    assert_eq!(collected.latest().replicas.len(), 5, "an answer stands until the next");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(script.asked.lock().unwrap().len(), 10);
    let _live = collected.stats(StatsPace::Live);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(script.asked.lock().unwrap().len() >= 20, "whoever watches is told more often");
}

#[tokio::test]
async fn a_host_that_hangs_delays_no_replica() {
    let script = Script::of(&["a"]);
    script.host.close();
    let (collected, mut tasks) = started(&script, None);
    for _ in 0..3 {
        let before = collected.latest().number;
        collected.refresh(Duration::ZERO, Duration::from_secs(30)).await;
        assert!(collected.latest().number > before);
    }
    assert_eq!(collected.latest().replicas.len(), 1);
    assert!(collected.latest().host.is_none());
    script.host.open();
    collected.refresh(Duration::ZERO, Duration::from_secs(30)).await;
    until(|| collected.latest().host.is_some()).await;
    tasks.shutdown().await;
}

#[tokio::test]
async fn a_round_that_hangs_is_not_queued_behind_and_scrapes_do_not_wait_for_it() {
    let script = Script::of(&["a"]);
    script.meter.close();
    let (collected, mut tasks) = started(&script, Some(Duration::from_millis(600)));
    let began = std::time::Instant::now();
    collected.refresh(Duration::ZERO, Duration::from_millis(50)).await;
    assert!(began.elapsed() < Duration::from_secs(30));
    let missed = || {
        let mut out = zv_wire::Exposition::new(zv_wire::Format::Text, 0);
        collected.own().expose(&mut out);
        out.finish().contains("zv_agent_rounds_missed_total 2")
    };
    until(missed).await;
    script.meter.open();
    until(|| script.rounds() >= 1).await;
    assert!(script.rounds() <= 3, "those that were left out are not made up for: {}", script.rounds());
    tasks.shutdown().await;
}

#[tokio::test]
async fn a_fault_in_one_round_ends_that_one_only() {
    let script = Script::of(&["a"]);
    script.panics.store(true, Ordering::Release);
    let (collected, mut tasks) = started(&script, None);
    for _ in 0..2 {
        collected.refresh(Duration::ZERO, Duration::from_secs(30)).await;
    }
    assert_eq!(collected.latest().replicas.len(), 1);
    tasks.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn another_life_and_what_is_gone_have_no_usage() {
    let script = Script::of(&["a", "b"]);
    let (collected, _tasks) = started(&script, Some(EVERY));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let id = ReplicaId::new("a");
    assert!(collected.latest().usage(&id, Some(7)).is_some());
    assert!(collected.latest().usage(&id, Some(8)).is_none(), "it was started again since");
    script.running.lock().unwrap().remove(0);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(collected.latest().usage(&id, Some(7)).is_none());
    assert!(collected.take_record(&id).is_empty(), "nobody knows it any more");
}
