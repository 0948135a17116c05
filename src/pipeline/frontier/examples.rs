//! The frontier by example: one rule at a time.

use std::ops::Range;

use super::codec::{Decoded, Tag};
use super::*;

fn committed_by(frontier: &Frontier, finishing: &[u64]) -> Decoded {
    let Proposal { base, end, unfinished, .. } = frontier.propose(finishing);
    let tag = Tag { writer: String::new(), incarnation: 0, burst: 0, ledger: 0 };
    Decoded { tag, base, end, unfinished }
}

fn read_all(frontier: &mut Frontier, offsets: Range<u64>) {
    offsets.for_each(|offset| assert!(frontier.read(offset).fresh));
}

#[test]
fn metadata_written_for_another_offset_is_refused() {
    let mut frontier = Frontier::fresh(100);
    read_all(&mut frontier, 100..110);
    let decoded = committed_by(&frontier, &[101, 105]);
    assert_eq!(Frontier::restore(7, &decoded), Err(Misplaced { written_for: 100, committed: 7 }));
}

#[test]
#[should_panic(expected = "was not read")]
fn a_result_of_an_offset_that_was_not_read_again_is_never_published() {
    let mut frontier = Frontier::fresh(0);
    read_all(&mut frontier, 0..3);
    let restored = Frontier::restore(0, &committed_by(&frontier, &[1])).expect("its own offset");
    drop(restored.propose(&[2]));
}

#[test]
#[should_panic(expected = "is finished already")]
fn a_result_is_never_published_twice() {
    let mut frontier = Frontier::fresh(0);
    read_all(&mut frontier, 0..3);
    let proposal = frontier.propose(&[1]);
    frontier.confirm(&proposal);
    drop(frontier.propose(&[1, 2]));
}

#[test]
#[should_panic(expected = "finished twice")]
fn a_result_is_named_once_in_a_commit() {
    let mut frontier = Frontier::fresh(0);
    read_all(&mut frontier, 0..3);
    drop(frontier.propose(&[1, 1]));
}

#[test]
#[should_panic(expected = "was not waiting for this commit")]
fn a_commit_is_confirmed_once() {
    let mut frontier = Frontier::fresh(0);
    read_all(&mut frontier, 0..3);
    let proposal = frontier.propose(&[1]);
    frontier.confirm(&proposal);
    frontier.confirm(&proposal);
}

#[test]
fn a_failed_commit_leaves_everything_as_it_was() {
    let mut frontier = Frontier::fresh(0);
    read_all(&mut frontier, 0..5);
    let before = frontier.clone();
    drop(frontier.propose(&[0, 1, 4]));
    assert_eq!(frontier, before);
}

#[test]
fn what_is_read_between_proposal_and_confirmation_stays_unfinished() {
    let mut frontier = Frontier::fresh(0);
    read_all(&mut frontier, 0..2);
    let proposal = frontier.propose(&[0, 1]);
    assert_eq!((proposal.base, proposal.end), (2, 2));
    read_all(&mut frontier, 2..4);
    frontier.confirm(&proposal);
    assert_eq!(frontier.unfinished().collect::<Vec<_>>(), [2, 3]);
    assert_eq!(frontier.base(), 2);
}

#[test]
fn finished_offsets_above_the_cursor_stay_in_every_commit_until_they_are_passed() {
    let mut frontier = Frontier::fresh(10);
    read_all(&mut frontier, 10..20);
    let mut restored = Frontier::restore(10, &committed_by(&frontier, &[12, 13, 19])).expect("its own offset");
    assert_eq!((restored.cursor(), restored.end(), restored.base()), (10, 20, 10));
    assert!(restored.read(10).fresh && restored.read(11).fresh);
    let proposal = restored.propose(&[10, 11]);
    assert_eq!((proposal.base, proposal.end), (12, 20), "the base stops at the cursor");
    assert_eq!(proposal.unfinished, (14..19).collect::<Vec<_>>());
    restored.confirm(&proposal);

    let mut again = Frontier::restore(12, &committed_by(&restored, &[])).expect("its own offset");
    let fresh: Vec<u64> = (12..22).filter(|offset| again.read(*offset).fresh).collect();
    assert_eq!(fresh, [14, 15, 16, 17, 18, 20, 21]);
}

#[test]
fn lost_records_are_told_from_offsets_that_nobody_ever_knew() {
    let mut frontier = Frontier::fresh(0);
    read_all(&mut frontier, 0..10);
    let mut restored = Frontier::restore(0, &committed_by(&frontier, &[2, 3, 7])).expect("its own offset");
    let read = restored.read(15);
    assert!(read.fresh);
    assert_eq!(read.gaps, Gaps { lost: vec![0..2, 4..7, 8..10], unknown: Some(10..15) });
    assert_eq!((restored.base(), restored.unfinished_count()), (15, 1));
    assert_eq!(restored.advance_to(18), Gaps { lost: vec![], unknown: Some(16..18) });
    assert_eq!((restored.base(), restored.end()), (15, 18), "what is in work is not passed");
}

#[cfg(feature = "sabotage")]
#[test]
fn the_sabotage_commits_over_holes() {
    let mut frontier = Frontier::fresh(0);
    read_all(&mut frontier, 0..5);
    sabotage::choose(Some(Sabotage::CommitOverHole));
    let proposal = frontier.propose(&[4]);
    sabotage::choose(None);
    assert_eq!((proposal.base, proposal.end, proposal.unfinished.len()), (5, 5, 0));
}
