//! An operator changes a rule for a flag: an entry of the trail, unless it says what is said already.

use super::Subject;
use crate::domain::flags::Share;
use crate::operations::trail::{Act, Appended, AuditTrail, By, Change, Kind, NewChange};
use crate::pipeline::dedupe::ledger::LedgerError;

/// So many entries of one rule are told.
pub const HISTORY: u32 = 1_000;

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// There is no rule that could be removed.
    #[error("the database has no rule for {0}")]
    NotInDatabase(Subject),
    /// Somebody was faster.
    #[error("the rule for {subject} was changed by somebody else meanwhile (revision {revision}): look, and try again")]
    Overtaken {
        /// Which.
        subject: Subject,
        /// Their entry.
        revision: u64,
    },
    /// The database.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Every entry about this rule, newest first.
///
/// # Errors
/// When the database does not answer.
pub async fn history(trail: &dyn AuditTrail, subject: &Subject) -> Result<Vec<Change>, LedgerError> {
    trail.list(Some(Kind::Flag), Some(&subject.to_string()), HISTORY).await
}

/// The flag is on for this share of tickets. Says the revision; none: the database says so already.
///
/// # Errors
/// When somebody was faster, or the database does not answer.
pub async fn set(trail: &dyn AuditTrail, subject: &Subject, share: Share, by: By) -> Result<Option<u64>, EditError> {
    let newest = newest(trail, subject).await?;
    let says = |change: &Change| change.act == Act::Set && change.document.as_deref() == Some(&*share.to_string());
    if newest.as_ref().is_some_and(says) {
        return Ok(None);
    }
    append(trail, subject, Act::Set, newest, Some(share), by).await.map(Some)
}

/// The database has no rule any more: the settings' counts again. Says the revision.
///
/// # Errors
/// When there is none, somebody was faster, or the database does not answer.
pub async fn remove(trail: &dyn AuditTrail, subject: &Subject, by: By) -> Result<u64, EditError> {
    match newest(trail, subject).await? {
        Some(newest) if newest.act == Act::Set => append(trail, subject, Act::Removed, Some(newest), None, by).await,
        _ => Err(EditError::NotInDatabase(subject.clone())),
    }
}

async fn newest(trail: &dyn AuditTrail, subject: &Subject) -> Result<Option<Change>, LedgerError> {
    Ok(trail.list(Some(Kind::Flag), Some(&subject.to_string()), 1).await?.into_iter().next())
}

async fn append(
    trail: &dyn AuditTrail,
    subject: &Subject,
    act: Act,
    newest: Option<Change>,
    share: Option<Share>,
    by: By,
) -> Result<u64, EditError> {
    let change = NewChange {
        by,
        kind: Kind::Flag,
        subject: subject.to_string(),
        act,
        before: newest.map(|newest| newest.revision),
        document: share.map(|share| share.to_string()),
        until: None,
    };
    match trail.append(change).await? {
        Appended::As(revision) => Ok(revision),
        Appended::Overtaken(revision) => Err(EditError::Overtaken { subject: subject.clone(), revision }),
    }
}
