//! The decision: policy in code.
//!
//! The model predicts; this stage decides. It is a pure function of the event, the tenant's policy and the saved answer:
//! the same [`Case`] gives the same bytes for ever, which is what makes a redelivery and a replay harmless.
//!
//! ```text
//!  answer -> distrust -> what it comes to      -> who decides       -> what may be done with it
//!            closed      priority, human lanes,   people (handoff)     thresholds on what confidences are
//!            lists only  risk                     or the model         worth, then rules that hold back: `Rule`
//! ```
//!
//! The promise: with a model that obeys an attacker in every field, the worst effect is one wrong label out of that
//! tenant's own list. Labels are looked up, levels and sentiments are closed sets, priority is computed, and free text is
//! only ever text for a person.
//!
//! What does not belong here: asking a model, personal data (both `triage`), deciding whether an event is decided at all
//! (`lane`), and spam: without evidence for it there is no MARK_SPAM. AUTO_RESOLVE is not in this version either: it
//! would close a ticket without a person on a model's word, and "resolved" is never self-awarded.

mod confidence;
mod distrust;
mod experiment;
mod field;
mod handoff;
mod human_lanes;
mod predictions;
mod priority;
mod risk;
mod rule;
mod thresholds;
mod words;

#[cfg(test)]
mod calibration_examples;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod flag_examples;
#[cfg(test)]
mod handoff_examples;
#[cfg(test)]
mod properties;

use std::collections::BTreeMap;

use crate::domain::answer::{Answer, Predicted, Usage};
use crate::domain::better::BETTER_VERSION;
use crate::domain::clock::Timestamp;
use crate::domain::decision::{
    Automation, DecidedBy, Disposition, Mode, ModelUsage, Origin, PolicyRef, Prediction, Safety, SuggestedReply,
    TriageDecision,
};
use crate::domain::event::{AutoSubmitted, SupportEvent};
use crate::domain::flags::Flag;
use crate::domain::identity::{self, DedupeKey};
use crate::domain::tenant::Tenant;

use confidence::Confidences;
use handoff::Cause;
use predictions::Predictions;
use rule::Rule;
use thresholds::Judge;

/// Everything a decision depends on.
#[derive(Debug, Clone)]
pub struct Case<'a> {
    /// What happened.
    pub event: &'a SupportEvent,
    /// The policy it is decided under.
    pub tenant: &'a Tenant,
    /// What triage came back with.
    pub answer: &'a Answer,
    /// The event's identity.
    pub key: DedupeKey,
    /// First position of the event in the log.
    pub origin: Origin,
    /// When; the caller saves it with the verdict.
    pub decided_at: Timestamp,
    /// Live, or apart from it.
    pub mode: Mode,
    /// A person took the ticket over, possibly after the event was published.
    pub owned_by_a_person: bool,
}

/// The first version of a decision; a better one after a fallback counts on.
const FIRST_VERSION: i32 = 1;

