//! A tenant's policy: what its tickets are sorted into, what may act, and how much it may ask.
//!
//! Plain values; where they come from (files, the database) and when they change is somebody else's knowledge.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::calibration::Calibration;
use super::decision::EscalationType;
use super::event::{EventType, Level, Priority};
use super::money::Money;
use super::phrase::Phrase;
use super::taxonomy::Taxonomy;

/// One tenant's profile, as a whole and versioned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// `[A-Za-z0-9._-]{1,64}`; never contains `|`.
    pub id: String,
    /// Named in every decision.
    #[serde(default = "version_one")]
    pub version: String,
    /// A disabled tenant's events are rejected as TENANT_DISABLED.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// ISO 4217; costs are millionths of it.
    #[serde(default = "usd")]
    pub currency: String,
    /// What tickets can be about.
    #[serde(default = "super::tenant::generic_taxonomy")]
    pub taxonomy: Taxonomy,
    /// Event types that are decided; others are ignored.
    #[serde(default = "decided_types")]
    pub decides: Vec<EventType>,
    /// Cut-offs, unless a field has its own.
    #[serde(default)]
    pub thresholds: Thresholds,
    /// Cut-offs by field: category, sentiment, language, impact, urgency, priority, queue.
    #[serde(default)]
    pub field_thresholds: BTreeMap<String, Thresholds>,
    /// Fields whose confidence is taken at its word, without tables, whatever remote model says it: those that were
    /// calibrated elsewhere. What has neither a word here nor a table below is never applied without a person.
    #[serde(default)]
    pub calibrated_fields: Vec<String>,
    /// What confidences are worth by this tenant's own reviews. A field with tables goes by them alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calibration: Vec<Calibration>,
    /// Impact x urgency.
    #[serde(default)]
    pub priority_matrix: PriorityMatrix,
    /// Checked before any threshold: these go to people.
    #[serde(default = "hard_lanes")]
    pub human_lanes: Vec<HumanLane>,
    /// What to do with tickets that a person already owns.
    #[serde(default)]
    pub when_human_owned: WhenHumanOwned,
    /// What models are told besides, in the tenant's own words. Left out of what is hashed where there is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// Languages (ISO 639-1) the tenant's people and models work in; empty: any.
    #[serde(default)]
    pub languages: Vec<String>,
    /// Where a ticket goes when its category names no queue.
    #[serde(default = "default_queue")]
    pub default_queue: String,
    /// How long a decision may wait for its model, from the start of its call. What it waited before, for its tenant's limits
    /// or for room at a busy model, does not count: a backlog would be decided by fallbacks although the model is well.
    #[serde(default = "a_minute", with = "humantime_serde")]
    pub decide_by: Duration,
    /// Whether a fallback's decision is followed by a better one once the first model is back: one more call for it, and
    /// consumers that heed `decision_version`. Left out of what is hashed where it is off, as it was before there was any.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub improve_fallbacks: bool,
    /// How long people have for a handoff, by priority.
    #[serde(default)]
    pub target_response: TargetResponse,
    /// How much it may ask of remote models.
    #[serde(default)]
    pub limits: Limits,
}

/// Confidence cut-offs of one field.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Thresholds {
    /// From here on a value is shown.
    pub recommend: f64,
    /// From here on it is preselected.
    pub select: f64,
    /// From here on it may be applied without a person.
    pub apply: f64,
    /// Above this risk nothing is applied.
    pub max_risk: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { recommend: 0.60, select: 0.75, apply: 0.90, max_risk: 0.30 }
    }
}

/// Priority by impact (first key) and urgency (second key): ITIL's matrix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PriorityMatrix(pub BTreeMap<Level, BTreeMap<Level, Priority>>);

impl PriorityMatrix {
    /// The priority for an impact and an urgency, if the matrix has that cell.
    #[must_use]
    pub fn priority(&self, impact: Level, urgency: Level) -> Option<Priority> {
        self.0.get(&impact).and_then(|row| row.get(&urgency)).copied()
    }
}

