//! The secret that gives the right to act, and the file it lives in.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

use super::group;

/// The random bytes in a token that is made here.
const BYTES: usize = 32;
/// No token is longer; a file that is was named by mistake.
const FILE_LIMIT: u64 = 4096;
/// Its members may read the token file and use the unix socket.
pub const GROUP: &str = "zv";

/// The agent's token. It prints as `***`.
#[derive(Clone)]
pub struct Token {
    secret: Box<str>,
    place: Place,
}

/// Where a person finds the token.
#[derive(Debug, Clone)]
enum Place {
    File(PathBuf),
    Given(String),
}

/// Why there is no usable token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("the token file `{path}` cannot be {what}")]
    Io { path: PathBuf, what: &'static str, source: io::Error },
    #[error("the token file `{0}` is open to everybody; run `chmod o= {0}`")]
    Open(PathBuf),
    #[error("{0} is empty; remove it and a token is made")]
    Empty(String),
    #[error("{0} is not a token: one line of printable ASCII without spaces is")]
    Unprintable(String),
}

impl Token {
    /// Reads the token in the file at `path`; makes both where there is no file.
    pub fn load_or_create(path: &Path) -> Result<Self, TokenError> {
        match Self::load(path) {
            Err(TokenError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                create(path)?;
                Self::load(path)
            }
            other => other,
        }
    }

    /// Takes `secret` itself; `name` is how people know where it was given: an environment variable.
    pub fn given(name: &str, secret: &str) -> Result<Self, TokenError> {
        let secret = checked(&format!("`{name}`"), secret)?;
        Ok(Self { secret, place: Place::Given(name.to_owned()) })
    }

    fn load(path: &Path) -> Result<Self, TokenError> {
        let unreadable = |source| TokenError::Io { path: path.into(), what: "read", source };
        let file = File::open(path).map_err(unreadable)?;
        if file.metadata().map_err(unreadable)?.mode() & 0o007 != 0 {
            return Err(TokenError::Open(path.into()));
        }
        let mut text = String::new();
        file.take(FILE_LIMIT).read_to_string(&mut text).map_err(unreadable)?;
        let secret = checked(&format!("the token file `{}`", path.display()), &text)?;
        Ok(Self { secret, place: Place::File(path.into()) })
    }

    /// Says whether `offered` is this token, in a time that does not depend on where they differ.
    pub(super) fn is(&self, offered: &[u8]) -> bool {
        let own = self.secret.as_bytes();
        let differences = own.iter().zip(offered).fold(0, |sum, (a, b)| std::hint::black_box(sum | (a ^ b)));
        own.len() == offered.len() && differences == 0
    }

    /// Returns the words that say where to find it.
    pub(super) fn place(&self) -> String {
        match &self.place {
            Place::File(path) => format!("of {}", path.display()),
            Place::Given(name) => format!("that the agent was given as {name}"),
        }
    }

    /// Returns the secret, for a client in the same process.
    pub fn reveal(&self) -> &str {
        &self.secret
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

fn checked(what: &str, text: &str) -> Result<Box<str>, TokenError> {
    let secret = text.trim();
    if secret.is_empty() {
        return Err(TokenError::Empty(what.to_owned()));
    }
    if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(TokenError::Unprintable(what.to_owned()));
    }
    Ok(secret.into())
}

/// Makes the file so that nobody ever sees it half written or open; a file that appeared meanwhile wins.
fn create(path: &Path) -> Result<(), TokenError> {
    let failed = |source| TokenError::Io { path: path.into(), what: "made", source };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let secret = random(BYTES).map_err(failed)?;
    // A name of its own each time: what a start that was killed left behind is not in the way.
    let draft = path.with_extension(format!("{}.new", random(4).map_err(failed)?));
    let outcome = write_draft(&draft, &secret).and_then(|()| publish(&draft, path));
    if outcome.is_err() {
        // The first error is the one to tell; the draft may not even exist.
        fs::remove_file(&draft).ok();
    }
    outcome.map_err(failed)
}

/// Returns so many random bytes in hexadecimal.
fn random(count: usize) -> io::Result<String> {
    let mut bytes = vec![0; count];
    let mut filled = 0;
    while filled < count {
        match getrandom(&mut bytes[filled..], GetRandomFlags::empty()) {
            Ok(more) => filled += more,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn write_draft(draft: &Path, secret: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    writeln!(file, "{secret}")?;
    if let Some(gid) = group::gid_of(GROUP)?
        && let Err(error) = fchown(&file, None, Some(gid))
    {
        tracing::warn!(file.path = %draft.display(), %error, "the token file is not given to group {GROUP}");
    }
    file.set_permissions(fs::Permissions::from_mode(0o640))?;
    file.sync_all()
}

fn publish(draft: &Path, path: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, draft, CWD, path, RenameFlags::NOREPLACE) {
        Err(Errno::EXIST) => fs::remove_file(draft),
        // A file system that cannot refuse to replace.
        Err(Errno::INVAL | Errno::NOSYS) => fs::rename(draft, path),
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn a_token_is_made_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/token");
        let made = Token::load_or_create(&path).unwrap();
        assert_eq!(made.secret.len(), 2 * BYTES);
        assert_eq!(mode(&path), 0o640);
        let again = Token::load_or_create(&path).unwrap();
        assert!(again.is(made.reveal().as_bytes()));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no draft stays behind");
    }

    #[test]
    fn two_first_starts_agree() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let draft = folder.path().join("draft");
        fs::write(&draft, "late").unwrap();
        create(&path).unwrap();
        publish(&draft, &path).unwrap();
        assert_eq!(Token::load_or_create(&path).unwrap().secret.len(), 2 * BYTES);
        assert!(!draft.exists());
    }

    #[test]
    fn a_file_that_cannot_be_a_secret_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let refusal = |content: &str, mode| {
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            Token::load_or_create(&path).unwrap_err().to_string()
        };
        assert!(refusal("abc\n", 0o644).contains("open to everybody; run `chmod o= /"));
        assert!(refusal("  \n", 0o640).contains("is empty"));
        let unprintable = refusal("hidden secret\n", 0o640);
        assert!(unprintable.contains("not a token") && !unprintable.contains("hidden"));
    }

    #[test]
    fn only_the_same_token_is_accepted_and_it_is_never_printed() {
        let token = Token::given("ZV_TOKEN", "s3cret").unwrap();
        assert!(token.is(b"s3cret"));
        for other in ["", "s3cre", "s3creT", "s3cret0", "s3crets3cret"] {
            assert!(!token.is(other.as_bytes()), "{other}");
        }
        assert_eq!(format!("{token:?}"), "***");
        assert!(Token::given("ZV_TOKEN", "").unwrap_err().to_string().starts_with("`ZV_TOKEN` is empty"));
    }
}
