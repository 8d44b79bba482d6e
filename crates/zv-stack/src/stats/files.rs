//! Small files of the kernel that are read again and again: kept open where that is worth it, and read from their
//! beginning into one buffer that all of them share.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

/// More than any of these files holds, but those that grow with the count of processes or devices.
const BUFFER: usize = 64 * 1024;
/// What comes in portions comes in larger ones than this, but for the last.
const PORTION: usize = 3 * 1024;
/// A file that was not there is looked for again after so many readings: a controller may be enabled later.
const LOOK_AGAIN: u8 = 60;

/// Why a group cannot be read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// It was there, and is no more.
    Gone,
    /// This process may not open another file.
    NoFile,
}

/// What all readers share.
#[derive(Debug)]
pub(super) struct Desk {
    /// `/`, or where a test has put its files.
    pub root: PathBuf,
    pub buffer: Box<[u8]>,
    /// How many more files may stay open.
    pub may_keep: usize,
    path: PathBuf,
}

impl Desk {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            buffer: vec![0; BUFFER].into_boxed_slice(),
            may_keep: 0,
            path: PathBuf::new(),
        }
    }

    fn place(&mut self, folder: &Path, name: &str) {
        self.path.as_mut_os_string().clear();
        self.path.push(folder);
        self.path.push(name);
    }
}

/// How a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Habit {
    /// It stays open while there is room: to open it costs several times as much as to read it.
    Keep,
    /// It is opened each time.
    Reopen,
}

/// One file of a group.
#[derive(Debug)]
pub(super) struct Source {
    folder: Arc<Path>,
    name: &'static str,
    habit: Habit,
    slot: Slot,
}

#[derive(Debug)]
enum Slot {
    Unknown,
    Open(File),
    /// It is there, and not kept open.
    Closed,
    Absent {
        look_again_in: u8,
    },
}

impl Source {
    pub(super) fn new(folder: &Arc<Path>, name: &'static str, habit: Habit) -> Self {
        Self { folder: Arc::clone(folder), name, habit, slot: Slot::Unknown }
    }

    /// Reads it; absent where there is no such file, or none that may be read.
    pub(super) fn read<'a>(&mut self, desk: &'a mut Desk) -> Result<Option<&'a [u8]>, Failure> {
        match &mut self.slot {
            Slot::Open(file) => match read(file, &mut desk.buffer) {
                Ok(length) => Ok(Some(&desk.buffer[..length])),
                Err(error) => self.judge(&error).map(|()| None),
            },
            Slot::Absent { look_again_in } if *look_again_in > 0 => {
                *look_again_in -= 1;
                Ok(None)
            }
            Slot::Unknown | Slot::Closed | Slot::Absent { .. } => {
                desk.place(&self.folder, self.name);
                let read = File::open(&desk.path)
                    .and_then(|file| read(&file, &mut desk.buffer).map(|length| (file, length)));
                match read {
                    Ok((file, length)) => {
                        self.slot = self.shelve(file, &mut desk.may_keep);
                        Ok(Some(&desk.buffer[..length]))
                    }
                    Err(error) => self.judge(&error).map(|()| None),
                }
            }
        }
    }

    fn shelve(&self, file: File, may_keep: &mut usize) -> Slot {
        if self.habit == Habit::Keep && *may_keep > 0 {
            *may_keep -= 1;
            Slot::Open(file)
        } else {
            Slot::Closed
        }
    }

    /// Tells a file that cannot be read from a group that is no more.
    fn judge(&mut self, error: &io::Error) -> Result<(), Failure> {
        let was_there = matches!(self.slot, Slot::Open(_) | Slot::Closed);
        match Errno::from_io_error(error) {
            Some(Errno::MFILE | Errno::NFILE) => return Err(Failure::NoFile),
            Some(Errno::NODEV) => return Err(Failure::Gone),
            Some(Errno::NOENT) if was_there => return Err(Failure::Gone),
            _ => {}
        }
        self.slot = Slot::Absent { look_again_in: LOOK_AGAIN };
        Ok(())
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.slot, Slot::Open(_))
    }

    pub(super) fn close(&mut self) {
        if self.is_open() {
            self.slot = Slot::Closed;
        }
    }
}

/// Reads from the beginning. Most of these files come in one piece; a long list comes in portions of a page.
pub(super) fn read(file: &File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    loop {
        match file.read_at(&mut buffer[length..], length as u64) {
            Ok(more) => {
                length += more;
                if more < PORTION || length == buffer.len() {
                    return Ok(length);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
