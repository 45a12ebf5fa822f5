//! Diagnostics: where `tracing` events go. Requests are logged elsewhere, by the access log.

use std::io;
use std::str::FromStr;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::time::SystemTime;

/// The shape of a diagnostic line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Level, module, message and fields: for a person at a terminal.
    #[default]
    Short,
    /// The same with the time in front: for a service whose output is kept.
    Timed,
    /// One JSON object in a line.
    Json,
}

/// Which events are written and how.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// Directives such as `warn` or `info,varve_store=debug`.
    pub filter: String,
    /// The shape of a line.
    pub format: LogFormat,
    /// Whether levels are coloured.
    pub color: bool,
}

/// The filter for a count of `-v` on the command line: warnings, then information, then everything of Varve's own.
pub fn filter_for_verbosity(count: u8) -> &'static str {
    match count {
        0 => "warn",
        1 => "info",
        2 => {
            "info,varve=debug,varve_store=debug,varve_repository=debug,varve_mount=debug,\
              varve_publish=debug,varve_replicate=debug,varve_chassis=debug"
        }
        _ => "trace",
    }
}

/// Sends the events of the whole process to `writer` (usually standard error) from now on. Call it once, at the start.
///
/// # Errors
/// [`LogError`] if the filter can't be read or the process logs already.
pub fn start<W>(config: &LogConfig, writer: W) -> Result<(), LogError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::from_str(&config.filter)
        .map_err(|source| LogError::Filter { filter: config.filter.clone(), source })?;
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(config.color).with_writer(writer);
    match config.format {
        LogFormat::Short => builder.without_time().try_init(),
        LogFormat::Timed => builder.with_timer(SystemTime).try_init(),
        LogFormat::Json => builder.json().try_init(),
    }
    .map_err(|source| LogError::Started { source: io::Error::other(source) })
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The directives are malformed.
    #[error("'{filter}' is not a log filter")]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// Something in this process set up logging before.
    #[error("logging was set up twice")]
    Started {
        /// What the registry of subscribers said.
        #[source]
        source: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verbosity_is_a_filter() {
        for count in 0..5 {
            assert!(EnvFilter::from_str(filter_for_verbosity(count)).is_ok(), "{count}");
        }
    }

    #[test]
    fn a_malformed_filter_is_named() {
        let config = LogConfig { filter: "a=b=c".into(), format: LogFormat::Short, color: false };
        let error = start(&config, io::sink).expect_err("not a filter");
        assert_eq!(error.to_string(), "'a=b=c' is not a log filter");
    }
}
