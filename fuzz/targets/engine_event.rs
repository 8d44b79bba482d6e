//! A line of an engine's event stream.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| zv_stack::fuzzing::engine_event(data));

#[cfg(not(fuzzing))]
fn main() {}
