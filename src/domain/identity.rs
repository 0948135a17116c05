//! Which event this is, and which decision.
//!
//! Parts are hashed with their lengths, so that no two lists of parts run together to the same bytes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::event::SupportEvent;
use super::human_feedback::HumanFeedback;

/// The ids of decisions, of reviews, and of events that arrive without one, live in this name space.
pub const NAMESPACE: Uuid = Uuid::from_u128(0x8f0d_6a3e_5c1b_4e7a_9b2d_41c6_7e55_a010);

/// What kind of record a dedupe key speaks of; key spaces never meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordKind {
    /// A support event.
    Event,
    /// Human feedback.
    HumanFeedback,
}

/// `(record kind, tenant, source, idempotency key or event id)`, hashed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DedupeKey(pub [u8; 32]);

impl DedupeKey {
    /// The key of an event.
    #[must_use]
    pub fn of_event(event: &SupportEvent) -> Self {
        let id = event.idempotency_key.as_deref().unwrap_or(&event.event_id);
        let scope = if event.idempotency_key.is_some() { "idempotency_key" } else { "event_id" };
        Self::of(RecordKind::Event, &event.tenant_id, &event.source, scope, id)
    }

    /// The key of a piece of human feedback.
    #[must_use]
    pub fn of_feedback(feedback: &HumanFeedback) -> Self {
        let HumanFeedback { tenant_id, source, feedback_id, .. } = feedback;
        Self::of(RecordKind::HumanFeedback, tenant_id, source, "feedback_id", feedback_id)
    }

    /// The key of the better decision about the event of this key: asked for, answered and decided as an event of its own.
    #[must_use]
    pub fn of_better(event: Self) -> Self {
        Self(hash_parts(&["better decision", &event.to_hex()]))
    }

    /// The key of anything with these parts.
    #[must_use]
    pub fn of(kind: RecordKind, tenant: &str, source: &str, scope: &str, id: &str) -> Self {
        let kind = match kind {
            RecordKind::Event => "event",
            RecordKind::HumanFeedback => "human_feedback",
        };
        let tenant = if crate::sabotage::on(crate::sabotage::Sabotage::KeyWithoutTenant) { "" } else { tenant };
        Self(hash_parts(&[kind, tenant, source, scope, id]))
    }

    /// Lower-case hexadecimal, 64 characters.
    #[must_use]
    pub fn to_hex(self) -> String {
        hex(&self.0)
    }
}

impl FromStr for DedupeKey {
    type Err = NotHex;

    /// As [`DedupeKey::to_hex`] writes it.
    fn from_str(text: &str) -> Result<Self, NotHex> {
        unhex(text).map(Self)
    }
}

impl fmt::Display for DedupeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Debug for DedupeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex()[..12])
    }
}

/// SHA-256 of a resolved event in its canonical form, with the form's version.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BodyHash {
    /// Which canonical form was hashed.
    pub form: u8,
    /// The hash.
    pub sha256: [u8; 32],
}

impl FromStr for BodyHash {
    type Err = NotHex;

    /// As [`BodyHash`] is displayed.
    fn from_str(text: &str) -> Result<Self, NotHex> {
        let (form, hash) = text.split_once(':').ok_or(NotHex)?;
        Ok(Self { form: form.parse().map_err(|_| NotHex)?, sha256: unhex(hash)? })
    }
}

impl fmt::Display for BodyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.form, hex(&self.sha256))
    }
}

impl fmt::Debug for BodyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.form, &hex(&self.sha256)[..12])
    }
}

/// The id of a decision: the same input under the same policy has the same id for ever.
#[must_use]
pub fn decision_id(key: DedupeKey, policy_fingerprint: &str, decision_version: i32) -> Uuid {
    let name = hash_parts(&[&key.to_hex(), policy_fingerprint, &decision_version.to_string()]);
    Uuid::new_v5(&NAMESPACE, &name)
}

/// The id of a review: the same feedback has the same one for ever.
#[must_use]
pub fn review_id(key: DedupeKey) -> String {
    Uuid::new_v5(&NAMESPACE, &hash_parts(&["review", &key.to_hex()])).to_string()
}

/// SHA-256 over parts, each preceded by its length.
#[must_use]
pub fn hash_parts(parts: &[&str]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().into()
}

/// A text that is no hash in hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a hash in hexadecimal")]
pub struct NotHex;

fn unhex(text: &str) -> Result<[u8; 32], NotHex> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return Err(NotHex);
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        let digits = text.get(at * 2..at * 2 + 2).ok_or(NotHex)?;
        // A sign would be taken for a part of the number.
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(NotHex);
        }
        *byte = u8::from_str_radix(digits, 16).map_err(|_| NotHex)?;
    }
    Ok(bytes)
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.extend([byte >> 4, byte & 0x0f].map(|digit| DIGITS[usize::from(digit)]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_together() {
        let key = |tenant, source, id| DedupeKey::of(RecordKind::Event, tenant, source, "event_id", id);
        assert_ne!(key("a", "bc", "d"), key("ab", "c", "d"));
        assert_ne!(key("a", "b", "cd"), key("a", "bc", "d"));
        assert_ne!(key("acme", "/zendesk", "1"), key("umbrella", "/zendesk", "1"));
        assert_ne!(
            DedupeKey::of(RecordKind::Event, "a", "b", "event_id", "1"),
            DedupeKey::of(RecordKind::HumanFeedback, "a", "b", "event_id", "1")
        );
    }

    #[test]
    fn an_idempotency_key_that_looks_like_an_event_id_is_another_identity() {
        assert_ne!(
            DedupeKey::of(RecordKind::Event, "a", "b", "event_id", "1"),
            DedupeKey::of(RecordKind::Event, "a", "b", "idempotency_key", "1")
        );
    }

    #[test]
    fn hexadecimal_is_what_the_standard_library_writes() {
        let all: Vec<u8> = (0..=u8::MAX).collect();
        assert_eq!(hex(&all), all.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    }

    #[test]
    fn keys_and_hashes_are_read_as_they_are_written() {
        let (key, body) = (DedupeKey([0xa7; 32]), BodyHash { form: 1, sha256: [0x0f; 32] });
        assert_eq!(key.to_hex().parse(), Ok(key));
        assert_eq!(body.to_string().parse(), Ok(body));
        let signed = format!("+f{}", "00".repeat(31));
        for bad in ["", "a7", &"g7".repeat(32), &"a7".repeat(33), &signed, &"ä".repeat(32)] {
            assert_eq!(bad.parse::<DedupeKey>(), Err(NotHex), "{bad}");
            assert_eq!(format!("1:{bad}").parse::<BodyHash>(), Err(NotHex), "{bad}");
        }
        assert_eq!(key.to_hex().parse::<BodyHash>(), Err(NotHex), "the form is missing");
    }

    #[test]
    fn a_decision_id_is_stable_and_depends_on_every_part() {
        let key = DedupeKey([7; 32]);
        let id = decision_id(key, "policy", 1);
        assert_eq!(id, decision_id(key, "policy", 1));
        assert_ne!(id, decision_id(key, "policy", 2));
        assert_ne!(id, decision_id(key, "other", 1));
        assert_ne!(id, decision_id(DedupeKey([8; 32]), "policy", 1));
    }
}
