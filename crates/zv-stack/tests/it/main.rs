//! Both runtimes against the real thing.

mod docker;
mod local;
mod rig;
mod suite;
