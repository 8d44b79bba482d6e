//! `zv.yaml`, the environment and the flags, parsed and checked as a whole.
