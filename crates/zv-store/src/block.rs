//! Older samples, in files that never change: a block for each window, later one for several.

mod compact;
mod index;
mod layout;
mod rebuild;
mod write;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zv_model::{Labels, LabelsBuilder, Matcher, SelectError, TimeRange, Timestamp};

pub(crate) use self::compact::{compact, plan};
#[cfg(any(test, fuzzing))]
pub(crate) use self::index::fuzz_index;
use self::index::{IndexReader, Symbols};
use self::layout::{Entry, META, Meta};
pub(crate) use self::write::BlockWriter;
use crate::error::StoreError;
use crate::files::{Files, Handle, read_part};
use crate::format::{FileKind, Found, Frames, HEADER, Header};
use crate::merge::{Body, Piece};
use crate::select::{Lookup, select};

const DATA: &str = "data";
const INDEX: &str = "index";
const META_FILE: &str = "meta";
/// The folder of a block that is being written.
const UNFINISHED: &str = "unfinished";
/// A meta file is not longer.
const META_BYTES: usize = 256;

/// What a block is called: the time it covers and how often it was merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BlockName {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    pub(crate) level: u32,
}

impl BlockName {
    pub(crate) fn range(&self) -> TimeRange {
        TimeRange { from: self.from, to: self.to }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('_');
        let (from, to) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let level = parts.next()?.parse().ok()?;
        (parts.next().is_none() && from <= to).then_some(Self { from, to, level })
    }

    /// Says whether this one was made of the other.
    fn replaces(&self, other: &Self) -> bool {
        self.level > other.level && self.from <= other.from && other.to <= self.to
    }
}

impl fmt::Display for BlockName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}_{}", self.from, self.to, self.level)
    }
}

/// A block that is open.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) name: BlockName,
    pub(crate) folder: PathBuf,
    pub(crate) meta: Meta,
    index: IndexReader,
    data: Arc<dyn Handle>,
}

/// What opening a folder of blocks found.
#[derive(Debug, Default)]
pub(crate) struct Opened {
    /// Oldest first.
    pub(crate) blocks: Vec<Arc<Block>>,
    pub(crate) repaired: u64,
    pub(crate) lost: u64,
    pub(crate) bad_records: u64,
    pub(crate) disk_errors: u64,
}

/// Opens all blocks of a folder and removes what was left unfinished or has been merged.
pub(crate) fn open_all(files: &dyn Files, blocks: &Path) -> Result<Opened, StoreError> {
    let names = files.list(blocks).map_err(StoreError::io("list", blocks))?;
    let mut opened = Opened::default();
    let named: Vec<BlockName> = names.iter().filter_map(|name| BlockName::parse(name)).collect();
    for name in &named {
        let folder = blocks.join(name.to_string());
        if named.iter().any(|other| other.replaces(name)) {
            opened.disk_errors += u64::from(files.remove(&folder).is_err());
            continue;
        }
        match Block::open(files, &folder, *name)? {
            Some(block) => opened.blocks.push(Arc::new(block)),
            None => match rebuild::rebuild(files, &folder, *name)? {
                Some(rebuilt) => {
                    opened.repaired += 1;
                    opened.bad_records += rebuilt.bad_records;
                    opened.disk_errors += u64::from(!rebuilt.is_written);
                    opened.blocks.push(Arc::new(rebuilt.block));
                }
                None => {
                    // It stays where a person may look at it, under a name that nobody opens.
                    opened.lost += 1;
                    let aside = blocks.join(format!("lost-{name}"));
                    opened.disk_errors += u64::from(files.rename(&folder, &aside).is_err());
                }
            },
        }
    }
    if names.iter().any(|name| name == UNFINISHED) {
        opened.disk_errors += u64::from(files.remove(&blocks.join(UNFINISHED)).is_err());
    }
    opened.blocks.sort_by_key(|block| block.name);
    Ok(opened)
}

impl Block {
    /// Opens a block. Nothing where its index is not what was written.
    pub(crate) fn open(
        files: &dyn Files,
        folder: &Path,
        name: BlockName,
    ) -> Result<Option<Self>, StoreError> {
        let Some(meta) = read_meta(files, folder)? else { return Ok(None) };
        let (Some(data), Some(index)) =
            (open_file(files, &folder.join(DATA))?, open_file(files, &folder.join(INDEX))?)
        else {
            return Ok(None);
        };
        let path = folder.join(INDEX);
        let index = IndexReader::open(index, meta.index_bytes, meta.index_crc);
        let Some(index) = index.map_err(StoreError::io("read", path))? else { return Ok(None) };
        Ok(Some(Self { name, folder: folder.to_owned(), meta, index, data }))
    }

