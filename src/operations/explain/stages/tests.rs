//! What is said of a copy, by what the ledger still knows.

use super::*;
use crate::domain::clock::Timestamp;
use crate::domain::dead_letter::DeadLetter;
use crate::domain::samples;

/// Of the copy at offset 9, claimed at this moment.
fn row(first_seen_at: Timestamp) -> LedgerRow {
    LedgerRow {
        key: "07".to_owned(),
        owner: "events-0-9".to_owned(),
        hop: 0,
        first_seen_at,
        answer: None,
        answered_at: None,
        verdict: None,
        better: None,
        published_at: None,
        vanished: false,
        rejected: false,
    }
}

fn ended(status: FeedbackStatus, processed_at: Timestamp) -> Copy {
    let terminal = EventFeedback { status, processed_at, ..samples::feedback() };
    let origin = "events-0-1".to_owned();
    Copy { origin, record: None, deferrals: Vec::new(), terminal: Some(terminal), dead_letter: None }
}

#[test]
fn what_ended_before_the_row_began_is_no_copy_of_its_owner() {
    let later = Timestamp(samples::NOON.0 + 3_600_000);
    for status in [FeedbackStatus::Accepted, FeedbackStatus::Duplicate] {
        let says = dedupe(&ended(status, samples::NOON), Some(&row(later))).says;
        assert!(says.starts_with("the ledger has forgotten") && !says.contains("a copy of"), "{says}");
    }
    let says = dedupe(&ended(FeedbackStatus::Duplicate, later), Some(&row(samples::NOON))).says;
    assert!(says.starts_with("a copy of events-0-9, which was claimed"), "{says}");
    let of_another_clock = Timestamp(later.0 - CLOCKS_DIFFER_MS);
    let says = dedupe(&ended(FeedbackStatus::Duplicate, of_another_clock), Some(&row(later))).says;
    assert!(says.starts_with("a copy of events-0-9"), "{says}");
}

#[test]
fn of_a_dead_letter_it_says_what_its_page_says_of_sending_it_again() {
    for (code, says) in [
        ("VALIDATION_FAILED", "these very bytes fail again"),
        ("DECODE_FAILED", "these very bytes fail again"),
        ("TENANT_UNKNOWN", "once what stood against it is changed"),
        ("UNKNOWN_SCHEMA", "once what stood against it is changed"),
    ] {
        let letter = DeadLetter { reason_code: code.to_owned(), replayable: true, ..samples::dead_letter() };
        let copy = Copy { dead_letter: Some(letter), ..ended(FeedbackStatus::Rejected, samples::NOON) };
        let stage = publish(&copy, None);
        assert!(stage.more.iter().any(|line| line.contains(says)), "{code}: {stage:?}");
    }
}
