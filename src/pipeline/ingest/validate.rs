//! What the schema cannot say: which values make sense.
//!
//! Messages name the rule and never quote the value. Texts (subjects, bodies, tags) may hold anything that is UTF-8;
//! they are cleaned where they are used. Ids may not: they become keys, headers and columns.

use std::fmt::Display;

use crate::domain::clock::Timestamp;
use crate::domain::event::{Actor, ChangeSet, EventType, Message, SupportEvent};
use crate::domain::feedback::Violation;
use crate::domain::human_feedback::{FeedbackKind, HumanFeedback};

/// Longest id in bytes: room for a URI, and a key of two of them stays small beside any value.
const MAX_ID_BYTES: usize = 256;
const MAX_TENANT_ID_BYTES: usize = 64;
/// Entries of one list or map.
const MAX_ENTRIES: usize = 1_000;
/// Overrides of one piece of feedback: no decision has so many fields, and a review must stay small.
const MAX_OVERRIDES: usize = 100;
/// A person's comment in bytes: it travels on into the review.
const MAX_COMMENT_BYTES: usize = 16_384;
/// Violations that are reported: the first ones are enough to mend a publisher, and feedback must stay small.
const MAX_VIOLATIONS: usize = 50;
/// 2000-01-01 and 2100-01-01: seconds or microseconds taken for milliseconds fall outside, slow clocks do not.
const TIMES: std::ops::Range<i64> = 946_684_800_000..4_102_444_800_000;

/// What is wrong with an event.
pub(super) struct Findings {
    /// Everything, up to a limit.
    pub(super) violations: Vec<Violation>,
    /// Whether the event can be told apart from others and has a lane; its outputs could not be keyed otherwise.
    pub(super) has_identity: bool,
}

/// Holds an event against the rules.
pub(super) fn check(event: &SupportEvent) -> Findings {
    let mut rules = Rules::default();
    rules.identity(event);
    let has_identity = rules.broken.is_empty();
    rules.event(event);
    Findings { violations: rules.broken, has_identity }
}

/// Holds human feedback against the rules.
pub(super) fn check_feedback(feedback: &HumanFeedback) -> Findings {
    let mut rules = Rules::default();
    rules.tenant_id(&feedback.tenant_id);
    rules.id("source", &feedback.source);
    rules.id("feedback_id", &feedback.feedback_id);
    rules.id("ticket_id", &feedback.ticket_id);
    let has_identity = rules.broken.is_empty();
    rules.feedback(feedback);
    Findings { violations: rules.broken, has_identity }
}

#[derive(Default)]
struct Rules {
    broken: Vec<Violation>,
}

impl Rules {
    fn identity(&mut self, event: &SupportEvent) {
        self.tenant_id(&event.tenant_id);
        self.id("source", &event.source);
        self.id("event_id", &event.event_id);
        self.id("ticket_id", &event.ticket_id);
        if let Some(key) = &event.idempotency_key {
            self.id("idempotency_key", key);
        }
    }

    fn event(&mut self, event: &SupportEvent) {
        self.time("occurred_at", Some(event.occurred_at));
        self.time("recorded_at", event.recorded_at);
        self.time("expires_at", event.expires_at);
        self.foreign_id("correlation_id", event.correlation_id.as_deref());
        self.foreign_id("causation_id", event.causation_id.as_deref());
        self.foreign_id("merged_into_ticket_id", event.merged_into_ticket_id.as_deref());
        if let Some(set) = &event.change_set {
            self.change_set(set);
        }
        self.actor("actor", &event.actor);
        self.ticket(event);
        self.conversation(event);
        self.entries("changes", event.changes.len());
        self.entries("context", event.context.len());
    }

    fn feedback(&mut self, feedback: &HumanFeedback) {
        self.foreign_id("decision_id", feedback.decision_id.as_deref());
        self.time("occurred_at", Some(feedback.occurred_at));
        self.actor("actor", &feedback.actor);
        if feedback.overrides.len() > MAX_OVERRIDES {
            self.broken("overrides", "TOO_MANY", "has more than 100 entries");
        }
        for (index, one) in feedback.overrides.iter().take(MAX_OVERRIDES).enumerate() {
            self.id(format_args!("overrides[{index}].field"), &one.field);
            self.foreign_id(format_args!("overrides[{index}].predicted"), one.predicted.as_deref());
            self.foreign_id(format_args!("overrides[{index}].actual"), Some(&one.actual));
        }
        if feedback.edit_ratio.is_some_and(|ratio| !(0.0..=1.0).contains(&ratio)) {
            self.broken("edit_ratio", "OUT_OF_RANGE", "is not within 0 and 1");
        }
        if feedback.rating.is_some_and(|rating| !(1..=5).contains(&rating)) {
            self.broken("rating", "OUT_OF_RANGE", "is not within 1 and 5");
        }
        if feedback.comment.as_ref().is_some_and(|comment| comment.len() > MAX_COMMENT_BYTES) {
            self.broken("comment", "TOO_LONG", "has more than 16384 bytes");
        }
        let (field, is_there) = match feedback.kind {
            FeedbackKind::Override => ("overrides", !feedback.overrides.is_empty()),
            FeedbackKind::ReplyOutcome => ("reply_outcome", feedback.reply_outcome.is_some()),
            FeedbackKind::Rating => ("rating", feedback.rating.is_some()),
            FeedbackKind::Resolution => ("resolution", feedback.resolution.is_some()),
            FeedbackKind::Accepted
            | FeedbackKind::Rejected
            | FeedbackKind::Reopened
            | FeedbackKind::HandoffRequested
            | FeedbackKind::Unknown => return,
        };
        if !is_there {
            self.broken(field, "REQUIRED", "this kind of feedback says nothing without it");
        }
    }

