//! Writes a block: into a folder that nobody looks at, which gets its name when everything in it is on the disk.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zv_model::Labels;

use super::layout::{CHUNKS, ChunkAt, Entry, META, Meta, Parts, SERIES, SYMBOLS};
use super::{BlockName, DATA, INDEX, META_FILE, UNFINISHED};
use crate::bytes::{put_number, put_text};
use crate::crc::crc32c;
use crate::files::{Files, Handle};
use crate::format::{FRAME, FileKind, HEADER, put_frame};
use crate::repack::Packed;

/// What is gathered before it is written.
const BUFFER: usize = 256 << 10;

/// What an index says, gathered series by series.
#[derive(Debug, Default)]
pub(super) struct IndexBuilder {
    places: Vec<u32>,
    entries: Vec<u8>,
    postings: BTreeMap<(u32, u32), Vec<u32>>,
}

impl IndexBuilder {
    /// Takes the next series; they come in the order of their labels.
    pub(super) fn add(&mut self, entry: &Entry) {
        let number = self.places.len() as u32;
        self.places.push(self.entries.len() as u32);
        entry.put(&mut self.entries);
        for label in &entry.labels {
            self.postings.entry(*label).or_default().push(number);
        }
    }

    /// Returns the bytes of the file.
    pub(super) fn finish<T: AsRef<str>>(mut self, symbols: &[T]) -> Vec<u8> {
        let mut parts = Parts { symbol_places: HEADER as u64, ..Parts::default() };
        let mut out = FileKind::Index.header().to_vec();
        let mut place = 0;
        for symbol in symbols {
            out.extend(u32::to_le_bytes(place));
            place += symbol.as_ref().len() as u32;
        }
        out.extend(place.to_le_bytes());
        parts.symbols = out.len() as u64;
        for symbol in symbols {
            out.extend_from_slice(symbol.as_ref().as_bytes());
        }
        parts.series_places = out.len() as u64;
        self.places.push(self.entries.len() as u32);
        out.extend(self.places.iter().flat_map(|place| place.to_le_bytes()));
        parts.series = out.len() as u64;
        out.append(&mut self.entries);
        parts.postings = out.len() as u64;
        let mut values = Vec::new();
        for ((name, value), series) in &self.postings {
            let place = (out.len() as u64 - parts.postings) as u32;
            for number in [*name, *value, place, series.len() as u32] {
                values.extend(number.to_le_bytes());
            }
            let mut before = 0;
            for number in series {
                put_number(&mut out, u64::from(number - before));
                before = *number;
            }
        }
        parts.values = out.len() as u64;
        out.append(&mut values);
        parts.end = out.len() as u64;
        out.extend(parts.bytes());
        out
    }
}

/// A block that is being written.
#[derive(Debug)]
pub(crate) struct BlockWriter<'a> {
    files: &'a dyn Files,
    folder: PathBuf,
    data: Arc<dyn Handle>,
    /// What is written of the data, and what is not yet.
    at: u64,
    out: Vec<u8>,
    frame: u32,
    symbols: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u32>,
    index: IndexBuilder,
    meta: Meta,
}

impl<'a> BlockWriter<'a> {
    /// Begins a block in the folder of all blocks, with all texts that its labels have.
    pub(crate) fn new(files: &'a dyn Files, blocks: &Path, symbols: BTreeSet<Arc<str>>) -> io::Result<Self> {
        let folder = blocks.join(UNFINISHED);
        files.remove(&folder)?;
        files.create_dir(&folder)?;
        let data = files.create(&folder.join(DATA))?;
        let symbols: Vec<Arc<str>> = symbols.into_iter().collect();
        let numbers = (0..).zip(&symbols).map(|(number, symbol)| (Arc::clone(symbol), number)).collect();
        let mut writer = Self {
            files,
            folder,
            data,
            at: 0,
            out: FileKind::Data.header().to_vec(),
            frame: 0,
            symbols,
            numbers,
            index: IndexBuilder::default(),
            meta: Meta::default(),
        };
        writer.put_symbols()?;
        Ok(writer)
    }

