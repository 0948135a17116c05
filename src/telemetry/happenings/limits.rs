//! What becomes of tenants' limits.

use std::time::Duration;

use metrics::{counter, gauge, histogram};
use tracing::{debug, info, warn};

use super::millis;
use crate::domain::budget::Day;
use crate::domain::money::Money;
use crate::telemetry::metric_names as names;
use crate::telemetry::tenant_labels;

/// A limit in shadow mode would have made an event wait.
#[derive(Debug, Clone, Copy)]
pub struct LimitWouldHold<'a> {
    /// Whose.
    pub tenant_id: &'a str,
    /// For how long, behind everything that it would have held before.
    pub wait: Duration,
    /// Whether the event would have been put off, and not have waited in memory.
    pub is_deferral: bool,
}

impl LimitWouldHold<'_> {
    /// Log and count it.
    pub fn record(&self) {
        let (tenant, how) = (tenant_labels::label(self.tenant_id), if self.is_deferral { "defer" } else { "wait" });
        counter!(names::LIMIT_SHADOWED, "tenant" => tenant.to_string(), "would" => how).increment(1);
        debug!(tenant.id = self.tenant_id, wait_ms = millis(self.wait), would = how, "a limit in shadow mode");
    }
}

/// What of a tenant's money for the day is gone.
#[derive(Debug, Clone, Copy)]
pub struct BudgetLevel<'a> {
    /// Whose.
    pub tenant_id: &'a str,
    /// Gone, or spoken for.
    pub spent: Money,
    /// Not.
    pub left: Money,
}

impl BudgetLevel<'_> {
    /// Set the gauges; too frequent to log.
    pub fn record(&self) {
        budget(self.tenant_id, self.spent.in_currency(), self.left.in_currency());
    }
}

/// A tenant has no budget any more.
#[derive(Debug, Clone, Copy)]
pub struct BudgetGone<'a> {
    /// Whose it was.
    pub tenant_id: &'a str,
}

impl BudgetGone<'_> {
    /// No figure is true of it, and none raises an alarm.
    pub fn record(&self) {
        budget(self.tenant_id, f64::NAN, f64::NAN);
    }
}

/// Of tenants past the bound of labels nothing is said: the figures of one would pass for those of all others.
fn budget(tenant_id: &str, spent: f64, left: f64) {
    let label = tenant_labels::label(tenant_id);
    if *label == *tenant_id {
        gauge!(names::BUDGET_SPENT, "tenant" => label.clone()).set(spent);
        gauge!(names::BUDGET_LEFT, "tenant" => label).set(left);
    }
}

/// Most of a tenant's money for the day is gone.
#[derive(Debug, Clone, Copy)]
pub struct BudgetNearlySpent<'a> {
    /// Whose.
    pub tenant_id: &'a str,
    /// Which.
    pub day: Day,
    /// All of it.
    pub budget: Money,
    /// What is gone, or spoken for.
    pub spent: Money,
}

impl BudgetNearlySpent<'_> {
    /// Log it.
    pub fn record(&self) {
        let Self { tenant_id, day, budget, spent } = self;
        warn!(tenant.id = tenant_id, %day, %budget, %spent, "a tenant's budget is nearly spent");
    }
}

/// A tenant's money for the day had no room for a call.
#[derive(Debug, Clone, Copy)]
pub struct BudgetExhausted<'a> {
    /// Whose.
    pub tenant_id: &'a str,
    /// Which.
    pub day: Day,
    /// All of it.
    pub budget: Money,
    /// Less than the call was expected to cost.
    pub left: Money,
}

impl BudgetExhausted<'_> {
    /// Log and count it.
    pub fn record(&self) {
        let Self { tenant_id, day, budget, left } = self;
        counter!(names::BUDGETS_EXHAUSTED, "tenant" => tenant_labels::label(tenant_id).to_string()).increment(1);
        warn!(tenant.id = tenant_id, %day, %budget, %left, "a tenant's budget is spent: no paid call until the next day, or until it is raised");
    }
}

/// A tenant whose budget was spent has the money of another day.
#[derive(Debug, Clone, Copy)]
pub struct BudgetRenewed<'a> {
    /// Whose.
    pub tenant_id: &'a str,
    /// Which.
    pub day: Day,
    /// What was spent the day before.
    pub budget: Money,
}