impl Default for PriorityMatrix {
    fn default() -> Self {
        use Level::{High, Low, Medium};
        let row = |low, medium, high| BTreeMap::from([(Low, low), (Medium, medium), (High, high)]);
        Self(BTreeMap::from([
            (Low, row(Priority::Low, Priority::Low, Priority::Normal)),
            (Medium, row(Priority::Low, Priority::Normal, Priority::High)),
            (High, row(Priority::Normal, Priority::High, Priority::Urgent)),
        ]))
    }
}

/// A kind of ticket that only people decide. Any of its conditions is enough.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HumanLane {
    /// Named in `safety.blocked_by` and in the handoff.
    pub name: String,
    /// Categories.
    #[serde(default)]
    pub categories: Vec<String>,
    /// Priorities after the matrix.
    #[serde(default)]
    pub priorities: Vec<Priority>,
    /// Words or phrases in subject or message, compared as they look and without case, at word boundaries.
    #[serde(default)]
    pub phrases: Vec<Phrase>,
    /// Who should take it.
    #[serde(default)]
    pub escalation: EscalationType,
}

/// What to do with a ticket that a person owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenHumanOwned {
    /// IGNORED / HUMAN_OWNED.
    #[default]
    Ignore,
    /// Decide, but recommend at most.
    Recommend,
}

/// Time to a person's first answer, by priority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TargetResponse {
    /// URGENT.
    #[serde(with = "humantime_serde")]
    pub urgent: Duration,
    /// HIGH.
    #[serde(with = "humantime_serde")]
    pub high: Duration,
    /// NORMAL.
    #[serde(with = "humantime_serde")]
    pub normal: Duration,
    /// LOW.
    #[serde(with = "humantime_serde")]
    pub low: Duration,
}

impl Default for TargetResponse {
    fn default() -> Self {
        let hours = |n: u64| Duration::from_secs(n * 3_600);
        Self { urgent: hours(1), high: hours(4), normal: hours(24), low: hours(72) }
    }
}

/// What a limit does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitMode {
    /// Nothing.
    Off,
    /// What would have waited is counted, and goes.
    Shadow,
    /// What is over it waits.
    #[default]
    Enforce,
}

/// What becomes of events when their tenant's money for the day is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenSpent {
    /// Whatever in the chain costs nothing decides, DEGRADED.
    #[default]
    Degrade,
    /// They are put off until the next day begins.
    Defer,
    /// People decide.
    Human,
}

/// Token buckets towards remote models, and their money for a day; absent means unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Model requests a minute, retries and further models of the chain included.
    pub requests_per_minute: Option<u32>,
    /// Model tokens a minute, prompt and completion.
    pub tokens_per_minute: Option<u32>,
    /// Share among tenants that wait; 1 to 1,000.
    pub weight: u32,
    /// What the two rates and the budget do; the weight counts in any mode.
    pub mode: LimitMode,
    /// Money for a day of UTC, in the tenant's currency.
    pub money_per_day: Option<Money>,
    /// When that is spent.
    pub when_budget_is_spent: WhenSpent,
}

impl Limits {
    /// No limits.
    pub const NONE: Self = Self {
        requests_per_minute: None,
        tokens_per_minute: None,
        weight: 1,
        mode: LimitMode::Enforce,
        money_per_day: None,
        when_budget_is_spent: WhenSpent::Degrade,
    };