    fn put_symbols(&mut self) -> io::Result<()> {
        let mut payload = Vec::new();
        let symbols = std::mem::take(&mut self.symbols);
        // Each record says with which number it begins: where one is lost the others keep theirs.
        let mut first = 0;
        for (number, symbol) in symbols.iter().enumerate() {
            if payload.is_empty() {
                first = number;
                put_number(&mut payload, first as u64);
            }
            put_text(&mut payload, symbol);
            if payload.len() > BUFFER / 4 || number + 1 == symbols.len() {
                debug_assert!(first <= number);
                self.put(SYMBOLS, &payload)?;
                payload.clear();
            }
        }
        self.symbols = symbols;
        Ok(())
    }

    fn put(&mut self, kind: u8, payload: &[u8]) -> io::Result<()> {
        put_frame(&mut self.out, kind, self.frame, payload);
        self.frame = self.frame.wrapping_add(1);
        if self.out.len() > BUFFER { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.data.write_all_at(&self.out, self.at)?;
        self.at += self.out.len() as u64;
        self.out.clear();
        Ok(())
    }

    /// Appends a series; they come in the order of their labels.
    pub(crate) fn add(&mut self, labels: &Labels, chunks: &[Packed]) -> io::Result<()> {
        if chunks.is_empty() {
            return Ok(());
        }
        let number = |text: &str| self.numbers.get(text).copied().ok_or(io::ErrorKind::InvalidInput);
        let mut entry = Entry::default();
        for label in labels {
            entry.labels.push((number(&label.name)?, number(&label.value)?));
        }
        let mut payload = Vec::new();
        // First the chunks: then the series' own record can say where they are.
        let mut at = self.at + (self.out.len() + FRAME) as u64;
        for chunk in chunks {
            let len = chunk.bytes.len() as u32;
            entry.chunks.push(ChunkAt { from: chunk.from, to: chunk.to, at, len });
            payload.extend_from_slice(&chunk.bytes);
            payload.extend(crc32c(&chunk.bytes).to_le_bytes());
            at += u64::from(len) + crate::head::CRC_BYTES as u64;
            self.meta.samples += chunk.count as u64;
        }
        self.put(CHUNKS, &payload)?;
        payload.clear();
        entry.put(&mut payload);
        self.put(SERIES, &payload)?;
        self.index.add(&entry);
        self.meta.series += 1;
        self.meta.chunks += chunks.len() as u64;
        Ok(())
    }

    /// Writes the rest, waits until all of it is on the disk and gives the block its name. Returns its folder.
    pub(crate) fn finish(mut self, name: BlockName) -> io::Result<PathBuf> {
        self.flush()?;
        self.data.sync()?;
        self.meta.data_bytes = self.at;
        let index = self.index.finish(&self.symbols);
        write_index(self.files, &self.folder, &index, self.meta)?;
        self.files.sync_dir(&self.folder)?;
        let blocks = self.folder.parent().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        let folder = blocks.join(name.to_string());
        self.files.rename(&self.folder, &folder)?;
        self.files.sync_dir(&blocks)?;
        Ok(folder)
    }
}

/// Writes index and meta file into a block's folder, and waits for them.
pub(super) fn write_index(files: &dyn Files, folder: &Path, index: &[u8], mut meta: Meta) -> io::Result<()> {
    meta.index_bytes = index.len() as u64;
    meta.index_crc = crc32c(index);
    let mut payload = Vec::new();
    meta.put(&mut payload);
    let mut bytes = FileKind::Meta.header().to_vec();
    put_frame(&mut bytes, META, 0, &payload);
    for (name, bytes) in [(INDEX, index), (META_FILE, &bytes)] {
        let path = folder.join(name);
        let unfinished = folder.join(format!("{name}.tmp"));
        files.remove(&unfinished)?;
        let file = files.create(&unfinished)?;
        file.write_all_at(bytes, 0)?;
        file.sync()?;
        files.rename(&unfinished, &path)?;
    }
    Ok(())
}
