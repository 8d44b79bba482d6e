//! Expressions of PromQL.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| zv_promql::fuzzing::promql(data));

#[cfg(not(fuzzing))]
fn main() {}
