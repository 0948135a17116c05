//! What a record's claim came to, read off the row that answered it.
//!
//! Pure: the table of DESIGN 5, from the top. The position decides first (is this the very copy that owns the event?),
//! then the row's fate (can its owner still end it?), then the body. What does not belong here: writing anything. A
//! takeover is only proposed; the ledger's compare-and-set decides who gets it, and its loser judges the new row again.

use std::sync::Arc;

use super::ledger::{Claim, Row};
use crate::domain::answer::Answer;
use crate::domain::clock::Timestamp;
use crate::domain::feedback::FeedbackStatus;
use crate::domain::identity::BodyHash;
use crate::domain::position::Position;
use crate::domain::verdict::Verdict;

/// How a record goes on.
#[derive(Debug, Clone, PartialEq)]
pub enum Arrival {
    /// It owns its event and nothing is saved: new, or a redelivery after a crash.
    Go,
    /// It owns its event and was answered: nobody is asked again.
    GoFrom(Arc<Answer>),
    /// It owns its event and its end is saved: publish exactly this.
    Publish(Arc<Verdict>),
    /// It owns its event and its end was published: finish the offset silently.
    AlreadyPublished,
    /// A later hop of it has been here: that one ends it. Finish the offset silently.
    CarriedOn,
    /// Another copy owned the event and will not decide it: take the claim over from there.
    TakeOver {
        /// The owner to take it from.
        from: Position,
    },
    /// Another copy owns the event and says something else: REJECTED / IDEMPOTENCY_CONFLICT.
    Conflict {
        /// The owner.
        first: Position,
        /// When the event was first claimed.
        first_seen_at: Timestamp,
    },
    /// Another copy owns the event and says the same: DUPLICATE.
    Duplicate {
        /// The owner.
        first: Position,
        /// When the event was first claimed.
        first_seen_at: Timestamp,
        /// Its decision, if there is one already.
        decision_id: Option<String>,
    },
}

/// Read `row`, which answered `claim`, from the top of the table.
#[must_use]
pub fn judge(claim: &Claim, row: &Row) -> Arrival {
    if claim.position == row.owner {
        own(claim, row)
    } else if may_be_taken_over(row) {
        Arrival::TakeOver { from: row.owner.clone() }
    } else {
        other(claim, row)
    }
}

/// The owner is here again. A published mark speaks of the position, so it ends every hop of it. An earlier hop comes
/// again when positions were reset, and must not decide once more what a later hop has decided, or is about to: a hop that
/// has claimed stands in the log.
fn own(claim: &Claim, row: &Row) -> Arrival {
    match (&row.verdict, &row.answer) {
        _ if row.published_at.is_some() => Arrival::AlreadyPublished,
        _ if claim.hop < row.hop => Arrival::CarriedOn,
        (Some(verdict), _) => Arrival::Publish(Arc::clone(verdict)),
        (None, Some(answer)) => Arrival::GoFrom(Arc::clone(answer)),
        (None, None) => Arrival::Go,
    }
}

/// Whether the owner leaves the event undecided: it was rejected, or it can never be read again and has published
/// nothing. The verdict is asked, not `row.rejected`: that flag outlives a takeover, and a redriven event that was then
/// accepted must not be decided once more.
fn may_be_taken_over(row: &Row) -> bool {
    let rejected = row.verdict.as_ref().is_some_and(|verdict| verdict.status == FeedbackStatus::Rejected);
    rejected || (row.vanished && row.published_at.is_none())
}

/// Whether the owner may yet be rejected. Rejections are reached without a model, so whoever has an answer will not be.
#[must_use]
pub fn may_yet_be_rejected(row: &Row) -> bool {
    row.published_at.is_none() && row.verdict.is_none() && row.answer.is_none()
}

fn other(claim: &Claim, row: &Row) -> Arrival {
    let (first, first_seen_at) = (row.owner.clone(), row.first_seen_at);
    if differs(claim.body, row.body) {
        return Arrival::Conflict { first, first_seen_at };
    }
    let decision = row.verdict.as_ref().and_then(|verdict| verdict.decision.as_ref());
    Arrival::Duplicate { first, first_seen_at, decision_id: decision.map(|decision| decision.id.clone()) }
}

