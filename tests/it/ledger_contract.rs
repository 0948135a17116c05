//! What every ledger promises: one suite, run over each of them.

mod agreement;
mod decisions;
mod partitions;
mod purses;
mod speed;
pub mod world;

use std::sync::Arc;
use std::time::Duration;

use gatekeeper::adapters::memory::ledger::{Fault, MemoryLedger, Moment};
use gatekeeper::domain::clock::{Clock, Timestamp};
use gatekeeper::domain::identity::BodyHash;
use gatekeeper::domain::position::Position;
use gatekeeper::pipeline::dedupe::ledger::{Ahead, Claim, Entry, Ledger as _, LedgerError, Outcome, Row};

use decisions::{
    a_batch_of_new_decisions_and_a_mark_is_what_it_is_step_by_step,
    a_better_decision_comes_too_late_after_a_newer_one_or_after_a_person,
    a_decision_is_found_by_its_id_or_as_the_latest_of_its_ticket,
    a_decision_that_is_made_anew_takes_the_place_of_one_that_was_never_published,
    an_answer_and_its_verdict_are_saved_together_or_not_at_all,
    decisions_outlive_their_rows_and_go_by_their_age_the_oldest_first,
    only_the_verdict_that_is_saved_leaves_its_decision, questions_see_everything_of_their_batch_and_keep_their_places,
    what_the_log_tells_of_decisions_is_known_again,
};
use partitions::{
    a_ledger_belongs_to_the_group_that_used_it_first, a_topic_that_was_recreated_leaves_nothing_in_work,
    batches_are_counted_by_writer_and_told_to_whoever_enters, partitions_are_counted_anew_by_whoever_was_first,
    the_first_open_offset_is_behind_everything_that_is_known_to_be_finished,
    what_was_published_is_restored_unless_the_ledger_knows_of_a_later_time,
    what_was_recovered_counts_as_known_and_never_sets_anybody_back,
    where_the_group_stood_is_told_to_whoever_enters_and_claims_alone_say_nothing,
    whoever_entered_a_partition_last_is_remembered,
};
use purses::{
    money_is_counted_once_however_often_a_batch_comes,
    nobody_waits_for_money_of_an_instance_that_is_not_heard_of_any_more, purses_of_long_ago_go_when_a_new_day_begins,
    several_instances_share_a_days_money_and_settle_what_they_reserved,
    what_a_life_did_not_settle_costs_what_was_expected_once_the_next_one_says_so,
};
use world::{
    Store, World, accepted, answer, answered, at, came_back, claim, commit, find, key, lease, one, published, put_off,
    reached, rejected, release, repair, repair_copies, row, take_over, vanished,
};

fn owner_in(outcome: &Outcome) -> u64 {
    match outcome {
        Outcome::Row(row) => row.owner.offset,
        other => panic!("a row was expected: {other:?}"),
    }
}

async fn an_empty_batch_is_nothing(world: World) {
    assert_eq!(commit(&world.ledger().await, vec![]).await, vec![]);
}

async fn the_first_claim_wins_and_is_told_to_the_second(world: World) {
    let ledger = world.ledger().await;
    let first = one(&ledger, Entry::Claim(claim(1, 20))).await;
    let second = one(&ledger, Entry::Claim(claim(1, 10))).await;
    assert_eq!(first, second);
    let expected = Row {
        key: key(1),
        owner: at(20),
        hop: 0,
        copy: None,
        body: claim(1, 20).body,
        first_seen_at: Timestamp(20),
        answer: None,
        answered_at: None,
        verdict: None,
        published_at: None,
        vanished: false,
        rejected: false,
        deferred_to: None,
        ahead: None,
    };
    assert_eq!(first, Outcome::Row(Arc::new(expected.clone())));
    assert_eq!(row(&ledger, 1).await, expected);
    assert_eq!(find(&ledger, 2).await, None);
}

