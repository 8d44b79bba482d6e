//! What is wrong with a configuration, and where: every mistake is kept until all are known.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Where a value, or a mistake in it, comes from. The order is the order of a report.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The file as a whole.
    File(Arc<Path>),
    /// A place in the file; lines and columns count from 1, columns in characters.
    Line { file: Arc<Path>, line: u64, column: u64 },
    /// A variable of the environment.
    Variable(Arc<str>),
    /// A flag of the command line, with its dashes.
    Flag(&'static str),
    /// Nobody gave it.
    Default,
}

impl Place {
    /// Returns the file that the value stands in, where it stands in one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Place::File(file) | Place::Line { file, .. } => Some(file),
            Place::Variable(_) | Place::Flag(_) | Place::Default => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File(file) => write!(f, "{}", file.display()),
            Place::Line { file, line, column } => write!(f, "{}:{line}:{column}", file.display()),
            Place::Variable(name) => f.write_str(name),
            Place::Flag(name) => f.write_str(name),
            Place::Default => f.write_str("default"),
        }
    }
}

/// One thing that is wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    pub place: Place,
    /// A lower-case fragment without a full stop. It never holds what a secret or a variable holds.
    pub text: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Place::Default => f.write_str(&self.text),
            _ => write!(f, "{}: {}", self.place, self.text),
        }
    }
}

/// All mistakes of a configuration, in the order of the file; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes {
    pub all: Vec<Mistake>,
    /// Mistakes that were counted and not kept.
    pub more: usize,
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for mistake in &self.all {
            writeln!(f, "{mistake}")?;
        }
        match (self.all.len() + self.more, self.more) {
            (1, _) => f.write_str("1 mistake"),
            (count, 0) => write!(f, "{count} mistakes"),
            (count, _) => write!(f, "{count} mistakes, the first {} are shown", self.all.len()),
        }
    }
}

impl std::error::Error for Mistakes {}

/// Gathers mistakes and warnings while a configuration is read.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    mistakes: Vec<Mistake>,
    more: usize,
    warnings: Vec<Mistake>,
}

impl Collector {
    /// The mistakes kept: more than this helps nobody, and a hostile file could hold a million.
    const KEPT: usize = 100;

    /// Notes that something is wrong.
    pub(crate) fn mistake(&mut self, place: &Place, text: impl Into<String>) {
        let mistake = Mistake { place: place.clone(), text: text.into() };
        if self.mistakes.len() >= Self::KEPT {
            self.more += 1;
        } else if !self.mistakes.contains(&mistake) {
            self.mistakes.push(mistake);
        }
    }

    /// Says whether a mistake at this place is known.
    pub(crate) fn has_mistake_at(&self, place: &Place) -> bool {
        self.mistakes.iter().any(|mistake| mistake.place == *place)
    }

    /// Notes something that works and is probably not what was meant.
    pub(crate) fn warn(&mut self, place: &Place, text: impl Into<String>) {
        let warning = Mistake { place: place.clone(), text: text.into() };
        if self.warnings.len() < Self::KEPT && !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// Returns the warnings where nothing is wrong, and what is wrong elsewhere.
    pub(crate) fn finish(mut self) -> Result<Vec<Mistake>, Mistakes> {
        if self.mistakes.is_empty() {
            self.warnings.sort();
            return Ok(self.warnings);
        }
        self.mistakes.sort();
        Err(Mistakes { all: self.mistakes, more: self.more })
    }
}

/// Returns the sentence for a file that cannot be read.
pub(crate) fn unreadable(path: &Path, error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    let path = path.display();
    match error.kind() {
        ErrorKind::NotFound => format!("`{path}` does not exist"),
        ErrorKind::PermissionDenied => format!("`{path}` may not be read by this user: permission denied"),
        ErrorKind::IsADirectory => format!("`{path}` is a directory; name the file in it"),
        _ => format!("`{path}` cannot be read: {error}"),
    }
}
