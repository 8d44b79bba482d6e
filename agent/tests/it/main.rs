//! The agent from outside.

mod http;
