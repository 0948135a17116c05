//! The envelope of what goes out: CloudEvents 1.0 in Kafka's binary mode, the trace, and our own marks.

use super::{Identity, Source};
use crate::domain::clock::Timestamp;
use crate::domain::record::Header;
use crate::domain::redrive::{self, Redrive};
use crate::settings::schemas::Encoding;

/// Longer values stay in the body only: a header floods every reader, and a rejected event may hold anything.
const MAX_HEADER_BYTES: usize = 512;

/// Headers in the order in which they are written.
pub(super) struct Headers(Vec<Header>);

impl Headers {
    /// What every record of ours says about itself. `record` is the name of its schema.
    pub(super) fn new(record: &str, id: &str, source: &str, time: Timestamp, encoding: Encoding) -> Self {
        let mut headers = Self(Vec::with_capacity(16));
        headers.0.push(Header::fixed("ce_specversion", "1.0"));
        headers.text("ce_id", id);
        headers.text("ce_source", source);
        headers.text("ce_type", &format!("io.aigatekeeper.v1.{record}"));
        headers.text("ce_time", &time.to_string());
        headers.0.push(match encoding {
            Encoding::Avro => Header::fixed("content-type", "application/avro"),
            Encoding::Json => Header::fixed("content-type", "application/json"),
        });
        headers
    }

    /// What the outputs of one record have in common: where they come from, what caused them, which dead letter it was before
    /// it was sent again, and what the ledger would need to be rebuilt.
    pub(super) fn about(source: &Source<'_>) -> Self {
        let mut headers = Self(Vec::with_capacity(8));
        headers.text("gk-origin", &source.position());
        for name in ["traceparent", "tracestate"] {
            if let Some(Ok(value)) = source.record.header(name).map(str::from_utf8) {
                headers.text(name, value);
            }
        }
        if let Some(redrive) = Redrive::of(source.record) {
            headers.text(redrive::DEAD_LETTER, &redrive.dead_letter_id);
        }
        if let Some(subject) = source.subject {
            headers.text("ce_subject", subject.ticket_id());
            headers.text("ce_correlationid", subject.correlation_id());
            headers.text("ce_causationid", subject.id());
            let Identity { key, body } = subject.identity();
            headers.text("gk-dedupe-key", &key.to_hex());
            headers.text("gk-body-hash", &body.to_string());
        }
        headers
    }

    /// The record's key, where it is text.
    pub(super) fn partition_key(&mut self, key: Option<&[u8]>) {
        if let Some(Ok(key)) = key.map(str::from_utf8) {
            self.text("ce_partitionkey", key);
        }
    }

    pub(super) fn extend(&mut self, others: &Self) {
        self.0.extend_from_slice(&others.0);
    }

    pub(super) fn text(&mut self, name: &'static str, value: &str) {
        if value.len() <= MAX_HEADER_BYTES {
            self.0.push(Header::text(name, value));
        }
    }

    pub(super) fn done(self) -> Vec<Header> {
        self.0
    }
}
