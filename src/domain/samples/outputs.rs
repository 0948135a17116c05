//! One of each of the other records, every field filled.

use std::collections::BTreeMap;

use super::{NOON, actor, pairs, some};
use crate::domain::bytes::Bytes;
use crate::domain::dead_letter::{DeadLetter, DeadLetterHeader, Stage};
use crate::domain::decision::{
    Alternative, Automation, Citation, DecidedBy, Disposition, Entity, EntitySource, EscalationType, Handoff, Mode,
    ModelUsage, Origin, PolicyRef, Prediction, Related, Risk, Routing, Safety, SlaRisk, SuggestedReply, TriageDecision,
};
use crate::domain::event::{ActorType, Level};
use crate::domain::feedback::{EventFeedback, FeedbackStatus, LimitState, Violation};
use crate::domain::human_feedback::{
    FeedbackKind, FieldOverride, HumanFeedback, ReplyOutcome, Resolution, ResolutionEvidence,
};
use crate::domain::ops_event::{OpsEvent, OpsKind};
use crate::domain::review::{DecisionReview, FieldReview, JoinStatus};

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

fn origin() -> Origin {
    Origin { topic: "support.events.v1".to_owned(), partition: 3, offset: 4_711, timestamp: NOON }
}

fn prediction(value: &str) -> Prediction {
    Prediction {
        value: value.to_owned(),
        confidence: 0.91,
        raw_confidence: Some(0.95),
        confidence_level: Level::High,
        threshold: Some(0.9),
        automation: Automation::Apply,
        alternatives: vec![Alternative { value: "other".to_owned(), confidence: 0.05 }],
        previous_value: some("before"),
        rationale: some("says so"),
    }
}

pub(crate) fn decision() -> TriageDecision {
    TriageDecision {
        decision_id: "5e2c3d1a-0000-5000-8000-000000000001".to_owned(),
        decision_version: 2,
        event_id: "evt-1".to_owned(),
        event_source: "/zendesk/acme".to_owned(),
        idempotency_key: some("update-77"),
        tenant_id: "acme".to_owned(),
        ticket_id: "4711".to_owned(),
        message_id: some("m-2"),
        ticket_version: Some(7),
        decided_at: NOON,
        mode: Mode::Live,
        disposition: Disposition::Route,
        decided_by: DecidedBy::Model,
        degraded_reason: some("BREAKER_OPEN"),
        intent: Some(prediction("refund")),
        category: Some(prediction("billing_payment")),
        sentiment: Some(prediction("negative")),
        language: Some(prediction("de")),
        priority: Some(prediction("HIGH")),
        impact: Some(prediction("MEDIUM")),
        urgency: Some(prediction("HIGH")),
        ticket_type: Some(prediction("INCIDENT")),
        custom_fields: BTreeMap::from([("order".to_owned(), prediction("1001"))]),
        routing: Some(Routing {
            queue: prediction("billing"),
            skills: words(&["german"]),
            group_id: some("g-1"),
            assignee_id: some("a-1"),
        }),
        entities: vec![Entity {
            name: "order".to_owned(),
            value: "1001".to_owned(),
            start: Some(32),
            end: Some(36),
            confidence: 1.0,
            source: EntitySource::Regex,
        }],
        risk: Risk { score: 0.1, factors: words(&["money"]) },
        safety: Safety {
            spam_score: Some(0.01),
            abuse_score: Some(0.02),
            abuse_labels: words(&["none"]),
            pii_types: words(&["email"]),
            redactions: 1,
            prompt_injection_suspected: true,
            machine_generated: true,
            blocked_by: words(&["urgent"]),
        },
        reply: Some(SuggestedReply {
            body: "We are sorry.".to_owned(),
            language: "de".to_owned(),
            citations: vec![Citation {
                source_id: "kb-1".to_owned(),
                title: "Refunds".to_owned(),
                url: some("https://kb.example/1"),
                score: Some(0.8),
                excerpt: some("within 14 days"),
            }],
            groundedness: Some(0.7),
            steps_json: some("[]"),
        }),
        handoff: Some(Handoff {
            escalation_type: EscalationType::Billing,
            reason_code: "BREAKER_OPEN".to_owned(),
            reason: "the model is away".to_owned(),
            summary: "charged twice".to_owned(),
            suggested_actions: words(&["refund"]),
            attempted: words(&["model"]),
            target_response_at: Some(NOON),
        }),
        sla: Some(SlaRisk { due_at: Some(NOON), breach_risk: 0.2, clock: "first_reply".to_owned() }),
        related: Some(Related {
            duplicate_of_ticket_id: some("4710"),
            cluster_id: some("c-1"),
            cluster_size: 3,
            similar_ticket_ids: words(&["4700"]),
        }),
        rationale: "two charges for one order".to_owned(),
        policy: PolicyRef {
            policy_id: "acme".to_owned(),
            policy_version: "1".to_owned(),
            taxonomy_version: "generic-1".to_owned(),
            prompt_version: "triage-1".to_owned(),
            experiment: some("e"),
            variant: some("v"),
        },
        model: Some(ModelUsage {
            provider: "openai".to_owned(),
            request_model: "small".to_owned(),
            response_model: some("small-2026"),
            response_id: some("r-1"),
            input_tokens: 800,
            output_tokens: 90,
            cost_micros: 210,
            latency_ms: 640,
            attempts: 1,
            finish_reason: some("stop"),
        }),
        supersedes_decision_id: some("5e2c3d1a-0000-5000-8000-000000000000"),
        correlation_id: some("corr-1"),
        origin: origin(),
    }
}

