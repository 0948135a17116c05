//! Flags: what they answer, and when their rules change.

use metrics::{counter, gauge};
use tracing::{debug, error, info};

use crate::domain::flags::{Flag, Flags, Share};
use crate::telemetry::{metric_names as names, tenant_labels};

/// The flags of one ticket were read for an answer.
#[derive(Debug, Clone, Copy)]
pub struct FlagsRead<'a> {
    /// As they were.
    pub flags: &'a Flags,
}

impl FlagsRead<'_> {
    /// Count them.
    pub fn record(&self) {
        for evaluation in self.flags.iter() {
            let (flag, variant) = (evaluation.flag.name(), evaluation.variant());
            let reason = evaluation.reason.as_str();
            counter!(names::FLAG_EVALUATIONS, "flag" => flag, "variant" => variant, "reason" => reason).increment(1);
        }
    }
}

/// The local model looked before any remote one.
#[derive(Debug, Clone, Copy)]
pub struct LookedFirst<'a> {
    /// At whose ticket.
    pub tenant_id: &'a str,
    /// Whether its answer stands, which saves a call.
    pub is_sure: bool,
}

impl LookedFirst<'_> {
    /// Log and count it.
    pub fn record(&self) {
        let outcome = if self.is_sure { "saved" } else { "in_doubt" };
        counter!(names::LOCAL_FIRST, "tenant" => tenant_labels::label(self.tenant_id), "outcome" => outcome)
            .increment(1);
        debug!(tenant.id = self.tenant_id, outcome, "the local model looked first");
    }
}

/// A flag is on for another share of tickets from now on.
#[derive(Debug, Clone, Copy)]
pub struct FlagSwitched<'a> {
    /// Which.
    pub flag: Flag,
    /// For whom; none: for whoever has no rule of their own.
    pub tenant_id: Option<&'a str>,
    /// Before, and where that stood.
    pub from: &'a str,
    /// Now.
    pub to: &'a str,
}

impl FlagSwitched<'_> {
    /// Log and count it.
    pub fn record(&self) {
        counter!(names::FLAG_CHANGES, "flag" => self.flag.name()).increment(1);
        let tenant = self.tenant_id.unwrap_or(EVERYBODY);
        info!(flag = self.flag.name(), tenant.id = tenant, from = self.from, to = self.to, "flag switched");
    }
}

const EVERYBODY: &str = "everybody";

/// For which share of tickets a flag is on.
#[derive(Debug, Clone, Copy)]
pub struct FlagShare<'a> {
    /// Which.
    pub flag: Flag,
    /// Whose tickets; none: of whoever has no rule of their own.
    pub tenant_id: Option<&'a str>,
    /// How many.
    pub share: Share,
}

impl FlagShare<'_> {
    /// Say it; of tenants past the bound of labels nothing is said.
    pub fn record(&self) {
        let label = self.tenant_id.map(|tenant| (tenant, tenant_labels::label(tenant)));
        let tenant = match label {
            None => EVERYBODY.to_owned(),
            Some((tenant, label)) if *label == *tenant => format!("tenant:{tenant}"),
            Some(_) => return,
        };
        gauge!(names::FLAG_SHARE, "flag" => self.flag.name(), "whose" => tenant).set(self.share.percent());
    }
}

/// An entry about a flag cannot be taken: what was known of it goes on.
#[derive(Debug, Clone, Copy)]
pub struct FlagRefused<'a> {
    /// What is wrong.
    pub mistake: &'a str,
}

impl FlagRefused<'_> {
    /// Log and count it.
    pub fn record(&self) {
        counter!(names::FLAGS_REFUSED).increment(1);
        error!(mistake = self.mistake, "a rule for a flag is not taken; what was known of it goes on");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::happenings::tests::recorded;

    #[test]
    fn what_flags_answer_and_how_they_change_is_counted() {
        let lines = recorded(|| {
            FlagsRead { flags: &Flags::without_rules() }.record();
            LookedFirst { tenant_id: "acme", is_sure: true }.record();
            LookedFirst { tenant_id: "acme", is_sure: false }.record();
            FlagSwitched { flag: Flag::Apply, tenant_id: None, from: "on", to: "off" }.record();
            FlagShare { flag: Flag::Apply, tenant_id: None, share: "12.5%".parse().expect("a share") }.record();
            FlagRefused { mistake: "revision 3" }.record();
        });
        for line in [
            "gatekeeper_flag_evaluations_total{flag=\"remote_models\",variant=\"on\",reason=\"DEFAULT\"} 1",
            "gatekeeper_local_first_total{tenant=\"acme\",outcome=\"saved\"} 1",
            "gatekeeper_local_first_total{tenant=\"acme\",outcome=\"in_doubt\"} 1",
            "gatekeeper_flag_changes_total{flag=\"apply\"} 1",
            "gatekeeper_flag_share_percent{flag=\"apply\",whose=\"everybody\"} 12.5",
            "gatekeeper_flags_refused_total 1",
        ] {
            assert!(lines.iter().any(|found| found == line), "{line} is not in {lines:#?}");
        }
    }
}
