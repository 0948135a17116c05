//! Which tables of calibration a decision was made with: those of the policy that it names.
//!
//! A version stands for one policy for ever, so the policy that it names says them, however long ago it was in force.

use crate::domain::calibration::Calibration;
use crate::domain::decision::TriageDecision;
use crate::domain::tenant::Tenant;
use crate::operations::tenants::edit;
use crate::operations::trail::AuditTrail;
use crate::pipeline::dedupe::ledger::LedgerError;
use crate::settings::tenants::document;

/// The tables that counted for this decision, by the policies in files and in the trail.
///
/// # Errors
/// When the database does not answer.
pub async fn tables(
    decision: &TriageDecision,
    files: &[Tenant],
    trail: Option<&dyn AuditTrail>,
) -> Result<Vec<Calibration>, LedgerError> {
    let policy = &decision.policy;
    let Some(model) = decision.model.as_ref().map(|model| &model.request_model) else { return Ok(Vec::new()) };
    let is_named = |tenant: &Tenant| tenant.id == policy.policy_id && tenant.version == policy.policy_version;
    let counts = |table: &Calibration| table.is_for(&table.field, model, &policy.prompt_version);
    let of = |tenant: &Tenant| tenant.calibration.iter().filter(|table| counts(table)).cloned().collect();
    if let Some(of_file) = files.iter().find(|of_file| is_named(of_file)) {
        return Ok(of(of_file));
    }
    let entries = match trail {
        Some(trail) => edit::history(trail, &policy.policy_id).await?,
        None => Vec::new(),
    };
    let policies = entries.iter().filter_map(|entry| document::read(entry.document.as_deref()?).ok());
    Ok(policies.into_iter().find(is_named).map(|tenant| of(&tenant)).unwrap_or_default())
}
