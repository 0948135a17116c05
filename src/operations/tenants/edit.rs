//! An operator changes a tenant: checked as a whole, compared with what is in force, then an entry of the trail.
//!
//! A version names what decides: decisions carry it, and answers are judged by it after a restart. So a version that was
//! used before stands for the same policy for ever; only how much a tenant may ask, and whether it may at all, changes
//! under the same version.

use std::fmt;
use std::sync::Arc;

use super::compare::{Difference, decide_alike, differences};
use super::live::{InForce, LiveTenants};
use super::shelf::KEPT;
use crate::domain::tenant::Tenant;
use crate::operations::trail::{Act, Appended, AuditTrail, By, Change, Kind, NewChange};
use crate::pipeline::dedupe::ledger::LedgerError;
use crate::settings::tenants::document;
use crate::settings::tenants::rules::Broken;

/// So many entries of one tenant are told and looked at.
pub const HISTORY: u32 = 1_000;

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The policy is not one.
    #[error("{}:{}", counted(.0.len()), list(.0))]
    Mistakes(Vec<Broken>),
    /// The version stands for another policy.
    #[error(
        "tenant {tenant:?} had the version {version:?} already, {place}, and there it decides otherwise: decisions name \
         the version, so give this policy a new one"
    )]
    VersionTaken {
        /// Whose.
        tenant: String,
        /// Which.
        version: String,
        /// Where it stands.
        place: String,
    },
    /// There is no entry that could be removed.
    #[error("tenant {0:?} has no policy in the database")]
    NotInDatabase(String),
    /// Somebody was faster.
    #[error("tenant {tenant:?} was changed by somebody else meanwhile (revision {revision}): look, and try again")]
    Overtaken {
        /// Whose.
        tenant: String,
        /// Their entry.
        revision: u64,
    },
    /// The database.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

fn counted(mistakes: usize) -> String {
    format!("{mistakes} mistake{}", if mistakes == 1 { "" } else { "s" })
}

fn list(mistakes: &[Broken]) -> String {
    let line = |mistake: &Broken| match mistake.key.as_str() {
        "" => format!("\n  {}", mistake.message),
        key => format!("\n  `{key}`: {}", mistake.message),
    };
    mistakes.iter().map(line).collect()
}

/// A policy that may be set.
#[derive(Debug)]
pub struct Proposal {
    /// The policy.
    pub tenant: Arc<Tenant>,
    /// What is in force instead.
    pub before: Option<InForce>,
    /// What would change.
    pub differences: Vec<Difference>,
    document: String,
    /// The tenant's newest entry.
    newest: Option<u64>,
}

impl Proposal {
    /// Whether it is in force already.
    #[must_use]
    pub fn changes_nothing(&self) -> bool {
        self.before.as_ref().is_some_and(|before| before.tenant == self.tenant)
    }
}

/// Every entry about this tenant, newest first.
///
/// # Errors
/// When the database does not answer.
pub async fn history(trail: &dyn AuditTrail, tenant: &str) -> Result<Vec<Change>, LedgerError> {
    trail.list(Some(Kind::Tenant), Some(tenant), HISTORY).await
}

/// The tenants as the files and the trail have them now.
///
/// # Errors
/// When the database does not answer.
pub async fn look(trail: &dyn AuditTrail, tenants: &mut LiveTenants) -> Result<(), LedgerError> {
    tenants.take(trail.since(Kind::Tenant, 0, KEPT).await?);
    Ok(())
}

/// Check a policy as a whole, against what is in force and against every version the tenant ever had; without a trail,
/// against what is in force.
///
/// # Errors
/// Everything that speaks against it.
pub async fn propose(
    trail: Option<&dyn AuditTrail>,
    tenants: &LiveTenants,
    document: String,
) -> Result<Proposal, EditError> {
    let tenant = Arc::new(document::read(&document).map_err(EditError::Mistakes)?);
    let entries = match trail {
        Some(trail) => history(trail, &tenant.id).await?,
        None => Vec::new(),
    };
    let of_file = tenants.in_file(&tenant.id).map(|of_file| (Tenant::clone(of_file), "in its file".to_owned()));
    let of_trail = entries.iter().filter_map(|entry| {
        let policy = document::read(entry.document.as_deref()?).ok()?;
        Some((policy, format!("at revision {}", entry.revision)))
    });
    for (other, place) in of_file.into_iter().chain(of_trail) {
        if other.version == tenant.version && !decide_alike(&other, &tenant) {
            let (tenant, version) = (tenant.id.clone(), other.version);
            return Err(EditError::VersionTaken { tenant, version, place });
        }
    }
    let before = tenants.find(&tenant.id).cloned();
    Ok(Proposal {
        differences: differences(before.as_ref().map(|before| &*before.tenant), &tenant),
        newest: entries.first().map(|entry| entry.revision),
        tenant,
        before,
        document,
    })
}

/// Put it in force. Says its revision.
///
/// # Errors
/// When somebody was faster, or the database does not answer.
pub async fn set(trail: &dyn AuditTrail, proposal: &Proposal, by: By) -> Result<u64, EditError> {
    let (subject, document) = (proposal.tenant.id.clone(), Some(proposal.document.clone()));
    append(trail, by, subject, Act::Set, proposal.newest, document).await
}

/// Take a tenant's policy out of the database; its file counts again, if there is one. Says the revision of that.
///
/// # Errors
/// When there is none, somebody was faster, or the database does not answer.
pub async fn remove(trail: &dyn AuditTrail, tenant: String, by: By) -> Result<u64, EditError> {
    match history(trail, &tenant).await?.first() {
        Some(newest) if newest.act == Act::Set => {
            append(trail, by, tenant, Act::Removed, Some(newest.revision), None).await
        }
        _ => Err(EditError::NotInDatabase(tenant)),
    }
}

async fn append(
    trail: &dyn AuditTrail,
    by: By,
    subject: String,
    act: Act,
    before: Option<u64>,
    document: Option<String>,
) -> Result<u64, EditError> {
    let tenant = subject.clone();
    let change = NewChange { by, kind: Kind::Tenant, subject, act, before, document, until: None };
    match trail.append(change).await? {
        Appended::As(revision) => Ok(revision),
        Appended::Overtaken(revision) => Err(EditError::Overtaken { tenant, revision }),
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tenant { id, version, .. } = &*self.tenant;
        match &self.before {
            None => write!(f, "{id}: new, version {version}")?,
            Some(before) if self.changes_nothing() => {
                return write!(f, "{id}: unchanged, version {version} ({})", before.source);
            }
            Some(before) => {
                write!(f, "{id}: version {} ({}) -> version {version}", before.tenant.version, before.source)?;
                if self.differences.is_empty() {
                    write!(f, "\n  only the order of lists")?;
                }
                return self.differences.iter().try_for_each(|difference| write!(f, "\n  {difference}"));
            }
        }
        Ok(())
    }
}
