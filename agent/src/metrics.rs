//! Writes what was collected as Prometheus' metrics: one module for each job whose names it speaks.

pub mod host;
pub mod probes;
