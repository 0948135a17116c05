//! PORT: what a ledger knows of places in the log, as against events.
//!
//! A ledger speaks of positions of one group: under another group's name it would take that one's first reading of an
//! event for a second. It remembers where the group stood, for the log may forget (committed offsets expire, and can
//! be deleted): reading on from the start would decide again whatever the ledger's window has let go. And it
//! counts its batches, so that a commit can say which of them it rests on.

use futures_util::future::BoxFuture;

use super::LedgerError;
use crate::domain::position::TopicRole;

/// The port; every ledger implements it.
pub trait Places: Send + Sync + 'static {
    /// The group this ledger belongs to: this one, if it belonged to none.
    fn bind<'a>(&'a self, group: &'a str) -> BoxFuture<'a, Result<String, LedgerError>>;

    /// The id of the topic in this role: this one, if none was remembered.
    fn topic<'a>(&'a self, role: TopicRole, topic_id: &'a str) -> BoxFuture<'a, Result<String, LedgerError>>;

    /// The topic in this role is another one from now on. Nothing of the old one can ever come again, so what is not published
    /// and belongs to it (its owner stands there, or the copy that carries it on) has vanished. How many rows that were in work.
    fn recreated<'a>(&'a self, role: TopicRole, old: &'a str, new: &'a str) -> BoxFuture<'a, Result<u64, LedgerError>>;

    /// Who entered this partition last: an open transaction there is theirs.
    fn writer<'a>(&'a self, topic_id: &'a str, partition: u32) -> BoxFuture<'a, Result<Option<String>, LedgerError>>;

    /// How many partitions of this topic are read; `None`: nobody counted them.
    fn counted<'a>(&'a self, topic_id: &'a str) -> BoxFuture<'a, Result<Option<Counted>, LedgerError>>;

    /// Count anew, unless somebody else did since `from` was read. Answered with what stands then.
    fn count<'a>(
        &'a self,
        topic_id: &'a str,
        from: Option<&'a Counted>,
        to: &'a Counted,
    ) -> BoxFuture<'a, Result<Counted, LedgerError>>;

    /// The first offset of this partition that may not be finished, as far as the ledger knows: everything below was
    /// committed, or is the published verdict of an event of its own. `None`: it knows nothing of the partition.
    fn first_open<'a>(&'a self, topic_id: &'a str, partition: u32) -> BoxFuture<'a, Result<Option<u64>, LedgerError>>;
}

/// How many partitions of a topic are read. Keys move when there are more, so the new ones wait until the old ones are
/// worked off up to where they ended when that was noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// So many, from 0 on.
    pub settled: u32,
    /// There are more.
    pub growth: Option<Growth>,
}

/// Partitions that were added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Growth {
    /// How many there are in all.
    pub to: u32,
    /// Where each of the old ones ended.
    pub ends: Vec<u64>,
}

/// What the ledger knew of a partition when it was entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Entered {
    /// Where the group stood there when this was last said; `None`: nothing was ever committed there.
    pub stood_at: Option<u64>,
    /// How many batches of the last commit's writer are in this ledger.
    pub batches: u64,
}

/// How far a ledger had come when a burst was sent: which ledger, and how many batches of this writer were in it. Commits
/// carry it, because a database can lose what it had confirmed (a standby takes over, a copy is restored), and then
/// knows less than the log: it would take a resend of something that was published for new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mark(u64);

impl Mark {
    /// Without a ledger.
    pub const NONE: Self = Self(0);

    const LEDGER_BITS: u32 = 16;

    /// Batches count from 1, ledgers are told apart by a number from 1 to 65,535.
    #[must_use]
    pub const fn new(ledger: u16, batches: u64) -> Self {
        Self(batches << Self::LEDGER_BITS | ledger as u64)
    }

    /// As one number, the small part of which is the ledger's: it grows by a bit with every doubling of batches.
    #[must_use]
    pub const fn to_number(self) -> u64 {
        self.0
    }

    /// From that number.
    #[must_use]
    pub const fn of_number(number: u64) -> Self {
        Self(number)
    }

    /// Which ledger; 0: none.
    #[must_use]
    pub const fn ledger(self) -> u16 {
        (self.0 & ((1 << Self::LEDGER_BITS) - 1)) as u16
    }

    /// How many batches.
    #[must_use]
    pub const fn batches(self) -> u64 {
        self.0 >> Self::LEDGER_BITS
    }
}

/// A commit, and what it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastCommit {
    /// Who made it.
    pub writer: String,
    /// How far the ledger had come for that writer.
    pub mark: Mark,
}
