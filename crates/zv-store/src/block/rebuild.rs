//! Makes a block's index anew from its data, where the index is not what was written.

use std::collections::HashMap;
use std::path::Path;

use super::layout::{Entry, Meta, SERIES, SYMBOLS};
use super::write::{IndexBuilder, write_index};
use super::{Block, BlockName, DATA, INDEX, open_file};
use crate::bytes::Bytes;
use crate::crc::crc32c;
use crate::error::StoreError;
use crate::files::{Files, Handle, read_part};
use crate::format::{FileKind, Found, Frames, HEADER, Header};
use crate::head::Heap;

/// A block that was saved.
pub(super) struct Rebuilt {
    pub(super) block: Block,
    pub(super) bad_records: u64,
    /// Not so where the disk does not take anything: then the new index is in memory.
    pub(super) is_written: bool,
}

/// Reads all of a block's data. Nothing where no series is in it.
pub(super) fn rebuild(
    files: &dyn Files,
    folder: &Path,
    name: BlockName,
) -> Result<Option<Rebuilt>, StoreError> {
    let path = folder.join(DATA);
    let Some(data) = open_file(files, &path)? else { return Ok(None) };
    let bytes = read_part(&*data, 0, usize::MAX).map_err(StoreError::io("read", &path))?;
    if let Header::Other(version) = FileKind::Data.judge(&bytes) {
        return Err(StoreError::Version { path, version });
    }
    let mut found = Scan::default();
    for frame in Frames::new(&bytes, HEADER) {
        found.take(&frame);
    }
    let mut meta = Meta { data_bytes: bytes.len() as u64, ..Meta::default() };
    drop(bytes);
    let Some(index) = found.index(&mut meta) else { return Ok(None) };
    let is_written = write_index(files, folder, &index, meta).is_ok();
    meta.index_bytes = index.len() as u64;
    meta.index_crc = crc32c(&index);
    let handle = if is_written { open_file(files, &folder.join(INDEX))? } else { None };
    let handle = handle.unwrap_or_else(|| std::sync::Arc::new(Heap::of(index)) as std::sync::Arc<dyn Handle>);
    let opened = super::IndexReader::open(handle, meta.index_bytes, meta.index_crc);
    let Some(index) = opened.map_err(StoreError::io("read", folder.join(INDEX)))? else { return Ok(None) };
    let block = Block { name, folder: folder.to_owned(), meta, index, data };
    Ok(Some(Rebuilt { block, bad_records: found.bad_records, is_written }))
}

#[derive(Default)]
struct Scan {
    symbols: HashMap<u32, String>,
    entries: Vec<Entry>,
    bad_records: u64,
}

impl Scan {
    fn take(&mut self, frame: &Found<'_>) {
        let understood = match frame {
            Found::Frame { kind: SYMBOLS, payload, .. } => self.symbols(payload),
            Found::Frame { kind: SERIES, payload, .. } => {
                Entry::read(&mut Bytes::new(payload)).map(|entry| self.entries.push(entry))
            }
            // Chunks have their own checksums: each is judged when it is read.
            Found::Frame { .. } => Some(()),
            Found::Bad { .. } | Found::Torn { .. } => None,
        };
        self.bad_records += u64::from(understood.is_none());
    }

    fn symbols(&mut self, payload: &[u8]) -> Option<()> {
        let mut bytes = Bytes::new(payload);
        let mut number = u32::try_from(bytes.number()?).ok()?;
        while !bytes.is_empty() {
            self.symbols.insert(number, bytes.text()?.to_owned());
            number = number.checked_add(1)?;
        }
        Some(())
    }

    /// Returns the index of the series whose labels are all known.
    fn index(&mut self, meta: &mut Meta) -> Option<Vec<u8>> {
        // The numbers stay what they were, for the data says them too: a text that is lost leaves a hole.
        let count = self.symbols.keys().max()? + 1;
        let mut before = String::new();
        let symbols: Vec<String> = (0..count)
            .map(|number| {
                // A hole takes the text before it, so that the order holds.
                if let Some(text) = self.symbols.get(&number) {
                    before.clone_from(text);
                }
                before.clone()
            })
            .collect();
        let mut builder = IndexBuilder::default();
        for entry in &self.entries {
            let is_known = |number: &u32| self.symbols.contains_key(number);
            if !entry.labels.iter().all(|(name, value)| is_known(name) && is_known(value)) {
                self.bad_records += 1;
                continue;
            }
            builder.add(entry);
            meta.series += 1;
            meta.chunks += entry.chunks.len() as u64;
        }
        (meta.series > 0).then(|| builder.finish(&symbols))
    }
}