/// Decides what should happen to the ticket.
#[must_use]
pub fn decide(case: &Case<'_>) -> TriageDecision {
    let Case { event, tenant, answer, .. } = case;

    let raw = distrust::distrust(answer.predicted.as_ref(), &tenant.taxonomy);
    let confidences = Confidences::of(tenant, answer);
    let predicted = confidences.weighed(&raw);
    let proposal = priority::propose(&event.ticket, &raw, &tenant.priority_matrix);
    let effective_priority = priority::effective(&event.ticket, proposal.as_ref());
    let lanes = human_lanes::matching(event, tenant, &predicted, effective_priority);
    let risk = risk::assess(event, tenant, &predicted, &answer.findings);

    let rules = rule::in_force(case, &lanes);
    let trusted = rules.iter().all(|rule| rule.limit() > Automation::Recommend);
    let mut judge = Judge::new(tenant, &confidences, risk.score, rules);
    let predictions = Predictions::judge(&mut judge, event, tenant, &raw, proposal.as_ref());

    let ask = trusted && should_ask(event, &predicted, tenant);
    let cause = handoff::cause(case, &predicted, lanes.first().copied(), ask);
    let disposition = match &cause {
        Some(_) => Disposition::Handoff,
        None if owned(case) => Disposition::NoAction,
        None if ask => Disposition::RequestInfo,
        None if is_offered(answer, &predicted, &predictions) => Disposition::SuggestReply,
        None => Disposition::Route,
    };
    let rationale = rationale(disposition, cause.as_ref(), &predictions, judge.rules(), answer);
    let experiment = experiment::of(answer);

    TriageDecision {
        decision_id: identity::decision_id(case.key, &answer.versions.fingerprint, FIRST_VERSION).to_string(),
        decision_version: FIRST_VERSION,
        event_id: event.event_id.clone(),
        event_source: event.source.clone(),
        idempotency_key: event.idempotency_key.clone(),
        tenant_id: event.tenant_id.clone(),
        ticket_id: event.ticket_id.clone(),
        message_id: event.message.as_ref().map(|message| message.message_id.clone()),
        ticket_version: event.ticket_version,
        decided_at: case.decided_at,
        mode: case.mode,
        disposition,
        decided_by: decided_by(answer, cause.as_ref()),
        degraded_reason: answer.degraded.map(|code| code.to_string()),
        intent: None,
        reply: (disposition == Disposition::SuggestReply).then(|| reply(event, tenant, &predicted)).flatten(),
        handoff: cause.map(|cause| handoff::package(case, &cause, &predicted, effective_priority)),
        category: predictions.category,
        sentiment: predictions.sentiment,
        language: predictions.language,
        priority: predictions.priority,
        impact: predictions.impact,
        urgency: predictions.urgency,
        ticket_type: None,
        custom_fields: BTreeMap::new(),
        routing: Some(predictions.routing),
        entities: Vec::new(),
        risk,
        safety: safety(event, answer, judge.rules()),
        sla: None,
        related: None,
        rationale,
        policy: PolicyRef {
            policy_id: tenant.id.clone(),
            policy_version: answer.versions.policy.clone(),
            taxonomy_version: answer.versions.taxonomy.clone(),
            prompt_version: answer.versions.prompt.clone(),
            experiment: experiment.as_ref().map(|experiment| experiment.flags.clone()),
            variant: experiment.map(|experiment| experiment.variants),
        },
        model: answer.usage.as_ref().map(model_usage),
        supersedes_decision_id: None,
        correlation_id: event.correlation_id.clone(),
        origin: case.origin.clone(),
    }
}

/// The same question; where it was decided by a fallback before, in the decision of this id, the better one after that.
#[must_use]
pub fn decide_superseding(case: &Case<'_>, supersedes: Option<&str>) -> TriageDecision {
    let decision = decide(case);
    let Some(supersedes) = supersedes else { return decision };
    let fingerprint = &case.answer.versions.fingerprint;
    TriageDecision {
        decision_id: identity::decision_id(case.key, fingerprint, BETTER_VERSION).to_string(),
        decision_version: BETTER_VERSION,
        supersedes_decision_id: Some(supersedes.to_owned()),
        ..decision
    }
}

/// Owned by a person, as the event says it or as it became since.
fn owned(case: &Case<'_>) -> bool {
    case.owned_by_a_person || case.event.ticket.human_owned
}

/// Too little text to judge, and a model that is not sure either: better one question than one guess. Without a label at
/// all there is nothing to ask about, people decide.
fn should_ask(event: &SupportEvent, predicted: &Predicted, tenant: &Tenant) -> bool {
    let select = thresholds::of(tenant, field::Field::Category).select;
    let unsure = predicted.category.as_ref().is_some_and(|category| category.confidence < select);
    unsure && words::too_little_to_judge(event)
}

