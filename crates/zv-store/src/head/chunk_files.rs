//! Where closed chunks of the head lie: in files, or in memory while no file takes them.
//!
//! The files are a place to put things down, not a record: what must outlive the process is in the log. They are neither
//! synced nor read when a store is opened.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use crate::chunk;
use crate::counters::Counters;
use crate::crc::crc32c;
use crate::error::AppendError;
use crate::files::{Files, Handle};
use crate::sync::{lock, read, write};

/// A file that has grown so large is followed by another.
const FILE_BYTES: u64 = 64 << 20;
/// Memory is given back in pieces of this size.
const HEAP_BYTES: u64 = 1 << 20;
/// The checksum behind each chunk.
pub(crate) const CRC_BYTES: usize = 4;

/// Where a chunk lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: u32,
    pub(crate) at: u32,
    pub(crate) len: u32,
}

/// The files that hold chunks, by number.
#[derive(Debug, Default)]
pub(crate) struct ChunkTable(RwLock<HashMap<u32, Arc<ChunkFile>>>);

#[derive(Debug)]
struct ChunkFile {
    handle: Arc<dyn Handle>,
    /// None for one in memory.
    path: Option<PathBuf>,
    /// The chunks in it that somebody still points to.
    live: AtomicU32,
}

impl ChunkTable {
    /// Returns the file of that number; none once nothing in it is needed, which is when a block has all of it.
    pub(crate) fn handle(&self, number: u32) -> Option<Arc<dyn Handle>> {
        read(&self.0).get(&number).map(|file| Arc::clone(&file.handle))
    }
}

/// The one who writes them.
#[derive(Debug)]
pub(crate) struct ChunkFiles {
    table: Arc<ChunkTable>,
    counters: Arc<Counters>,
    files: Arc<dyn Files>,
    /// None for a store in memory.
    folder: Option<PathBuf>,
    /// Set when the disk refused; files are tried again after [`ChunkFiles::try_disk`].
    is_refused: bool,
    heap_limit: u64,
    current: Option<Current>,
    next: u32,
}

#[derive(Debug)]
struct Current {
    number: u32,
    handle: Arc<dyn Handle>,
    at: u64,
    is_heap: bool,
}

impl ChunkFiles {
    pub(crate) fn new(
        table: Arc<ChunkTable>,
        counters: Arc<Counters>,
        files: Arc<dyn Files>,
        folder: Option<PathBuf>,
        heap_limit: usize,
    ) -> Self {
        let heap_limit = heap_limit as u64;
        Self { table, counters, files, folder, is_refused: false, heap_limit, current: None, next: 0 }
    }

    /// Puts a chunk down. Fails only where neither disk nor memory takes it.
    pub(crate) fn put(&mut self, chunk: &[u8]) -> Result<Place, AppendError> {
        let mut bytes = Vec::with_capacity(chunk.len() + CRC_BYTES);
        bytes.extend_from_slice(chunk);
        bytes.extend(crc32c(chunk).to_le_bytes());
        loop {
            let current = self.writable()?;
            let (number, at, is_heap) = (current.number, current.at, current.is_heap);
            match current.handle.write_all_at(&bytes, at) {
                Ok(()) => {
                    current.at += bytes.len() as u64;
                    if is_heap {
                        self.counters.heap_chunk_bytes.add(bytes.len() as u64);
                    }
                    if let Some(file) = read(&self.table.0).get(&number) {
                        file.live.fetch_add(1, Ordering::Relaxed);
                    }
                    return Ok(Place { file: number, at: at as u32, len: chunk.len() as u32 });
                }
                // Memory does not fail: the next turn takes it.
                Err(_) => self.refused(),
            }
        }
    }

    /// Reads a chunk back.
    pub(crate) fn get(&self, place: Place) -> io::Result<Option<Vec<u8>>> {
        match self.table.handle(place.file) {
            Some(handle) => read_chunk(&*handle, u64::from(place.at), place.len),
            None => Ok(None),
        }
    }

    /// Says that nobody points to a chunk any more.
    pub(crate) fn release(&self, number: u32) {
        let left = read(&self.table.0).get(&number).map(|file| file.live.fetch_sub(1, Ordering::Relaxed) - 1);
        let is_current = self.current.as_ref().is_some_and(|current| current.number == number);
        if left == Some(0) && !is_current {
            self.remove(number);
        }
    }

