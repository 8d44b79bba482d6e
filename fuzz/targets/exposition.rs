//! A document that is scraped, in both formats.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| zv_wire::fuzzing::exposition(data));

#[cfg(not(fuzzing))]
fn main() {}