async fn copies_within_one_batch_see_each_other_in_order(world: World) {
    let ledger = world.ledger().await;
    let outcomes = commit(
        &ledger,
        vec![
            Entry::Claim(claim(1, 10)),
            Entry::Claim(claim(2, 11)),
            Entry::Claim(claim(1, 12)),
            answered(1, 12, "not mine"),
            answered(1, 10, "mine"),
            Entry::Claim(claim(1, 13)),
            lease(2, 11, 10),
            lease(1, 10, 10),
        ],
    )
    .await;
    assert_eq!(owner_in(&outcomes[2]), 10);
    assert!(matches!(&outcomes[2], Outcome::Row(row) if row.answer.is_none()), "the answer came later");
    assert_eq!(outcomes[3], Outcome::NotOwner);
    assert_eq!(outcomes[4], Outcome::Saved(answer("mine")));
    assert!(matches!(&outcomes[5], Outcome::Row(row) if row.answer == Some(answer("mine"))));
    assert_eq!(outcomes[6..], [Outcome::LeaseGranted, Outcome::LeasePointless]);
}

async fn a_claim_is_a_claim_whatever_is_in_its_names(world: World) {
    let ledger = world.ledger().await;
    let claim = Claim { event_id: "evt\0".into(), tenant_id: "\0\u{202e}".into(), ..claim(1, 10) };
    assert_eq!(owner_in(&one(&ledger, Entry::Claim(claim)).await), 10);
    assert!(find(&ledger, 1).await.is_some());
}

async fn the_same_batch_again_changes_nothing(world: World) {
    let ledger = world.ledger().await;
    let batch = vec![
        Entry::Claim(claim(1, 10)),
        lease(1, 10, 50),
        answered(1, 10, "a"),
        reached(1, 10, accepted("v")),
        published(1, 10, 30),
        Entry::Claim(claim(2, 11)),
        lease(2, 11, 50),
        vanished(11, 12),
    ];
    let first = commit(&ledger, batch.clone()).await;
    let (one, two) = (row(&ledger, 1).await, row(&ledger, 2).await);
    let again = commit(&ledger, batch).await;
    assert_eq!((one, two), (row(&ledger, 1).await, row(&ledger, 2).await));
    assert_eq!(first[2..5], again[2..5]);
    assert_eq!(first[6..], again[6..]);
}

async fn a_later_hop_moves_the_hop_of_its_own_row_only(world: World) {
    let ledger = world.ledger().await;
    one(&ledger, Entry::Claim(claim(1, 10))).await;
    one(&ledger, Entry::Claim(Claim { hop: 2, ..claim(1, 11) })).await;
    assert_eq!(row(&ledger, 1).await.hop, 0, "another copy's hop says nothing about the owner's");
    let outcome = one(&ledger, Entry::Claim(Claim { hop: 2, ..claim(1, 10) })).await;
    assert!(matches!(outcome, Outcome::Row(row) if row.hop == 2));
    one(&ledger, Entry::Claim(Claim { hop: 1, ..claim(1, 10) })).await;
    assert_eq!(row(&ledger, 1).await.hop, 2, "an earlier hop does not move it back");
}

async fn a_takeover_is_won_once_and_its_loser_reads_the_winner(world: World) {
    let ledger = world.ledger().await;
    commit(&ledger, vec![Entry::Claim(claim(1, 10)), answered(1, 10, "a"), reached(1, 10, rejected(8))]).await;
    let mended = Claim { body: BodyHash { form: 1, sha256: [77; 32] }, ..claim(1, 20) };
    let winner = one(&ledger, Entry::TakeOver { claim: mended.clone(), from: at(10) }).await;
    let loser = one(&ledger, take_over(1, 21, 10)).await;
    assert_eq!(winner, loser);
    let expected = Row {
        owner: at(20),
        hop: 0,
        body: mended.body,
        first_seen_at: Timestamp(10),
        answer: None,
        answered_at: None,
        verdict: None,
        published_at: None,
        vanished: false,
        rejected: true,
        copy: None,
        deferred_to: None,
        ahead: None,
        key: key(1),
    };
    assert_eq!(row(&ledger, 1).await, expected);
    let old_owner = commit(&ledger, vec![answered(1, 10, "b"), published(1, 10, 9), reached(1, 10, accepted("b"))]);
    assert_eq!(old_owner.await, vec![Outcome::NotOwner; 3]);
    assert_eq!(row(&ledger, 1).await, expected);
}

async fn two_takeovers_in_one_batch_have_one_winner(world: World) {
    let ledger = world.ledger().await;
    commit(&ledger, vec![Entry::Claim(claim(1, 10)), reached(1, 10, rejected(8))]).await;
    let outcomes = commit(&ledger, vec![take_over(1, 20, 10), take_over(1, 21, 10)]).await;
    assert_eq!(outcomes.iter().map(owner_in).collect::<Vec<_>>(), [20, 20]);
}

