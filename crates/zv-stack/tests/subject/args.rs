//! The subject's command line: `--name value`, flags, and words.

use std::ffi::OsString;
use std::str::FromStr;

/// The words behind the mode.
pub(crate) struct Args(Vec<String>);

impl Args {
    pub(crate) fn new(words: Vec<OsString>) -> Self {
        Self(words.into_iter().map(|word| word.to_string_lossy().into_owned()).collect())
    }

    pub(crate) fn has(&self, flag: &str) -> bool {
        self.0.iter().any(|word| word == flag)
    }

    pub(crate) fn word(&self, at: usize) -> Option<&str> {
        self.0.get(at).map(String::as_str)
    }

    /// Returns the value behind `--name`; a value that cannot be parsed counts as absent.
    pub(crate) fn get<T: FromStr>(&self, name: &str) -> Option<T> {
        let at = self.0.iter().position(|word| word == name)?;
        self.0.get(at + 1)?.parse().ok()
    }
}
