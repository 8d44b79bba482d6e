//! How a command ends when it does not end well: the sentence on stderr and the exit code.

use std::fmt;
use std::io;
use std::process::ExitCode;

/// Done.
pub const DONE: u8 = 0;
/// Findings, or a failure.
pub const FAILED: u8 = 1;
/// The command was not understood.
pub const USAGE: u8 = 2;

/// Why a command ended early.
#[derive(Debug)]
pub enum Failure {
    /// The command cannot mean what it says: exit code 2.
    Usage(String),
    /// It could not be done: exit code 1.
    Failed(anyhow::Error),
    /// It could not be done, and the output has told so already: exit code 1.
    Told,
    /// The output has told how it ended, and this is the exit code for that.
    Ended(u8),
    /// Nobody reads the output any more, which is how `zv logs | head` ends: exit code 0.
    ReaderGone,
}

/// What a command returns.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// Returns a failure that says `text`, a lower-case fragment without a full stop.
    pub fn new(text: impl Into<String>) -> Self {
        Failure::Failed(anyhow::anyhow!("{}", text.into()))
    }

    /// Returns the exit code.
    pub fn code(&self) -> u8 {
        match self {
            Failure::Usage(_) => USAGE,
            Failure::Failed(_) | Failure::Told => FAILED,
            Failure::Ended(code) => *code,
            Failure::ReaderGone => DONE,
        }
    }

    /// Returns the exit code in the form `main` returns.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Usage(text) => f.write_str(&sentence(text)),
            Failure::Failed(error) => f.write_str(&sentence(&with_causes(error))),
            Failure::Told | Failure::Ended(_) | Failure::ReaderGone => Ok(()),
        }
    }
}

/// Puts an error and its causes into one text, but for those that a text before has told.
fn with_causes(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| match told.as_str() {
        "" => cause,
        _ if told.contains(&cause) => told,
        _ => format!("{told}: {cause}"),
    })
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        let broken_pipe =
            |cause: &io::Error| matches!(cause.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::WriteZero);
        if error.chain().any(|cause| cause.downcast_ref::<io::Error>().is_some_and(broken_pipe)) {
            return Failure::ReaderGone;
        }
        Failure::Failed(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::from(anyhow::Error::new(error))
    }
}

/// Turns a fragment into a sentence: a capital first, a full stop last. What starts with a name keeps its look: a text
/// in backticks, an address, a replica.
pub fn sentence(fragment: &str) -> String {
    let trimmed = fragment.trim();
    let first_word = trimmed.split_whitespace().next().unwrap_or_default().trim_end_matches([',', ':', ';']);
    let mut chars = trimmed.chars();
    let Some(first) = chars.next() else {
        return String::new();
    };
    let mut text: String = if first_word.chars().all(char::is_alphabetic) {
        first.to_uppercase().chain(chars).collect()
    } else {
        trimmed.to_owned()
    };
    // A list below the sentence ends as its last entry does.
    if !text.ends_with(['.', '!', '?', ':']) && !text.contains('\n') {
        text.push('.');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_becomes_a_sentence() {
        for (fragment, expected) in [
            ("no agent answers", "No agent answers."),
            ("`orders` is unknown", "`orders` is unknown."),
            ("Done.", "Done."),
            ("say which:\n  blog/db", "Say which:\n  blog/db"),
            ("http://host says no", "http://host says no."),
            ("orders-2 exited", "orders-2 exited."),
            ("", ""),
        ] {
            assert_eq!(sentence(fragment), expected);
        }
    }

    #[test]
    fn a_cause_is_told_once() {
        let error =
            anyhow::anyhow!("no such host").context("cannot connect: no such host").context("no agent");
        assert_eq!(Failure::Failed(error).to_string(), "No agent: cannot connect: no such host.");
    }

    #[test]
    fn a_closed_pipe_is_not_a_failure() {
        let closed = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(closed.code(), DONE);
        assert_eq!(Failure::from(io::Error::other("disk on fire")).code(), FAILED);
        assert_eq!(Failure::Usage("no".into()).code(), USAGE);
    }
}
