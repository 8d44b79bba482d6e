//! Records of the store's log.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| zv_store::fuzzing::store_log(data));

#[cfg(not(fuzzing))]
fn main() {}
