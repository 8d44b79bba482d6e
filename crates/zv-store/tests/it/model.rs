//! Whatever is done to a store, it holds what a naive one holds.

use std::collections::BTreeMap;

use proptest::prelude::*;
use zv_model::{Labels, MatchOp, Matcher, TimeRange};
use zv_store::{AppendError, Appended, Condition, Source, Store};

use crate::support::{Contents, EVER, contents, quick, sample, series};

#[derive(Debug, Clone)]
enum Step {
    /// Series, milliseconds after the newest of all, value.
    Append(usize, i64, u64),
    Steady(usize, u8),
    Commit,
    Reopen,
    Maintain,
    Look(i64, i64, usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let value = prop_oneof![(0_u64..4).prop_map(|number| (number as f64).to_bits()), any::<u64>()];
    let step = prop_oneof![
        8 => (0_usize..6, -900_i64..900, value).prop_map(|(series, after, bits)| Step::Append(series, after, bits)),
        4 => (0_usize..6, any::<u8>()).prop_map(|(series, count)| Step::Steady(series, count)),
        1 => Just(Step::Commit),
        1 => Just(Step::Reopen),
        1 => Just(Step::Maintain),
        2 => (-3000_i64..3000, 0_i64..3000, 0_usize..12).prop_map(|(from, span, matcher)| Step::Look(from, span, matcher)),
    ];
    proptest::collection::vec(step, 0..60)
}

fn matcher(number: usize) -> Vec<Matcher> {
    let one = |name: &str, op, value: &str| Matcher::new(name, op, value).unwrap();
    match number {
        0 => vec![one("n", MatchOp::Equal, "1")],
        1 => vec![one("n", MatchOp::NotEqual, "1")],
        2 => vec![one("n", MatchOp::Matches, "1|3")],
        3 => vec![one("n", MatchOp::MatchesNot, "1|3")],
        4 => vec![one("even", MatchOp::Equal, "")],
        5 => vec![one("even", MatchOp::NotEqual, "")],
        6 => vec![one("even", MatchOp::Matches, ".*"), one("group", MatchOp::Matches, "[01]")],
        7 => vec![one("n", MatchOp::Matches, "[2-4]+"), one("even", MatchOp::MatchesNot, "y.*")],
        8 => vec![one("nowhere", MatchOp::Equal, "x")],
        9 => vec![one("nowhere", MatchOp::MatchesNot, "x")],
        10 => vec![one("n", MatchOp::Matches, "5?"), one("group", MatchOp::NotEqual, "9")],
        _ => Vec::new(),
    }
}

#[derive(Default)]
struct Naive {
    series: BTreeMap<Labels, BTreeMap<i64, u64>>,
    newest: i64,
    /// Up to here there may be blocks.
    maintained: i64,
}

impl Naive {
    fn expected(&self, range: TimeRange, matchers: &[Matcher]) -> Contents {
        let wanted = |labels: &&Labels| matchers.iter().all(|matcher| matcher.accepts_labels(labels));
        let mut all = Contents::new();
        for labels in self.series.keys().filter(wanted) {
            let samples: Vec<_> =
                self.series[labels].range(range.from..=range.to).map(|(a, b)| (*a, *b)).collect();
            if !samples.is_empty() {
                all.push((labels.clone(), samples));
            }
        }
        all
    }