pub(crate) fn feedback() -> EventFeedback {
    EventFeedback {
        event_id: some("evt-1"),
        event_source: some("/zendesk/acme"),
        idempotency_key: some("update-77"),
        tenant_id: some("acme"),
        ticket_id: some("4711"),
        status: FeedbackStatus::Deferred,
        terminal: false,
        reason_code: "TENANT_RATE_LIMITED".to_owned(),
        reason: some("60 requests a minute are used up"),
        decision_id: some("5e2c3d1a-0000-5000-8000-000000000001"),
        decision_version: Some(2),
        first_seen_at: Some(NOON),
        superseded_by_event_id: some("evt-2"),
        retry_at: Some(NOON),
        attempt: 2,
        limit: Some(LimitState {
            scope: "tenant".to_owned(),
            unit: "requests".to_owned(),
            capacity: 60,
            remaining: 0,
            refills_at: NOON,
        }),
        violations: vec![Violation {
            path: "message".to_owned(),
            code: "REQUIRED".to_owned(),
            message: "must be there".to_owned(),
        }],
        dead_lettered: true,
        origin: origin(),
        processed_at: NOON,
        latency_ms: 12,
        processor: "gatekeeper-0 / 0.1.0".to_owned(),
    }
}

pub(crate) fn dead_letter() -> DeadLetter {
    let bytes = |list: &[u8]| Some(Bytes(list.to_vec()));
    DeadLetter {
        dead_letter_id: "support.events.v1-3-4711".to_owned(),
        origin_topic: "support.events.v1".to_owned(),
        origin_partition: 3,
        origin_offset: 4_711,
        origin_timestamp: NOON,
        key: bytes(b"acme|4711"),
        value: bytes(&[0, 0xff, b'"', 0x80]),
        headers: vec![
            DeadLetterHeader { name: "ce_id".to_owned(), value: bytes(b"evt-1") },
            DeadLetterHeader { name: "nothing".to_owned(), value: None },
        ],
        schema_id: Some(1),
        event_id: some("evt-1"),
        event_source: some("/zendesk/acme"),
        tenant_id: some("acme"),
        ticket_id: some("4711"),
        stage: Stage::Ingest,
        reason_code: "DECODE_FAILED".to_owned(),
        reason: "no".to_owned(),
        detail: some("really not"),
        attempts: 1,
        first_failed_at: NOON,
        last_failed_at: NOON,
        replayable: true,
        replay_count: 1,
        consumer_group: "gatekeeper".to_owned(),
        processor: "gatekeeper-0 / 0.1.0".to_owned(),
        value_sha256: some("00"),
    }
}

pub(crate) fn ops_event() -> OpsEvent {
    OpsEvent {
        ops_event_id: "ops-1".to_owned(),
        at: NOON,
        kind: OpsKind::BreakerStateChanged,
        tenant_id: some("acme"),
        component: some("breaker:openai/small"),
        previous: some("closed"),
        current: some("open"),
        attributes: pairs(&[("failures", "5")]),
        processor: "gatekeeper-0 / 0.1.0".to_owned(),
    }
}

pub(crate) fn human_feedback() -> HumanFeedback {
    HumanFeedback {
        feedback_id: "fb-1".to_owned(),
        source: "/zendesk/acme".to_owned(),
        tenant_id: "acme".to_owned(),
        ticket_id: "4711".to_owned(),
        decision_id: some("5e2c3d1a-0000-5000-8000-000000000001"),
        occurred_at: NOON,
        actor: actor(ActorType::Agent, "a-1"),
        kind: FeedbackKind::Override,
        overrides: vec![FieldOverride {
            field: "category".to_owned(),
            predicted: some("billing_payment"),
            actual: "refund_cancel".to_owned(),
            reason: some("wants it back"),
        }],
        reply_outcome: Some(ReplyOutcome::SentEdited),
        edit_ratio: Some(0.25),
        rating: Some(4),
        resolution: Some(Resolution::Resolved),
        resolution_evidence: Some(ResolutionEvidence::CustomerConfirmed),
        reason_code: some("WRONG_CATEGORY"),
        comment: some("close"),
    }
}

pub(crate) fn review() -> DecisionReview {
    DecisionReview {
        review_id: "rv-1".to_owned(),
        feedback_id: "fb-1".to_owned(),
        decision_id: some("5e2c3d1a-0000-5000-8000-000000000001"),
        decision_version: Some(1),
        tenant_id: "acme".to_owned(),
        ticket_id: "4711".to_owned(),
        join_status: JoinStatus::JoinedById,
        kind: "OVERRIDE".to_owned(),
        fields: vec![FieldReview {
            field: "category".to_owned(),
            predicted: some("billing_payment"),
            confidence: Some(0.9),
            raw_confidence: Some(0.97),
            automation: some("APPLY"),
            actual: "refund_cancel".to_owned(),
            agreed: false,
        }],
        rating: Some(4),
        resolution: some("RESOLVED"),
        resolution_evidence: some("CUSTOMER_CONFIRMED"),
        reply_outcome: some("SENT_EDITED"),
        edit_ratio: Some(0.25),
        comment: some("close"),
        disposition: some("ROUTE"),
        mode: some("LIVE"),
        policy_version: some("1"),
        prompt_version: some("triage-1"),
        request_model: some("small"),
        decided_by: some("MODEL"),
        language: some("de"),
        decision_to_feedback_ms: Some(60_000),
        joined_at: NOON,
        origin: origin(),
    }
}