async fn a_row_that_is_neither_rejected_nor_vanished_is_not_taken_over(world: World) {
    let ledger = world.ledger().await;
    commit(&ledger, vec![Entry::Claim(claim(1, 10)), Entry::Claim(claim(2, 11)), Entry::Claim(claim(3, 12))]).await;
    commit(&ledger, vec![reached(2, 11, accepted("v")), vanished(12, 13), published(3, 12, 9)]).await;
    let outcomes = commit(&ledger, vec![take_over(1, 20, 10), take_over(2, 21, 11), take_over(3, 22, 12)]).await;
    assert_eq!(outcomes.iter().map(owner_in).collect::<Vec<_>>(), [10, 11, 12]);
}

async fn a_takeover_from_a_forgotten_row_is_a_claim(world: World) {
    let ledger = world.ledger().await;
    assert_eq!(owner_in(&one(&ledger, take_over(1, 20, 10)).await), 20);
    assert_eq!(row(&ledger, 1).await.first_seen_at, Timestamp(20));
}

async fn a_redriven_event_that_was_accepted_is_not_taken_over_again(world: World) {
    let ledger = world.ledger().await;
    commit(&ledger, vec![Entry::Claim(claim(1, 10)), reached(1, 10, rejected(8)), published(1, 10, 9)]).await;
    commit(&ledger, vec![take_over(1, 20, 10), reached(1, 20, accepted("v"))]).await;
    assert_eq!(owner_in(&one(&ledger, take_over(1, 21, 20)).await), 20);
    assert!(row(&ledger, 1).await.rejected, "that it was rejected once stays known");
}

async fn one_process_calls_at_a_time(world: World) {
    let (one_process, other) = (world.process("gk-1", 1, false).await, world.process("gk-2", 1, false).await);
    one(&one_process, Entry::Claim(claim(1, 10))).await;
    assert_eq!(one(&one_process, lease(1, 10, 100)).await, Outcome::LeaseGranted);
    world.pass(40).await;
    let held = Outcome::LeaseHeld { remaining: Duration::from_millis(60) };
    assert_eq!(one(&other, lease(1, 10, 100)).await, held);
    assert_eq!(one(&one_process, lease(1, 10, 100)).await, Outcome::LeaseGranted, "its holder renews it");
    world.pass(99).await;
    assert_eq!(one(&other, lease(1, 10, 5)).await, Outcome::LeaseHeld { remaining: Duration::from_millis(1) });
    world.pass(1).await;
    assert_eq!(one(&other, lease(1, 10, 100)).await, Outcome::LeaseGranted, "it ran out");
    assert!(matches!(one(&one_process, lease(1, 10, 5)).await, Outcome::LeaseHeld { .. }));
}

async fn leases_in_one_batch_are_granted_and_held_row_by_row(world: World) {
    let (one_process, other) = (world.process("gk-1", 1, false).await, world.process("gk-2", 1, false).await);
    commit(&one_process, vec![Entry::Claim(claim(1, 10)), Entry::Claim(claim(2, 11)), lease(1, 10, 100)]).await;
    let outcomes = commit(&other, vec![lease(1, 10, 9), lease(2, 11, 9), lease(3, 12, 9), lease(2, 99, 9)]).await;
    let held = Outcome::LeaseHeld { remaining: Duration::from_millis(100) };
    assert_eq!(outcomes, [held, Outcome::LeaseGranted, Outcome::LeasePointless, Outcome::LeasePointless]);
}

async fn a_released_lease_is_free_at_once_but_only_its_holder_can_release_it(world: World) {
    let (one_process, other) = (world.process("gk-1", 1, false).await, world.process("gk-2", 1, false).await);
    commit(&one_process, vec![Entry::Claim(claim(1, 10)), lease(1, 10, 100)]).await;
    assert_eq!(one(&other, release(1, 10)).await, Outcome::Done);
    assert!(matches!(one(&other, lease(1, 10, 9)).await, Outcome::LeaseHeld { .. }));
    assert_eq!(one(&one_process, release(1, 99)).await, Outcome::NotOwner);
    assert_eq!(one(&one_process, release(2, 10)).await, Outcome::NotOwner);
    assert_eq!(one(&one_process, release(1, 10)).await, Outcome::Done);
    assert_eq!(one(&other, lease(1, 10, 9)).await, Outcome::LeaseGranted);
}

