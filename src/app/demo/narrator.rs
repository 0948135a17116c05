//! Tells the story: plain lines, the time since the start in front, colour only where somebody looks at a terminal.

use crate::app::out::say;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

/// Prints to stdout.
#[derive(Debug, Clone, Copy)]
pub(super) struct Narrator {
    started: Instant,
    colour: bool,
}

/// What a word is about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ink {
    Good,
    Careful,
    Bad,
    Quiet,
    Title,
}

impl Ink {
    fn code(self) -> &'static str {
        match self {
            Self::Good => "32",
            Self::Careful => "33",
            Self::Bad => "31",
            Self::Quiet => "2",
            Self::Title => "1",
        }
    }
}

impl Narrator {
    /// The clock starts now. `NO_COLOR` is respected.
    pub fn new() -> Self {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { started: Instant::now(), colour }
    }

    /// Since the start.
    pub fn elapsed(self) -> Duration {
        self.started.elapsed()
    }

    /// A new act.
    pub fn act(self, title: &str) {
        say!();
        self.say(&self.ink(Ink::Title, title));
    }

    /// One line.
    pub fn say(self, text: &str) {
        let time = format!("{:5.1} s", self.elapsed().as_secs_f64());
        say!("{}  {text}", self.ink(Ink::Quiet, &time));
    }

    /// Coloured, if anything is.
    pub fn ink(self, ink: Ink, text: &str) -> String {
        if self.colour { format!("\x1b[{}m{text}\x1b[0m", ink.code()) } else { text.to_owned() }
    }
}
