//! The story of one copy, stage by stage, from what was gathered.

use serde::Serialize;

use super::{Copy, Explanation, LedgerRow, capped_by, fields};
use crate::domain::better::{Better, Dropped};
use crate::domain::calibration::Calibration;
use crate::domain::clock::CLOCKS_DIFFER_MS;
use crate::domain::decision::{Handoff, Prediction, TriageDecision};
use crate::domain::feedback::{EventFeedback, FeedbackStatus};
use crate::domain::reason_code::ReasonCode;

/// What a stage made of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stage {
    /// Its name.
    pub stage: &'static str,
    /// In a sentence.
    pub says: String,
    /// The particulars, a line each.
    pub more: Vec<String>,
}

impl Stage {
    fn new(stage: &'static str, says: impl Into<String>) -> Self {
        Self { stage, says: says.into(), more: Vec::new() }
    }

    fn with(self, more: Vec<String>) -> Self {
        Self { more, ..self }
    }
}

/// Every stage this copy came to, in the order of the road.
#[must_use]
pub fn stages(explanation: &Explanation, copy: &Copy) -> Vec<Stage> {
    use FeedbackStatus::{Accepted, Degraded, Duplicate, Ignored, Rejected, Superseded};
    let ledger = explanation.ledger.as_ref();
    let status = copy.terminal.as_ref().map(|terminal| terminal.status);
    let mut stages = vec![read(copy), ingest(explanation, copy)];
    let conflict = copy.terminal.as_ref().is_some_and(|it| it.reason_code == ReasonCode::IdempotencyConflict.as_str());
    if status != Some(Rejected) || conflict {
        stages.push(dedupe(copy, ledger));
    }
    if matches!(status, Some(Accepted | Degraded | Ignored | Superseded)) {
        stages.extend(copy.terminal.as_ref().map(lane));
    }
    if !copy.deferrals.is_empty() || matches!(status, Some(Accepted | Degraded)) {
        stages.push(admit(copy));
    }
    if matches!(status, Some(Accepted | Degraded) | None) {
        let owns = ledger.filter(|row| row.owner == copy.origin);
        stages.extend(owns.and_then(triage));
        let own = |decision: &&TriageDecision| !matches!(status, Some(Duplicate)) && is_of(decision, copy);
        stages.extend(explanation.decision.as_ref().filter(own).map(|it| decide(it, &explanation.tables)));
    }
    stages.push(publish(copy, ledger));
    let owns = ledger.filter(|row| row.owner == copy.origin);
    stages.extend(owns.and_then(|row| improve(row, explanation)));
    stages
}

fn is_of(decision: &TriageDecision, copy: &Copy) -> bool {
    let origin = &decision.origin;
    copy.origin == format!("{}-{}-{}", origin.topic, origin.partition, origin.offset)
}

fn read(copy: &Copy) -> Stage {
    let says = match &copy.record {
        None => format!("{}, which is no longer in the log", copy.origin),
        Some(record) => {
            let encoding = record.schema_id.map_or_else(|| "JSON".to_owned(), |id| format!("Avro schema {id}"));
            format!("{}, written {}, {} bytes of {encoding}", copy.origin, record.timestamp, record.bytes)
        }
    };
    Stage::new("read", says)
}

fn ingest(explanation: &Explanation, copy: &Copy) -> Stage {
    match &copy.terminal {
        Some(terminal)
            if terminal.status == FeedbackStatus::Rejected
                && terminal.reason_code != ReasonCode::IdempotencyConflict.as_str() =>
        {
            Stage::new("ingest", rejected(terminal)).with(violations(terminal))
        }
        _ => {
            let kind = copy.record.as_ref().and_then(|record| record.event_type);
            let kind = kind.map_or_else(|| "an event".to_owned(), |kind| kind.to_string());
            let of = explanation.event.as_ref().map_or_else(String::new, |event| {
                format!(
                    " {} of tenant {}, ticket {}, from {}",
                    event.event_id, event.tenant_id, event.ticket_id, event.source
                )
            });
            Stage::new("ingest", format!("{kind}{of}"))
        }
    }
}

fn rejected(terminal: &EventFeedback) -> String {
    match &terminal.reason {
        Some(reason) => format!("rejected as {}: {reason}", terminal.reason_code),
        None => format!("rejected as {}", terminal.reason_code),
    }
}

fn violations(terminal: &EventFeedback) -> Vec<String> {
    terminal.violations.iter().map(|it| format!("{}: {} ({})", it.path, it.message, it.code)).collect()
}

