//! What the fuzz target feeds, and what must hold of whatever comes. The seeds are replayed here as a test.

use zv_model::{Labels, TimeRange};

use crate::memory::Memory;
use crate::{Engine, Options, ParseOptions, Query, Stop, pretty};

/// Reads an expression; if it is one, it is printed, read again, and evaluated.
pub fn promql(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let options = ParseOptions { experimental: true };
    let Ok(query) = Query::parse(text, options) else { return };
    let printed = query.expr().to_string();
    for written in [printed.clone(), pretty(query.expr())] {
        let again = Query::parse(&written, options).unwrap_or_else(|error| panic!("{written}: {error}"));
        assert_eq!(again.expr().to_string(), printed, "{text}");
    }
    evaluate(&query);
}

/// Evaluates over a few series. Nothing may panic, and nothing may go on after it was stopped.
fn evaluate(query: &Query) {
    let memory = few_series();
    let asked = std::cell::Cell::new(0_u32);
    let stop = || {
        asked.set(asked.get() + 1);
        (asked.get() > 2000).then_some(Stop::Timeout)
    };
    let options = Options { max_samples: 100_000, max_bytes: 10_000_000, ..Options::default() };
    let engine = Engine::new(&memory, options, &stop);
    let _ = engine.instant(query, 60_000);
    let _ = engine.range(query, TimeRange { from: 0, to: 120_000 }, 15_000);
}

fn few_series() -> Memory {
    let mut memory = Memory::default();
    for (name, instance) in [("a", "1"), ("a", "2"), ("b", "1"), ("up", "1")] {
        let labels = Labels::of([("__name__", name), ("instance", instance), ("le", "0.5")]);
        for step in 0..10_i32 {
            memory.append(&labels, i64::from(step) * 10_000, f64::from(step % 4));
        }
    }
    memory
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_seed_holds() {
        let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/promql");
        let seeds: Vec<_> = std::fs::read_dir(seeds).unwrap().collect();
        assert!(seeds.len() > 2);
        for seed in seeds {
            super::promql(&std::fs::read(seed.unwrap().path()).unwrap());
        }
    }
}