    /// Begins a new file with the next chunk, so that this one can be removed once its time has come.
    pub(crate) fn rotate(&mut self) {
        let Some(old) = self.current.take() else { return };
        let is_unused =
            read(&self.table.0).get(&old.number).is_some_and(|file| file.live.load(Ordering::Relaxed) == 0);
        if is_unused {
            self.remove(old.number);
        }
    }

    /// Tries files again after the disk refused.
    pub(crate) fn try_disk(&mut self) {
        if self.is_refused {
            self.is_refused = false;
            self.rotate();
        }
    }

    fn refused(&mut self) {
        self.counters.disk_errors.one();
        self.is_refused = true;
        self.rotate();
    }

    fn remove(&self, number: u32) {
        let Some(file) = write(&self.table.0).remove(&number) else { return };
        match &file.path {
            Some(path) => {
                if self.files.remove(path).is_err() {
                    self.counters.disk_errors.one();
                }
            }
            None => {
                let bytes = file.handle.len().unwrap_or(0);
                self.counters
                    .heap_chunk_bytes
                    .set(self.counters.heap_chunk_bytes.get().saturating_sub(bytes));
            }
        }
    }

    fn writable(&mut self) -> Result<&mut Current, AppendError> {
        let is_full = |current: &Current| current.at >= if current.is_heap { HEAP_BYTES } else { FILE_BYTES };
        if self.current.as_ref().is_some_and(is_full) {
            self.rotate();
        }
        let in_heap = self.folder.is_none() || self.is_refused;
        if in_heap && self.folder.is_some() && self.counters.heap_chunk_bytes.get() > self.heap_limit {
            return Err(AppendError::Full);
        }
        match self.current.take() {
            Some(current) => Ok(self.current.insert(current)),
            None => {
                let current = self.begin();
                Ok(self.current.insert(current))
            }
        }
    }

    fn begin(&mut self) -> Current {
        let number = self.next;
        self.next += 1;
        let folder = self.folder.as_ref().filter(|_| !self.is_refused);
        let on_disk = folder.and_then(|folder| {
            let path = folder.join(format!("{number:010}"));
            match self.files.create(&path) {
                Ok(handle) => Some((handle, path)),
                Err(_) => {
                    self.counters.disk_errors.one();
                    self.is_refused = true;
                    None
                }
            }
        });
        let is_heap = on_disk.is_none();
        let (handle, path) = match on_disk {
            Some((handle, path)) => (handle, Some(path)),
            None => (Arc::new(Heap::default()) as Arc<dyn Handle>, None),
        };
        let file = ChunkFile { handle: Arc::clone(&handle), path, live: AtomicU32::new(0) };
        write(&self.table.0).insert(number, Arc::new(file));
        Current { number, handle, at: 0, is_heap }
    }
}

/// Reads a chunk and its checksum; nothing where that is not right.
pub(crate) fn read_chunk(handle: &dyn Handle, at: u64, len: u32) -> io::Result<Option<Vec<u8>>> {
    // A length that no chunk has comes from a broken file: nothing is set aside for it.
    if len as usize > chunk::MOST_BYTES {
        return Ok(None);
    }
    let mut bytes = vec![0; len as usize + CRC_BYTES];
    match handle.read_exact_at(&mut bytes, at) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let crc = bytes.split_off(len as usize);
    Ok((crc == crc32c(&bytes).to_le_bytes()).then_some(bytes))
}

/// Bytes in memory that are read and written as a file is.
#[derive(Debug, Default)]
pub(crate) struct Heap(Mutex<Vec<u8>>);

impl Heap {
    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        Self(Mutex::new(bytes))
    }
}

impl Handle for Heap {
    fn read_exact_at(&self, out: &mut [u8], at: u64) -> io::Result<()> {
        let bytes = lock(&self.0);
        let found = usize::try_from(at).ok().and_then(|at| bytes.get(at..at.checked_add(out.len())?));
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_all_at(&self, bytes: &[u8], _: u64) -> io::Result<()> {
        lock(&self.0).extend_from_slice(bytes);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(lock(&self.0).len() as u64)
    }

    fn cut(&self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
