//! The store as its users have it: against a naive model, on disks that fail, after damage, after kill -9.

mod damage;
mod faults;
mod figures;
mod kill;
mod limits;
mod model;
mod support;