    fn append(&mut self, store: &mut Store, number: usize, at: i64, bits: u64) {
        let labels = series(number);
        let result = store.append(Source(1), &labels, sample(at, f64::from_bits(bits)));
        let samples = self.series.entry(labels).or_default();
        let newest = samples.keys().next_back().copied();
        let there = samples.get(&at).copied();
        match result {
            Ok((_, Appended::Newest)) => assert!(newest.is_none_or(|newest| at > newest)),
            Ok((_, Appended::Late)) => assert!(there.is_none() && newest.is_some_and(|newest| at < newest)),
            Ok((_, Appended::Same)) => assert_eq!(there, Some(bits)),
            Ok((_, Appended::Differs)) => assert!(there.is_some_and(|there| there != bits)),
            Err(AppendError::TooOld { .. }) => {
                assert!(at < self.maintained || newest.is_some_and(|newest| at < newest - 300), "{at}");
            }
            Err(error) => panic!("{error}"),
        }
        if matches!(result, Ok((_, Appended::Newest | Appended::Late))) {
            samples.insert(at, bits);
            self.newest = self.newest.max(at);
        }
    }
}

fn run(steps: Vec<Step>, on_disk: bool) {
    let folder = tempfile::tempdir().unwrap();
    let open = || match on_disk {
        true => {
            let (store, recovery) = crate::support::open(folder.path()).unwrap();
            assert!(recovery.is_clean() && recovery.torn_bytes == 0, "{recovery:?}");
            store
        }
        false => Store::in_memory(&quick()),
    };
    let mut store = open();
    let mut naive = Naive { maintained: i64::MIN, ..Naive::default() };
    for step in steps {
        match step {
            Step::Append(number, after, bits) => {
                let at = naive.newest + after;
                naive.append(&mut store, number, at, bits);
            }
            Step::Steady(number, count) => {
                for _ in 0..count {
                    let at = naive.newest + 5;
                    naive.append(&mut store, number, at, (at as f64).to_bits());
                }
            }
            Step::Commit => assert_eq!(store.commit(), Condition::Durable),
            Step::Reopen if on_disk => {
                store.close().unwrap();
                store = open();
            }
            Step::Reopen => {}
            Step::Maintain => {
                assert_eq!(store.maintain(naive.newest).unwrap(), Condition::Durable);
                naive.maintained = naive.maintained.max(naive.newest);
            }
            Step::Look(from, span, number) => {
                let range = TimeRange { from: naive.newest + from, to: naive.newest + from + span };
                let matchers = matcher(number);
                let found = contents(&store.reader(), range, &matchers);
                assert_eq!(found, naive.expected(range, &matchers), "{range:?} {matchers:?}");
            }
        }
    }
    assert_eq!(contents(&store.reader(), EVER, &[]), naive.expected(EVER, &[]));
    if on_disk {
        store.commit();
        drop(store);
        let store = open();
        assert_eq!(contents(&store.reader(), EVER, &[]), naive.expected(EVER, &[]));
        assert_eq!(store.reader().counters().chunks_lost.get(), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn in_memory_it_holds_what_a_naive_one_holds(steps in steps()) {
        run(steps, false);
    }

    #[test]
    fn on_disk_it_holds_what_a_naive_one_holds(steps in steps()) {
        run(steps, true);
    }
}

#[test]
fn blocks_are_merged_and_the_oldest_go() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = crate::support::open(folder.path()).unwrap();
    let mut naive = Naive { maintained: i64::MIN, ..Naive::default() };
    for round in 0..400 {
        for number in 0..3 {
            naive.append(&mut store, number, round * 100, (round as f64).to_bits());
        }
        store.maintain(round * 100).unwrap();
    }
    let reader = store.reader();
    let counters = reader.counters();
    assert!(counters.compactions.get() >= 9, "{} merged", counters.compactions.get());
    assert!(counters.blocks.get() <= 10, "{} blocks", counters.blocks.get());
    assert_eq!(contents(&reader, EVER, &[]), naive.expected(EVER, &[]));
    assert_eq!(reader.label_values(EVER, "n", &[]).unwrap().len(), 3);
    assert_eq!(reader.label_names(EVER, &matcher(0)).unwrap().len(), 3);

    let day = 24 * 3600 * 1000;
    store.maintain(day + 20_000).unwrap();
    let found = contents(&reader, EVER, &[]);
    let oldest = found[0].1[0].0;
    assert!((1..=20_000).contains(&oldest), "the oldest is {oldest}");
    store.maintain(3 * day).unwrap();
    assert!(contents(&reader, EVER, &[]).is_empty());
    assert_eq!((counters.series.get(), counters.blocks.get()), (0, 0), "what ended is forgotten");
}
