//! The envelope against the body: CloudEvents 1.0 in Kafka's binary mode.
//!
//! Every header is optional, but one that is there must say what the body says, each time it is there: a router that
//! believed the header and we who believe the body must not see two different events.

use crate::domain::event::SupportEvent;
use crate::domain::feedback::Violation;
use crate::domain::record::Record;

/// Whether the record's key is the one its event should have.
pub(super) fn key_is_of(record: &Record, event: &SupportEvent) -> bool {
    let Some(key) = record.key.as_deref() else { return false };
    let (tenant, ticket) = (event.tenant_id.as_bytes(), event.ticket_id.as_bytes());
    key.strip_prefix(tenant).and_then(|rest| rest.strip_prefix(b"|")) == Some(ticket)
}

/// One violation for each header that disagrees.
pub(super) fn mismatches(record: &Record, event: &SupportEvent, reject_foreign_keys: bool) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut compare = |name: &str, agrees: &dyn Fn(&[u8]) -> bool, message: &str| {
        let mut values =
            record.headers.iter().filter(|header| &*header.name == name).filter_map(|h| h.value.as_deref());
        if !values.all(agrees) {
            found.push(violation(&format!("header:{name}"), message));
        }
    };
    compare("ce_specversion", &|value| value.starts_with(b"1."), "is not a 1.x version of CloudEvents");
    compare("ce_id", &|value| value == event.event_id.as_bytes(), "differs from the body's event_id");
    compare("ce_source", &|value| value == event.source.as_bytes(), "differs from the body's source");
    compare("ce_subject", &|value| value == event.ticket_id.as_bytes(), "differs from the body's ticket_id");
    compare("ce_partitionkey", &|value| record.key.as_deref() == Some(value), "differs from the record's key");
    if reject_foreign_keys && !key_is_of(record, event) {
        found.push(violation("key", "is not the body's tenant_id|ticket_id"));
    }
    found
}

fn violation(path: &str, message: &str) -> Violation {
    Violation { path: path.to_owned(), code: "MISMATCH".to_owned(), message: message.to_owned() }
}