async fn a_lease_is_pointless_once_there_is_an_answer_or_a_verdict_or_it_is_published(world: World) {
    let ledger = world.ledger().await;
    commit(&ledger, (1..=4).map(|number| Entry::Claim(claim(number, u64::from(number)))).collect()).await;
    commit(&ledger, vec![lease(1, 1, 100), lease(4, 4, 100)]).await;
    commit(&ledger, vec![answered(1, 1, "a"), reached(2, 2, accepted("v")), published(3, 3, 0), published(4, 4, 0)])
        .await;
    let (other, successor) = (world.process("gk-2", 1, false).await, world.process("gk-1", 2, true).await);
    for process in [ledger, other, successor] {
        let leases = (1..=4).map(|number| lease(number, u64::from(number), 9)).collect();
        assert_eq!(commit(&process, leases).await, vec![Outcome::LeasePointless; 4]);
    }
}

async fn a_successor_inherits_the_leases_of_a_dead_predecessor_and_of_nobody_else(world: World) {
    let (old, neighbour) = (world.process("gk-1", 1, false).await, world.process("gk-2", 1, false).await);
    commit(&old, vec![Entry::Claim(claim(1, 10)), Entry::Claim(claim(2, 11)), lease(1, 10, 100)]).await;
    one(&neighbour, lease(2, 11, 100)).await;
    let unsure = world.process("gk-1", 2, false).await;
    assert!(matches!(one(&unsure, lease(1, 10, 9)).await, Outcome::LeaseHeld { .. }), "another life is another caller");
    let successor = world.process("gk-1", 3, true).await;
    let outcomes = commit(&successor, vec![lease(1, 10, 9), lease(2, 11, 9)]).await;
    assert_eq!(outcomes[0], Outcome::LeaseGranted);
    assert!(matches!(outcomes[1], Outcome::LeaseHeld { .. }));
}

async fn an_answer_that_comes_after_its_lease_ended_is_not_saved_while_somebody_else_is_calling(world: World) {
    let (one_process, other) = (world.process("gk-1", 1, true).await, world.process("gk-2", 1, true).await);
    commit(&one_process, vec![Entry::Claim(claim(1, 10)), lease(1, 10, 50)]).await;
    world.pass(100).await;
    assert_eq!(one(&other, lease(1, 10, 60_000)).await, Outcome::LeaseGranted);
    let late = one(&one_process, answered(1, 10, "late")).await;
    assert!(matches!(late, Outcome::LeaseHeld { .. }), "{late:?}");
    assert_eq!(row(&one_process, 1).await.answer, None);
    assert_eq!(one(&other, answered(1, 10, "its own")).await, Outcome::Saved(answer("its own")));
    assert_eq!(one(&one_process, answered(1, 10, "late")).await, Outcome::Saved(answer("its own")));
}

async fn the_first_answer_wins_and_is_read_back(world: World) {
    let ledger = world.ledger().await;
    commit(&ledger, vec![Entry::Claim(claim(1, 10)), Entry::Claim(claim(2, 11))]).await;
    assert_eq!(one(&ledger, answered(1, 10, "first")).await, Outcome::Saved(answer("first")));
    let batch =
        vec![answered(1, 10, "second"), answered(2, 11, "other"), answered(3, 12, "none"), answered(2, 99, "x")];
    let outcomes = commit(&ledger, batch).await;
    let saved = |text| Outcome::Saved(answer(text));
    assert_eq!(outcomes, [saved("first"), saved("other"), Outcome::NotOwner, Outcome::NotOwner]);
    let row = row(&ledger, 1).await;
    assert_eq!((row.answer, row.answered_at), (Some(answer("first")), Some(Timestamp(7))));
}

async fn the_first_verdict_wins_and_is_read_back(world: World) {
    let ledger = world.ledger().await;
    commit(&ledger, vec![Entry::Claim(claim(1, 10)), Entry::Claim(claim(2, 11))]).await;
    assert_eq!(one(&ledger, reached(1, 10, accepted("first"))).await, Outcome::Reached(accepted("first")));
    let batch = vec![reached(1, 10, rejected(9)), reached(2, 11, rejected(9)), reached(3, 12, rejected(9))];
    let outcomes = commit(&ledger, batch).await;
    assert_eq!(outcomes, [Outcome::Reached(accepted("first")), Outcome::Reached(rejected(9)), Outcome::NotOwner]);
    assert!(!row(&ledger, 1).await.rejected, "a verdict that came too late leaves no trace");
    assert!(row(&ledger, 2).await.rejected);
}

