//! PORT: the ledger, which remembers every dedupe key for the window.
//!
//! It shares no transaction with the log and needs none, because of one rule: **a claim names its owner by position, and
//! the first position wins.** Everything goes through one word, [`Ledger::commit`]: a batch of entries in one database
//! transaction, each answered with what the row said, in order. Batches are made by the road (group commit): while one
//! is on its way, the next collects.

pub mod decision_index;
pub mod kill_points;
pub mod outcomes;
pub mod places;
pub mod plan;
pub mod purses;
pub mod restored;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use self::decision_index::DecisionIndex;
use self::places::{Entered, LastCommit, Mark, Places};
use self::purses::{Moved, Movement, Spending};
use self::restored::Restored;
use crate::domain::answer::Answer;
use crate::domain::better::Dropped;
use crate::domain::clock::Timestamp;
use crate::domain::identity::{BodyHash, DedupeKey};
use crate::domain::past_decision::{DecisionQuestion, OvertakenQuestion, PastDecision};
use crate::domain::position::Position;
use crate::domain::verdict::Verdict;

/// The port. Implemented by SQLite, by Postgres, and in memory for the simulation.
pub trait Ledger: Places + DecisionIndex + Spending {
    /// All of these in one transaction, in order; one outcome each. An entry sees what earlier entries of its batch did.
    /// On an error nothing of the batch happened, or (connection lost inside commit) all of it: entries are such that
    /// the same batch may simply be committed again.
    fn commit(&self, entries: Vec<Entry>) -> BoxFuture<'_, Result<Vec<Outcome>, LedgerError>>;

    /// The rows of these keys; keys without a row are left out. Asked at once: some thousand at most.
    fn find_all(&self, keys: Vec<DedupeKey>) -> BoxFuture<'_, Result<HashMap<DedupeKey, Row>, LedgerError>>;

    /// The row of this key, if there is one.
    fn find(&self, key: DedupeKey) -> BoxFuture<'_, Result<Option<Row>, LedgerError>> {
        let found = self.find_all(vec![key]);
        Box::pin(async move { Ok(found.await?.remove(&key)) })
    }

    /// Drop rows whose verdict was published before `published_before`, at most `limit`, never one that was rejected
    /// after `rejected_after`. Returns how many went.
    fn forget(
        &self,
        published_before: Timestamp,
        rejected_after: Timestamp,
        limit: u32,
    ) -> BoxFuture<'_, Result<u64, LedgerError>>;
}

/// The claim of one record on its event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Which event.
    pub key: DedupeKey,
    /// Which copy of it.
    pub position: Position,
    /// How many delay tiers it came through.
    pub hop: u32,
    /// For a later hop: where that copy stands, so that its commit proves what the owner's cannot.
    pub copy: Option<Position>,
    /// Its lane, `tenant|ticket`: deferred events of it that come before this one are counted.
    pub ticket: Arc<str>,
    /// What it says.
    pub body: BodyHash,
    /// For people who look into the ledger.
    pub tenant_id: Arc<str>,
    /// For people who look into the ledger.
    pub event_id: Arc<str>,
    /// Now.
    pub at: Timestamp,
}

