//! Whether two records say the same: a hash over what an event means, not over its bytes.
//!
//! A retry may come in the other encoding, with its maps in another order or its defaults spelled out; it is still the
//! same event. So the hash runs over the resolved event in a canonical form, which is stored beside it as a number.
//!
//! Form 1: the fields in the order below. Each present field is a tag, its name, and its value; text and counts carry
//! their lengths and records their ends, so no two events run together to the same bytes. A field at its default is
//! left out: a later version of the schema can add fields without changing the hash of events that do not use them.
//! `recorded_at`, `correlation_id` and `causation_id` are left out as well: transports set them anew on a retry.
//!
//! The form is frozen. A field that is new in the schema does not compile here until somebody has decided where it goes;
//! anything but "appended, left out at its default" is form 2.

mod human_feedback;

use std::collections::BTreeMap;
use std::fmt::{self, Display, Write as _};

use sha2::{Digest, Sha256};

use super::clock::Timestamp;
use super::event::{
    Actor, ActorType, Attachment, AutoSubmitted, ChangeSet, Channel, EventType, FieldChange, Message, SlaClock,
    SupportEvent, TicketSnapshot, TicketStatus,
};
use super::identity::BodyHash;

const FORM: u8 = 1;

impl BodyHash {
    /// The hash of an event in the newest form.
    #[must_use]
    pub fn of_event(event: &SupportEvent) -> Self {
        let mut form = Form(Sha256::new());
        form.event(event);
        Self { form: FORM, sha256: form.0.finalize().into() }
    }
}

struct Form(Sha256);

impl Form {
    fn event(&mut self, event: &SupportEvent) {
        let SupportEvent {
            event_id,
            source,
            event_type,
            tenant_id,
            ticket_id,
            occurred_at,
            recorded_at: _,
            expires_at,
            idempotency_key,
            ticket_version,
            change_set,
            correlation_id: _,
            causation_id: _,
            actor,
            ticket,
            message,
            history,
            changes,
            context,
            merged_into_ticket_id,
        } = event;
        self.text("event_id", event_id);
        self.text("source", source);
        self.symbol("event_type", event_type, EventType::Unknown);
        self.text("tenant_id", tenant_id);
        self.text("ticket_id", ticket_id);
        self.number("occurred_at", occurred_at.0);
        self.time("expires_at", *expires_at);
        self.maybe_text("idempotency_key", idempotency_key.as_deref());
        self.maybe_number("ticket_version", *ticket_version);
        self.maybe_record("change_set", change_set.as_ref(), Self::change_set);
        self.record("actor", actor, Self::actor);
        self.record("ticket", ticket, Self::ticket);
        self.maybe_record("message", message.as_ref(), Self::message);
        self.records("history", history, Self::message);
        self.records("changes", changes, Self::change);
        self.map("context", context);
        self.maybe_text("merged_into_ticket_id", merged_into_ticket_id.as_deref());
    }

    fn change_set(&mut self, ChangeSet { id, position, total }: &ChangeSet) {
        self.text("id", id);
        self.number("position", i64::from(*position));
        self.number("total", i64::from(*total));
    }

    fn actor(&mut self, Actor { kind, id, display_name, locale, tier }: &Actor) {
        self.symbol("type", kind, ActorType::Unknown);
        self.maybe_text("id", id.as_deref());
        self.maybe_text("display_name", display_name.as_deref());
        self.maybe_text("locale", locale.as_deref());
        self.maybe_text("tier", tier.as_deref());
    }

    fn ticket(&mut self, ticket: &TicketSnapshot) {
        let TicketSnapshot {
            external_id,
            subject,
            status,
            kind,
            priority,
            impact,
            urgency,
            channel,
            group_id,
            assignee_id,
            requester,
            organization_id,
            brand_id,
            form_id,
            tags,
            custom_fields,
            created_at,
            updated_at,
            sla,
            human_owned,
        } = ticket;
        self.maybe_text("external_id", external_id.as_deref());
        self.maybe_text("subject", subject.as_deref());
        self.symbol("status", status, TicketStatus::Unknown);
        self.maybe_symbol("type", kind.as_ref());
        self.maybe_symbol("priority", priority.as_ref());
        self.maybe_symbol("impact", impact.as_ref());
        self.maybe_symbol("urgency", urgency.as_ref());
        self.symbol("channel", channel, Channel::Unknown);
        self.maybe_text("group_id", group_id.as_deref());
        self.maybe_text("assignee_id", assignee_id.as_deref());
        self.maybe_record("requester", requester.as_ref(), Self::actor);
        self.maybe_text("organization_id", organization_id.as_deref());
        self.maybe_text("brand_id", brand_id.as_deref());
        self.maybe_text("form_id", form_id.as_deref());
        self.texts("tags", tags);
        self.map("custom_fields", custom_fields);
        self.time("created_at", *created_at);
        self.time("updated_at", *updated_at);
        self.maybe_record("sla", sla.as_ref(), Self::sla);
        self.flag("human_owned", *human_owned, false);
    }