async fn the_first_published_mark_stays(world: World) {
    let ledger = world.ledger().await;
    commit(&ledger, vec![Entry::Claim(claim(1, 10)), reached(1, 10, accepted("v"))]).await;
    let outcomes = commit(&ledger, vec![published(1, 10, 30), published(1, 10, 40), published(1, 11, 30)]).await;
    assert_eq!(outcomes, [Outcome::Done, Outcome::Done, Outcome::NotOwner]);
    assert_eq!(row(&ledger, 1).await.published_at, Some(Timestamp(30)));
}

async fn what_may_never_come_again_vanishes_unless_it_was_published(world: World) {
    let ledger = world.ledger().await;
    let mut batch: Vec<Entry> = (0..5).map(|number| Entry::Claim(claim(number, 10 + u64::from(number)))).collect();
    batch.push(Entry::Claim(Claim { position: Position { partition: 1, ..at(12) }, ..claim(8, 12) }));
    batch.push(Entry::Claim(Claim { position: Position { topic_id: "old".into(), ..at(12) }, ..claim(9, 12) }));
    batch.extend([reached(3, 13, accepted("v")), published(3, 13, 20)]);
    commit(&ledger, batch).await;
    assert_eq!(one(&ledger, vanished(11, 14)).await, Outcome::Changed(2));
    let mut gone = Vec::new();
    for number in [0, 1, 2, 3, 4, 8, 9] {
        if row(&ledger, number).await.vanished {
            gone.push(number);
        }
    }
    assert_eq!(gone, [1, 2]);
    assert_eq!(one(&ledger, vanished(0, u64::MAX)).await, Outcome::Changed(4), "the end may lie beyond every log");
    assert_eq!(owner_in(&one(&ledger, take_over(1, 20, 11)).await), 20);
    assert!(!row(&ledger, 1).await.vanished);
}

async fn marks_are_repaired_only_where_a_finished_offset_proves_a_published_verdict(world: World) {
    let ledger = world.ledger().await;
    let mut batch: Vec<Entry> = (0..7).map(|number| Entry::Claim(claim(number, 10 + u64::from(number)))).collect();
    let judged = [0, 1, 2, 4, 5, 6];
    batch.extend(judged.map(|number| reached(number, 10 + u64::from(number), accepted("v"))));
    batch.push(published(0, 10, 20));
    batch.push(vanished(14, 15));
    batch.push(Entry::Claim(Claim { hop: 1, ..claim(5, 15) }));
    commit(&ledger, batch).await;
    assert_eq!(one(&ledger, repair(16, &[12])).await, Outcome::Changed(1));
    let mut marks = Vec::new();
    for number in 0..7 {
        marks.push(row(&ledger, number).await.published_at.map(|at| at.0));
    }
    let unfinished = None;
    let without_verdict = None;
    let vanished = None;
    let went_on_in_a_deferred_copy = None;
    let beyond = None;
    assert_eq!(marks, [Some(20), Some(99), unfinished, without_verdict, vanished, went_on_in_a_deferred_copy, beyond]);
}

async fn what_was_put_off_is_repaired_by_its_latest_copy(world: World) {
    let ledger = world.ledger().await;
    let mut batch = Vec::new();
    // Copies at 50 to 53: published, still unfinished, put off again before it was judged, vanished.
    for number in 0..4 {
        let offset = 10 + u64::from(number);
        batch.extend([Entry::Claim(claim(number, offset)), put_off(number, offset, 0)]);
        batch.push(Entry::Claim(came_back(number, offset, 1, 40 + offset)));
    }
    batch.extend([0, 1, 3].map(|number| reached(number, 10 + u64::from(number), accepted("v"))));
    batch.extend([put_off(2, 12, 1), vanished(13, 14)]);
    commit(&ledger, batch).await;
    assert_eq!(
        one(&ledger, repair(100, &[])).await,
        Outcome::Changed(0),
        "the owner's offset was finished by a deferral"
    );
    assert_eq!(one(&ledger, repair_copies(54, &[51])).await, Outcome::Changed(1));
    // The second copy of the third is judged and committed; its first one's offset says nothing any more.
    commit(&ledger, vec![Entry::Claim(came_back(2, 12, 2, 60)), reached(2, 12, accepted("v"))]).await;
    assert_eq!(one(&ledger, repair_copies(60, &[51])).await, Outcome::Changed(0));
    assert_eq!(one(&ledger, repair_copies(61, &[51])).await, Outcome::Changed(1));
    let mut marks = Vec::new();
    for number in 0..4 {
        marks.push(row(&ledger, number).await.published_at.is_some());
    }
    assert_eq!(marks, [true, false, true, false]);
}

