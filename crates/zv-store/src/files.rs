//! The seam to the file system: everything that reads or writes goes through it, so that tests can take the disk away.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// An open file, read and written by place.
pub trait Handle: Debug + Send + Sync {
    fn read_exact_at(&self, out: &mut [u8], at: u64) -> io::Result<()>;
    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;
    fn len(&self) -> io::Result<u64>;
    fn cut(&self, len: u64) -> io::Result<()>;
    /// Waits until what was written is on the disk.
    fn sync(&self) -> io::Result<()>;

    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// What a store needs of a file system.
pub trait Files: Debug + Send + Sync {
    /// Creates a file that is not there, to write and read.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn Handle>>;
    /// Opens a file to read; where `write` says so, also to cut it.
    fn open(&self, path: &Path, write: bool) -> io::Result<Arc<dyn Handle>>;
    /// Takes a file for this process alone, until the handle is dropped. None where another process has it.
    fn lock(&self, path: &Path) -> io::Result<Option<Arc<dyn Handle>>>;
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Returns the names in a folder, sorted; none where there is no such folder.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file, or a folder with all that is in it; it need not be there.
    fn remove(&self, path: &Path) -> io::Result<()>;
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
}

/// The file system itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

/// A file that is given back when it is dropped, also where a child that was just forked still has it open.
#[derive(Debug)]
struct Locked(File);

impl Drop for Locked {
    fn drop(&mut self) {
        // Nothing can be done where it fails, and the system does it once the file is closed everywhere.
        let _ = self.0.unlock();
    }
}

impl Handle for Locked {
    fn read_exact_at(&self, out: &mut [u8], at: u64) -> io::Result<()> {
        FileExt::read_exact_at(&self.0, out, at)
    }

    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        FileExt::write_all_at(&self.0, bytes, at)
    }

    fn len(&self) -> io::Result<u64> {
        Handle::len(&self.0)
    }

    fn cut(&self, len: u64) -> io::Result<()> {
        self.0.cut(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
}

impl Handle for File {
    fn read_exact_at(&self, out: &mut [u8], at: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, out, at)
    }

    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, at)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn cut(&self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

impl Files for Disk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn Handle>> {
        Ok(Arc::new(OpenOptions::new().read(true).write(true).create_new(true).open(path)?))
    }

    fn open(&self, path: &Path, write: bool) -> io::Result<Arc<dyn Handle>> {
        Ok(Arc::new(OpenOptions::new().read(true).write(write).open(path)?))
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Arc<dyn Handle>>> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Arc::new(Locked(file)))),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = Vec::new();
        for entry in entries {
            // A name that is no text is none of ours.
            names.extend(entry?.file_name().into_string());
        }
        names.sort();
        Ok(names)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        match removed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

/// Reads a file from a place on, at most so many bytes.
pub(crate) fn read_part(file: &dyn Handle, at: u64, count: usize) -> io::Result<Vec<u8>> {
    let left = file.len()?.saturating_sub(at);
    let count = usize::try_from(left).map_or(count, |left| left.min(count));
    let mut bytes = vec![0; count];
    file.read_exact_at(&mut bytes, at)?;
    Ok(bytes)
}
