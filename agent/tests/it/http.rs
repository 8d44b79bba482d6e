//! The HTTP face over real sockets, with the real client, against a scripted source.

mod client;
mod fake;
pub(crate) mod harness;
mod limits;
mod listeners;
mod metrics;
mod page;
mod rights;
mod routes;
mod shutdown;
mod streams;
mod tls;