/// An owner that lost its partition saves what its call came to, after the next one has put the event off.
async fn a_verdict_that_comes_late_for_what_was_put_off_is_not_taken_for_published(world: World) {
    let ledger = world.ledger().await;
    commit(&ledger, vec![Entry::Claim(claim(1, 10)), put_off(1, 10, 0), reached(1, 10, accepted("v"))]).await;
    assert_eq!(one(&ledger, repair(100, &[])).await, Outcome::Changed(0), "the deferral has finished its offset");
    assert_eq!(one(&ledger, put_off(1, 10, 0)).await, Outcome::Reached(accepted("v")), "there is nothing to wait for");
    // Its copy publishes the verdict.
    commit(&ledger, vec![Entry::Claim(came_back(1, 10, 1, 50))]).await;
    assert_eq!(one(&ledger, repair_copies(60, &[])).await, Outcome::Changed(1));
    // Whoever is read again was not put off after all, and may be published at its own offset.
    commit(&ledger, vec![Entry::Claim(claim(2, 11)), put_off(2, 11, 0), Entry::Claim(claim(2, 11))]).await;
    commit(&ledger, vec![reached(2, 11, accepted("v"))]).await;
    assert_eq!(one(&ledger, repair(100, &[])).await, Outcome::Changed(1));
}

async fn a_claim_is_told_what_is_put_off_and_comes_before_it(world: World) {
    let ledger = world.ledger().await;
    let claims = (1..=3).map(|number| Entry::Claim(claim(number, 10 + u64::from(number))));
    commit(&ledger, claims.chain([put_off(1, 11, 2), put_off(2, 12, 1)]).collect()).await;
    let ahead_of = async |claim: Claim| match one(&ledger, Entry::Claim(claim)).await {
        Outcome::Row(row) => row.ahead,
        other => panic!("a row was expected: {other:?}"),
    };
    let ahead = |count, tier| Some(Ahead { count, tier });
    assert_eq!(ahead_of(claim(3, 13)).await, ahead(2, 1), "the tier of the latest");
    assert_eq!(ahead_of(claim(1, 11)).await, None, "not of itself");
    assert_eq!(ahead_of(came_back(2, 12, 1, 50)).await, ahead(1, 2), "one that came back asks for its origin's place");
    assert_eq!(row(&ledger, 2).await.deferred_to, Some(1));
    assert_eq!(ahead_of(Claim { ticket: "acme|8".into(), ..claim(4, 20) }).await, None, "another ticket");
    let elsewhere = Claim { position: Position { partition: 9, ..at(20) }, ..claim(5, 20) };
    assert_eq!(ahead_of(elsewhere).await, None, "another partition");

    // Once published it is ahead of nobody, even for a claim that stands before the mark in its batch.
    let batch = vec![Entry::Claim(claim(6, 30)), reached(1, 11, accepted("v")), published(1, 11, 50)];
    let outcomes = commit(&ledger, batch).await;
    assert!(matches!(&outcomes[0], Outcome::Row(row) if row.ahead == ahead(1, 1)), "{outcomes:?}");
    one(&ledger, vanished(12, 13)).await;
    assert_eq!(ahead_of(claim(7, 31)).await, None, "what cannot come back is waited for by nobody");
    assert_eq!(one(&ledger, put_off(6, 99, 0)).await, Outcome::NotOwner);
    commit(&ledger, vec![reached(6, 30, accepted("v")), put_off(6, 30, 0)]).await;
    assert_eq!(row(&ledger, 6).await.deferred_to, None, "what has its verdict is not put off");
}

