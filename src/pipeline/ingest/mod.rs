//! From bytes to an event that can be trusted, or to the reason why not.
//!
//! In this order, and the first that fails names the code: size, headers, decoding, envelope, validation, tenant. Nothing
//! here remembers anything: the same record under the same settings (and the same registry and tenants) reads the same, for
//! ever. Which tenants there are may change while this works.
//!
//! An event is an [`Arrival`] as soon as it can be told apart from all others, even if it is rejected; a record in which
//! no identity can be trusted is [`Ingested::Unreadable`]. What happens to either is not decided here, and no reason or
//! message ever quotes what a customer wrote.

mod envelope;
mod human_feedback;
mod validate;

use std::sync::Arc;

use serde::de::DeserializeOwned;
use tokio::sync::watch;

use self::envelope::Names;
pub use self::human_feedback::FeedbackArrival;
use self::validate::Findings;
use crate::domain::event::SupportEvent;
use crate::domain::feedback::Violation;
use crate::domain::human_feedback::HumanFeedback;
use crate::domain::identity::{BodyHash, DedupeKey};
use crate::domain::reason_code::ReasonCode;
use crate::domain::record::{HEADERS_UNREADABLE, Record};
use crate::domain::tenant::{Tenant, TenantBook};
use crate::pipeline::schema_set::{ReadError, SchemaSet, schema_id};

/// Key and headers may have one part in so many of what a value may have: copies have room for half as much again.
const ENVELOPE_SHARE: usize = 4;

/// Reads records of the events topic, and of the topic of human feedback.
pub struct Ingest {
    schemas: Arc<SchemaSet>,
    tenants: watch::Receiver<Arc<TenantBook>>,
    max_payload_bytes: usize,
    reject_foreign_keys: bool,
}

/// An event's key, if it can be told apart from all others.
#[must_use]
pub fn key_of_event(event: &SupportEvent) -> Option<DedupeKey> {
    validate::check(event).has_identity.then(|| DedupeKey::of_event(event))
}

/// The key of a piece of human feedback, if it can be told apart from all others.
#[must_use]
pub fn key_of_feedback(feedback: &HumanFeedback) -> Option<DedupeKey> {
    validate::check_feedback(feedback).has_identity.then(|| DedupeKey::of_feedback(feedback))
}

/// What a record turned out to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Ingested {
    /// An event with an identity.
    Event(Arrival),
    /// Human feedback with an identity.
    Feedback(FeedbackArrival),
    /// No identity could be established.
    Unreadable(Rejection),
    /// Nothing can be said before the schema registry was asked what this id means.
    NotYetKnown {
        /// The id in the value's frame.
        schema_id: u32,
    },
}

/// An event as it entered the road.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrival {
    /// The event.
    pub event: Arc<SupportEvent>,
    /// Which event it is.
    pub key: DedupeKey,
    /// What it says.
    pub body: BodyHash,
    /// Under whose policy; none if the tenant is unknown.
    pub tenant: Option<Arc<Tenant>>,
    /// Why it goes no further, if so.
    pub rejection: Option<Rejection>,
    /// The record's key is not `tenant|ticket`: its order among the ticket's other events cannot be promised.
    pub foreign_key: bool,
}

/// Why a record goes no further.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejection {
    /// The code.
    pub code: ReasonCode,
    /// The same in words.
    pub reason: String,
    /// Each thing that is wrong, where there is more to say than the reason.
    pub violations: Vec<Violation>,
    /// The schema id in the value's frame, if it has one.
    pub schema_id: Option<u32>,
}

impl Ingest {
    /// Each record is read under the book of tenants as it stands at that moment. A larger value than
    /// `max_payload_bytes` is not even decoded. With `reject_foreign_keys` a record whose key is not
    /// `tenant|ticket` is rejected instead of marked.
    #[must_use]
    pub fn new(
        schemas: Arc<SchemaSet>,
        tenants: watch::Receiver<Arc<TenantBook>>,
        max_payload_bytes: usize,
        reject_foreign_keys: bool,
    ) -> Self {
        Self { schemas, tenants, max_payload_bytes, reject_foreign_keys }
    }

    /// The book of tenants, and when it is another one.
    #[must_use]
    pub fn tenants(&self) -> &watch::Receiver<Arc<TenantBook>> {
        &self.tenants
    }