    fn sla(&mut self, SlaClock { policy, first_reply_due_at, resolution_due_at, paused }: &SlaClock) {
        self.maybe_text("policy", policy.as_deref());
        self.time("first_reply_due_at", *first_reply_due_at);
        self.time("resolution_due_at", *resolution_due_at);
        self.flag("paused", *paused, false);
    }

    fn message(&mut self, message: &Message) {
        let Message { message_id, author, body, is_public, created_at, language, auto_submitted, attachments, dataref } =
            message;
        self.text("message_id", message_id);
        self.record("author", author, Self::actor);
        self.text("body", body);
        self.flag("is_public", *is_public, true);
        self.number("created_at", created_at.0);
        self.maybe_text("language", language.as_deref());
        self.symbol("auto_submitted", auto_submitted, AutoSubmitted::Unknown);
        self.records("attachments", attachments, Self::attachment);
        self.maybe_text("dataref", dataref.as_deref());
    }

    fn attachment(&mut self, Attachment { filename, content_type, size_bytes, dataref }: &Attachment) {
        self.text("filename", filename);
        self.text("content_type", content_type);
        self.number("size_bytes", *size_bytes);
        self.maybe_text("dataref", dataref.as_deref());
    }

    fn change(&mut self, FieldChange { field, previous, current }: &FieldChange) {
        self.text("field", field);
        self.maybe_text("previous", previous.as_deref());
        self.maybe_text("current", current.as_deref());
    }
}

/// The form's alphabet.
impl Form {
    fn text(&mut self, name: &str, value: &str) {
        self.field(b't', name);
        self.sized(value);
    }

    fn maybe_text(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    fn number(&mut self, name: &str, value: i64) {
        self.field(b'n', name);
        self.0.update(value.to_be_bytes());
    }

    fn maybe_number(&mut self, name: &str, value: Option<i64>) {
        if let Some(value) = value {
            self.number(name, value);
        }
    }

    fn time(&mut self, name: &str, value: Option<Timestamp>) {
        self.maybe_number(name, value.map(|time| time.0));
    }

    fn flag(&mut self, name: &str, value: bool, default: bool) {
        if value != default {
            self.field(b'f', name);
        }
    }

    fn symbol<S: Display + PartialEq>(&mut self, name: &str, value: &S, default: S) {
        if *value != default {
            self.maybe_symbol(name, Some(value));
        }
    }

    fn maybe_symbol<S: Display>(&mut self, name: &str, value: Option<&S>) {
        if let Some(value) = value {
            self.field(b's', name);
            // Symbols are made of letters and underscores, so the zero byte ends them.
            write!(self, "{value}\0").expect("hashing cannot fail");
        }
    }

    fn record<R>(&mut self, name: &str, value: &R, fields: fn(&mut Self, &R)) {
        self.field(b'r', name);
        fields(self, value);
        self.0.update(b".");
    }

    fn maybe_record<R>(&mut self, name: &str, value: Option<&R>, fields: fn(&mut Self, &R)) {
        if let Some(value) = value {
            self.record(name, value, fields);
        }
    }

    fn records<R>(&mut self, name: &str, values: &[R], fields: fn(&mut Self, &R)) {
        if !values.is_empty() {
            self.field(b'l', name);
            self.count(values.len());
            for value in values {
                fields(self, value);
                self.0.update(b".");
            }
        }
    }

    fn texts(&mut self, name: &str, values: &[String]) {
        if !values.is_empty() {
            self.field(b'l', name);
            self.count(values.len());
            values.iter().for_each(|value| self.sized(value));
        }
    }

    fn map(&mut self, name: &str, values: &BTreeMap<String, String>) {
        if !values.is_empty() {
            self.field(b'm', name);
            self.count(values.len());
            for (key, value) in values {
                self.sized(key);
                self.sized(value);
            }
        }
    }

    fn field(&mut self, tag: u8, name: &str) {
        self.0.update([tag]);
        self.sized(name);
    }

    fn sized(&mut self, text: &str) {
        self.count(text.len());
        self.0.update(text.as_bytes());
    }

    fn count(&mut self, count: usize) {
        self.0.update((count as u64).to_be_bytes());
    }
}

impl fmt::Write for Form {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::identity::hex;
    use super::super::samples::{any_event, full_event, sparse_event};
    use super::*;

