//! A disk that tests can fill, and take away.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use zv_store::{Disk, Files, Handle};

/// A disk on which only so many bytes are free; below zero it is read-only. It never waits for the platter: no test takes the
/// machine down.
#[derive(Debug, Clone)]
pub(crate) struct Small {
    free: Arc<AtomicI64>,
}

#[derive(Debug)]
struct SmallHandle {
    file: Arc<dyn Handle>,
    disk: Small,
}

impl Small {
    pub(crate) fn new() -> Self {
        Self { free: Arc::new(AtomicI64::new(i64::MAX)) }
    }

    pub(crate) fn set(&self, free: i64) {
        self.free.store(free, Ordering::SeqCst);
    }

    fn check(&self) -> io::Result<()> {
        match self.free.load(Ordering::SeqCst) {
            i64::MIN..0 => Err(io::ErrorKind::ReadOnlyFilesystem.into()),
            _ => Ok(()),
        }
    }

    fn wrap(&self, file: Arc<dyn Handle>) -> Arc<dyn Handle> {
        Arc::new(SmallHandle { file, disk: self.clone() })
    }
}

impl Handle for SmallHandle {
    fn read_exact_at(&self, out: &mut [u8], at: u64) -> io::Result<()> {
        self.file.read_exact_at(out, at)
    }

    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.disk.check()?;
        let free = self.disk.free.fetch_sub(bytes.len() as i64, Ordering::SeqCst);
        if free >= bytes.len() as i64 {
            return self.file.write_all_at(bytes, at);
        }
        // As a disk does: what fits is written.
        self.disk.set(0);
        self.file.write_all_at(&bytes[..free as usize], at)?;
        Err(io::ErrorKind::StorageFull.into())
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn cut(&self, len: u64) -> io::Result<()> {
        self.disk.check()?;
        self.file.cut(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.check()
    }
}

impl Files for Small {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn Handle>> {
        self.check()?;
        Ok(self.wrap(Disk.create(path)?))
    }

    fn open(&self, path: &Path, write: bool) -> io::Result<Arc<dyn Handle>> {
        if write {
            self.check()?;
        }
        Ok(self.wrap(Disk.open(path, write)?))
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Arc<dyn Handle>>> {
        self.check()?;
        Disk.lock(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.check()?;
        Disk.create_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        Disk.list(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check()?;
        Disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.check()?;
        Disk.remove(path)
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        self.check()
    }
}