async fn rows_are_forgotten_by_their_fate_not_by_their_age(world: World) {
    let ledger = world.ledger().await;
    let mut batch: Vec<Entry> = (0..6).map(|number| Entry::Claim(claim(number, u64::from(number)))).collect();
    batch.extend([reached(1, 1, accepted("v")), published(1, 1, 10)]);
    batch.extend([reached(2, 2, accepted("v")), published(2, 2, 20)]);
    batch.extend([reached(3, 3, accepted("v"))]);
    batch.extend([reached(4, 4, rejected(5)), published(4, 4, 10)]);
    batch.extend([reached(5, 5, rejected(6)), published(5, 5, 10), take_over(5, 9, 5)]);
    batch.extend([reached(5, 9, accepted("v")), published(5, 9, 11)]);
    commit(&ledger, batch).await;
    let forget = async |published_before, rejected_after, limit| {
        let gone = ledger.forget(Timestamp(published_before), Timestamp(rejected_after), limit).await;
        gone.expect("nothing is wrong with the store")
    };
    let left = async || {
        let mut left = Vec::new();
        for number in 0..6 {
            if find(&ledger, number).await.is_some() {
                left.push(number);
            }
        }
        left
    };
    assert_eq!(forget(20, 4, 100).await, 1, "published long enough ago and never rejected");
    assert_eq!(left().await, [0, 2, 3, 4, 5]);
    assert_eq!(forget(20, 5, 100).await, 1, "its dead letter is gone too");
    assert_eq!(left().await, [0, 2, 3, 5]);
    assert_eq!(forget(1_000, 1_000, 1).await, 1, "no more than asked for, the oldest first");
    assert_eq!(left().await, [0, 2, 3]);
    assert_eq!(forget(1_000, 1_000, 100).await, 1);
    assert_eq!(left().await, [0, 3], "what is not published is never forgotten");
}

async fn what_was_committed_is_there_after_a_restart(world: World) {
    let ledger = world.ledger().await;
    let batch = vec![
        Entry::Claim(claim(1, 10)),
        answered(1, 10, "a"),
        reached(1, 10, rejected(8)),
        published(1, 10, 30),
        Entry::Claim(claim(2, 11)),
        vanished(11, 12),
    ];
    commit(&ledger, batch).await;
    let before = (row(&ledger, 1).await, row(&ledger, 2).await);
    drop(ledger);
    let ledger = world.process("gk-1", 2, true).await;
    assert_eq!((row(&ledger, 1).await, row(&ledger, 2).await), before);
}

async fn rows_are_found_together_and_a_key_without_one_is_left_out(world: World) {
    let ledger = world.ledger().await;
    commit(&ledger, vec![Entry::Claim(claim(1, 10)), Entry::Claim(claim(2, 11)), answered(2, 11, "a")]).await;
    let found = ledger.find_all((1..4).map(key).collect()).await.expect("nothing is wrong with the store");
    assert_eq!(found, [(key(1), row(&ledger, 1).await), (key(2), row(&ledger, 2).await)].into());
    assert_eq!(ledger.find_all(Vec::new()).await.expect("nothing is wrong with the store"), [].into());
}

async fn two_processes_that_claim_at_once_agree_on_one_owner(world: World) {
    let (one_process, other) = (world.process("gk-1", 1, false).await, world.process("gk-2", 1, false).await);
    let claims = |offset: u64| (0..50).map(|number| Entry::Claim(claim(number, offset))).collect::<Vec<_>>();
    let (one_says, other_says) = tokio::join!(commit(&one_process, claims(1)), commit(&other, claims(2)));
    assert_eq!(one_says, other_says);
}

