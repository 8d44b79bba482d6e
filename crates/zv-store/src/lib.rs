//! An embedded store of time series. One writer, many readers that never block it.
//!
//! Everything here is synchronous and takes time as an argument; the bytes on disk are described in
//! `docs/store-format.md`.
//!
//! - [`Store`] is the writer: append, commit, and from time to time maintain.
//! - [`Reader`] is what queries use, through [`zv_model::Queryable`].
//! - [`Syncer`] belongs on a thread of its own: it waits for the disk.

pub mod bits;
mod block;
mod bytes;
pub mod chunk;
mod counters;
mod crc;
mod error;
mod files;
mod format;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod head;
mod merge;
mod options;
mod reader;
mod recovery;
mod repack;
mod select;
mod store;
mod sync;
mod wal;

pub use counters::{Counter, Counters};
pub use error::{AppendError, StoreError};
pub use files::{Disk, Files, Handle};
pub use head::{Appended, SeriesRef, Source};
pub use options::{Limits, Options};
pub use reader::Reader;
pub use recovery::Recovery;
pub use store::{Condition, Store};
pub use wal::{Batch, Cursor, Follower, Syncer};