    fn hash_of(value: Value) -> BodyHash {
        BodyHash::of_event(&serde_json::from_value(value).expect("it has the shape of an event"))
    }

    /// The form is frozen: hashes stand in ledgers. Who changes these values makes form 2 and keeps form 1.
    #[test]
    fn form_one_never_changes() {
        let pinned = |event: &SupportEvent| hex(&BodyHash::of_event(event).sha256);
        assert_eq!(pinned(&full_event()), "353e949db21b68a5f8c03c4c5aaa03bc4beaa29c425f794ca3533df41e403a0f");
        assert_eq!(pinned(&sparse_event()), "78f5fcca75810e5264a8649ac7a3f48a42ea155262006ebfb6dfdf555b40fb4d");
        assert_eq!(BodyHash::of_event(&sparse_event()).form, 1);
    }

    #[test]
    fn what_transports_set_anew_on_a_retry_does_not_count() {
        let event = full_event();
        let retry = SupportEvent { recorded_at: None, correlation_id: None, causation_id: None, ..event.clone() };
        assert_eq!(BodyHash::of_event(&retry), BodyHash::of_event(&event));
    }

    #[test]
    fn order_of_maps_and_spelled_out_defaults_do_not_count() {
        let sparse = serde_json::to_value(sparse_event()).expect("plain data");
        assert_eq!(hash_of(sparse), BodyHash::of_event(&sparse_event()));
        let forwards = json!({"a": "1", "b": "2"}).to_string();
        let backwards = r#"{"b": "2", "a": "1"}"#;
        let event = |map: &str| {
            let mut event = sparse_event();
            event.context = serde_json::from_str(map).expect("a map");
            BodyHash::of_event(&event)
        };
        assert_eq!(event(&forwards), event(backwards));
    }

    /// Walks over every value in the document, changes it alone, and expects another hash.
    #[test]
    fn every_other_field_counts() {
        fn places(value: &Value, place: &str, found: &mut Vec<String>) {
            match value {
                Value::Object(object) => {
                    object.iter().for_each(|(key, value)| places(value, &format!("{place}/{key}"), found));
                }
                Value::Array(list) => {
                    found.push(place.to_owned());
                    list.iter().enumerate().for_each(|(at, value)| places(value, &format!("{place}/{at}"), found));
                }
                _ => found.push(place.to_owned()),
            }
        }
        fn changed(value: &Value) -> Value {
            match value {
                Value::String(text) if text.chars().all(|c| c.is_ascii_uppercase() || c == '_') => json!("UNKNOWN"),
                Value::String(text) => json!(format!("{text}!")),
                Value::Number(number) => json!(number.as_i64().expect("whole numbers only") + 1),
                Value::Bool(flag) => json!(!flag),
                Value::Array(_) => json!([]),
                other => panic!("a full event has no {other}"),
            }
        }
        let whole = serde_json::to_value(full_event()).expect("plain data");
        let mut found = Vec::new();
        places(&whole, "", &mut found);
        assert!(found.len() > 60, "{}", found.len());
        for place in found {
            let mut other = whole.clone();
            let part = other.pointer_mut(&place).expect("it was found there");
            *part = changed(part);
            let same = ["/recorded_at", "/correlation_id", "/causation_id"].contains(&place.as_str());
            assert_eq!(hash_of(other) == BodyHash::of_event(&full_event()), same, "{place}");
        }
    }

    #[test]
    fn parts_do_not_run_together() {
        let tags = |list: &[&str]| {
            let mut event = sparse_event();
            event.ticket.tags = list.iter().map(|tag| (*tag).to_owned()).collect();
            BodyHash::of_event(&event)
        };
        assert_ne!(tags(&["ab", "c"]), tags(&["a", "bc"]));
        assert_ne!(tags(&["ab"]), tags(&["a", "b"]));
        assert_ne!(tags(&[""]), tags(&[]));
        let mut one = sparse_event();
        let mut other = sparse_event();
        one.merged_into_ticket_id = Some(String::new());
        assert_ne!(BodyHash::of_event(&one), BodyHash::of_event(&other));
        other.ticket.subject = Some(String::new());
        assert_ne!(BodyHash::of_event(&one), BodyHash::of_event(&other));
    }

    proptest! {
        #[test]
        fn events_that_differ_have_hashes_that_differ(one in any_event(), other in any_event()) {
            prop_assert_ne!(BodyHash::of_event(&one), BodyHash::of_event(&other));
        }
    }
}
