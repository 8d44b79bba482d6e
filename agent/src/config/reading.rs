//! What an area sees while it resolves its part: where each value came from, and where to report what is wrong with it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Purpose;
use super::environment::Environment;
use super::mistake::{Collector, Place, unreadable};
use super::secret::Secret;

/// The whole of the layers, and the findings.
pub(crate) struct Reading<'a> {
    pub(crate) environment: &'a Environment,
    pub(crate) purpose: Purpose,
    pub(crate) places: &'a BTreeMap<String, Place>,
    pub(crate) found: &'a mut Collector,
}

impl Reading<'_> {
    /// Returns where the value of a dotted key, or of the nearest key above it, came from.
    pub(crate) fn place(&self, key: &str) -> Place {
        let mut key = key;
        loop {
            if let Some(place) = self.places.get(key) {
                return place.clone();
            }
            match key.rfind(['.', '[']) {
                Some(end) => key = &key[..end],
                None => return Place::Default,
            }
        }
    }

    /// Says whether somebody gave a value, be it a wrong one.
    pub(crate) fn is_given(&self, key: &str) -> bool {
        self.places.contains_key(key)
    }

    /// Reports what is wrong with the value of a key.
    pub(crate) fn mistake(&mut self, key: &str, text: impl Into<String>) {
        self.found.mistake(&self.place(key), text);
    }

    /// Says whether something was found wrong with a value as a whole.
    pub(crate) fn has_mistake(&self, key: &str) -> bool {
        self.places.get(key).is_some_and(|place| self.found.has_mistake_at(place))
    }

    /// Reports what is wrong somewhere else.
    pub(crate) fn mistake_at(&mut self, place: &Place, text: impl Into<String>) {
        self.found.mistake(place, text);
    }

    /// Reports what is probably not meant.
    pub(crate) fn warn(&mut self, key: &str, text: impl Into<String>) {
        self.found.warn(&self.place(key), text);
    }

    /// Reports a file that a key names and that cannot be read.
    pub(crate) fn unreadable(&mut self, key: &str, path: &Path, error: &std::io::Error) {
        self.mistake(key, unreadable(path, error));
    }

    /// Returns a path that stands in a file as seen from that file's folder, any other as it is.
    pub(crate) fn path(&self, key: &str, path: PathBuf) -> PathBuf {
        match self.place(key).file().and_then(Path::parent) {
            Some(folder) => folder.join(path),
            None => path,
        }
    }

    /// Reads a `*_file` key, where secrets are wanted.
    pub(crate) fn secret(&mut self, key: &str, path: &Path) -> Option<Secret> {
        let is_wanted = match self.purpose {
            Purpose::Run => true,
            Purpose::Probe => key.starts_with("probes["),
            Purpose::Look => false,
        };
        if !is_wanted {
            return None;
        }
        Secret::read(path).map_err(|error| self.unreadable(key, path, &error)).ok()
    }
}