/// One line of a batch.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// Insert the row unless there is one; a later hop of its owner moves the row's hop along. Answered with the row as
    /// it stands after that.
    Claim(Claim),
    /// Take the claim over from a row that was rejected or has vanished: compare-and-set on the old owner, with the new
    /// hash, verdict, answer and lease cleared; a plain claim if the row is gone meanwhile. Answered with the row as it
    /// stands after that.
    TakeOver {
        /// The new claim.
        claim: Claim,
        /// The owner it is taken from.
        from: Position,
    },
    /// Before an attempt at a paid call: nobody else may call for this event until the lease ends, on the database's
    /// clock. Granted if there is no answer and no verdict yet and no other live lease.
    Lease {
        /// Which event.
        key: DedupeKey,
        /// Its owner; another owner's row is not touched.
        owner: Position,
        /// For how long from now.
        lasts: Duration,
    },
    /// A call ended without an answer: end our lease.
    Release {
        /// Which event.
        key: DedupeKey,
        /// Its owner.
        owner: Position,
    },
    /// Save an answer unless there is one, or somebody else has a live lease: that one is calling at this moment, because
    /// ours ended before the answer came. Ends the lease. Answered with the answer that is saved now, or with the lease.
    Answer {
        /// Which event.
        key: DedupeKey,
        /// Its owner.
        owner: Position,
        /// What was said.
        answer: Arc<Answer>,
        /// Now.
        at: Timestamp,
    },
    /// Save a verdict unless there is one; ends the lease. Answered with the verdict that is saved now.
    Verdict {
        /// Which event.
        key: DedupeKey,
        /// Its owner.
        owner: Position,
        /// How it ends.
        verdict: Arc<Verdict>,
        /// What is kept of the decision in it, if this verdict is the one that is saved.
        decision: Option<Arc<PastDecision>>,
    },
    /// Save an answer with the verdict that was drawn from it, unless there is either of them, or somebody else has a live
    /// lease; ends the lease. Answered with the verdict that is saved now, else as for Answer: with the answer, or with the
    /// lease. One write instead of two for nearly every event there is.
    Decide {
        /// Which event.
        key: DedupeKey,
        /// Its owner.
        owner: Position,
        /// What was said.
        answer: Arc<Answer>,
        /// Now.
        at: Timestamp,
        /// How it ends, if this answer is the one that is saved.
        verdict: Arc<Verdict>,
        /// What is kept of the decision in it, if it is saved.
        decision: Option<Arc<PastDecision>>,
    },
    /// Money for a paid call. Done before everything else of the batch, and in order.
    Money(Movement),
    /// Find the decision that a piece of feedback judges. Answered once everything of the batch is written.
    Recall(DecisionQuestion),
    /// A person has acted on a decision, or on all that there are of a ticket: none of them is improved any more.
    ActedOn {
        /// Whose.
        tenant_id: Arc<str>,
        /// About which ticket.
        ticket_id: String,
        /// Which decision; none: all of the ticket.
        decision_id: Option<String>,
    },
    /// Ask whether a better decision about an event would come too late. Answered once everything of the batch is written.
    Overtaken(OvertakenQuestion),
    /// Before the burst that puts this event off: a later copy of it stands, or is about to stand, in a delay tier, and
    /// later events of its ticket must not pass it. Holds until the event is published. Nothing changes where there is a
    /// verdict, and then that is the answer.
    Defer {
        /// Which event.
        key: DedupeKey,
        /// Its owner.
        owner: Position,
        /// Its lane.
        ticket: Arc<str>,
        /// Where the copy goes.
        tier: u8,
    },
    /// The burst with this verdict was committed.
    Published {
        /// Which event.
        key: DedupeKey,
        /// Its owner.
        owner: Position,
        /// Now.
        at: Timestamp,
    },
    /// A partition is ours from now on, and its bursts will be written under this name. Said before anything of it is
    /// taken in.
    Enter {
        /// The topic's id.
        topic_id: String,
        /// Partition number.
        partition: u32,
        /// Names the writer to the log, so that whoever comes next can end what it left open.
        writer: String,
        /// Where the group stands there; `None`: the log knows of no commit.
        committed: Option<u64>,
        /// What that commit rests on, if it says so.
        last: Option<LastCommit>,
    },
    /// One more batch of this writer. Answered with the mark that commits carry which rest on what this batch said.
    Mark {
        /// Who writes.
        writer: String,
    },
    /// What this commit rests on was read back from the log.
    Recovered(LastCommit),
    /// The log says that this was published. Insert the row, or put it in the place of one that is not published or was
    /// published earlier; an answer stays with its owner.
    Restore(Restored),
    /// The group stands here in a partition. Said now and then: what counts is that the ledger knows of a commit at all.
    Stands {
        /// The topic's id.
        topic_id: String,
        /// Partition number.
        partition: u32,
        /// The committed offset.
        base: u64,
    },
    /// Unpublished rows of this partition whose owner lies in `from..to` can never come again.
    Vanished {
        /// The topic's id.
        topic_id: String,
        /// Partition number.
        partition: u32,
        /// First offset of the gap.
        from: u64,
        /// First offset after it.
        to: u64,
    },
    /// Published marks that a crash prevented: everything this partition's restored frontier holds as finished.
    /// `unfinished` lists the exceptions below `to`. Marks rows with a verdict only, and not vanished ones (a gap counts as
    /// finished too). A row speaks for the offset of the latest hop that claimed: an earlier one was finished by its
    /// deferral, not by the verdict's burst.
    RepairPublished {
        /// The topic's id.
        topic_id: String,
        /// Partition number.
        partition: u32,
        /// First offset that is not known to be finished.
        to: u64,
        /// Offsets below `to` that are not finished.
        unfinished: Vec<u64>,
        /// Now.
        at: Timestamp,
    },
}