    fn ticket(&mut self, event: &SupportEvent) {
        let ticket = &event.ticket;
        self.foreign_id("ticket.external_id", ticket.external_id.as_deref());
        self.foreign_id("ticket.group_id", ticket.group_id.as_deref());
        self.foreign_id("ticket.assignee_id", ticket.assignee_id.as_deref());
        self.foreign_id("ticket.organization_id", ticket.organization_id.as_deref());
        self.foreign_id("ticket.brand_id", ticket.brand_id.as_deref());
        self.foreign_id("ticket.form_id", ticket.form_id.as_deref());
        if let Some(requester) = &ticket.requester {
            self.actor("ticket.requester", requester);
        }
        self.time("ticket.created_at", ticket.created_at);
        self.time("ticket.updated_at", ticket.updated_at);
        if let Some(sla) = &ticket.sla {
            self.time("ticket.sla.first_reply_due_at", sla.first_reply_due_at);
            self.time("ticket.sla.resolution_due_at", sla.resolution_due_at);
        }
        self.entries("ticket.tags", ticket.tags.len());
        self.entries("ticket.custom_fields", ticket.custom_fields.len());
    }

    fn conversation(&mut self, event: &SupportEvent) {
        match &event.message {
            Some(message) => self.message("message", message),
            None if matches!(event.event_type, EventType::TicketCreated | EventType::MessageAdded) => {
                self.broken("message", "REQUIRED", "this type of event comes with its message");
            }
            None => {}
        }
        self.entries("history", event.history.len());
        for (index, message) in event.history.iter().take(MAX_ENTRIES).enumerate() {
            self.message(format_args!("history[{index}]"), message);
        }
    }

    fn message(&mut self, path: impl Display, message: &Message) {
        self.id(format_args!("{path}.message_id"), &message.message_id);
        self.actor(format_args!("{path}.author"), &message.author);
        self.time(format_args!("{path}.created_at"), Some(message.created_at));
        self.entries(format_args!("{path}.attachments"), message.attachments.len());
    }

    fn actor(&mut self, path: impl Display, actor: &Actor) {
        self.foreign_id(format_args!("{path}.id"), actor.id.as_deref());
    }

    fn change_set(&mut self, ChangeSet { id, position, total }: &ChangeSet) {
        self.id("change_set.id", id);
        // Some count from 0, some from 1: both stay within the total.
        if *total < 1 || !(0..=*total).contains(position) {
            self.broken("change_set.position", "OUT_OF_RANGE", "lies outside 0 to total");
        }
    }

    fn tenant_id(&mut self, id: &str) {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if id.is_empty() {
            self.broken("tenant_id", "EMPTY", "must not be empty");
        } else if id.len() > MAX_TENANT_ID_BYTES {
            self.broken("tenant_id", "TOO_LONG", "has more than 64 bytes");
        } else if !id.bytes().all(allowed) {
            self.broken("tenant_id", "FORMAT", "has other characters than A-Z a-z 0-9 . _ -");
        }
    }

    fn id(&mut self, path: impl Display, id: &str) {
        if id.is_empty() {
            self.broken(&path, "EMPTY", "must not be empty");
        }
        self.foreign_id(path, Some(id));
    }

    /// Ids that we only pass on may be empty: some systems write "nobody" that way.
    fn foreign_id(&mut self, path: impl Display, id: Option<&str>) {
        let id = id.unwrap_or_default();
        if id.len() > MAX_ID_BYTES {
            self.broken(path, "TOO_LONG", "has more than 256 bytes");
        } else if id.chars().any(char::is_control) {
            self.broken(path, "CONTROL_CHARACTER", "must not contain control characters");
        }
    }

    fn time(&mut self, path: impl Display, time: Option<Timestamp>) {
        if time.is_some_and(|time| !TIMES.contains(&time.0)) {
            self.broken(path, "OUT_OF_RANGE", "is not within the years 2000 to 2099 (milliseconds since 1970)");
        }
    }

    fn entries(&mut self, path: impl Display, count: usize) {
        if count > MAX_ENTRIES {
            self.broken(path, "TOO_MANY", "has more than 1000 entries");
        }
    }

    fn broken(&mut self, path: impl Display, code: &str, message: &str) {
        if self.broken.len() < MAX_VIOLATIONS {
            self.broken.push(Violation { path: path.to_string(), code: code.to_owned(), message: message.to_owned() });
        }
    }
}
