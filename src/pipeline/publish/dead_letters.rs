//! What is kept of a record that was rejected: everything that the log has room for, untouched, with the reason.

use sha2::{Digest, Sha256};

use super::{Publisher, Source};
use crate::domain::bytes::Bytes;
use crate::domain::dead_letter::{DeadLetter, DeadLetterHeader, Stage};
use crate::domain::identity::hex;
use crate::domain::reason_code::ReasonCode;
use crate::domain::record::{OutRecord, Payload};
use crate::domain::redrive::Redrive;
use crate::domain::verdict::Verdict;

/// Whether sending the same bytes again can end otherwise.
///
/// It can once somebody has changed what stood against them: a tenant is added or enabled, a schema id is made known, a
/// newer build reads more, a rule was loosened, a publisher's envelope is no longer compared. It cannot when the bytes
/// themselves are the reason: a value too large stays too large (and may not even be here), and a second meaning under a
/// used key stays a conflict for as long as the first one is remembered. Nor can a letter be sent that has no value in it.
pub(super) fn is_replayable(code: ReasonCode) -> bool {
    !matches!(code, ReasonCode::IdempotencyConflict | ReasonCode::PayloadTooLarge)
}

fn stage_of(code: ReasonCode) -> Stage {
    match code {
        ReasonCode::IdempotencyConflict => Stage::Dedupe,
        _ => Stage::Ingest,
    }
}

impl Publisher {
    /// The dead letter, without the parts that would make it too large for the log: then their SHA-256 stands for them.
    /// `output` makes a record of a key and a value.
    pub(super) fn dead_letter(
        &self,
        source: &Source<'_>,
        verdict: &Verdict,
        output: impl Fn(Option<Payload>, Vec<u8>) -> OutRecord,
    ) -> OutRecord {
        let key = source.record.key.clone();
        let mut letter = self.whole_dead_letter(source, verdict);
        let record =
            |key: &Option<Payload>, letter: &DeadLetter| output(key.clone(), self.encode("DeadLetter", letter));
        let whole = record(&key, &letter);
        if self.fits(&whole) {
            return whole;
        }
        letter.value_sha256 = source.record.value.as_deref().map(|value| hex(&Sha256::digest(value)));
        letter.value = None;
        letter.replayable = false;
        let without_value = record(&key, &letter);
        if self.fits(&without_value) {
            return without_value;
        }
        let headers = std::mem::take(&mut letter.headers);
        if !headers.is_empty() {
            let bytes = |header: &DeadLetterHeader| header.name.len() + header.value.as_ref().map_or(0, |v| v.0.len());
            let (count, bytes) = (headers.len(), headers.iter().map(bytes).sum::<usize>());
            add_line(&mut letter.detail, &format!("{count} headers of {bytes} bytes are left out: there was no room"));
        }
        letter.key = None; // it is still the key of the dead letter's own record
        let bare = record(&key, &letter);
        if self.fits(&bare) {
            return bare;
        }
        let key = key.unwrap_or_default();
        let line = format!("the key has {} bytes, its SHA-256 is {}", key.len(), hex(&Sha256::digest(&key)));
        add_line(&mut letter.detail, &line);
        record(&None, &letter)
    }

    fn whole_dead_letter(&self, source: &Source<'_>, verdict: &Verdict) -> DeadLetter {
        let bytes = |payload: &Payload| Bytes(payload.to_vec());
        let record = source.record;
        let origin = source.origin();
        // One that was sent again is the same dead letter, of one more failure.
        let redrive = Redrive::of(record).unwrap_or_else(|| Redrive {
            dead_letter_id: source.position(),
            count: 0,
            first_failed_at: verdict.processed_at,
        });
        let replay_count = i32::try_from(redrive.count).unwrap_or(i32::MAX);
        DeadLetter {
            dead_letter_id: redrive.dead_letter_id,
            origin_topic: origin.topic,
            origin_partition: origin.partition,
            origin_offset: origin.offset,
            origin_timestamp: origin.timestamp,
            key: record.key.as_ref().map(bytes),
            value: record.value.as_ref().map(bytes),
            headers: record
                .headers
                .iter()
                .map(|header| DeadLetterHeader {
                    name: header.name.to_string(),
                    value: header.value.as_ref().map(bytes),
                })
                .collect(),
            schema_id: source.schema_id.map(u32::cast_signed),
            event_id: source.subject.map(|subject| subject.id().to_owned()),
            event_source: source.subject.map(|subject| subject.source().to_owned()),
            tenant_id: source.subject.map(|subject| subject.tenant_id().to_owned()),
            ticket_id: source.subject.map(|subject| subject.ticket_id().to_owned()),
            stage: stage_of(verdict.code),
            reason_code: verdict.code.as_str().to_owned(),
            reason: verdict.reason.clone().unwrap_or_else(|| verdict.code.as_str().to_owned()),
            detail: detail_of(verdict),
            attempts: replay_count.saturating_add(1),
            first_failed_at: redrive.first_failed_at.min(verdict.processed_at),
            last_failed_at: verdict.processed_at,
            replayable: is_replayable(verdict.code) && record.value.is_some(),
            replay_count,
            consumer_group: self.consumer_group.clone(),
            processor: self.processor.clone(),
            value_sha256: None,
        }
    }
}

fn add_line(detail: &mut Option<String>, line: &str) {
    let detail = detail.get_or_insert_default();
    detail.push_str(if detail.is_empty() { "" } else { "\n" });
    detail.push_str(line);
}

/// One line for each violation.
fn detail_of(verdict: &Verdict) -> Option<String> {
    let lines: Vec<String> = verdict
        .violations
        .iter()
        .map(|violation| format!("{}: {} ({})", violation.path, violation.message, violation.code))
        .collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}
