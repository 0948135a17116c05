//! From verdicts to records: what goes out, and in which words.
//!
//! A terminal becomes a decision (if there is one), its feedback, and a dead letter (if it was rejected), all for the
//! partition number of the record they stem from. The same verdict on the same record gives the same bytes, always: a
//! redelivery may publish again what was saved, and a reader cannot tell.
//!
//! Sending is the log's business; whether something may be sent is the frontier's.

mod dead_letters;
mod headers;
mod partitioner;
mod subject;

use std::sync::Arc;

use serde::Serialize;
use uuid::Uuid;

use self::headers::Headers;
pub use self::partitioner::partition_for;
use self::subject::ticket_key;
pub use self::subject::{Identity, Subject};
use crate::domain::bytes::Bytes;
use crate::domain::clock::Timestamp;
use crate::domain::decision::{Origin, TriageDecision};
use crate::domain::deferral::{self, Deferral};
use crate::domain::event::SupportEvent;
use crate::domain::feedback::{EventFeedback, FeedbackStatus, LimitState};
use crate::domain::identity::{NAMESPACE, hash_parts, review_id};
use crate::domain::ops_event::OpsEvent;
use crate::domain::position::TopicRole;
use crate::domain::reason_code::ReasonCode;
use crate::domain::record::{OutRecord, Payload, Record};
use crate::domain::review::DecisionReview;
use crate::domain::verdict::Verdict;
use crate::pipeline::schema_set::{SchemaSet, encoding_of};
use crate::settings::schemas::Encoding;

/// Writes what the road has to say.
pub struct Publisher {
    schemas: Arc<SchemaSet>,
    encoding: Encoding,
    processor: String,
    consumer_group: String,
    source: String,
    max_record_bytes: usize,
}

/// An event that is put off.
#[derive(Debug, Clone)]
pub struct Deferred<'a> {
    /// Which tier.
    pub tier: u8,
    /// Why.
    pub code: ReasonCode,
    /// What stands on the copy.
    pub deferral: &'a Deferral,
    /// The limit that has no room for it.
    pub limit: Option<LimitState>,
    /// When it may have, as the publisher is told.
    pub retry_at: Timestamp,
}

/// The record that outputs stem from.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Name of its topic; for a deferred copy the origin's.
    pub topic: &'a str,
    /// Its partition.
    pub partition: u32,
    /// The record; for a deferred copy with the origin's offset.
    pub record: &'a Record,
    /// What it says, if that could be read.
    pub subject: Option<Subject<'a>>,
    /// The schema id in its frame.
    pub schema_id: Option<u32>,
}

impl Source<'_> {
    fn origin(&self) -> Origin {
        // Kafka's own partitions and offsets are signed; nothing larger can come from it.
        Origin {
            topic: self.topic.to_owned(),
            partition: i32::try_from(self.partition).unwrap_or(i32::MAX),
            offset: i64::try_from(self.record.offset).unwrap_or(i64::MAX),
            timestamp: self.record.timestamp,
        }
    }

    /// `topic-partition-offset`: the dead letter's id, and the origin that stands on every output.
    fn position(&self) -> String {
        format!("{}-{}-{}", self.topic, self.partition, self.record.offset)
    }

    /// `tenant|ticket`, or what the record had, when nobody can tell.
    fn key(&self) -> Option<Payload> {
        self.subject.map(Subject::key).or_else(|| self.record.key.clone())
    }
}

impl Publisher {
    /// `processor` names this instance and version in every record, `source` is the CloudEvents source of our outputs.
    #[must_use]
    pub fn new(
        schemas: Arc<SchemaSet>,
        encoding: Encoding,
        processor: String,
        consumer_group: String,
        source: String,
    ) -> Self {
        Self { schemas, encoding, processor, consumer_group, source, max_record_bytes: usize::MAX }
    }

    /// What the log has room for: no output is larger from now on.
    pub fn limit(&mut self, max_record_bytes: usize) {
        self.max_record_bytes = max_record_bytes;
    }

    fn fits(&self, record: &OutRecord) -> bool {
        record.bytes() <= self.max_record_bytes
    }

    /// A decision's value, byte for byte as it goes out: this is what is saved before anything is published.
    #[must_use]
    pub fn encode_decision(&self, decision: &TriageDecision) -> Bytes {
        Bytes(self.encode("TriageDecision", decision))
    }

