//! Logs, on standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::{ConfigError, LogFormat};

/// Tells each failure of a request a second time, without saying what it was about. Of interest to those who ask for it.
const CLIENT: &str = "kube_client";

/// Sends logs to standard error, so that standard output is for results.
///
/// # Errors
/// When the filter cannot be read.
pub fn start(filter: &str, format: LogFormat) -> Result<(), ConfigError> {
    let quiet = if filter.contains(CLIENT) { String::new() } else { format!(",{CLIENT}=off") };
    let filter = EnvFilter::try_new(format!("{filter}{quiet}")).map_err(|error| {
        ConfigError::new(format!("--log {filter}: {error}."), "Give a level such as `info`, or `target=level,…`.")
    })?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let started = match format {
        LogFormat::Text => subscriber.with_target(false).try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| ConfigError::new(format!("Logging cannot start: {error}."), "Start it once."))
}
