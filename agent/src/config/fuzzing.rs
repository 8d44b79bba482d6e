//! What the fuzz target feeds, and what must hold of whatever comes. The seeds are replayed here as a test.

use std::path::Path;

use super::mistake::Collector;
use super::{Environment, LoadOptions, Purpose, load_text};

const SECRET: &str = "hunter2-of-the-fuzzer";

/// Reads a configuration: it is sound and can be printed, or all its mistakes can be; neither shows a secret.
pub fn configuration(data: &[u8]) {
    let variables = [("NAME", "shop"), ("PORT", "9790"), ("EMPTY", ""), ("SECRET", SECRET)];
    let environment = Environment {
        variables: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        uid: 1000,
        host_name: Some("web-1".to_owned()),
        machine_id: Some("0123456789abcdef".to_owned()),
        ..Environment::default()
    };
    let options = LoadOptions { environment, purpose: Purpose::Look, ..LoadOptions::default() };
    let file = Some((Path::new("/etc/zv/zv.yaml").into(), data.to_owned()));
    match load_text(&options, file, Collector::default()) {
        Ok(loaded) => assert!(!loaded.config.print().is_empty()),
        Err(mistakes) => {
            assert!(!mistakes.all.is_empty());
            let told = mistakes.to_string();
            assert!(!told.contains(SECRET), "{told}");
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_seed_holds() {
        let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/configuration");
        let seeds: Vec<_> = std::fs::read_dir(seeds).unwrap().collect();
        assert!(seeds.len() > 2);
        for seed in seeds {
            super::configuration(&std::fs::read(seed.unwrap().path()).unwrap());
        }
    }
}
