//! The kit over real sockets: what a client, a balancer and an operator see of any service.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic, in its helpers too")]

mod drain;
mod harness;
mod limits;
mod logs;
mod metrics;
mod readiness;
mod requests;
mod settings;