    /// As whoever is asked for a model counts them: without rates and budget where they do nothing.
    #[must_use]
    pub fn in_force(self) -> Self {
        match self.mode {
            LimitMode::Off => Self { weight: self.weight, ..Self::NONE },
            LimitMode::Shadow | LimitMode::Enforce => self,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::NONE
    }
}

/// The eight categories of the generic model.
#[must_use]
pub fn generic_taxonomy() -> Taxonomy {
    use super::taxonomy::Label;
    let label = |name: &str, description: &str, queue: &str| Label {
        name: name.to_owned(),
        description: description.to_owned(),
        queue: Some(queue.to_owned()),
    };
    Taxonomy {
        version: "generic-1".to_owned(),
        categories: vec![
            label("account_access", "signing in, passwords, PINs, identity checks, personal details", "accounts"),
            label("billing_payment", "charges, invoices, transfers, fees, failed or doubled payments", "billing"),
            label("general_inquiry", "questions about products, prices, conditions, how something works", "service"),
            label("order_delivery", "placing, changing, tracking and receiving an order or a card", "logistics"),
            label("refund_cancel", "money back, cancelling an order, a service or an account", "billing"),
            label(
                "security_fraud",
                "unknown transactions, stolen cards or devices, suspected fraud or intrusion",
                "security",
            ),
            label("technical_issue", "something is broken, slow or fails: software, hardware, connection", "technical"),
            label("other", "none of these, small talk, not a support request", "service"),
        ],
    }
}

fn hard_lanes() -> Vec<HumanLane> {
    let phrases = |list: &[&str]| list.iter().copied().map(Phrase::from).collect();
    vec![
        HumanLane {
            name: "security".to_owned(),
            categories: vec!["security_fraud".to_owned()],
            priorities: Vec::new(),
            phrases: phrases(&["data breach", "ransomware", "hacked", "phishing"]),
            escalation: EscalationType::Security,
        },
        HumanLane {
            name: "legal".to_owned(),
            categories: Vec::new(),
            priorities: Vec::new(),
            phrases: phrases(&[
                "lawyer",
                "attorney",
                "lawsuit",
                "legal action",
                "court order",
                "subpoena",
                "gdpr request",
            ]),
            escalation: EscalationType::Legal,
        },
        HumanLane {
            name: "urgent".to_owned(),
            categories: Vec::new(),
            priorities: vec![Priority::Urgent],
            phrases: Vec::new(),
            escalation: EscalationType::Specialist,
        },
    ]
}

fn decided_types() -> Vec<EventType> {
    vec![EventType::TicketCreated, EventType::MessageAdded, EventType::TicketReopened]
}

fn version_one() -> String {
    "1".to_owned()
}

fn usd() -> String {
    "USD".to_owned()
}

fn default_queue() -> String {
    "service".to_owned()
}

fn a_minute() -> Duration {
    Duration::from_secs(60)
}

fn yes() -> bool {
    true
}

/// Every tenant that is known, and what happens to the others.
#[derive(Debug, Clone, Default)]
pub struct TenantBook {
    known: BTreeMap<String, Arc<Tenant>>,
    for_unknown: Option<Arc<Tenant>>,
    former: BTreeMap<String, Vec<Arc<Tenant>>>,
}

impl TenantBook {
    /// These tenants; `for_unknown` is the policy under which all others run, if they may.
    #[must_use]
    pub fn new(tenants: Vec<impl Into<Arc<Tenant>>>, for_unknown: Option<Tenant>) -> Self {
        let tenants = tenants.into_iter().map(Into::into);
        Self {
            known: tenants.map(|tenant| (tenant.id.clone(), tenant)).collect(),
            for_unknown: for_unknown.map(Arc::new),
            former: BTreeMap::new(),
        }
    }

    /// With these policies, which were in force before, the newest last.
    #[must_use]
    pub fn remembering(mut self, former: impl IntoIterator<Item = Arc<Tenant>>) -> Self {
        for tenant in former {
            self.former.entry(tenant.id.clone()).or_default().push(tenant);
        }
        self
    }

    /// The policy for a tenant id; it may be disabled. `None`: unknown, and unknown ones are rejected.
    #[must_use]
    pub fn find(&self, tenant_id: &str) -> Option<&Arc<Tenant>> {
        self.known.get(tenant_id).or(self.for_unknown.as_ref())
    }

    /// The tenant's policy of this version, as far as it is remembered.
    #[must_use]
    pub fn of_version(&self, tenant_id: &str, version: &str) -> Option<&Arc<Tenant>> {
        let former = self.former.get(tenant_id).into_iter().flatten().rev();
        self.known.get(tenant_id).into_iter().chain(former).find(|tenant| tenant.version == version)
    }

    /// The tenants that are known by name.
    pub fn known(&self) -> impl Iterator<Item = &Arc<Tenant>> {
        self.known.values()
    }
}
