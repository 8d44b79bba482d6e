//! The kernel's files of control groups, processes and interfaces.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| zv_stack::fuzzing::kernel_counters(data));

#[cfg(not(fuzzing))]
fn main() {}
