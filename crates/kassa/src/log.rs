//! The log: for the person on call, on standard error.

use std::io::IsTerminal;

use crate::config::{Config, Log};

/// Sends the log to standard error, once.
pub(crate) fn start(config: &Config) {
    let log = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        // A log on a disk that takes no writes is lost, and must not take the server with it.
        .log_internal_errors(false)
        .with_max_level(config.log_level)
        .with_target(false);
    // A log that is there already stays.
    let _ = match config.log {
        Log::Text => log.try_init(),
        Log::Json => log.json().flatten_event(true).try_init(),
    };
}
