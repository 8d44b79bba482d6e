//! What the fuzz target feeds, and what must hold of whatever comes. The seeds are replayed here as a test.

use super::sse::{Frame, Parser};
use crate::{Change, LogLine, Snapshot};

const LIMIT: usize = 4096;

/// Reads server-sent events in one piece and in portions; both must give the same. The first byte is the size of the
/// portions.
pub fn sse(data: &[u8]) {
    let Some((portion, stream)) = data.split_first() else { return };
    let read = |portion: usize| {
        let (mut parser, mut frames) = (Parser::new(LIMIT), Vec::new());
        let whole = stream.chunks(portion).all(|bytes| parser.push(bytes, &mut frames).is_ok());
        (whole, frames)
    };
    let (is_whole, frames) = read(stream.len().max(1));
    assert_eq!(read(usize::from(*portion) + 1), (is_whole, frames.clone()));
    for Frame { id, name, data } in frames {
        assert!(!name.is_empty() && !id.contains('\0'));
        match name.as_str() {
            "snapshot" => again::<Snapshot>(&data),
            "change" => again::<Change>(&data),
            "line" => again::<LogLine>(&data),
            _ => {}
        }
    }
}

/// What is understood can be written and understood again.
fn again<T: serde::de::DeserializeOwned + serde::Serialize + PartialEq + std::fmt::Debug>(data: &str) {
    if let Ok(value) = serde_json::from_str::<T>(data)
        && let Ok(text) = serde_json::to_string(&value)
    {
        assert_eq!(serde_json::from_str::<T>(&text).ok(), Some(value));
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_seed_holds() {
        let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/sse");
        let seeds: Vec<_> = std::fs::read_dir(seeds).unwrap().collect();
        assert!(seeds.len() > 2);
        for seed in seeds {
            super::sse(&std::fs::read(seed.unwrap().path()).unwrap());
        }
    }
}
