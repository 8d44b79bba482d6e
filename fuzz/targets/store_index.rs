//! The index of a block of the store.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| zv_store::fuzzing::store_index(data));

#[cfg(not(fuzzing))]
fn main() {}
