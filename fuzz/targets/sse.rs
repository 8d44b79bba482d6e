//! Server-sent events, as the client reads them.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| zv_api::client::fuzzing::sse(data));

#[cfg(not(fuzzing))]
fn main() {}