fn dedupe(copy: &Copy, ledger: Option<&LedgerRow>) -> Stage {
    let terminal = copy.terminal.as_ref();
    let Some(row) = ledger else {
        let says = match terminal.map(|terminal| terminal.status) {
            Some(FeedbackStatus::Duplicate) => "a copy of an event that was finished before",
            Some(FeedbackStatus::Rejected) => "the same identity as an earlier event with another content",
            _ => "the ledger has no row of it (not yet, no longer, or it is off)",
        };
        return Stage::new("dedupe", says);
    };
    let mut more = vec![format!("key {}", row.key)];
    if row.hop > 0 {
        more.push(format!("it came through {} delay tiers", row.hop));
    }
    if row.vanished {
        more.push("the owner vanished from the log before its verdict was published".to_owned());
    }
    let says = if row.owner == copy.origin {
        format!("the first copy, claimed {}", row.first_seen_at)
    } else if terminal.is_some_and(|terminal| row.first_seen_at.millis_since(terminal.processed_at) > CLOCKS_DIFFER_MS)
    {
        let claimed = format!("{} has claimed it anew {}", row.owner, row.first_seen_at);
        format!("the ledger has forgotten what it knew when this one ended; {claimed}")
    } else if terminal.is_some_and(|terminal| terminal.status == FeedbackStatus::Rejected) {
        format!("the identity of {} with another content", row.owner)
    } else {
        format!("a copy of {}, which was claimed {}", row.owner, row.first_seen_at)
    };
    Stage::new("dedupe", says).with(more)
}

fn lane(terminal: &EventFeedback) -> Stage {
    let reason = terminal.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let says = match terminal.status {
        FeedbackStatus::Ignored => format!("not for triage, {}{reason}", terminal.reason_code),
        FeedbackStatus::Superseded => {
            let by = terminal.superseded_by_event_id.as_deref().unwrap_or("a newer event");
            format!("superseded by {by}, which was decided instead")
        }
        _ => "the ticket's turn".to_owned(),
    };
    Stage::new("lane", says)
}

fn admit(copy: &Copy) -> Stage {
    let wait = |deferral: &EventFeedback| {
        let until = deferral.retry_at.map(|at| format!(" until {at}")).unwrap_or_default();
        format!("deferred at {} as {}{until}", deferral.processed_at, deferral.reason_code)
    };
    let says = match copy.deferrals.len() {
        0 => "admitted without being deferred".to_owned(),
        times => format!("deferred {times} times"),
    };
    Stage::new("admit", says).with(copy.deferrals.iter().map(wait).collect())
}

fn triage(row: &LedgerRow) -> Option<Stage> {
    let answer = row.answer.as_ref()?;
    let saved = row.answered_at.map(|at| format!(", saved {at}")).unwrap_or_default();
    let says = match (&answer.usage, &answer.predicted) {
        (Some(usage), Some(_)) => format!("{} answered{saved}", usage.model),
        _ => format!("no model answered{saved}"),
    };
    let tried = answer
        .tried
        .iter()
        .map(|it| format!("{} failed after {} calls: {} ({})", it.model, it.attempts, it.code, it.detail));
    let mut more: Vec<String> = tried.collect();
    more.extend(answer.degraded.map(|code| format!("degraded: {code}")));
    more.extend(answer.first_look.as_ref().map(ToString::to_string));
    more.extend(answer.flags.iter().map(|evaluation| format!("flag {evaluation}")));
    if let Some(usage) = &answer.usage {
        let model = usage.response_model.as_ref().unwrap_or(&usage.request_model);
        more.push(format!(
            "{} {model}: {} + {} tokens, {} millionths, {} ms, {} calls",
            usage.provider,
            usage.input_tokens,
            usage.output_tokens,
            usage.cost_micros,
            usage.latency_ms,
            usage.attempts
        ));
    }
    let findings = &answer.findings;
    if findings.redactions > 0 {
        more.push(format!("{} pieces redacted before it left: {}", findings.redactions, findings.pii_types.join(", ")));
    }
    if findings.injection_suspected {
        more.push("something in the text speaks to the model instead of to people".to_owned());
    }
    let versions = &answer.versions;
    more.push(format!("policy {}, taxonomy {}, prompt {}", versions.policy, versions.taxonomy, versions.prompt));
    Some(Stage::new("triage", says).with(more))
}

fn decide(decision: &TriageDecision, tables: &[Calibration]) -> Stage {
    let (disposition, by) = (symbol(&decision.disposition), symbol(&decision.decided_by));
    let mut more = vec![decision.rationale.clone()];
    for (name, field) in fields(decision) {
        let threshold = field.threshold.map(|threshold| format!(" (threshold {threshold:.2})")).unwrap_or_default();
        let caps = capped_by(&name, field, &decision.safety.blocked_by);
        let caps = if caps.is_empty() { String::new() } else { format!(", held back by {}", caps.join(", ")) };
        let (value, weighed) = (&field.value, weighed(field, tables.iter().find(|table| table.field == name)));
        let automation = symbol(&field.automation);
        more.push(format!("{name} {value}: {:.2}{weighed}{threshold}, {automation}{caps}", field.confidence));
    }
    if !decision.risk.factors.is_empty() {
        more.push(format!("risk {:.2}: {}", decision.risk.score, decision.risk.factors.join(", ")));
    }
    more.extend(decision.handoff.as_ref().map(handed_over));
    let policy = &decision.policy;
    more.push(format!(
        "policy {} {}, taxonomy {}, prompt {}",
        policy.policy_id, policy.policy_version, policy.taxonomy_version, policy.prompt_version
    ));
    Stage::new("decide", format!("{disposition} by {by}, decision {}", decision.decision_id)).with(more)
}

