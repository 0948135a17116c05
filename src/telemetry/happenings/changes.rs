//! What operators change while a processor runs.

use metrics::{counter, gauge};
use tracing::{error, info, warn};

use super::gauge as whole;
use crate::telemetry::metric_names as names;

/// The newest change that a processor has taken.
#[derive(Debug, Clone, Copy)]
pub struct ChangesTaken {
    /// Its revision.
    pub revision: u64,
}

impl ChangesTaken {
    /// Log and count it.
    pub fn record(&self) {
        gauge!(names::CHANGES_REVISION).set(whole(usize::try_from(self.revision).unwrap_or(usize::MAX)));
        info!(revision = self.revision, "took what operators changed");
    }
}

/// What operators changed cannot be read: the last known goes on.
#[derive(Debug, Clone, Copy)]
pub struct ChangesUnread<'a> {
    /// Why.
    pub error: &'a str,
    /// Whether that was said before: an absence is told once.
    pub again: bool,
}

impl ChangesUnread<'_> {
    /// Log and count it.
    pub fn record(&self) {
        counter!(names::CHANGES_UNREAD).increment(1);
        if !self.again {
            warn!(error = self.error, "what operators changed cannot be read; what was known goes on");
        }
    }
}

/// A tenant has another policy from now on.
#[derive(Debug, Clone, Copy)]
pub struct TenantSwitched<'a> {
    /// Which.
    pub tenant_id: &'a str,
    /// Before: its version and where it stands.
    pub from: Option<&'a str>,
    /// Now; none: it is unknown.
    pub to: Option<&'a str>,
}

impl TenantSwitched<'_> {
    /// Log and count it.
    pub fn record(&self) {
        counter!(names::TENANT_CHANGES).increment(1);
        let of = |policy: Option<&str>| policy.unwrap_or("unknown").to_owned();
        info!(tenant.id = self.tenant_id, from = of(self.from), to = of(self.to), "tenant changed");
    }
}

/// Files of tenants were read again, and all of them were taken.
#[derive(Debug, Clone, Copy)]
pub struct TenantsReloaded {
    /// Whose policy is another one, or new, or gone.
    pub changed: usize,
    /// Whose file says what it said before.
    pub unchanged: usize,
    /// Whose file does not count because the database has a policy for them.
    pub hidden: usize,
}

impl TenantsReloaded {
    /// Log it.
    pub fn record(&self) {
        let Self { changed, unchanged, hidden } = self;
        info!(changed, unchanged, hidden, "the files of tenants were read again");
    }
}

/// Where policies with mistakes came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedFrom {
    /// An entry that was put into the database by hand, or by another build.
    Database,
    /// Files that were read again.
    Files,
}

/// Policies with mistakes were not taken: those before stay in force.
#[derive(Debug, Clone, Copy)]
pub struct TenantsRefused<'a> {
    /// Where from.
    pub from: RefusedFrom,
    /// Every mistake.
    pub mistakes: &'a str,
}

impl TenantsRefused<'_> {
    /// Log and count it.
    pub fn record(&self) {
        let from = match self.from {
            RefusedFrom::Database => "database",
            RefusedFrom::Files => "files",
        };
        counter!(names::TENANTS_REFUSED, "from" => from).increment(1);
        error!(from, mistakes = self.mistakes, "tenant policies rejected; the previous ones stay in force");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::happenings::tests::recorded;

    #[test]
    fn changes_are_counted_and_so_is_what_is_not_taken() {
        let lines = recorded(|| {
            ChangesTaken { revision: 7 }.record();
            ChangesUnread { error: "it is away", again: false }.record();
            TenantSwitched { tenant_id: "acme", from: None, to: Some("1 (database, revision 7)") }.record();
            TenantsRefused { from: RefusedFrom::Files, mistakes: "acme.toml, `id`: is \"b\"" }.record();
        });
        for line in [
            "gatekeeper_changes_revision 7",
            "gatekeeper_changes_unread_total 1",
            "gatekeeper_tenant_changes_total 1",
            "gatekeeper_tenants_refused_total{from=\"files\"} 1",
        ] {
            assert!(lines.iter().any(|found| found == line), "{line} is not in {lines:#?}");
        }
    }
}
