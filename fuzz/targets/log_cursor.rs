//! How far a log was read, as text.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| zv_stack::fuzzing::log_cursor(data));

#[cfg(not(fuzzing))]
fn main() {}
