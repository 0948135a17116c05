//! Sends dead letters again, once what stood against them is changed.
//!
//! ```text
//! dead letters ---> plan ---> newest of each record, asked for ---> send
//!  without bytes     its fate: ready, or why not                     ready ones, page by page, at a rate
//! ```
//!
//! A record goes back to the partition that it came from, untouched but for three headers ([`crate::domain::redrive`]), and is
//! judged like any other: it takes its rejected event over, or is rejected once more, with one more failure in the same dead
//! letter. Sending twice is harmless, as with every copy: the second one is a DUPLICATE.

mod plan;
mod send;

use serde::Serialize;

pub use self::plan::{Asked, Fate, Letter, Plan, plan};
pub use self::send::{Sent, letters, send};
use super::log_browser::BrowseError;
use super::trail::{Act, Appended, AuditTrail, By, Kind, NewChange};
use crate::operations::audit::reading::ReadError;
use crate::pipeline::dedupe::ledger::LedgerError;

/// Why dead letters could not be sent again.
#[derive(Debug, thiserror::Error)]
pub enum RedriveError {
    /// What is there could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The log.
    #[error(transparent)]
    Log(#[from] BrowseError),
    /// The ledger, or what is told there.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The log, on the way.
    #[error(
        "{sent} were sent again before this: {source} (once more: of what was decided meanwhile nothing is sent again)"
    )]
    Append {
        /// How many are on the log for certain.
        sent: u64,
        /// Why not more.
        source: BrowseError,
    },
    /// Two operators at once.
    #[error("somebody has just sent dead letters again (trail, revision {revision}): look once more")]
    Overtaken {
        /// Theirs.
        revision: u64,
    },
}

/// What stands in the trail of one redrive.
#[derive(Debug, Clone, Serialize)]
pub struct Told<'a> {
    /// What was asked for.
    #[serde(flatten)]
    pub asked: &'a Asked,
    /// How many were ready.
    pub letters: u64,
}

/// Say in the trail that these are sent again, before they are. `group`: whose dead letters; `seen`: its newest entry as the
/// operator saw it.
///
/// # Errors
/// When somebody was faster, or the database does not answer.
pub async fn tell(
    trail: &dyn AuditTrail,
    group: &str,
    told: &Told<'_>,
    seen: Option<u64>,
    by: By,
) -> Result<u64, RedriveError> {
    let change = NewChange {
        by,
        kind: Kind::Redrive,
        subject: group.to_owned(),
        act: Act::Sent,
        before: seen,
        document: Some(serde_json::to_string(told).unwrap_or_default()),
        until: None,
    };
    match trail.append(change).await? {
        Appended::As(revision) => Ok(revision),
        Appended::Overtaken(revision) => Err(RedriveError::Overtaken { revision }),
    }
}

/// The newest entry about this group's dead letters.
///
/// # Errors
/// When the database does not answer.
pub async fn last_told(trail: &dyn AuditTrail, group: &str) -> Result<Option<u64>, LedgerError> {
    let newest = trail.list(Some(Kind::Redrive), Some(group), 1).await?;
    Ok(newest.first().map(|change| change.revision))
}
