//! What people said of single predictions, out of reviews.
//!
//! Of each decision and field one thing is true, so what was said last counts: who accepts a decision and sets a field
//! otherwise a day later has said once that it was wrong. What agents set by hand without a word is heard of only where it
//! was wrong, so by itself it is in no figure ([`Judgements::by_hand`] counts it); it takes back what was said before. Reviews that name no decision of ours, fields that we did not
//! predict, and queues that a ticket got because it must have one say nothing about a model.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::isotonic::Judged;
use crate::domain::review::{DecisionReview, FieldReview, JoinStatus};
use crate::pipeline::review::implicit::IMPLICIT_OVERRIDE;

/// One prediction, and whether it was right.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// Whose.
    pub tenant: String,
    /// About which ticket.
    pub ticket: String,
    /// Which field.
    pub field: String,
    /// What was predicted.
    pub label: String,
    /// In which language, if that was recognised.
    pub language: Option<String>,
    /// The model that was asked.
    pub model: String,
    /// With which prompt.
    pub prompt: String,
    /// How sure the model was.
    pub raw: f64,
    /// What that was worth under the policy of then.
    pub confidence: f64,
    /// Whether people left it at that.
    pub right: bool,
}

impl Judgement {
    /// By the model's own word.
    #[must_use]
    pub fn raw(&self) -> Judged {
        Judged { confidence: self.raw, right: self.right }
    }

    /// By what stood in the decision.
    #[must_use]
    pub fn shown(&self) -> Judged {
        Judged { confidence: self.confidence, right: self.right }
    }
}

/// All of them, each decision and field once.
#[derive(Debug, Default)]
pub struct Judgements {
    by_prediction: BTreeMap<(String, String), Said>,
    /// Reviews that were read.
    pub reviews: u64,
}

/// What was said of one prediction.
#[derive(Debug)]
struct Said {
    /// So long after the decision.
    at: i64,
    last: Judgement,
    /// Somebody said it, at least once.
    in_words: bool,
}

impl Judgements {
    /// A review; of one ticket in the order of the log.
    pub fn take(&mut self, review: DecisionReview) {
        self.reviews += 1;
        let at = review.decision_to_feedback_ms.unwrap_or_default();
        let in_words = review.kind != IMPLICIT_OVERRIDE;
        let Some(decision) = review.decision_id.as_ref() else { return };
        for field in &review.fields {
            let Some(last) = judgement(&review, field) else { continue };
            match self.by_prediction.entry((decision.clone(), field.field.clone())) {
                Entry::Vacant(first) => drop(first.insert(Said { at, last, in_words })),
                Entry::Occupied(mut before) => {
                    let before = before.get_mut();
                    before.in_words |= in_words;
                    if before.at <= at {
                        (before.at, before.last) = (at, last);
                    }
                }
            }
        }
    }

    /// All about which something was said, in an order that does not depend on when they were read.
    pub fn all(&self) -> impl Iterator<Item = &Judgement> {
        self.by_prediction.values().filter(|said| said.in_words).map(|said| &said.last)
    }

    /// All that were set otherwise by hand, and about which nothing was said.
    pub fn by_hand(&self) -> impl Iterator<Item = &Judgement> {
        self.by_prediction.values().filter(|said| !said.in_words).map(|said| &said.last)
    }
}

fn judgement(review: &DecisionReview, field: &FieldReview) -> Option<Judgement> {
    if !matches!(review.join_status, JoinStatus::JoinedById | JoinStatus::JoinedByTicket) {
        return None;
    }
    if field.automation.as_deref().is_none_or(|automation| matches!(automation, "NONE" | "UNKNOWN")) {
        return None;
    }
    let confidence = field.confidence.filter(|confidence| (0.0..=1.0).contains(confidence))?;
    Some(Judgement {
        tenant: review.tenant_id.clone(),
        ticket: review.ticket_id.clone(),
        field: field.field.clone(),
        label: field.predicted.clone()?,
        language: review.language.clone(),
        model: review.request_model.clone()?,
        prompt: review.prompt_version.clone()?,
        // Reviews of before there were tables have one confidence, which is both.
        raw: field.raw_confidence.filter(|raw| (0.0..=1.0).contains(raw)).unwrap_or(confidence),
        confidence,
        right: field.agreed,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::samples;

    /// A review of one field of a decision, so long after it.
    pub(in super::super) fn review(decision: &str, said_at: i64, agreed: bool) -> DecisionReview {
        let mut review = samples::review();
        review.decision_id = Some(decision.to_owned());
        review.decision_to_feedback_ms = Some(said_at);
        review.fields[0].agreed = agreed;
        review
    }

    fn said(reviews: Vec<DecisionReview>) -> Vec<bool> {
        let mut judgements = Judgements::default();
        reviews.into_iter().for_each(|review| judgements.take(review));
        judgements.all().map(|judgement| judgement.right).collect()
    }

    #[test]
    fn of_one_prediction_what_was_said_last_counts_whichever_is_read_first() {
        assert_eq!(said(vec![review("d", 1, true), review("d", 2, false)]), [false]);
        assert_eq!(said(vec![review("d", 2, false), review("d", 1, true)]), [false]);
        assert_eq!(said(vec![review("d", 1, true), review("d", 1, false)]), [false], "in the order of the log");
        assert_eq!(said(vec![review("d", 1, true), review("e", 2, false)]), [true, false]);
    }

    #[test]
    fn what_was_set_by_hand_takes_back_what_was_said_and_is_in_no_figure_by_itself() {
        let by_hand = |said_at| DecisionReview { kind: IMPLICIT_OVERRIDE.to_owned(), ..review("d", said_at, false) };
        assert_eq!(said(vec![by_hand(1)]), [true; 0]);
        assert_eq!(said(vec![review("d", 1, true), by_hand(2)]), [false]);
        assert_eq!(said(vec![by_hand(2), review("d", 1, true)]), [false]);
        assert_eq!(said(vec![by_hand(1), review("d", 2, true)]), [true]);
        let mut judgements = Judgements::default();
        judgements.take(by_hand(1));
        judgements.take(review("e", 1, true));
        assert_eq!((judgements.all().count(), judgements.by_hand().count()), (1, 1));
    }

    #[test]
    fn what_says_nothing_about_a_model_is_left_out() {
        let changes: [fn(&mut DecisionReview); 8] = [
            |review| review.join_status = JoinStatus::Orphan,
            |review| review.decision_id = None,
            |review| review.request_model = None,
            |review| review.fields[0].predicted = None,
            |review| review.fields[0].confidence = None,
            |review| review.fields[0].confidence = Some(f64::NAN),
            |review| review.fields[0].automation = None,
            |review| review.fields[0].automation = Some("NONE".to_owned()),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut changed = review("d", 1, true);
            change(&mut changed);
            assert_eq!(said(vec![changed]), [true; 0], "change {number}");
        }
    }

    #[test]
    fn a_review_without_a_raw_confidence_is_of_before_anything_was_calibrated() {
        let (mut judgements, mut old) = (Judgements::default(), review("d", 1, true));
        old.fields[0].raw_confidence = None;
        judgements.take(old);
        judgements.take(review("e", 1, true));
        let both: Vec<_> = judgements.all().map(|judgement| (judgement.raw, judgement.confidence)).collect();
        assert_eq!(both, [(0.9, 0.9), (0.97, 0.9)]);
    }
}
