//! Asks a service how it is, over the network as its users do, and says what is wrong in a sentence.
//!
//! A [`Target`] is parsed from what a person typed or built from a configuration; a [`Prober`] runs it and returns a
//! [`Report`]: a verdict, a reason that somebody can act on, and where the time went. Every byte that is read is
//! bounded, and every probe ends at its deadline whatever the other side does. [`run_all`] runs many, of which none
//! waits for another. [`Judge`] and [`Schedule`] are pure: when a verdict changes, and when to ask again.
//!
//! Nothing here reads the environment or logs. A password prints as `***`, in errors and `Debug` too.

mod clock;
mod connect;
mod dns;
mod exec;
mod http;
mod judge;
pub mod labels;
pub mod lanes;
mod mysql;
mod postgres;
mod prober;
mod redis;
mod schedule;
mod secret;
mod target;
mod tcp;
mod tls;
mod trace;
mod verdict;
mod wire;
mod words;

pub use hyper::Method;
pub use judge::{Confirm, Flip, Judge};
pub use prober::{Prober, run_all};
pub use schedule::{Pace, Schedule};
pub use secret::Secret;
pub use target::{
    BodyRule, Check, Credentials, Dns, Encryption, Endpoint, Exec, Http, HttpExpect, Mysql, Postgres,
    RecordKind, Redis, StatusSet, Target, TargetError, Tcp, Tls,
};
pub use tls::Trust;
pub use verdict::{HttpAnswer, Phases, Report, Verdict};
