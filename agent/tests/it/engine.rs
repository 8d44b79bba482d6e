//! The agent as a process against a real engine: the one at `ZV_TEST_ENGINE`, and one of the tests' own.