    /// Reads one record of the events topic.
    #[must_use]
    pub fn read(&self, record: &Record) -> Ingested {
        let (event, violations) = match self.opened::<SupportEvent>(record, ("SupportEvent", "event"), validate::check)
        {
            Ok(opened) => opened,
            Err(not_opened) => return *not_opened,
        };
        let names = Names {
            tenant_id: &event.tenant_id,
            ticket_id: &event.ticket_id,
            source: &event.source,
            id: &event.event_id,
            id_field: "event_id",
        };
        let foreign_key = !envelope::key_is_of(record, &names);
        let tenant = self.tenants.borrow().find(&event.tenant_id).cloned();
        let rejection = self.rejection(record, &names, ("event", violations), tenant.as_deref());
        Ingested::Event(Arrival {
            key: DedupeKey::of_event(&event),
            body: BodyHash::of_event(&event),
            event: Arc::new(event),
            tenant,
            rejection,
            foreign_key,
        })
    }

    /// The value of a record as this schema's type, and what is wrong with it, if its identity can be trusted all the same.
    fn opened<T: DeserializeOwned>(
        &self,
        record: &Record,
        (schema, what): (&str, &str),
        check: impl FnOnce(&T) -> Findings,
    ) -> Result<(T, Vec<Violation>), Box<Ingested>> {
        let value = record.value.as_deref().unwrap_or_default();
        let unreadable = |code, reason: String, violations| {
            Box::new(Ingested::Unreadable(Rejection { code, reason, violations, schema_id: schema_id(value) }))
        };
        self.check_size(record).map_err(|(code, reason)| unreadable(code, reason, Vec::new()))?;
        if record.header(HEADERS_UNREADABLE).is_some() {
            let reason = "the record has headers that cannot be taken apart".to_owned();
            return Err(unreadable(ReasonCode::DecodeFailed, reason, Vec::new()));
        }
        let read = self.schemas.read::<T>(schema, value).map_err(|error| match error {
            ReadError::NotYetKnown(schema_id) => Box::new(Ingested::NotYetKnown { schema_id }),
            error => unreadable(error.code(), error.to_string(), Vec::new()),
        })?;
        let Findings { violations, has_identity } = check(&read);
        if !has_identity {
            let reason = counted(&format!("the {what} cannot be told apart from others"), &violations);
            return Err(unreadable(ReasonCode::ValidationFailed, reason, violations));
        }
        Ok((read, violations))
    }

    /// Why what has an identity goes no further, if so.
    fn rejection(
        &self,
        record: &Record,
        names: &Names<'_>,
        (what, violations): (&str, Vec<Violation>),
        tenant: Option<&Tenant>,
    ) -> Option<Rejection> {
        let mismatches = envelope::mismatches(record, names, self.reject_foreign_keys);
        let (code, reason, violations) = if !mismatches.is_empty() {
            let reason = counted("envelope and body disagree", &mismatches);
            (ReasonCode::EnvelopeMismatch, reason, mismatches)
        } else if !violations.is_empty() {
            let reason = counted(&format!("the {what} breaks the contract"), &violations);
            (ReasonCode::ValidationFailed, reason, violations)
        } else {
            let (code, reason) = closed_door(tenant, names.tenant_id)?;
            (code, reason, Vec::new())
        };
        let schema_id = schema_id(record.value.as_deref().unwrap_or_default());
        Some(Rejection { code, reason, violations, schema_id })
    }

    fn check_size(&self, record: &Record) -> Result<(), (ReasonCode, String)> {
        let too_large = |what: &str, bytes: usize, allowed: usize| {
            Err((ReasonCode::PayloadTooLarge, format!("{what} {bytes} bytes, {allowed} are allowed")))
        };
        let Some(value) = record.value.as_ref().map(|value| value.len()) else {
            return Err((ReasonCode::DecodeFailed, "the record has no value (a tombstone)".to_owned()));
        };
        // A copy carries them along, and has to fit into its topic.
        let (envelope, room) = (record.envelope_bytes(), self.max_payload_bytes / ENVELOPE_SHARE);
        if value > self.max_payload_bytes {
            too_large("the value has", value, self.max_payload_bytes)
        } else if envelope > room {
            too_large("key and headers have", envelope, room)
        } else {
            Ok(())
        }
    }
}

fn closed_door(tenant: Option<&Tenant>, tenant_id: &str) -> Option<(ReasonCode, String)> {
    match tenant {
        None => Some((ReasonCode::TenantUnknown, format!("no tenant \"{tenant_id}\" is configured"))),
        Some(tenant) if !tenant.enabled => {
            Some((ReasonCode::TenantDisabled, format!("tenant \"{tenant_id}\" is disabled")))
        }
        Some(_) => None,
    }
}

/// `what: path (CODE) and 3 more`.
fn counted(what: &str, violations: &[Violation]) -> String {
    match violations {
        [] => what.to_owned(),
        [one] => format!("{what}: {} ({})", one.path, one.code),
        [first, rest @ ..] => format!("{what}: {} ({}) and {} more", first.path, first.code, rest.len()),
    }
}

#[cfg(test)]
mod feedback_tests;
#[cfg(test)]
mod tests;
