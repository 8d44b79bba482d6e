//! Opens a store: blocks, then checkpoint and log.

use std::path::Path;
use std::sync::{Arc, RwLock};

use super::{DiskHalf, Store, Tally};
use crate::block;
use crate::counters::Counters;
use crate::error::StoreError;
use crate::files::{Disk, Files};
use crate::head::{ChunkFiles, ChunkTable, Head, Index};
use crate::options::{Options, Rules};
use crate::reader::Shared;
use crate::recovery::Recovery;
use crate::wal::{Wal, replay};

const WAL: &str = "wal";
pub(super) const BLOCKS: &str = "blocks";
const HEAD: &str = "head";
const LOCK: &str = "lock";

impl Store {
    /// Opens the store in a folder, which is made if it is not there. Whatever is broken is left out and told; a disk that
    /// cannot be written is no reason to fail.
    pub fn open(folder: &Path, options: &Options) -> Result<(Self, Recovery), StoreError> {
        Self::open_with(Arc::new(Disk), folder, options)
    }

    /// Opens a store on another file system.
    pub fn open_with(
        files: Arc<dyn Files>,
        folder: &Path,
        options: &Options,
    ) -> Result<(Self, Recovery), StoreError> {
        let mut recovery = Recovery::default();
        let mut note = |is_err: bool| recovery.disk_errors += u64::from(is_err);
        note(files.create_dir(&folder.join(WAL)).is_err());
        let lock = match files.lock(&folder.join(LOCK)) {
            Ok(Some(lock)) => Some(lock),
            Ok(None) => return Err(StoreError::InUse { path: folder.to_owned() }),
            Err(_) => None,
        };
        note(lock.is_none());
        note(files.create_dir(&folder.join(BLOCKS)).is_err());
        // What lies there belonged to a process that is gone, and the log has all of it.
        let head = folder.join(HEAD);
        note(files.remove(&head).and_then(|()| files.create_dir(&head)).is_err());

        let mut store = Self::assemble(options, Arc::clone(&files), Some(folder));
        let opened = block::open_all(&*files, &folder.join(BLOCKS))?;
        recovery.repaired_blocks = opened.repaired;
        recovery.lost_blocks = opened.lost;
        recovery.bad_records = opened.bad_records;
        recovery.disk_errors += opened.disk_errors;
        store.publish(opened.blocks);

        let wal_folder = folder.join(WAL);
        let next = replay(&*files, &wal_folder, &mut store.head, &mut recovery)?;
        let counters = Arc::clone(&store.shared.counters);
        let mut wal = Wal::new(Arc::clone(&files), wal_folder, counters, options.segment_bytes, next);
        recovery.disk_errors += u64::from(wal.begin().is_err());
        let folder = folder.to_owned();
        store.disk = Some(DiskHalf { files, folder, wal, checkpoint_at: 0, _lock: lock });
        store.shared.counters.disk_errors.add(recovery.disk_errors);
        store.condition();
        Ok((store, recovery))
    }

    pub(super) fn assemble(options: &Options, files: Arc<dyn Files>, folder: Option<&Path>) -> Self {
        let (rules, limits) = (Rules::of(options), options.limits.clone());
        let counters = Arc::new(Counters::default());
        let (index, table) = (Arc::new(Index::default()), Arc::new(ChunkTable::default()));
        let heads = folder.map(|folder| folder.join(HEAD));
        let chunks =
            ChunkFiles::new(Arc::clone(&table), Arc::clone(&counters), files, heads, limits.heap_chunk_bytes);
        let head = Head::new(Arc::clone(&index), chunks, rules, limits.clone(), Arc::clone(&counters));
        let shared = Shared {
            index,
            chunks: table,
            blocks: RwLock::default(),
            counters,
            selected_series: limits.selected_series,
        };
        Self {
            shared: Arc::new(shared),
            head,
            disk: None,
            rules,
            limits,
            keep_bytes: options.keep_bytes,
            uncommitted: 0,
            tally: Tally::default(),
        }
    }
}
