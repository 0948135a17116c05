//! The same form over human feedback.

use sha2::{Digest, Sha256};

use super::{FORM, Form};
use crate::domain::human_feedback::{FeedbackKind, FieldOverride, HumanFeedback};
use crate::domain::identity::BodyHash;

impl BodyHash {
    /// The hash of a piece of human feedback in the newest form.
    #[must_use]
    pub fn of_feedback(feedback: &HumanFeedback) -> Self {
        let mut form = Form(Sha256::new());
        form.feedback(feedback);
        Self { form: FORM, sha256: form.0.finalize().into() }
    }
}

impl Form {
    fn feedback(&mut self, feedback: &HumanFeedback) {
        let HumanFeedback {
            feedback_id,
            source,
            tenant_id,
            ticket_id,
            decision_id,
            occurred_at,
            actor,
            kind,
            overrides,
            reply_outcome,
            edit_ratio,
            rating,
            resolution,
            resolution_evidence,
            reason_code,
            comment,
        } = feedback;
        self.text("feedback_id", feedback_id);
        self.text("source", source);
        self.text("tenant_id", tenant_id);
        self.text("ticket_id", ticket_id);
        self.maybe_text("decision_id", decision_id.as_deref());
        self.number("occurred_at", occurred_at.0);
        self.record("actor", actor, Self::actor);
        self.symbol("kind", kind, FeedbackKind::Unknown);
        self.records("overrides", overrides, Self::field_override);
        self.maybe_symbol("reply_outcome", reply_outcome.as_ref());
        // Bits, because a number in JSON and the same number in Avro are the same bits; and -0 is 0.
        self.maybe_number("edit_ratio", edit_ratio.map(|ratio| (ratio + 0.0).to_bits().cast_signed()));
        self.maybe_number("rating", rating.map(i64::from));
        self.maybe_symbol("resolution", resolution.as_ref());
        self.maybe_symbol("resolution_evidence", resolution_evidence.as_ref());
        self.maybe_text("reason_code", reason_code.as_deref());
        self.maybe_text("comment", comment.as_deref());
    }

    fn field_override(&mut self, FieldOverride { field, predicted, actual, reason }: &FieldOverride) {
        self.text("field", field);
        self.maybe_text("predicted", predicted.as_deref());
        self.text("actual", actual);
        self.maybe_text("reason", reason.as_deref());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::samples;

    #[test]
    fn feedback_in_either_encoding_says_the_same_and_every_part_of_it_counts() {
        let feedback = samples::human_feedback();
        let hash = BodyHash::of_feedback(&feedback);
        let json = serde_json::to_string(&feedback).expect("it can be written");
        assert_eq!(BodyHash::of_feedback(&serde_json::from_str(&json).expect("it can be read")), hash);
        let with = |change: fn(&mut HumanFeedback)| {
            let mut other = feedback.clone();
            change(&mut other);
            BodyHash::of_feedback(&other)
        };
        let changes: [fn(&mut HumanFeedback); 8] = [
            |feedback| feedback.rating = None,
            |feedback| feedback.edit_ratio = Some(0.5),
            |feedback| feedback.comment = None,
            |feedback| feedback.kind = FeedbackKind::Rating,
            |feedback| feedback.decision_id = None,
            |feedback| feedback.occurred_at.0 += 1,
            |feedback| feedback.overrides[0].actual = "other".to_owned(),
            |feedback| feedback.overrides.clear(),
        ];
        for (index, change) in changes.into_iter().enumerate() {
            assert_ne!(with(change), hash, "change {index}");
        }
    }
}