/// Hashes of two canonical forms say nothing about each other. Such bodies count as the same: right after an upgrade a
/// resend is far more likely than a conflict, and DUPLICATE decides nothing twice.
fn differs(one: BodyHash, other: BodyHash) -> bool {
    one.form == other.form && one.sha256 != other.sha256
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::answer::{Findings, Versions};
    use crate::domain::bytes::Bytes;
    use crate::domain::identity::DedupeKey;
    use crate::domain::reason_code::ReasonCode;
    use crate::domain::verdict::SavedDecision;

    fn position(offset: u64) -> Position {
        Position { topic_id: "events".into(), partition: 3, offset }
    }

    fn body(byte: u8) -> BodyHash {
        BodyHash { form: 1, sha256: [byte; 32] }
    }

    fn claim(offset: u64) -> Claim {
        Claim {
            key: DedupeKey([1; 32]),
            position: position(offset),
            hop: 0,
            copy: None,
            ticket: "acme|1".into(),
            body: body(1),
            tenant_id: "acme".into(),
            event_id: "e-1".into(),
            at: Timestamp(5_000),
        }
    }

    /// The row that a claim at offset 10 left.
    fn row() -> Row {
        Row::left_by(&Claim { at: Timestamp(1_000), ..claim(10) })
    }

    fn answer() -> Arc<Answer> {
        Arc::new(Answer {
            predicted: None,
            usage: None,
            degraded: None,
            tried: vec![],
            findings: Findings::default(),
            versions: Versions::default(),
            answered_at: Timestamp(2_000),
            flags: Vec::new(),
            first_look: None,
        })
    }

    fn verdict(status: FeedbackStatus) -> Arc<Verdict> {
        let decision = SavedDecision { id: "d-1".into(), version: 1, bytes: Bytes(vec![1, 2, 3]) };
        Arc::new(Verdict {
            decision: (status == FeedbackStatus::Accepted).then_some(decision),
            ..Verdict::of(status, ReasonCode::Decided, Timestamp(2_999), Timestamp(3_000))
        })
    }

    #[test]
    fn another_body_from_another_position_is_a_conflict() {
        let claim = Claim { body: body(2), ..claim(11) };
        let conflict = Arrival::Conflict { first: position(10), first_seen_at: Timestamp(1_000) };
        assert_eq!(judge(&claim, &row()), conflict);
        let decided = Row { verdict: Some(verdict(FeedbackStatus::Accepted)), ..row() };
        assert_eq!(judge(&claim, &Row { published_at: Some(Timestamp(4_000)), ..decided.clone() }), conflict);
        assert_eq!(judge(&claim, &decided), conflict);
    }

    #[test]
    fn the_same_body_from_another_position_is_a_duplicate_of_the_first() {
        let duplicate = |decision_id: Option<&str>| Arrival::Duplicate {
            first: position(10),
            first_seen_at: Timestamp(1_000),
            decision_id: decision_id.map(str::to_owned),
        };
        assert_eq!(judge(&claim(11), &row()), duplicate(None));
        assert_eq!(judge(&claim(11), &Row { answer: Some(answer()), ..row() }), duplicate(None));
        let ignored = Row { verdict: Some(verdict(FeedbackStatus::Ignored)), ..row() };
        assert_eq!(judge(&claim(11), &ignored), duplicate(None));
        let accepted = Row { verdict: Some(verdict(FeedbackStatus::Accepted)), ..row() };
        assert_eq!(judge(&claim(11), &accepted), duplicate(Some("d-1")));
    }

    #[test]
    fn an_earlier_offset_is_another_position_too_because_the_first_claim_wins() {
        assert!(matches!(judge(&claim(9), &row()), Arrival::Duplicate { .. }));
    }

    #[test]
    fn the_same_offset_of_another_partition_or_of_a_recreated_topic_is_another_position() {
        for elsewhere in [
            Position { partition: 4, ..position(10) },
            Position { topic_id: "events, created anew".into(), ..position(10) },
        ] {
            assert!(matches!(judge(&Claim { position: elsewhere, ..claim(10) }, &row()), Arrival::Duplicate { .. }));
        }
    }

    #[test]
    fn bodies_of_two_canonical_forms_are_not_a_conflict() {
        let claim = Claim { body: BodyHash { form: 2, sha256: [9; 32] }, ..claim(11) };
        assert!(matches!(judge(&claim, &row()), Arrival::Duplicate { .. }));
    }

    #[test]
    fn a_rejected_event_is_taken_over_whatever_its_new_body() {
        let rejected = Row { verdict: Some(verdict(FeedbackStatus::Rejected)), rejected: true, ..row() };
        let published = Row { published_at: Some(Timestamp(4_000)), ..rejected.clone() };
        for row in [rejected, published] {
            assert_eq!(judge(&claim(11), &row), Arrival::TakeOver { from: position(10) });
            let mended = Claim { body: body(2), ..claim(11) };
            assert_eq!(judge(&mended, &row), Arrival::TakeOver { from: position(10) });
        }
    }

    #[test]
    fn only_an_owner_of_whom_nothing_is_saved_may_yet_be_rejected() {
        assert!(may_yet_be_rejected(&row()));
        assert!(!may_yet_be_rejected(&Row { answer: Some(answer()), ..row() }));
        assert!(!may_yet_be_rejected(&Row { published_at: Some(Timestamp(4_000)), ..row() }));
        for status in [FeedbackStatus::Accepted, FeedbackStatus::Rejected] {
            assert!(!may_yet_be_rejected(&Row { verdict: Some(verdict(status)), ..row() }));
        }
    }

    #[test]
    fn an_event_that_was_rejected_once_and_accepted_after_its_redrive_is_not_taken_over_again() {
        let redriven = Row { rejected: true, verdict: Some(verdict(FeedbackStatus::Accepted)), ..row() };
        assert!(matches!(judge(&claim(11), &redriven), Arrival::Duplicate { decision_id: Some(_), .. }));
        let under_way = Row { rejected: true, ..row() };
        assert!(matches!(judge(&claim(11), &under_way), Arrival::Duplicate { decision_id: None, .. }));
    }

    #[test]
    fn an_owner_that_vanished_before_it_published_loses_its_event() {
        let vanished = Row { vanished: true, ..row() };
        assert_eq!(judge(&claim(11), &vanished), Arrival::TakeOver { from: position(10) });
        let answered = Row { answer: Some(answer()), ..vanished };
        assert_eq!(judge(&claim(11), &answered), Arrival::TakeOver { from: position(10) });
    }

    #[test]
    fn an_owner_that_published_keeps_its_event_though_it_is_no_longer_readable() {
        let published = Row {
            vanished: true,
            verdict: Some(verdict(FeedbackStatus::Accepted)),
            published_at: Some(Timestamp(4_000)),
            ..row()
        };
        assert!(matches!(judge(&claim(11), &published), Arrival::Duplicate { .. }));
    }

    #[test]
    fn a_redelivered_record_is_never_a_duplicate_of_itself() {
        assert_eq!(judge(&claim(10), &row()), Arrival::Go);
        assert_eq!(judge(&Claim { body: body(2), ..claim(10) }, &row()), Arrival::Go, "nor a conflict with itself");
        assert_eq!(judge(&claim(10), &Row { vanished: true, ..row() }), Arrival::Go, "it has come again after all");
    }

    #[test]
    fn a_redelivered_record_goes_on_from_its_saved_answer() {
        assert_eq!(judge(&claim(10), &Row { answer: Some(answer()), ..row() }), Arrival::GoFrom(answer()));
    }

    #[test]
    fn a_redelivered_record_publishes_its_saved_verdict_whatever_it_is() {
        for status in [FeedbackStatus::Accepted, FeedbackStatus::Ignored, FeedbackStatus::Rejected] {
            let row = Row { answer: Some(answer()), verdict: Some(verdict(status)), ..row() };
            assert_eq!(judge(&claim(10), &row), Arrival::Publish(verdict(status)));
        }
    }

    #[test]
    fn what_was_published_is_over_for_every_hop_of_its_position() {
        for published_hop in [0, 1, 2] {
            for status in [FeedbackStatus::Accepted, FeedbackStatus::Rejected] {
                let published_at = Some(Timestamp(4_000));
                let row = Row { hop: published_hop, verdict: Some(verdict(status)), published_at, ..row() };
                for hop in [0, 1, 2] {
                    assert_eq!(judge(&Claim { hop, ..claim(10) }, &row), Arrival::AlreadyPublished);
                }
            }
        }
    }

    #[test]
    fn an_earlier_hop_leaves_its_event_to_the_later_one_that_has_been_here() {
        let put_off_twice = Row { hop: 2, ..row() };
        for hop in [0, 1] {
            assert_eq!(judge(&Claim { hop, ..claim(10) }, &put_off_twice), Arrival::CarriedOn);
            let saved = Row { verdict: Some(verdict(FeedbackStatus::Accepted)), ..put_off_twice.clone() };
            assert_eq!(judge(&Claim { hop, ..claim(10) }, &saved), Arrival::CarriedOn, "it publishes what is saved");
        }
        assert_eq!(judge(&Claim { hop: 2, ..claim(10) }, &put_off_twice), Arrival::Go);
    }

    #[test]
    fn a_deferred_copy_goes_on_where_its_position_stands() {
        let later_hop = Claim { hop: 1, ..claim(10) };
        assert_eq!(judge(&later_hop, &row()), Arrival::Go);
        assert_eq!(judge(&later_hop, &Row { answer: Some(answer()), ..row() }), Arrival::GoFrom(answer()));
    }
}