    pub(crate) fn overlaps(&self, range: TimeRange) -> bool {
        self.name.from <= range.to && self.name.to >= range.from
    }

    /// Returns the bytes of all its files.
    pub(crate) fn bytes(&self) -> u64 {
        self.meta.data_bytes + self.meta.index_bytes
    }

    /// Gives back memory that queries left.
    pub(crate) fn rest(&self) {
        self.index.rest();
    }

    pub(crate) fn names(&self) -> Result<Vec<Arc<str>>, SelectError> {
        self.index.names()
    }

    /// Appends the series that every matcher accepts and that have chunks in the range.
    pub(crate) fn select(
        &self,
        range: TimeRange,
        matchers: &[Matcher],
        out: &mut Vec<(Labels, Vec<Piece>)>,
    ) -> Result<(), SelectError> {
        let series = select(self, matchers)?;
        let symbols = self.index.symbols()?;
        let mut texts = Texts { known: vec![None; symbols.len() as usize], symbols };
        self.index.entries(&series, |entry| {
            let pieces = self.pieces(&entry, range);
            if !pieces.is_empty() {
                out.push((texts.labels(&entry), pieces));
            }
        })
    }

    fn pieces(&self, entry: &Entry, range: TimeRange) -> Vec<Piece> {
        let chunks = entry.chunks.iter().filter(|chunk| chunk.from <= range.to && chunk.to >= range.from);
        let piece = |chunk: &layout::ChunkAt| {
            let body = Body::Stored { handle: Arc::clone(&self.data), at: chunk.at, len: chunk.len };
            Piece { from: chunk.from, to: chunk.to, body }
        };
        chunks.map(piece).collect()
    }
}

/// Texts that become labels, each made once.
struct Texts {
    symbols: Arc<Symbols>,
    known: Vec<Option<Arc<str>>>,
}

impl Texts {
    fn labels(&mut self, entry: &Entry) -> Labels {
        let mut builder = LabelsBuilder::default();
        for (name, value) in &entry.labels {
            builder.set(self.get(*name), self.get(*value));
        }
        builder.finish()
    }

    fn get(&mut self, number: u32) -> Arc<str> {
        let Some(known) = self.known.get_mut(number as usize) else { return Arc::from("") };
        let symbols = &self.symbols;
        Arc::clone(known.get_or_insert_with(|| Arc::from(symbols.get(number).unwrap_or_default())))
    }
}

impl Lookup for Block {
    type Fault = SelectError;

    fn all(&self) -> Result<Vec<u32>, SelectError> {
        Ok((0..self.index.series_count()).collect())
    }

    fn values(&self, name: &str, prefix: &str) -> Result<Vec<Arc<str>>, SelectError> {
        self.index.values_of(name, prefix)
    }

    fn series(&self, name: &str, values: &[&str]) -> Result<Vec<u32>, SelectError> {
        self.index.series_with(name, values)
    }
}

/// Reads the meta file. Nothing where it is missing or broken; a newer version is an error.
fn read_meta(files: &dyn Files, folder: &Path) -> Result<Option<Meta>, StoreError> {
    let path = folder.join(META_FILE);
    let Some(file) = open_file(files, &path)? else { return Ok(None) };
    let bytes = read_part(&*file, 0, META_BYTES).map_err(StoreError::io("read", &path))?;
    match FileKind::Meta.judge(&bytes) {
        Header::Good => {}
        Header::Damaged => return Ok(None),
        Header::Other(version) => return Err(StoreError::Version { path, version }),
    }
    let meta = match Frames::new(&bytes, HEADER).next() {
        Some(Found::Frame { kind: META, payload, .. }) => Meta::read(payload),
        _ => None,
    };
    Ok(meta)
}

fn open_file(files: &dyn Files, path: &Path) -> Result<Option<Arc<dyn Handle>>, StoreError> {
    match files.open(path, false) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        file => file.map(Some).map_err(StoreError::io("open", path)),
    }
}
