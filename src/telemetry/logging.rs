//! Log lines on stderr: JSON for machines, one line of text for people.
//!
//! They are written by a thread of their own. Whoever reads them may be slow, or stopped for good with its pipe open, and
//! nothing else may wait for that: what finds no room is dropped and counted.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::counter;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::{EnvFilter, FilterExt, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use super::bounded::within;
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
    /// There is no stderr.
    #[error("stderr cannot be written to: {0}")]
    Stderr(std::io::Error),
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

/// How long lines that wait may take at the end.
const LAST_LINES: Duration = Duration::from_millis(1_500);

/// What writes the logs. Whoever has it drops it last: until then lines are written, and then those that wait, if whoever reads
/// them takes them soon.
#[derive(Debug)]
pub struct Logs {
    without_room: ErrorCounter,
    unwritten: Arc<AtomicU64>,
    writer: Option<WorkerGuard>,
}

impl Logs {
    /// Lines that were never written.
    fn dropped(without_room: &ErrorCounter, unwritten: &AtomicU64) -> u64 {
        without_room.dropped_lines() as u64 + unwritten.load(Ordering::Relaxed)
    }

    /// Count the lines that were dropped, for ever.
    pub fn count(&self) -> impl Future<Output = std::convert::Infallible> + Send + use<> {
        let (without_room, unwritten) = (self.without_room.clone(), self.unwritten.clone());
        async move {
            let mut ticks = tokio::time::interval(COUNT_EVERY);
            loop {
                ticks.tick().await;
                counter!(names::LOG_LINES_DROPPED).absolute(Self::dropped(&without_room, &unwritten));
            }
        }
    }
}

impl Drop for Logs {
    /// The library waits a second for its thread, and then complains on stdout: neither must keep the process.
    fn drop(&mut self) {
        let writer = self.writer.take();
        within(LAST_LINES, "logs-end", move || drop(writer));
    }
}

/// Write the logs of this process to stderr from now on; also what panics say, which would wait for a reader otherwise.
///
/// # Errors
/// When the filter cannot be read, or logs are written already.
pub fn init(settings: &Telemetry) -> Result<Logs, LoggingError> {
    let stderr = std::io::stderr();
    let terminal = stderr.is_terminal();
    // A file of its own: a write that hangs must not hold the lock of the process's.
    let file = stderr.as_fd().try_clone_to_owned().map_err(LoggingError::Stderr)?;
    let (writer, logs) = writer(settings, File::from(file));
    subscriber(settings, terminal, writer)?.try_init()?;
    std::panic::set_hook(Box::new(tell_of_panic));
    Ok(logs)
}

fn tell_of_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let said = panic.payload_as_str().unwrap_or("something that is no text");
    let place = panic.location().map(ToString::to_string);
    let thread = std::thread::current();
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    tracing::error!(thread = thread.name(), place, backtrace, "panicked: {said}");
    // Logs may be filtered out, and a panic that aborts leaves them no time. Whoever does not read must not hold this thread.
    let words = format!("thread {:?} panicked at {}: {said}", thread.name(), place.unwrap_or_default());
    within(LAST_LINES, "panicked", move || {
        writeln!(std::io::stderr(), "{words}").ok();
    });
}

/// Counts what it could not write.
struct Counting<W> {
    to: W,
    unwritten: Arc<AtomicU64>,
}

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.to.write(bytes)
    }

    fn write_all(&mut self, line: &[u8]) -> std::io::Result<()> {
        let written = self.to.write_all(line);
        self.unwritten.fetch_add(written.is_err().into(), Ordering::Relaxed);
        written
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.to.flush()
    }
}

fn writer(settings: &Telemetry, to: impl Write + Send + 'static) -> (NonBlocking, Logs) {
    let builder =
        NonBlockingBuilder::default().lossy(true).buffered_lines_limit(settings.log_queue).thread_name("logs");
    let unwritten = Arc::<AtomicU64>::default();
    let (writer, guard) = builder.finish(Counting { to, unwritten: unwritten.clone() });
    let logs = Logs { without_room: writer.error_counter(), unwritten, writer: Some(guard) };
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
        let dropped = logs.without_room.dropped_lines();
        assert!((89..=90).contains(&dropped), "{dropped}");
        let (recorder, handle) = crate::telemetry::recorder::local();
        let recorded = metrics::with_local_recorder(&recorder, || {
            futures_util::FutureExt::now_or_never(logs.count());
            handle.render()
        });
        assert!(recorded.contains(&format!("gatekeeper_log_lines_dropped_total {dropped}")), "{recorded}");
        drop(let_go);
    }

    #[test]
    fn what_cannot_be_written_is_counted_too() {
        let settings = Telemetry { log_filter: "info".to_owned(), log_format: LogFormat::Json, log_queue: 10 };
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux");
        let (writer, logs) = writer(&settings, full);
        let subscriber = subscriber(&settings, false, writer).expect("the filter is right");
        tracing::subscriber::with_default(subscriber, || tracing::info!("a line"));
        let unwritten = logs.unwritten.clone();
        drop(logs);
        assert_eq!(unwritten.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_filter_that_cannot_be_read_names_its_key() {
        let settings =
            Telemetry { log_filter: "gatekeeper=loud".to_owned(), log_format: LogFormat::Json, log_queue: 10 };
        let error = subscriber(&settings, false, std::io::sink).err().expect("no such level");
        assert!(error.to_string().contains("telemetry.log_filter"), "{error}");
    }
}
