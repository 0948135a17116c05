//! Log lines on stderr: JSON for machines, one line of text for people.
//!
//! They are written by a thread of their own. Whoever reads them may be slow, or stopped for good with its pipe open, and
//! nothing else may wait for that: what finds no room is dropped and counted.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use metrics::counter;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::{EnvFilter, FilterExt, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use super::metric_names as names;
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

/// How often it is looked whether lines were dropped.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// What writes the logs. Whoever has it drops it last: until then lines are written, and then those that wait, if that takes
/// no longer than a second.
#[derive(Debug)]
pub struct Logs {
    dropped: ErrorCounter,
    _writer: WorkerGuard,
}

impl Logs {
    /// Count the lines that were dropped, for ever.
    pub fn count(&self) -> impl Future<Output = std::convert::Infallible> + Send + use<> {
        let dropped = self.dropped.clone();
        async move {
            let mut ticks = tokio::time::interval(COUNT_EVERY);
            loop {
                ticks.tick().await;
                counter!(names::LOG_LINES_DROPPED).absolute(dropped.dropped_lines() as u64);
            }
        }
    }
}

/// Write the logs of this process to stderr from now on.
///
/// # Errors
/// When the filter cannot be read, or logs are written already.
pub fn init(settings: &Telemetry) -> Result<Logs, LoggingError> {
    let terminal = std::io::stderr().is_terminal();
    let (writer, logs) = writer(settings, std::io::stderr());
    subscriber(settings, terminal, writer)?.try_init()?;
    Ok(logs)
}

fn writer(settings: &Telemetry, to: impl Write + Send + 'static) -> (NonBlocking, Logs) {
    let builder =
        NonBlockingBuilder::default().lossy(true).buffered_lines_limit(settings.log_queue).thread_name("logs");
    let (writer, guard) = builder.finish(to);
    let logs = Logs { dropped: writer.error_counter(), _writer: guard };
    (writer, logs)
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
        let settings = Telemetry { log_filter: filter.to_owned(), log_format, log_queue: 10 };
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

    /// Takes nothing until it is let go.
    struct Stuck(std::sync::mpsc::Receiver<()>);

    impl io::Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.recv().ok();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_logs_does_not_wait_for_who_reads_and_what_is_dropped_is_counted() {
        let (let_go, stuck) = std::sync::mpsc::channel();
        let settings = Telemetry { log_filter: "info".to_owned(), log_format: LogFormat::Json, log_queue: 10 };
        let (writer, logs) = writer(&settings, Stuck(stuck));
        let subscriber = subscriber(&settings, false, writer).expect("the filter is right");
        tracing::subscriber::with_default(subscriber, || {
            for number in 0..100 {
                tracing::info!(number, "a line");
            }
        });
        // One may be with the reader, ten wait.
        assert!((89..=90).contains(&logs.dropped.dropped_lines()), "{}", logs.dropped.dropped_lines());
        let (recorder, handle) = crate::telemetry::recorder::local();
        let recorded = metrics::with_local_recorder(&recorder, || {
            futures_util::FutureExt::now_or_never(logs.count());
            handle.render()
        });
        let dropped = logs.dropped.dropped_lines();
        assert!(recorded.contains(&format!("gatekeeper_log_lines_dropped_total {dropped}")), "{recorded}");
        drop(let_go);
    }

    #[test]
    fn a_filter_that_cannot_be_read_names_its_key() {
        let settings =
            Telemetry { log_filter: "gatekeeper=loud".to_owned(), log_format: LogFormat::Json, log_queue: 10 };
        let error = subscriber(&settings, false, std::io::sink).err().expect("no such level");
        assert!(error.to_string().contains("telemetry.log_filter"), "{error}");
    }
}
