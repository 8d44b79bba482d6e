//! Both runtimes against the real thing.

mod local;
mod rig;
mod suite;
