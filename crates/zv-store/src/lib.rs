//! An embedded store of time series. One writer, many readers that never block it.
//!
//! Everything here is synchronous and takes time as an argument; the bytes on disk are described in
//! `docs/store-format.md`.

pub mod bits;
pub mod chunk;
