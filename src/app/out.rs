//! What commands say on stdout, and complain of on stderr.
//!
//! Whoever reads along may have seen enough (`gatekeeper trail | head -1`): then nothing more is said, and the command ends as
//! it would have. Anything else that keeps its words from being written is a failure of the command.

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::telemetry::bounded::within;

/// How long a reader may take for them.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Whether something could not be written that somebody waits for.
static LOST: AtomicBool = AtomicBool::new(false);

/// A line on stdout.
macro_rules! say {
    () => { $crate::app::out::write_out(format_args!("\n")) };
    ($($words:tt)*) => { $crate::app::out::write_out(format_args!("{}\n", format_args!($($words)*))) };
}

/// A text on stdout that has its own end of line.
macro_rules! say_as_is {
    ($($words:tt)*) => { $crate::app::out::write_out(format_args!($($words)*)) };
}

/// A line on stderr. Who cannot be told of a trouble is not to have another one.
macro_rules! complain {
    ($($words:tt)*) => { $crate::app::out::write_err(format_args!("{}\n", format_args!($($words)*))) };
}

pub(crate) use {complain, say, say_as_is};

/// On stdout.
pub fn write_out(words: fmt::Arguments<'_>) {
    if let Err(error) = write(&mut io::stdout().lock(), words)
        && !LOST.swap(true, Ordering::Relaxed)
    {
        complain!("gatekeeper: stdout cannot be written to: {error}");
    }
}

/// On stderr.
pub fn write_err(words: fmt::Arguments<'_>) {
    write(&mut io::stderr().lock(), words).ok();
}

/// What comes from outside must not steer the terminal, nor begin a line of its own.
pub fn harmless(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { '?' } else { char }).collect()
}

/// On stderr, when nothing is left to be done: whoever does not read it must not keep the process.
pub fn last_words(words: String) {
    within(LAST_WORDS, "last-words", move || complain!("{words}"));
}

/// Whether everything that was said could be heard by whoever wanted to.
pub fn all_was_said() -> bool {
    !LOST.load(Ordering::Relaxed)
}

fn write(to: &mut impl Write, words: fmt::Arguments<'_>) -> io::Result<()> {
    match to.write_fmt(words).and_then(|()| to.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fails(ErrorKind);

    impl Write for Fails {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_has_seen_enough_is_no_failure_and_a_full_disk_is() {
        assert!(write(&mut Fails(ErrorKind::BrokenPipe), format_args!("{}", 1)).is_ok());
        assert!(write(&mut Fails(ErrorKind::StorageFull), format_args!("{}", 1)).is_err());
        let mut written = Vec::new();
        write(&mut written, format_args!("{}\n", 1)).expect("there is room");
        assert_eq!(written, b"1\n");
    }
}
