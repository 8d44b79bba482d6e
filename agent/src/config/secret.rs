//! Text that must not be seen: it prints as `***` wherever it might be printed by accident.

use std::fmt;
use std::io::Read;
use std::path::Path;

use serde::{Serialize, Serializer};

/// A token, a key, a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// What stands for every secret.
    pub const MASK: &'static str = "***";
    /// A file with more bytes than this holds no secret.
    const FILE_LIMIT: u64 = 64 * 1024;

    /// Returns the secret `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text. Its name makes each use easy to find.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Reads a secret from a file, without the newline that editors put at its end.
    pub fn read(path: &Path) -> std::io::Result<Self> {
        use std::io::{Error, ErrorKind};
        let mut text = String::new();
        // A directory opens like a file, and only then cannot be read.
        let file = std::fs::File::open(path)?;
        file.take(Self::FILE_LIMIT + 1).read_to_string(&mut text)?;
        if text.len() as u64 > Self::FILE_LIMIT {
            return Err(Error::new(ErrorKind::FileTooLarge, "it is too large to hold a secret"));
        }
        if text.ends_with('\n') {
            text.pop();
            if text.ends_with('\r') {
                text.pop();
            }
        }
        Ok(Self(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::MASK)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Self::MASK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?} {:#?}", Some(&secret)), "*** *** Some(\n    ***,\n)");
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"***\"");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn a_secret_file_loses_one_newline() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        for (written, expected) in
            [("a", "a"), ("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), (" a ", " a ")]
        {
            std::fs::write(&path, written).unwrap();
            assert_eq!(Secret::read(&path).unwrap().expose(), expected, "{written:?}");
        }
        std::fs::write(&path, "x".repeat(70_000)).unwrap();
        assert_eq!(Secret::read(&path).unwrap_err().kind(), std::io::ErrorKind::FileTooLarge);
        assert!(Secret::read(directory.path()).is_err());
    }
}
