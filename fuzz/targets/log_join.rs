//! Pieces of an engine's log become lines.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| zv_stack::fuzzing::log_join(data));

#[cfg(not(fuzzing))]
fn main() {}
