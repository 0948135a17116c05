//! Log lines on stderr: JSON for machines, one line of text for people.

use std::io::IsTerminal;

use tracing_subscriber::filter::{EnvFilter, FilterExt, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::settings::telemetry::{LogFormat, Telemetry};

/// Logs the body of a reply it cannot read, at ERROR: that may be a ticket. Its errors reach us as values anyway.
const SILENCED: &str = "async_openai";

/// Why there are no logs.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// `telemetry.log_filter` is no filter.
    #[error("`telemetry.log_filter` = {filter:?}: {source}")]
    Filter {
        /// As set.
        filter: String,
        /// Why.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Another subscriber is installed in this process.
    #[error("logs are written already: {0}")]
    Installed(#[from] TryInitError),
}

/// Whether logs could be written so.
///
/// # Errors
/// When the filter cannot be read.
pub fn check(settings: &Telemetry) -> Result<(), LoggingError> {
    filter(settings).map(drop)
}

fn filter(settings: &Telemetry) -> Result<EnvFilter, LoggingError> {
    EnvFilter::try_new(&settings.log_filter)
        .map_err(|source| LoggingError::Filter { filter: settings.log_filter.clone(), source })
}

/// Write the logs of this process to stderr from now on.
///
/// # Errors
/// When the filter cannot be read, or logs are written already.
pub fn init(settings: &Telemetry) -> Result<(), LoggingError> {
    let terminal = std::io::stderr().is_terminal();
    subscriber(settings, terminal, std::io::stderr)?.try_init()?;
    Ok(())
}

fn subscriber<W>(
    settings: &Telemetry,
    terminal: bool,
    writer: W,
) -> Result<impl tracing::Subscriber + Send + Sync, LoggingError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = filter(settings)?.and(filter_fn(|metadata| !metadata.target().starts_with(SILENCED)));
    let json = match settings.log_format {
        LogFormat::Auto => !terminal,
        LogFormat::Json => true,
        LogFormat::Pretty => false,
    };
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    let layer = if json {
        layer.json().flatten_event(true).with_span_list(false).boxed()
    } else {
        layer.compact().with_ansi(terminal).boxed()
    };
    Ok(tracing_subscriber::registry().with(layer.with_filter(filter)))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic while writing").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is logged so.
    pub fn lines(filter: &str, log_format: LogFormat, act: impl FnOnce()) -> Vec<String> {
        let written = Written::default();
        let settings = Telemetry { log_filter: filter.to_owned(), log_format };
        let writer = written.clone();
        let subscriber = subscriber(&settings, false, move || writer.clone()).expect("the filter is right");
        tracing::subscriber::with_default(subscriber, act);
        let bytes = written.0.lock().expect("no panic while writing").clone();
        String::from_utf8(bytes).expect("text").lines().map(str::to_owned).collect()
    }

    #[test]
    fn elsewhere_than_on_a_terminal_each_line_is_a_json_object() {
        let lines = lines("info", LogFormat::Auto, || {
            tracing::info!(event.id = "e-1", "settled");
            tracing::debug!("not at this level");
        });
        assert_eq!(lines.len(), 1);
        let line: serde_json::Value = serde_json::from_str(&lines[0]).expect("JSON");
        assert_eq!(line["event.id"], "e-1");
        assert_eq!(line["message"], "settled");
        assert_eq!(line["level"], "INFO");
    }

    #[test]
    fn the_library_that_logs_bodies_is_silent_even_when_it_is_asked_for() {
        let lines = lines("trace,async_openai::client=trace", LogFormat::Pretty, || {
            tracing::error!(target: "async_openai::client", "a ticket's text");
            tracing::info!("ours");
        });
        assert_eq!(lines.len(), 1, "{lines:?}");
    }

    #[test]
    fn a_filter_that_cannot_be_read_names_its_key() {
        let settings = Telemetry { log_filter: "gatekeeper=loud".to_owned(), log_format: LogFormat::Json };
        let error = subscriber(&settings, false, std::io::sink).err().expect("no such level");
        assert!(error.to_string().contains("telemetry.log_filter"), "{error}");
    }
}