/// A draft that a person may send, under a category that is at least preselected.
fn is_offered(answer: &Answer, predicted: &Predicted, predictions: &Predictions) -> bool {
    let is_selected = |category: &Prediction| category.automation >= Automation::Select;
    let may_be = answer.is_on(Flag::DraftReplies) && predictions.category.as_ref().is_some_and(is_selected);
    predicted.reply.is_some() && may_be
}

fn decided_by(answer: &Answer, cause: Option<&Cause<'_>>) -> DecidedBy {
    match cause {
        _ if answer.degraded.is_some() => DecidedBy::Fallback,
        Some(Cause::Lane(_) | Cause::NobodyAnswered { .. }) => DecidedBy::Rule,
        _ => DecidedBy::Model,
    }
}

/// The draft, in the language of the ticket as far as it is known (`und`: BCP 47 for "undetermined").
fn reply(event: &SupportEvent, tenant: &Tenant, predicted: &Predicted) -> Option<SuggestedReply> {
    let language = predictions::spoken_language(event, tenant, predicted).unwrap_or_else(|| "und".to_owned());
    let body = predicted.reply.clone()?;
    Some(SuggestedReply { body, language, citations: Vec::new(), groundedness: None, steps_json: None })
}

fn safety(event: &SupportEvent, answer: &Answer, rules: &[Rule]) -> Safety {
    use AutoSubmitted::{AutoGenerated, AutoReplied, Bounce, List};
    Safety {
        spam_score: None,
        abuse_score: None,
        abuse_labels: Vec::new(),
        pii_types: answer.findings.pii_types.clone(),
        redactions: i32::try_from(answer.findings.redactions).unwrap_or(i32::MAX),
        prompt_injection_suspected: answer.findings.injection_suspected,
        machine_generated: event
            .message
            .as_ref()
            .is_some_and(|message| matches!(message.auto_submitted, AutoGenerated | AutoReplied | Bounce | List)),
        blocked_by: rules.iter().map(Rule::to_string).collect(),
    }
}

fn model_usage(usage: &Usage) -> ModelUsage {
    let long = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    ModelUsage {
        provider: usage.provider.clone(),
        request_model: usage.request_model.clone(),
        response_model: usage.response_model.clone(),
        response_id: usage.response_id.clone(),
        input_tokens: long(usage.input_tokens),
        output_tokens: long(usage.output_tokens),
        cost_micros: long(usage.cost_micros),
        latency_ms: long(usage.latency_ms),
        attempts: i32::try_from(usage.attempts).unwrap_or(i32::MAX),
        finish_reason: usage.finish_reason.clone(),
    }
}

/// The decision in a few sentences, from facts; what the model says about itself stands at its category.
fn rationale(
    disposition: Disposition,
    cause: Option<&Cause<'_>>,
    predictions: &Predictions,
    rules: &[Rule],
    answer: &Answer,
) -> String {
    let mut sentences = vec![match (cause, disposition) {
        (Some(cause), _) => format!("People decide: {}.", cause.reason()),
        (None, Disposition::NoAction) => "A person owns the ticket; the predictions are for them to read.".to_owned(),
        (None, Disposition::RequestInfo) => {
            "There is too little text to judge; better to ask than to guess.".to_owned()
        }
        (None, Disposition::SuggestReply) => "A draft reply is ready for a person to send.".to_owned(),
        (None, _) => format!("Routed to queue {}.", predictions.routing.queue.value),
    }];
    let fields = [("category", &predictions.category), ("priority", &predictions.priority)];
    for (name, prediction) in fields {
        if let Some(Prediction { value, confidence, automation, .. }) = prediction {
            let automation = words::symbol(automation);
            sentences.push(format!("The {name} is {value} with confidence {confidence:.2}: {automation}."));
        }
    }
    if !rules.is_empty() {
        let names: Vec<_> = rules.iter().map(Rule::to_string).collect();
        sentences.push(format!("Held back by {}.", names.join(", ")));
    }
    sentences.extend(answer.first_look.as_ref().map(|look| format!("The model {look}.")));
    sentences.join(" ")
}
