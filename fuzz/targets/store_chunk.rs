//! A chunk of the store.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| zv_store::fuzzing::store_chunk(data));

#[cfg(not(fuzzing))]
fn main() {}
