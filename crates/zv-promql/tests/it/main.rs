//! The whole evaluator against test scripts.

mod scripts;
