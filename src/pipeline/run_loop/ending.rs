//! How the loop is asked to end, and how it did.

/// How far the process has been asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Not at all.
    No,
    /// Stop reading, let what runs end, publish it.
    Drain,
    /// Leave everything as it is.
    Now,
}

/// Why the loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was asked to, and everything that ran was published.
    Drained,
    /// It was asked to, and left running calls behind; their events will be read again.
    CutShort,
    /// Everything there was has its terminal.
    Idle,
}

/// Why the loop could not go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The log or the ledger is broken in a way that waiting does not mend.
    #[error("{0}")]
    Failed(String),
    /// Everything else has its terminal, and a person has to look at this.
    #[error("not everything could be read: {0}")]
    Unread(String),
    /// The log's side of the channels is gone.
    #[error("the log adapter stopped unexpectedly")]
    LogGone,
}
