//! What the fuzz targets feed, and what must hold of whatever comes. The seeds are replayed here as a test.

use zv_model::{Sample, TimeRange};

use crate::chunk;
use crate::options::{Options, Rules};
use crate::wal::fuzz_segment;

/// Reads a chunk. What was read can be packed, and is then read the same.
pub fn store_chunk(data: &[u8]) {
    let mut samples = Vec::new();
    if chunk::read(data, &mut samples).is_err() {
        return;
    }
    let mut again: Vec<Sample> = Vec::new();
    let packed = chunk::pack(&samples);
    assert!(packed.len() <= chunk::MOST_BYTES);
    assert_eq!(chunk::count(&packed), Some(samples.len()));
    assert!(chunk::read(&packed, &mut again).is_ok());
    let bits = |all: &[Sample]| all.iter().map(|one| (one.at, one.value.to_bits())).collect::<Vec<_>>();
    assert_eq!(bits(&samples), bits(&again));
}

/// Reads a segment of the log: frames, with all that can be in them. The checksums are put right, or hardly anything would
/// be read.
pub fn store_log(data: &[u8]) {
    let rules = Rules::of(&Options::default());
    let (windows, samples) = fuzz_segment(data, &rules);
    let within = |window: &TimeRange| window.to - window.from + 1 == rules.window;
    assert!(windows.iter().all(within) && windows.is_sorted_by_key(|window| window.from));
    assert!(windows.is_empty() || samples > 0);
}

/// Reads an index of a block: whatever it says, asking it ends.
pub fn store_index(data: &[u8]) {
    crate::block::fuzz_index(data);
}

#[cfg(test)]
mod tests {
    fn replay(target: &str, feed: fn(&[u8])) {
        let seeds = format!("{}/../../fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
        let seeds: Vec<_> = std::fs::read_dir(seeds).unwrap().collect();
        assert!(seeds.len() > 2);
        for seed in seeds {
            feed(&std::fs::read(seed.unwrap().path()).unwrap());
        }
    }

    #[test]
    fn every_seed_holds() {
        replay("store_chunk", super::store_chunk);
        replay("store_log", super::store_log);
        replay("store_index", super::store_index);
    }
}