/// Each promise as a test of each ledger.
macro_rules! promises {
    ($($promise:ident)*) => {
        mod sqlite {
            $(#[tokio::test] async fn $promise() { super::$promise(super::World::of_sqlite()).await; })*
        }
        mod memory {
            $(#[tokio::test] async fn $promise() { super::$promise(super::World::of_memory()).await; })*
        }
        mod postgres {
            $(
                #[tokio::test]
                #[ignore = "needs Postgres: tests/run starts it"]
                async fn $promise() { super::$promise(super::World::of_postgres().await).await; }
            )*
        }
    };
}

promises! {
    an_empty_batch_is_nothing
    the_first_claim_wins_and_is_told_to_the_second
    copies_within_one_batch_see_each_other_in_order
    a_claim_is_a_claim_whatever_is_in_its_names
    the_same_batch_again_changes_nothing
    a_later_hop_moves_the_hop_of_its_own_row_only
    a_takeover_is_won_once_and_its_loser_reads_the_winner
    two_takeovers_in_one_batch_have_one_winner
    a_row_that_is_neither_rejected_nor_vanished_is_not_taken_over
    a_takeover_from_a_forgotten_row_is_a_claim
    a_redriven_event_that_was_accepted_is_not_taken_over_again
    one_process_calls_at_a_time
    leases_in_one_batch_are_granted_and_held_row_by_row
    a_released_lease_is_free_at_once_but_only_its_holder_can_release_it
    a_lease_is_pointless_once_there_is_an_answer_or_a_verdict_or_it_is_published
    a_successor_inherits_the_leases_of_a_dead_predecessor_and_of_nobody_else
    an_answer_that_comes_after_its_lease_ended_is_not_saved_while_somebody_else_is_calling
    the_first_answer_wins_and_is_read_back
    the_first_verdict_wins_and_is_read_back
    the_first_published_mark_stays
    what_may_never_come_again_vanishes_unless_it_was_published
    marks_are_repaired_only_where_a_finished_offset_proves_a_published_verdict
    what_was_put_off_is_repaired_by_its_latest_copy
    a_verdict_that_comes_late_for_what_was_put_off_is_not_taken_for_published
    a_claim_is_told_what_is_put_off_and_comes_before_it
    rows_are_forgotten_by_their_fate_not_by_their_age
    what_was_committed_is_there_after_a_restart
    rows_are_found_together_and_a_key_without_one_is_left_out
    two_processes_that_claim_at_once_agree_on_one_owner
    whoever_entered_a_partition_last_is_remembered
    where_the_group_stood_is_told_to_whoever_enters_and_claims_alone_say_nothing
    the_first_open_offset_is_behind_everything_that_is_known_to_be_finished
    a_ledger_belongs_to_the_group_that_used_it_first
    a_topic_that_was_recreated_leaves_nothing_in_work
    batches_are_counted_by_writer_and_told_to_whoever_enters
    what_was_recovered_counts_as_known_and_never_sets_anybody_back
    what_was_published_is_restored_unless_the_ledger_knows_of_a_later_time
    partitions_are_counted_anew_by_whoever_was_first
    a_decision_is_found_by_its_id_or_as_the_latest_of_its_ticket
    questions_see_everything_of_their_batch_and_keep_their_places
    a_batch_of_new_decisions_and_a_mark_is_what_it_is_step_by_step
    an_answer_and_its_verdict_are_saved_together_or_not_at_all
    only_the_verdict_that_is_saved_leaves_its_decision
    a_decision_that_is_made_anew_takes_the_place_of_one_that_was_never_published
    what_the_log_tells_of_decisions_is_known_again
    decisions_outlive_their_rows_and_go_by_their_age_the_oldest_first
    several_instances_share_a_days_money_and_settle_what_they_reserved
    money_is_counted_once_however_often_a_batch_comes
    nobody_waits_for_money_of_an_instance_that_is_not_heard_of_any_more
    what_a_life_did_not_settle_costs_what_was_expected_once_the_next_one_says_so
    purses_of_long_ago_go_when_a_new_day_begins
    a_better_decision_comes_too_late_after_a_newer_one_or_after_a_person
}

#[tokio::test(start_paused = true)]
async fn a_fault_before_applying_leaves_nothing_and_one_after_it_leaves_everything() {
    let world = World::of_memory();
    let Store::Memory(rows) = &world.store else { unreachable!("it was made so") };
    for (fails_at, is_there) in [(Moment::BeforeApply, false), (Moment::AfterApply, true)] {
        let fault =
            move |moment: Moment, _: &[Entry]| Fault { delay: Duration::from_secs(5), fails: moment == fails_at };
        let clock = Arc::clone(&world.clock) as Arc<dyn Clock>;
        let faulty = MemoryLedger::open(rows.clone(), "gk-1", 1, true, clock).with_faults(Arc::new(fault));
        let started = tokio::time::Instant::now();
        let error = faulty.commit(vec![Entry::Claim(claim(1, 10))]).await.expect_err("a fault was planned");
        assert!(matches!(error, LedgerError::Unavailable(_)));
        assert!(started.elapsed() >= Duration::from_secs(5));
        assert_eq!(find(&world.ledger().await, 1).await.is_some(), is_there);
    }
}
