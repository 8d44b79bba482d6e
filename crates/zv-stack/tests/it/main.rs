//! Both runtimes against the real thing.

mod docker;
