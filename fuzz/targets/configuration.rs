//! A configuration, from its text to its mistakes.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| zv_agent::config::fuzzing::configuration(data));

#[cfg(not(fuzzing))]
fn main() {}
