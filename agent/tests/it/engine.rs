//! The agent as a process against a real engine: the one at `ZV_TEST_ENGINE`, and others that the tests start themselves.

mod compose;
mod lab;
mod measured;
mod own;
mod reach;
mod restarts;