impl BudgetRenewed<'_> {
    /// Log it, and what was said of the day before is over.
    pub fn record(&self) {
        let Self { tenant_id, day, budget } = self;
        BudgetLevel { tenant_id, spent: Money::default(), left: *budget }.record();
        info!(tenant.id = tenant_id, %day, %budget, "a tenant's budget begins anew");
    }
}

/// A budget that is only watched would have had no room for a call.
#[derive(Debug, Clone, Copy)]
pub struct BudgetWouldBite<'a> {
    /// Whose.
    pub tenant_id: &'a str,
}

impl BudgetWouldBite<'_> {
    /// Log and count it.
    pub fn record(&self) {
        let tenant = tenant_labels::label(self.tenant_id);
        counter!(names::BUDGET_SHADOWED, "tenant" => tenant.to_string()).increment(1);
        debug!(tenant.id = self.tenant_id, "a call beyond a budget that is only watched");
    }
}

/// A trip for shared limits ended.
#[derive(Debug, Clone, Copy)]
pub struct SharesTripMade {
    /// Of how many tenants.
    pub tenants: usize,
    /// How long it took.
    pub took: Duration,
    /// Whether it was answered.
    pub is_answered: bool,
}

impl SharesTripMade {
    /// Log and count it.
    pub fn record(&self) {
        let outcome = if self.is_answered { "answered" } else { "failed" };
        counter!(names::LIMIT_TRIPS, "outcome" => outcome).increment(1);
        histogram!(names::LIMIT_TRIP_DURATION).record(self.took.as_secs_f64());
        debug!(tenants = self.tenants, took_ms = millis(self.took), outcome, "trip for shared limits");
    }
}

/// The database did not answer a trip: this instance goes on with its last share.
#[derive(Debug, Clone, Copy)]
pub struct SharesAway<'a> {
    /// Why.
    pub error: &'a str,
    /// Since the first failure in a row.
    pub alone_for: Duration,
    /// Whether it is the first.
    pub is_news: bool,
}

impl SharesAway<'_> {
    /// Log and count it.
    pub fn record(&self) {
        gauge!(names::LIMIT_ALONE).set(1.0);
        let alone_for_ms = millis(self.alone_for);
        if self.is_news {
            warn!(error = self.error, "shared limits cannot be asked for: each instance goes on with its last share");
        } else {
            debug!(error = self.error, alone_for_ms, "shared limits still cannot be asked for");
        }
    }
}

/// The database answers trips again.
#[derive(Debug, Clone, Copy)]
pub struct SharesAvailable {
    /// How long it did not.
    pub alone_for: Duration,
}

impl SharesAvailable {
    /// Log and count it.
    pub fn record(&self) {
        gauge!(names::LIMIT_ALONE).set(0.0);
        info!(alone_for_ms = millis(self.alone_for), "limits are shared again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::happenings::tests::recorded;

    #[test]
    fn who_goes_on_alone_is_seen_and_seen_no_more_when_limits_are_shared_again() {
        let took = Duration::from_millis(5);
        let away = || {
            SharesTripMade { tenants: 1, took, is_answered: false }.record();
            SharesAway { error: "refused", alone_for: Duration::ZERO, is_news: true }.record();
        };
        let lines = recorded(away);
        for line in ["gatekeeper_limit_trips_total{outcome=\"failed\"} 1", "gatekeeper_limit_alone 1"] {
            assert!(lines.iter().any(|found| found == line), "{line} is not in {lines:#?}");
        }
        let lines = recorded(|| {
            LimitWouldHold { tenant_id: "acme", wait: took, is_deferral: true }.record();
            away();
            SharesTripMade { tenants: 1, took, is_answered: true }.record();
            SharesAvailable { alone_for: took }.record();
        });
        for line in [
            "gatekeeper_limit_trips_total{outcome=\"answered\"} 1",
            "gatekeeper_limit_alone 0",
            "gatekeeper_limit_shadowed_total{tenant=\"acme\",would=\"defer\"} 1",
        ] {
            assert!(lines.iter().any(|found| found == line), "{line} is not in {lines:#?}");
        }
    }
}
