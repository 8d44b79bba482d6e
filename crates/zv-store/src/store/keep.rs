//! What has to be done from time to time: older samples go to blocks, blocks are merged, the oldest go.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use zv_model::{TimeRange, Timestamp};

use super::open::BLOCKS;
use super::{Condition, DiskHalf, Store};
use crate::block::{Block, BlockName, BlockWriter, compact, plan};
use crate::error::StoreError;
use crate::head::Series;
use crate::repack::repack;
use crate::sync::{read, write};
use crate::wal::{Checkpoint, write_checkpoint};

/// The log is replaced by a checkpoint when it has grown so large, also between two blocks.
const LOG_BYTES: u64 = 256 << 20;

impl Store {
    /// Does what time asks for; called every few seconds or minutes. What fails is counted and tried again with the next
    /// call; the error says what it was.
    pub fn maintain(&mut self, now: Timestamp) -> Result<Condition, StoreError> {
        self.commit();
        // First what makes room.
        let done = self.expire(now).and_then(|()| self.recover()).and_then(|()| self.cut(now));
        let done = done.and_then(|()| self.merge(now));
        if done.is_err() {
            self.shared.counters.disk_errors.one();
        }
        for block in read(&self.shared.blocks).iter() {
            block.rest();
        }
        done.map(|()| self.condition())
    }

    /// Writes what was appended and waits until it is on the disk.
    pub fn close(mut self) -> io::Result<()> {
        self.commit();
        self.syncer().sync()
    }

    /// Tries the disk again after it failed. All that is in memory is written anew: the log has holes.
    fn recover(&mut self) -> Result<(), StoreError> {
        let Some(disk) = &self.disk else { return Ok(()) };
        self.head.chunks.try_disk();
        if disk.wal.is_writing() { Ok(()) } else { self.checkpoint() }
    }

    /// Moves windows that are over to blocks.
    fn cut(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let wait = self.rules.late.max(self.rules.window / 2);
        let windows = self.head.windows();
        let over: Vec<TimeRange> =
            windows.into_iter().filter(|window| window.to.saturating_add(wait) < now).collect();
        for window in &over {
            if now.saturating_sub(window.to) <= self.rules.keep_for && self.disk.is_some() {
                self.cut_one(*window)?;
            }
            if self.disk.is_some() || now.saturating_sub(window.to) > self.rules.keep_for {
                self.head.forget(*window);
            }
        }
        let Some(last) = over.last() else { return self.checkpoint_large() };
        for series in self.head.remove_idle(last.to) {
            if let Some(disk) = &mut self.disk {
                disk.wal.add_removed(&series);
            }
        }
        self.checkpoint()
    }

    fn cut_one(&mut self, window: TimeRange) -> Result<(), StoreError> {
        let Some(disk) = &self.disk else { return Ok(()) };
        let name = BlockName { from: window.from, to: window.to, level: 1 };
        let folder = disk.folder.join(BLOCKS);
        let path = self.write_block(disk, name).map_err(StoreError::io("write a block in", &folder))?;
        // From here on the block is what counts: where it cannot be read, it is not forgotten in memory.
        self.replace(Some((path, name)), &[])?;
        self.shared.counters.blocks_written.one();
        Ok(())
    }

    fn write_block(&self, disk: &DiskHalf, name: BlockName) -> io::Result<PathBuf> {
        let mut series: Vec<&Arc<Series>> = self.head.all_series().collect();
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        let labels = series.iter().flat_map(|series| series.labels.iter());
        let symbols: BTreeSet<Arc<str>> =
            labels.flat_map(|label| [Arc::clone(&label.name), Arc::clone(&label.value)]).collect();
        let mut writer = BlockWriter::new(&*disk.files, &disk.folder.join(BLOCKS), symbols)?;
        for series in series {
            let pieces = series.pieces(name.range(), &self.shared.chunks);
            let chunks = repack(pieces, name.range(), &self.shared.counters).map_err(io::Error::other)?;
            writer.add(&series.labels, &chunks)?;
        }
        writer.finish(name)
    }

