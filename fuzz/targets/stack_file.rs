//! What a stack file says of local services.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| zv_stack::fuzzing::stack_file(data));

#[cfg(not(fuzzing))]
fn main() {}
