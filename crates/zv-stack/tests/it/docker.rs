//! The Docker runtime against a real engine: the one at `ZV_TEST_ENGINE`, and others that the tests start themselves.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests fail like tests, and say what they skip"
)]

mod actions;
mod common;
mod engine;
mod lab;
mod logs;
mod measure;
mod reach;
mod restarts;
mod scale;
mod view;
mod watch;
