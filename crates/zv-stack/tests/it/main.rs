//! Both runtimes against the real thing.
