//! Events as upstreams publish them.

use gatekeeper::domain::position::TopicRole;
use gatekeeper::domain::record::{Header, OutRecord, Payload};
use gatekeeper::pipeline::publish::partition_for;
use serde_json::{Value, json};

use super::gatekeeper::PARTITIONS;

/// A new ticket of acme with its first message; `number` makes event and ticket.
pub fn event(number: usize) -> Value {
    event_of("acme", number)
}

/// The same of another tenant.
pub fn event_of(tenant: &str, number: usize) -> Value {
    json!({
        "event_id": format!("event-{number}"), "source": format!("/zendesk/{tenant}"), "event_type": "TICKET_CREATED",
        "tenant_id": tenant, "ticket_id": format!("T-{number}"), "occurred_at": 1_763_366_402_431_i64,
        "actor": {"type": "END_USER", "id": "customer-1"},
        "ticket": {"subject": "Invoice charged twice", "status": "NEW", "channel": "EMAIL"},
        "message": {"message_id": format!("m-{number}"), "author": {"type": "END_USER"}, "is_public": true,
                    "created_at": 1_763_366_402_431_i64,
                    "body": format!("My card was charged twice for invoice {number}, please look into the payment.")},
    })
}

/// As a record, with key and headers as they should be.
pub fn record(event: &Value) -> OutRecord {
    let text = |name: &str| event[name].as_str().unwrap_or_default();
    let key = format!("{}|{}", text("tenant_id"), text("ticket_id"));
    raw(&key, Payload::from(event.to_string()), &[("ce_id", text("event_id")), ("ce_source", text("source"))])
}

/// Any bytes under any key.
pub fn raw(key: &str, value: Payload, headers: &[(&'static str, &str)]) -> OutRecord {
    OutRecord {
        topic: TopicRole::Events,
        partition: partition_for(key.as_bytes(), PARTITIONS),
        key: Some(Payload::copy_from_slice(key.as_bytes())),
        value: Some(value),
        headers: headers.iter().map(|&(name, value)| Header::text(name, value)).collect(),
    }
}

/// Records of these numbers.
pub fn records(numbers: std::ops::Range<usize>) -> Vec<OutRecord> {
    numbers.map(|number| record(&event(number))).collect()
}
