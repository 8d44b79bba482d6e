//! What a Compose file says.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| zv_stack::fuzzing::compose_file(data));

#[cfg(not(fuzzing))]
fn main() {}