impl Entry {
    /// Whether a burst will rest on it: on a claim that read the row, or on a verdict or a deferral that wrote it.
    #[must_use]
    pub fn is_rested_on(&self) -> bool {
        matches!(
            self,
            Self::Claim(_) | Self::TakeOver { .. } | Self::Verdict { .. } | Self::Decide { .. } | Self::Defer { .. }
        )
    }
}

/// What an entry came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// For Claim and TakeOver.
    Row(Arc<Row>),
    /// For Lease: ours until then; nobody else calls.
    LeaseGranted,
    /// For Lease: somebody else is calling, for this much longer at most.
    LeaseHeld {
        /// At most.
        remaining: Duration,
    },
    /// For Lease: there is nothing to call for (an answer, a verdict, published, or another owner): read the row again.
    LeasePointless,
    /// For Answer, and for Decide where somebody else's is saved and not judged.
    Saved(Arc<Answer>),
    /// For Verdict and Decide, and for Defer where there is one.
    Reached(Arc<Verdict>),
    /// For Answer, Verdict, Decide, Defer, Published and Release: the row is gone or has another owner; nothing was changed.
    NotOwner,
    /// For Money.
    Moved(Moved),
    /// For Recall: the decision, if it is known.
    Recalled(Option<Arc<PastDecision>>),
    /// For Overtaken: what speaks against it, if anything does.
    Overtaken(Option<Dropped>),
    /// For Enter.
    Entered(Entered),
    /// For Mark.
    Marked(Mark),
    /// For Defer, Release, Published, ActedOn, Stands, Recovered and Restore.
    Done,
    /// For Vanished and RepairPublished: how many rows.
    Changed(u64),
}

/// A row as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Which event.
    pub key: DedupeKey,
    /// The copy that owns it.
    pub owner: Position,
    /// The latest hop of it that claimed.
    pub hop: u32,
    /// Where that hop's copy stands, if it is a later one.
    pub copy: Option<Position>,
    /// What the owner says.
    pub body: BodyHash,
    /// When the first claim was made.
    pub first_seen_at: Timestamp,
    /// The saved answer.
    pub answer: Option<Arc<Answer>>,
    /// When it was saved.
    pub answered_at: Option<Timestamp>,
    /// The saved verdict.
    pub verdict: Option<Arc<Verdict>>,
    /// When its burst was known to be committed.
    pub published_at: Option<Timestamp>,
    /// The owner can never come again.
    pub vanished: bool,
    /// Whether this row was ever rejected.
    pub rejected: bool,
    /// The delay tier it was put off to last; it may have come back since.
    pub deferred_to: Option<u8>,
    /// As the answer to a claim: what is put off and comes before it.
    pub ahead: Option<Ahead>,
}

/// Events of the same ticket and partition that were read earlier, are deferred, and are not published: the claim must not
/// pass them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ahead {
    /// How many.
    pub count: u64,
    /// The tier of the latest of them.
    pub tier: u8,
}

impl Row {
    /// Whether a call for it may bring anything: nothing is asked of one that is decided or published.
    #[must_use]
    pub fn may_be_called_for(&self) -> bool {
        self.answer.is_none() && self.verdict.is_none() && self.published_at.is_none()
    }

    /// As the first claim of its event leaves it.
    #[must_use]
    pub fn left_by(claim: &Claim) -> Self {
        Self {
            key: claim.key,
            owner: claim.position.clone(),
            hop: claim.hop,
            copy: claim.copy.clone(),
            body: claim.body,
            first_seen_at: claim.at,
            answer: None,
            answered_at: None,
            verdict: None,
            published_at: None,
            vanished: false,
            rejected: false,
            deferred_to: None,
            ahead: None,
        }
    }
}

/// Why a batch failed.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The database is away, busy or slow: the road holds and asks again.
    #[error("the ledger is not available: {0}")]
    Unavailable(String),
    /// No connection within the deadline.
    #[error("no ledger connection became free within {waited:?}")]
    PoolExhausted {
        /// The deadline.
        waited: Duration,
    },
    /// The ledger holds something this build cannot read; asking again does not help.
    #[error("the ledger is damaged: {0}")]
    Damaged(String),
}

impl LedgerError {
    /// Whether the same batch may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        !matches!(self, Self::Damaged(_))
    }
}
