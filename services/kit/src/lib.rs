//! What every service of the reference stack shares: settings from the environment, liveness and readiness, metrics,
//! JSON logs with request ids, limits, and a graceful drain. A service adds its routes:
//!
//! ```ignore
//! let service = zv_kit::Service::new("greeter", env!("CARGO_PKG_VERSION"));
//! let settings = zv_kit::Settings::from_environment(&zv_kit::Environment::of_process())?;
//! let router = axum::Router::new().route("/v1/greeting", axum::routing::get(async || "hello"));
//! service.run(router, zv_kit::Readiness::new(), settings).await
//! ```

mod builtin;
mod clock;
pub mod command;
mod context;
mod error;
mod exchange;
mod log;
mod metrics;
mod process;
mod readiness;
mod server;
mod service;
pub mod settings;
mod signals;
mod stall;

pub use context::{Context, Identity};
pub use error::{Error, Json};
pub use log::{Level, Line, Log};
pub use readiness::{Gate, Readiness};
pub use server::Ending;
pub use service::{Bound, Service, StartError};
pub use settings::{Environment, Mistakes, Settings};