    /// How a record ended, in the order in which readers should see it.
    #[must_use]
    pub fn terminal(&self, source: &Source<'_>, verdict: &Verdict) -> Vec<OutRecord> {
        let output = self.outputs_of(source, verdict);
        let mut records = Vec::with_capacity(2);
        if let Some(decision) = &verdict.decision {
            let value = Payload::copy_from_slice(&decision.bytes.0);
            records.push(output(TopicRole::Decisions, source.key(), "TriageDecision", &decision.id, value));
        }
        let value = self.encode("EventFeedback", &self.feedback(source, verdict));
        let id = feedback_id(source, 0);
        let feedback = |key, value| output(TopicRole::Feedback, key, "EventFeedback", &id, value);
        let value = Payload::from(value);
        // Only a record that nobody could read may have a key that is too large; its partition is explicit anyway.
        let whole = feedback(source.key(), value.clone());
        records.push(if self.fits(&whole) { whole } else { feedback(None, value) });
        if let Some(review) = &verdict.review {
            records.push(Self::saved_review(source, review, &output));
        }
        if verdict.status == FeedbackStatus::Rejected {
            let position = source.position();
            records.push(self.dead_letter(source, verdict, |key, value| {
                output(TopicRole::DeadLetters, key, "DeadLetter", &position, value.into())
            }));
        }
        records
    }

    /// Makes what this record and its verdict lead to: topic, key, record's name, id, value.
    fn outputs_of(
        &self,
        source: &Source<'_>,
        verdict: &Verdict,
    ) -> impl Fn(TopicRole, Option<Payload>, &'static str, &str, Payload) -> OutRecord {
        let about = Headers::about(source);
        let (partition, at) = (source.partition, verdict.processed_at);
        move |topic, key, record, id, value| {
            // What was saved may be older than the setting: its bytes say in what they are written.
            let mut headers = self.envelope(record, id, at, encoding_of(&value));
            headers.partition_key(key.as_deref());
            headers.extend(&about);
            OutRecord { topic, partition, key, value: Some(value), headers: headers.done() }
        }
    }

    /// A copy for its delay tier, and word of it to the publisher. No terminal: that one follows when it comes back.
    #[must_use]
    pub fn deferred(&self, source: &Source<'_>, deferred: &Deferred<'_>, now: Timestamp) -> Vec<OutRecord> {
        let Deferred { tier, code, deferral, .. } = *deferred;
        let copy = self.copy(source, tier, deferral);
        let verdict = Verdict::of(FeedbackStatus::Deferred, code, source.record.timestamp, now);
        let feedback = EventFeedback {
            retry_at: Some(deferred.retry_at.max(deferral.not_before)),
            attempt: i32::try_from(deferral.hop).unwrap_or(i32::MAX),
            limit: deferred.limit.clone(),
            ..self.feedback(source, &verdict)
        };
        let id = feedback_id(source, deferral.hop);
        let mut headers = self.envelope("EventFeedback", &id, now, self.encoding);
        let key = source.key();
        headers.partition_key(key.as_deref());
        headers.extend(&Headers::about(source));
        let value = Some(self.encode("EventFeedback", &feedback).into());
        let word =
            OutRecord { topic: TopicRole::Feedback, partition: source.partition, key, value, headers: headers.done() };
        vec![copy, word]
    }

    /// Whether a copy of this record has room in a delay tier. One that is too large would be refused again and again.
    #[must_use]
    pub fn may_be_copied(&self, record: &Record) -> bool {
        record.bytes().saturating_add(deferral::MOST_BYTES) <= self.max_record_bytes
    }

    /// A copy for a delay tier, and nothing else: of an improve record the publisher need not hear.
    #[must_use]
    pub fn copy(&self, source: &Source<'_>, tier: u8, deferral: &Deferral) -> OutRecord {
        OutRecord {
            topic: TopicRole::Deferred(tier),
            partition: source.partition,
            key: source.record.key.clone(),
            value: source.record.value.clone(),
            headers: deferral.headers(source.record),
        }
    }

    /// A better decision goes out alone: its event has its terminal, and has one only.
    #[must_use]
    pub fn better(&self, source: &Source<'_>, verdict: &Verdict) -> Option<OutRecord> {
        let decision = verdict.decision.as_ref()?;
        let value = Payload::copy_from_slice(&decision.bytes.0);
        let output = self.outputs_of(source, verdict);
        Some(output(TopicRole::Decisions, source.key(), "TriageDecision", &decision.id, value))
    }

    /// A review's value, byte for byte as it goes out: saved before it is published, like a decision's.
    #[must_use]
    pub fn encode_review(&self, review: &DecisionReview) -> Bytes {
        Bytes(self.encode("DecisionReview", review))
    }

