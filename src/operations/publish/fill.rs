//! From a row's JSON to an event: what the row does not say is made from the file, the same way every time.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::Flaw;
use crate::domain::event::SupportEvent;
use crate::domain::identity::{NAMESPACE, hash_parts};

/// 2025-01-01T00:00:00Z. Rows without a time are a second apart from here on, in their order: a time that differed from
/// run to run would make another event of the same row. A row that has its own id gets this very time: it is the same
/// event on whichever row it stands, and with another time it would be a conflict.
const EPOCH_MS: u64 = 1_735_689_600_000;

/// Longest reason: messages about types quote what they found.
const MAX_WHY_CHARS: usize = 200;

/// What rows without an answer get.
#[derive(Debug, Clone)]
pub(super) struct Fill {
    pub tenant: Option<String>,
    pub source: String,
}

impl Fill {
    /// The event of row `row` (from 1); `content` is the hash of what the row's id is made from.
    pub(super) fn event(&self, row: u64, content: &str, value: Value) -> Result<SupportEvent, Flaw> {
        let Value::Object(mut event) = value else {
            return Err(Flaw::of_row("a JSON value, but not an object with an event's fields"));
        };
        self.fill(row, content, &mut event)?;
        serde_path_to_error::deserialize(Value::Object(event)).map_err(|error| {
            let why = error.inner().to_string().chars().take(MAX_WHY_CHARS).collect::<String>();
            match error.path().to_string() {
                path if path == "." => Flaw::of_row(why),
                path => Flaw::at(path, why),
            }
        })
    }

    fn fill(&self, row: u64, content: &str, event: &mut Map<String, Value>) -> Result<(), Flaw> {
        let made =
            || Value::from(Uuid::new_v5(&NAMESPACE, &hash_parts(&["row", content, &row.to_string()])).to_string());
        let seconds = if is_absent(event, "event_id") { row } else { 0 };
        let time = Value::from(EPOCH_MS.saturating_add(seconds.saturating_mul(1_000)));
        if is_absent(event, "tenant_id") {
            let tenant =
                self.tenant.as_deref().ok_or_else(|| Flaw::at("tenant_id", "missing, and no --tenant given"))?;
            event.insert("tenant_id".to_owned(), tenant.into());
        }
        absent(event, "source", || Value::from(&*self.source));
        absent(event, "event_id", made);
        let id = event["event_id"].as_str().unwrap_or_default().to_owned();
        absent(event, "ticket_id", || ticket_of(&id).into());
        absent(event, "event_type", || "TICKET_CREATED".into());
        absent(event, "occurred_at", || time);
        absent(event, "actor", || json!({}));
        absent(event, "ticket", || json!({}));
        let occurred_at = event["occurred_at"].clone();
        if let Some(actor) = event.get_mut("actor").and_then(Value::as_object_mut) {
            absent(actor, "type", || "END_USER".into());
        }
        let actor = event["actor"].clone();
        if let Some(message) = event.get_mut("message").and_then(Value::as_object_mut) {
            absent(message, "message_id", || format!("m-{id}").into());
            absent(message, "author", || actor);
            absent(message, "created_at", || occurred_at);
        }
        Ok(())
    }
}

fn is_absent(object: &Map<String, Value>, key: &str) -> bool {
    object.get(key).is_none_or(Value::is_null)
}

fn absent(object: &mut Map<String, Value>, key: &str, value: impl FnOnce() -> Value) {
    if is_absent(object, key) {
        object.insert(key.to_owned(), value());
    }
}

/// One ticket an event, and another one for another event: rows that name no ticket have nothing in common.
fn ticket_of(event_id: &str) -> String {
    let id = Uuid::new_v5(&NAMESPACE, &hash_parts(&["ticket", event_id])).simple().to_string();
    format!("row-{}", &id[..12])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::{ActorType, EventType};

    fn fill() -> Fill {
        Fill { tenant: Some("acme".into()), source: "tickets.csv".into() }
    }

    #[test]
    fn a_row_of_one_text_becomes_a_whole_event_and_the_same_one_every_time() {
        let row = json!({"message": {"body": "Where is my parcel?"}});
        let event = fill().event(3, "abc", row.clone()).expect("it can be filled");
        assert_eq!((&*event.tenant_id, &*event.source), ("acme", "tickets.csv"));
        assert_eq!((event.event_type, event.actor.kind), (EventType::TicketCreated, ActorType::EndUser));
        assert_eq!(event.occurred_at.to_string(), "2025-01-01T00:00:03.000Z");
        assert!(event.ticket_id.starts_with("row-"), "{}", event.ticket_id);
        let message = event.message.as_ref().expect("it has a body");
        assert_eq!((&message.created_at, message.author.kind), (&event.occurred_at, ActorType::EndUser));
        assert_eq!(fill().event(3, "abc", row.clone()).as_ref(), Ok(&event));
        for other in [fill().event(4, "abc", row.clone()), fill().event(3, "abd", row)] {
            assert_ne!(other.expect("it can be filled").event_id, event.event_id);
        }
    }

    #[test]
    fn a_row_with_its_own_id_is_the_same_event_on_whichever_row_it_stands() {
        let row = json!({"event_id": "e", "message": {"body": "Where is my parcel?"}});
        let event = |number, content| fill().event(number, content, row.clone()).expect("it can be filled");
        assert_eq!(event(1, "abc"), event(7, "another file"));
    }

    #[test]
    fn what_a_row_says_stays_and_a_missing_message_is_left_to_ingest() {
        let event = fill()
            .event(1, "abc", json!({"event_id": "e", "tenant_id": "umbrella", "event_type": "TICKET_SOLVED"}))
            .expect("it has the shape");
        assert_eq!((&*event.event_id, &*event.tenant_id), ("e", "umbrella"));
        assert_eq!((event.event_type, event.message), (EventType::TicketSolved, None));
    }

    #[test]
    fn what_cannot_be_an_event_says_where_and_why() {
        let flaw = |value| fill().event(1, "abc", value).expect_err("a flaw");
        assert_eq!(flaw(json!(["not", "an", "event"])).field, None);
        let wrong = flaw(json!({"ticket": {"tags": [1]}, "message": {"body": "x"}}));
        assert_eq!(wrong.field.as_deref(), Some("ticket.tags[0]"));
        assert_eq!(flaw(json!({"occurred_at": "soon"})).field.as_deref(), Some("occurred_at"));
        assert_eq!(flaw(json!({"message": {"language": "en"}})), Flaw::at("message", "missing field `body`"));
        let nobody = Fill { tenant: None, ..fill() };
        let flaw = nobody.event(1, "abc", json!({})).expect_err("a flaw");
        assert_eq!(flaw, Flaw::at("tenant_id", "missing, and no --tenant given"));
    }
}