/// What the model itself had said, where something else was made of that.
fn weighed(field: &Prediction, table: Option<&Calibration>) -> String {
    match (field.raw_confidence, table) {
        (Some(raw), Some(Calibration { version, reviews, .. })) => {
            format!(" (raw {raw:.2}, by table {version} of {reviews} reviews)")
        }
        (Some(raw), None) if raw != field.confidence => {
            format!(" (raw {raw:.2}, by a table that is not known any more)")
        }
        _ => String::new(),
    }
}

/// What came, or is to come, after a fallback's decision.
fn improve(event: &LedgerRow, explanation: &Explanation) -> Option<Stage> {
    let row = explanation.better.as_ref();
    if event.better != Some(Better::Wanted) && row.is_none() {
        return None;
    }
    let Some(row) = row else {
        return Some(Stage::new("improve", "a better decision is wanted, when the first delay tier is over"));
    };
    let better = explanation.decision.as_ref().filter(|decision| decision.decision_version > 1);
    let says = match (row.better, better) {
        (Some(Better::Dropped(why)), _) => format!("no better decision: {}", in_words(why)),
        (Some(Better::Given), Some(decision)) => {
            let before = decision.supersedes_decision_id.as_deref().unwrap_or("none");
            format!("a better decision, version {}, supersedes {before}", decision.decision_version)
        }
        _ => format!("a better decision is wanted, and was tried {} times", row.hop),
    };
    Some(Stage::new("improve", says).with(triage(row).map(|stage| stage.says).into_iter().collect()))
}

fn in_words(why: Dropped) -> &'static str {
    match why {
        Dropped::NewerEvent => "a newer event of the ticket was decided",
        Dropped::PersonActed => "a person has acted on the ticket",
        Dropped::ModelAway => "the model was away each time that it was due",
        Dropped::NoAnswer => "the model has no usable answer",
        Dropped::Expired => "the event's time had passed",
        Dropped::NotWanted => "its tenant does not want one any more",
    }
}

fn handed_over(handoff: &Handoff) -> String {
    let by = handoff.target_response_at.map(|at| format!(", answer due {at}")).unwrap_or_default();
    format!("handed to {} ({}): {}{by}", symbol(&handoff.escalation_type), handoff.reason_code, handoff.reason)
}

fn publish(copy: &Copy, ledger: Option<&LedgerRow>) -> Stage {
    let Some(terminal) = &copy.terminal else {
        return Stage::new("publish", "nothing yet: it is waiting, on its way, or the processor is not running");
    };
    let mut more = Vec::new();
    if let Some(id) = terminal.decision_id.as_ref().filter(|_| terminal.status == FeedbackStatus::Duplicate) {
        more.push(format!("the first copy's decision is {id}"));
    }
    if let Some(letter) = &copy.dead_letter {
        let again = match (letter.replayable, &letter.value_sha256) {
            (true, _) => sent_again(&letter.reason_code),
            (false, Some(_)) => {
                "has no value in it, which was too large for the log: only its publisher can send it again"
            }
            (false, None) => "sending it again cannot end otherwise",
        };
        more.push(format!("dead letter {}, {again}", letter.dead_letter_id));
    }
    if let Some(at) = ledger.filter(|row| row.owner == copy.origin).and_then(|row| row.published_at) {
        more.push(format!("known to be committed {at}"));
    }
    let (status, code) = (symbol(&terminal.status), &terminal.reason_code);
    let says = format!(
        "{status} / {code} at {} after {} ms by {}",
        terminal.processed_at, terminal.latency_ms, terminal.processor
    );
    Stage::new("publish", says).with(more)
}

/// What sending a rejected record again comes to, as the page of its code says.
fn sent_again(code: &str) -> &'static str {
    const BYTES: [ReasonCode; 3] =
        [ReasonCode::DecodeFailed, ReasonCode::ValidationFailed, ReasonCode::EnvelopeMismatch];
    if BYTES.iter().any(|of_bytes| of_bytes.as_str() == code) {
        "its publisher has to mend it and send it again: these very bytes fail again for as long as our rules are as they are"
    } else {
        "can be sent again as it is, once what stood against it is changed here (`redrive`)"
    }
}

/// As it stands in the record.
fn symbol(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