    /// How a piece of human feedback ended: one review, or one dead letter. There is no terminal feedback about feedback.
    #[must_use]
    pub fn review(&self, source: &Source<'_>, verdict: &Verdict) -> Vec<OutRecord> {
        let output = self.outputs_of(source, verdict);
        match &verdict.review {
            Some(review) => vec![Self::saved_review(source, review, &output)],
            None => vec![self.dead_letter(source, verdict, |key, value| {
                output(TopicRole::DeadLetters, key, "DeadLetter", &source.position(), value.into())
            })],
        }
    }

    fn saved_review(
        source: &Source<'_>,
        review: &Bytes,
        output: &impl Fn(TopicRole, Option<Payload>, &'static str, &str, Payload) -> OutRecord,
    ) -> OutRecord {
        let id = source.subject.map_or_else(|| source.position(), |subject| review_id(subject.identity().key));
        let value = Payload::copy_from_slice(&review.0);
        output(TopicRole::DecisionReviews, source.key(), "DecisionReview", &id, value)
    }

    /// What operators want to know. It stems from no record, so it goes with any burst, in no order with what else is in it.
    #[must_use]
    pub fn ops_event(&self, event: &OpsEvent, partition: u32) -> OutRecord {
        let key: Option<Payload> = event.tenant_id.clone().map(Into::into);
        let mut headers = self.envelope("OpsEvent", &event.ops_event_id, event.at, self.encoding);
        headers.partition_key(key.as_deref());
        OutRecord {
            topic: TopicRole::Ops,
            partition,
            key,
            value: Some(self.encode("OpsEvent", event).into()),
            headers: headers.done(),
        }
    }

    /// An event on its way in, from our own publishers. Its envelope speaks for the event's source, not for us.
    #[must_use]
    pub fn event(&self, event: &SupportEvent, partition: u32) -> OutRecord {
        let key = ticket_key(&event.tenant_id, &event.ticket_id);
        let mut headers =
            Headers::new("SupportEvent", &event.event_id, &event.source, event.occurred_at, self.encoding);
        headers.text("ce_subject", &event.ticket_id);
        headers.partition_key(Some(&key));
        for (name, value) in [("ce_correlationid", &event.correlation_id), ("ce_causationid", &event.causation_id)] {
            if let Some(value) = value {
                headers.text(name, value);
            }
        }
        OutRecord {
            topic: TopicRole::Events,
            partition,
            key: Some(key),
            value: Some(self.encode("SupportEvent", event).into()),
            headers: headers.done(),
        }
    }

    fn feedback(&self, source: &Source<'_>, verdict: &Verdict) -> EventFeedback {
        let event = source.subject.and_then(Subject::event);
        let decision = verdict.decision.as_ref();
        EventFeedback {
            event_id: event.map(|event| event.event_id.clone()),
            event_source: event.map(|event| event.source.clone()),
            idempotency_key: event.and_then(|event| event.idempotency_key.clone()),
            tenant_id: event.map(|event| event.tenant_id.clone()),
            ticket_id: event.map(|event| event.ticket_id.clone()),
            status: verdict.status,
            terminal: verdict.status != FeedbackStatus::Deferred,
            reason_code: verdict.code.as_str().to_owned(),
            reason: verdict.reason.clone(),
            decision_id: decision.map(|decision| decision.id.clone()).or_else(|| verdict.first_decision_id.clone()),
            decision_version: decision.map(|decision| decision.version),
            first_seen_at: verdict.first_seen_at,
            superseded_by_event_id: verdict.superseded_by_event_id.clone(),
            retry_at: None,
            attempt: 1,
            limit: None,
            violations: verdict.violations.clone(),
            dead_lettered: verdict.status == FeedbackStatus::Rejected,
            origin: source.origin(),
            processed_at: verdict.processed_at,
            latency_ms: verdict.latency_ms,
            processor: self.processor.clone(),
        }
    }

    fn envelope(&self, record: &str, id: &str, time: Timestamp, encoding: Encoding) -> Headers {
        Headers::new(record, id, &self.source, time, encoding)
    }

    fn encode<T: Serialize>(&self, record: &str, value: &T) -> Vec<u8> {
        self.schemas.write(record, value, self.encoding)
    }
}

/// One terminal a record, so its id is the record's position; a deferral's has its number beside it.
fn feedback_id(source: &Source<'_>, hop: u32) -> String {
    let (partition, offset) = (source.partition.to_string(), source.record.offset.to_string());
    let deferral = if hop == 0 { "feedback".to_owned() } else { format!("deferral {hop}") };
    Uuid::new_v5(&NAMESPACE, &hash_parts(&[source.topic, &partition, &offset, &deferral])).to_string()
}

#[cfg(test)]
mod tests;
