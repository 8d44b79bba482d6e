//! A message of remote write.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| zv_wire::fuzzing::remote_write(data));

#[cfg(not(fuzzing))]
fn main() {}
