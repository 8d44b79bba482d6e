//! What the fuzz targets feed, and what must hold of whatever comes. The seeds are replayed here as a test.

use std::collections::BTreeMap;

use crate::logs::LINE_LIMIT;
use crate::logs::cursor::Cursor;
use crate::logs::join::{Joined, Joiner};

/// Joins a log in one piece and in portions; both must give the same. The first byte chooses.
pub fn log_join(data: &[u8]) {
    let Some((choice, log)) = data.split_first() else { return };
    let (tty, portion) = (choice & 1 == 1, usize::from(choice >> 1) + 1);
    let joined = |portion: usize| {
        let (mut joiner, mut joined) = (Joiner::new(tty), Vec::new());
        for bytes in log.chunks(portion) {
            joiner.push(bytes, &mut joined);
        }
        joiner.finish(&mut joined);
        joined
    };
    let whole = joined(log.len().max(1));
    assert_eq!(joined(portion), whole);
    for one in whole {
        // A byte that is not UTF-8 becomes three.
        assert!(!matches!(one, Joined::Line { text, .. } if text.len() > 3 * LINE_LIMIT));
    }
}

/// Reads a cursor; what was read survives being written down.
pub fn log_cursor(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match text.parse::<Cursor>() {
        Ok(cursor) => assert_eq!(cursor.to_string().parse(), Ok(cursor)),
        Err(error) => assert!(error.to_string().len() < 1024),
    }
}

/// Reads a Compose file; put on top of itself it says the same.
pub fn compose_file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let vars = BTreeMap::from([("SET".to_owned(), "2".to_owned()), ("EMPTY".to_owned(), String::new())]);
    if let Ok(file) = crate::compose::parse(text, &vars) {
        let mut merged = file.clone();
        merged.merge(file.clone());
        for (name, service) in &merged.services {
            assert_eq!(service.replicas, file.services[name].replicas);
        }
    }
}

/// Reads a stack file; whatever is sound can be put in an order.
pub fn stack_file(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        crate::local::check_stack_file(text);
    }
}

/// Reads a line of an engine's event stream.
pub fn engine_event(data: &[u8]) {
    if let Ok(line) = std::str::from_utf8(data) {
        crate::docker::check_event(line);
    }
}

/// Reads what may be a file of counters of the kernel, as each of them.
pub fn kernel_counters(data: &[u8]) {
    crate::stats::check_counters(data);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_holds() {
        type Target = (&'static str, fn(&[u8]));
        let targets: [Target; 6] = [
            ("log_join", log_join),
            ("log_cursor", log_cursor),
            ("compose_file", compose_file),
            ("stack_file", stack_file),
            ("engine_event", engine_event),
            ("kernel_counters", kernel_counters),
        ];
        for (name, target) in targets {
            let folder = format!("{}/../../fuzz/corpus/{name}", env!("CARGO_MANIFEST_DIR"));
            let seeds: Vec<_> = std::fs::read_dir(&folder).unwrap().collect();
            assert!(seeds.len() > 2, "{folder} holds the seeds");
            for seed in seeds {
                target(&std::fs::read(seed.unwrap().path()).unwrap());
            }
        }
    }
}
