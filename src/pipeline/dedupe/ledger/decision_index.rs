//! PORT: decisions, kept so that people's feedback can be joined with them: 90 days by default, far longer than the window
//! in which an event is remembered.
//!
//! Written and asked in the ledger's batches, so that neither costs a trip of its own: [`Entry::Verdict`] carries what is
//! kept of a decision, [`Entry::Recall`] asks for one. Saved *with* the verdict: nobody can have read a decision before
//! that, so feedback never comes too early for it, and a crash between a burst and its published marks loses none. Whoever
//! saves a verdict publishes it, so none is invented either, but for an owner that vanished in between.
//!
//! What does not belong here: which decision a piece of feedback means ([`DecisionQuestion`] says it), and what comes of
//! the two (`review`).
//!
//! [`Entry::Verdict`]: super::Entry::Verdict
//! [`Entry::Recall`]: super::Entry::Recall
//! [`DecisionQuestion`]: crate::domain::past_decision::DecisionQuestion

use futures_util::future::BoxFuture;

use super::LedgerError;
use crate::domain::clock::Timestamp;

/// What is asked of it outside of batches.
pub trait DecisionIndex: Send + Sync + 'static {
    /// Drop decisions made before that, the oldest first, at most `limit`. Returns how many went.
    fn forget_decisions(&self, decided_before: Timestamp, limit: u32) -> BoxFuture<'_, Result<u64, LedgerError>>;
}
