//! The envelope against the body: CloudEvents 1.0 in Kafka's binary mode.
//!
//! Every header is optional, but one that is there must say what the body says, each time it is there: a router that
//! believed the header and we who believe the body must not see two different events.

use crate::domain::feedback::Violation;
use crate::domain::record::Record;

/// What a body says of itself that the envelope may repeat.
pub(super) struct Names<'a> {
    pub tenant_id: &'a str,
    pub ticket_id: &'a str,
    pub source: &'a str,
    pub id: &'a str,
    /// What the body calls its id.
    pub id_field: &'static str,
}

/// Whether the record's key is the one its body should have.
pub(super) fn key_is_of(record: &Record, body: &Names<'_>) -> bool {
    let Some(key) = record.key.as_deref() else { return false };
    let (tenant, ticket) = (body.tenant_id.as_bytes(), body.ticket_id.as_bytes());
    key.strip_prefix(tenant).and_then(|rest| rest.strip_prefix(b"|")) == Some(ticket)
}

/// One violation for each header that disagrees.
pub(super) fn mismatches(record: &Record, body: &Names<'_>, reject_foreign_keys: bool) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut compare = |name: &str, agrees: &dyn Fn(&[u8]) -> bool, message: &str| {
        let mut values =
            record.headers.iter().filter(|header| &*header.name == name).filter_map(|h| h.value.as_deref());
        if !values.all(agrees) {
            found.push(violation(&format!("header:{name}"), message));
        }
    };
    compare("ce_specversion", &|value| value.starts_with(b"1."), "is not a 1.x version of CloudEvents");
    let id = format!("differs from the body's {}", body.id_field);
    compare("ce_id", &|value| value == body.id.as_bytes(), &id);
    compare("ce_source", &|value| value == body.source.as_bytes(), "differs from the body's source");
    compare("ce_subject", &|value| value == body.ticket_id.as_bytes(), "differs from the body's ticket_id");
    compare("ce_partitionkey", &|value| record.key.as_deref() == Some(value), "differs from the record's key");
    if reject_foreign_keys && !key_is_of(record, body) {
        found.push(violation("key", "is not the body's tenant_id|ticket_id"));
    }
    found
}

fn violation(path: &str, message: &str) -> Violation {
    Violation { path: path.to_owned(), code: "MISMATCH".to_owned(), message: message.to_owned() }
}
