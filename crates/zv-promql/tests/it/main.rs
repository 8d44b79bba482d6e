//! The whole evaluator against test scripts.

mod properties;
mod scripts;
