//! Files of the kernel that are read again and again: kept open, and read from their beginning each time.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// What is read of one file at most: no table of the kernel that is read here comes near it.
const MOST: usize = 8 << 20;

/// One file.
#[derive(Debug)]
pub(super) struct Source {
    path: PathBuf,
    file: Option<File>,
    /// It was said that it cannot be read.
    told: bool,
}

impl Source {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, file: None, told: false }
    }

    /// Reads all of it. What this kernel does not have is absent without a word; what may not be read is told once.
    pub(super) fn read<'b>(&mut self, buffer: &'b mut Vec<u8>) -> Option<Cow<'b, str>> {
        match self.fill(buffer) {
            Ok(()) => {
                self.told = false;
                Some(String::from_utf8_lossy(buffer))
            }
            Err(error) => {
                self.file = None;
                if !of_a_kernel_without_it(&error) && !std::mem::replace(&mut self.told, true) {
                    tracing::warn!(
                        path = %self.path.display(),
                        %error,
                        "cannot read this of the host: its metrics are absent until the agent may read the file"
                    );
                }
                None
            }
        }
    }

    /// Returns the open file, opening it where it is not.
    pub(super) fn file(&mut self) -> io::Result<&File> {
        if self.file.is_none() {
            self.file = Some(File::open(&self.path)?);
        }
        self.file.as_ref().ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn fill(&mut self, buffer: &mut Vec<u8>) -> io::Result<()> {
        let file = self.file()?;
        read_whole(file, buffer)
    }
}

/// Reads a small file that is needed once, or seldom; its text without the line's end.
pub(super) fn read_once<'b>(path: &Path, buffer: &'b mut Vec<u8>) -> Option<Cow<'b, str>> {
    let file = File::open(path).ok()?;
    // One page is all that `/sys` ever gives, and it gives it at once.
    buffer.resize(buffer.capacity().max(4096), 0);
    let length = file.read_at(buffer, 0).ok()?;
    buffer.truncate(length);
    let text = String::from_utf8_lossy(buffer);
    Some(match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_end()),
        Cow::Owned(text) => Cow::Owned(text.trim_end().to_owned()),
    })
}

/// The kernel lacks the file, or what is behind it is switched off.
fn of_a_kernel_without_it(error: &io::Error) -> bool {
    let off = [Errno::OPNOTSUPP, Errno::NODEV, Errno::INVAL, Errno::NOTDIR];
    error.kind() == ErrorKind::NotFound
        || Errno::from_io_error(error).is_some_and(|error| off.contains(&error))
}

/// Reads from the beginning until nothing more comes: the kernel gives such files in pieces, also short ones.
fn read_whole(file: &File, buffer: &mut Vec<u8>) -> io::Result<()> {
    let mut length = 0;
    loop {
        if buffer.len() < length + 4096 {
            buffer.resize((length + 4096).max(buffer.capacity()), 0);
        }
        match file.read_at(&mut buffer[length..], length as u64) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if length > MOST {
            return Err(io::Error::other("larger than such a file can be"));
        }
    }
    buffer.truncate(length);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_again_from_its_beginning_and_found_where_it_appears_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stat");
        let mut source = Source::new(path.clone());
        let mut buffer = Vec::new();
        assert!(source.read(&mut buffer).is_none());
        let long = "x".repeat(20_000);
        std::fs::write(&path, &long).unwrap();
        assert_eq!(source.read(&mut buffer).as_deref(), Some(long.as_str()));
        std::fs::write(&path, "short\n").unwrap();
        assert_eq!(source.read(&mut buffer).as_deref(), Some("short\n"));
        assert_eq!(read_once(&path, &mut buffer).as_deref(), Some("short"));
    }
}
