//! What the agent says of itself, on standard error. The level can be changed while it runs.

use std::fmt;
use std::io;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Registry, fmt as format, reload};

use crate::config::{Log, LogFormat, LogLevel};

/// Changes the level.
#[derive(Clone)]
pub struct LogControl(reload::Handle<LevelFilter, Registry>);

impl fmt::Debug for LogControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogControl")
    }
}

impl LogControl {
    /// Changes the level from the next line on.
    pub fn set_level(&self, level: LogLevel) {
        // The subscriber lives as long as the process.
        let _ = self.0.reload(LevelFilter::from(level));
    }
}

/// Starts logging for this process. To be called once.
pub fn start(log: Log) -> Result<LogControl, TryInitError> {
    let (level, handle) = reload::Layer::new(LevelFilter::from(log.level));
    let lines = format::layer().with_writer(io::stderr).with_target(false);
    let registry = tracing_subscriber::registry().with(level);
    match log.format {
        LogFormat::Text => {
            let is_terminal = rustix::termios::isatty(io::stderr());
            registry.with(lines.with_ansi(is_terminal)).try_init()?;
        }
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init()?,
    }
    Ok(LogControl(handle))
}