    fn checkpoint_large(&mut self) -> Result<(), StoreError> {
        let written = self.shared.counters.wal_bytes.get();
        let is_large =
            self.disk.as_ref().is_some_and(|disk| written.saturating_sub(disk.checkpoint_at) > LOG_BYTES);
        if is_large { self.checkpoint() } else { Ok(()) }
    }

    /// Writes all of the head, after which the log so far is not needed any more.
    fn checkpoint(&mut self) -> Result<(), StoreError> {
        let Some(disk) = &mut self.disk else { return Ok(()) };
        disk.wal.commit();
        let folder = disk.wal.folder().to_owned();
        let error = || StoreError::io("write a checkpoint in", &folder);
        let was_writing = disk.wal.is_writing();
        let segment = disk.wal.begin().map_err(error())?;
        let gone: Vec<Arc<Series>> = disk.wal.gone().cloned().collect();
        let what = Checkpoint { segment, head: &self.head, chunks: &self.shared.chunks, gone: &gone };
        let written = write_checkpoint(&*disk.files, &folder, &what, &self.shared.counters);
        if let Err(cause) = written {
            // A log with holes is only whole with the checkpoint.
            if !was_writing {
                disk.wal.give_up();
            }
            return Err(error()(cause));
        }
        for series in self.head.all_series() {
            series.state().chain.is_defined = true;
        }
        disk.checkpoint_at = self.shared.counters.wal_bytes.get();
        disk.wal.remove_before(segment).map_err(StoreError::io("remove old segments of", &folder))
    }

    fn merge(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let Some(disk) = &self.disk else { return Ok(()) };
        let blocks = Arc::clone(&read(&self.shared.blocks));
        let newest = now.saturating_sub(self.rules.window);
        let Some((name, old)) = plan(&blocks, &self.rules, newest) else { return Ok(()) };
        let folder = disk.folder.join(BLOCKS);
        let path = compact(&*disk.files, &folder, name, &old, &self.shared.counters)?;
        self.replace(Some((path, name)), &old)?;
        self.shared.counters.compactions.one();
        Ok(())
    }

    /// Removes the blocks whose time has come, or that are too many.
    fn expire(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let Some(disk) = &self.disk else { return Ok(()) };
        let counters = &self.shared.counters;
        let log = counters.wal_bytes.get().saturating_sub(disk.checkpoint_at);
        let blocks = Arc::clone(&read(&self.shared.blocks));
        let mut bytes: u64 = log + blocks.iter().map(|block| block.bytes()).sum::<u64>();
        let mut gone = Vec::new();
        for block in blocks.iter() {
            let is_old = now.saturating_sub(block.name.to) > self.rules.keep_for;
            if is_old || bytes > self.keep_bytes {
                bytes -= block.bytes();
                gone.push(Arc::clone(block));
            }
        }
        counters.blocks_expired.add(gone.len() as u64);
        self.replace(None, &gone)
    }

    /// Shows a block that is new instead of others, and removes these.
    fn replace(&mut self, new: Option<(PathBuf, BlockName)>, old: &[Arc<Block>]) -> Result<(), StoreError> {
        let Some(disk) = &self.disk else { return Ok(()) };
        let files = Arc::clone(&disk.files);
        let mut blocks: Vec<Arc<Block>> = read(&self.shared.blocks).iter().cloned().collect();
        blocks.retain(|block| !old.iter().any(|old| old.name == block.name));
        if let Some((path, name)) = new {
            let unreadable = || io::Error::from(io::ErrorKind::InvalidData);
            let block = Block::open(&*files, &path, name)?;
            let block = block.ok_or_else(unreadable).map_err(StoreError::io("read", path))?;
            blocks.push(Arc::new(block));
            blocks.sort_by_key(|block| block.name);
        }
        self.publish(blocks);
        for block in old {
            files.remove(&block.folder).map_err(StoreError::io("remove", &block.folder))?;
        }
        Ok(())
    }

    pub(super) fn publish(&mut self, blocks: Vec<Arc<Block>>) {
        let counters = &self.shared.counters;
        counters.blocks.set(blocks.len() as u64);
        counters.block_bytes.set(blocks.iter().map(|block| block.bytes()).sum());
        self.head.cover(blocks.iter().map(|block| block.name.range()).collect());
        *write(&self.shared.blocks) = Arc::new(blocks);
    }
}
