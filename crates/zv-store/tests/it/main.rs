//! The store as its users have it: against a naive model, on disks that fail, after damage, after kill -9.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod damage;
mod disk;
mod faults;
mod figures;
mod follow;
mod kill;
mod limits;
mod model;
mod support;
