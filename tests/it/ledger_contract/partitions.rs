//! What a ledger remembers of places in the log, as against events.

use std::sync::Arc;

use gatekeeper::domain::clock::Timestamp;
use gatekeeper::domain::position::{Position, TopicRole};
use gatekeeper::pipeline::dedupe::ledger::places::{Counted, Entered, Growth, LastCommit, Mark};
use gatekeeper::pipeline::dedupe::ledger::{Claim, Entry, Ledger, Outcome};

use super::world::{
    World, accepted, answer, answered, at, came_back, claim, commit, enter, enter_at, find, knew, lease, one,
    published, put_off, reached, rejected, restore, row, stands, take_over, vanished,
};

async fn writer(ledger: &Arc<dyn Ledger>, topic_id: &str, partition: u32) -> Option<String> {
    ledger.writer(topic_id, partition).await.expect("nothing is wrong with the store")
}

async fn first_open(ledger: &Arc<dyn Ledger>, partition: u32) -> Option<u64> {
    ledger.first_open("events", partition).await.expect("nothing is wrong with the store")
}

pub async fn whoever_entered_a_partition_last_is_remembered(world: World) {
    let (one_process, other) = (world.process("gk-1", 1, false).await, world.process("gk-2", 1, false).await);
    assert_eq!(writer(&one_process, "events", 0).await, None);
    let entries = vec![enter("events", 0, "gk-1"), enter("events", 1, "gk-1"), enter("created anew", 0, "gk-1")];
    assert_eq!(commit(&one_process, entries).await, vec![knew(None); 3]);
    assert_eq!(one(&other, enter("events", 0, "gk-2")).await, knew(None));
    assert_eq!(writer(&one_process, "events", 0).await.as_deref(), Some("gk-2"), "the other process said so");
    assert_eq!(writer(&one_process, "events", 1).await.as_deref(), Some("gk-1"));
    assert_eq!(writer(&one_process, "created anew", 0).await.as_deref(), Some("gk-1"));
    drop((one_process, other));
    let ledger = world.process("gk-3", 1, true).await;
    assert_eq!(writer(&ledger, "events", 0).await.as_deref(), Some("gk-2"), "a restart forgets nobody");
    one(&ledger, enter("events", 0, "gk-1")).await;
    assert_eq!(writer(&ledger, "events", 0).await.as_deref(), Some("gk-1"));
}

pub async fn where_the_group_stood_is_told_to_whoever_enters_and_claims_alone_say_nothing(world: World) {
    let ledger = world.ledger().await;
    commit(&ledger, vec![Entry::Claim(claim(1, 10)), reached(1, 10, accepted("v"))]).await;
    assert_eq!(one(&ledger, enter("events", 0, "gk-1")).await, knew(None), "nothing was ever committed");
    assert_eq!(one(&ledger, stands(0, 11)).await, Outcome::Done);
    assert_eq!(one(&ledger, enter("events", 0, "gk-1")).await, knew(Some(11)));
    assert_eq!(one(&ledger, enter("events", 1, "gk-1")).await, knew(None), "another partition");
    assert_eq!(one(&ledger, enter("created anew", 0, "gk-1")).await, knew(None), "another topic");
    let entries = vec![enter_at(1, 5), enter_at(1, 9), enter("events", 1, "gk-2")];
    assert_eq!(commit(&ledger, entries).await, [knew(None), knew(Some(5)), knew(Some(9))]);
    drop(ledger);
    let ledger = world.process("gk-1", 2, true).await;
    assert_eq!(one(&ledger, enter("events", 0, "gk-1")).await, knew(Some(11)), "a restart forgets nothing");
}

pub async fn the_first_open_offset_is_behind_everything_that_is_known_to_be_finished(world: World) {
    let ledger = world.ledger().await;
    assert_eq!(first_open(&ledger, 0).await, None);
    commit(&ledger, vec![stands(0, 5), stands(1, 0)]).await;
    assert_eq!((first_open(&ledger, 0).await, first_open(&ledger, 1).await), (Some(5), Some(0)));
    let mut batch: Vec<Entry> = (0..4).map(|number| Entry::Claim(claim(number, 10 + u64::from(number)))).collect();
    let elsewhere = Claim { position: Position { partition: 1, ..at(3) }, ..claim(9, 3) };
    batch.extend([published(0, 10, 1), published(2, 12, 1), Entry::Claim(elsewhere)]);
    commit(&ledger, batch).await;
    assert_eq!(first_open(&ledger, 0).await, Some(11), "what is not published is open");
    assert_eq!(first_open(&ledger, 1).await, Some(3));
    one(&ledger, vanished(11, 12)).await;
    assert_eq!(first_open(&ledger, 0).await, Some(13), "what can never be read again is not");
    one(&ledger, published(3, 13, 1)).await;
    assert_eq!(first_open(&ledger, 0).await, Some(14));
    one(&ledger, stands(0, 20)).await;
    assert_eq!(first_open(&ledger, 0).await, Some(20), "everything below a committed offset is finished");
}

pub async fn a_ledger_belongs_to_the_group_that_used_it_first(world: World) {
    let (one_process, other) = (world.process("gk-1", 1, false).await, world.process("gk-2", 1, false).await);
    let bound = |ledger: Arc<dyn Ledger>, group: &'static str| async move {
        ledger.bind(group).await.expect("nothing is wrong with the store")
    };
    assert_eq!(bound(one_process.clone(), "one").await, "one");
    assert_eq!(bound(other, "other").await, "one");
    assert_eq!(bound(one_process, "one").await, "one");
    assert_eq!(bound(world.process("gk-1", 2, true).await, "other").await, "one", "a restart forgets nothing");
}

async fn marked(ledger: &Arc<dyn Ledger>, writer: &str) -> Mark {
    match one(ledger, Entry::Mark { writer: writer.to_owned() }).await {
        Outcome::Marked(mark) => mark,
        other => panic!("a mark was expected: {other:?}"),
    }
}

/// How many of a writer's batches the ledger knows of, by the mark of a commit.
async fn batches(ledger: &Arc<dyn Ledger>, writer: &str, mark: Mark) -> u64 {
    let last = Some(LastCommit { writer: writer.to_owned(), mark });
    let (topic_id, partition, writer) = ("events".to_owned(), 0, "somebody".to_owned());
    match one(ledger, Entry::Enter { topic_id, partition, writer, committed: Some(1), last }).await {
        Outcome::Entered(Entered { batches, .. }) => batches,
        other => panic!("an entry was expected: {other:?}"),
    }
}

pub async fn batches_are_counted_by_writer_and_told_to_whoever_enters(world: World) {
    let (one_process, other) = (world.process("gk-1", 1, false).await, world.process("gk-2", 1, false).await);
    let first = marked(&one_process, "gk-1").await;
    assert!(first.ledger() > 0, "0 is no ledger");
    assert_eq!(marked(&one_process, "gk-1").await, Mark::new(first.ledger(), 2));
    assert_eq!(marked(&other, "gk-2").await, Mark::new(first.ledger(), 1));
    assert_eq!(batches(&other, "gk-1", Mark::new(first.ledger(), 7)).await, 2);
    assert_eq!(batches(&other, "gk-3", first).await, 0, "nobody of that name");
    assert_eq!(batches(&other, "gk-1", Mark::new(first.ledger() ^ 1, 2)).await, 0, "of another ledger");
    drop((one_process, other));
    let ledger = world.process("gk-1", 2, true).await;
    assert_eq!(marked(&ledger, "gk-1").await, Mark::new(first.ledger(), 3), "a restart goes on counting");
}

pub async fn what_was_recovered_counts_as_known_and_never_sets_anybody_back(world: World) {
    let ledger = world.ledger().await;
    let own = marked(&ledger, "gk-1").await;
    let recovered = |writer: &str, mark| Entry::Recovered(LastCommit { writer: writer.to_owned(), mark });
    let (ahead, of_another) = (Mark::new(own.ledger(), 9), Mark::new(own.ledger() ^ 1, 40));
    let entries = vec![recovered("gk-1", ahead), recovered("gk-2", of_another), recovered("gk-1", own)];
    assert_eq!(commit(&ledger, entries).await, vec![Outcome::Done; 3]);
    assert_eq!(batches(&ledger, "gk-1", ahead).await, 9);
    assert_eq!(batches(&ledger, "gk-2", of_another).await, 40);
    assert_eq!(marked(&ledger, "gk-1").await.batches(), 10, "the writer goes on from there");
}

pub async fn what_was_published_is_restored_unless_the_ledger_knows_of_a_later_time(world: World) {
    let ledger = world.ledger().await;
    // Nothing is known of 1; 2 is under way; 3 has another owner, unpublished; 4 and 5 were published.
    let mut batch: Vec<Entry> = [(2, 12), (3, 99), (4, 14), (5, 15)].map(|(n, at)| Entry::Claim(claim(n, at))).into();
    batch.extend([answered(2, 12, "a"), answered(3, 99, "b"), lease(3, 99, 100)]);
    batch.extend([reached(4, 14, rejected(8)), published(4, 14, 20), reached(5, 15, accepted("v"))]);
    batch.push(published(5, 15, 90));
    commit(&ledger, batch).await;
    let log_says = [(1, 11, 50), (2, 12, 50), (3, 13, 50), (4, 44, 50), (5, 55, 50)];
    let entries: Vec<Entry> = log_says.map(|(n, at, time)| restore(n, at, accepted("of the log"), time)).into();
    assert_eq!(commit(&ledger, entries.clone()).await, vec![Outcome::Done; 5]);
    for (number, owner) in [(1, 11), (2, 12), (3, 13), (4, 44)] {
        let row = row(&ledger, number).await;
        assert_eq!((row.owner, row.published_at), (at(owner), Some(Timestamp(50))), "{number}");
        assert_eq!(row.verdict, Some(accepted("of the log")), "{number}");
        assert_eq!((row.body, row.vanished), (claim(number, 0).body, false), "{number}");
    }
    assert_eq!(row(&ledger, 2).await.answer, Some(answer("a")), "an answer stays with its owner");
    assert_eq!(row(&ledger, 3).await.answer, None, "and goes with it");
    assert!(row(&ledger, 4).await.rejected, "that it was rejected once stays known");
    let later = row(&ledger, 5).await;
    assert_eq!((later.owner, later.published_at), (at(15), Some(Timestamp(90))));
    let before = row(&ledger, 1).await;
    commit(&ledger, entries).await;
    assert_eq!(row(&ledger, 1).await, before, "the same again changes nothing");

    // What was rejected and sent again was decided later, whatever the clocks say; what was decided is never rejected.
    let mut batch: Vec<Entry> = [(8, 18), (9, 19)].map(|(n, at)| Entry::Claim(claim(n, at))).into();
    batch.extend([
        reached(8, 18, rejected(8)),
        published(8, 18, 90),
        reached(9, 19, accepted("v")),
        published(9, 19, 20),
    ]);
    commit(&ledger, batch).await;
    commit(&ledger, vec![restore(8, 28, accepted("later"), 50), restore(9, 29, rejected(8), 50)]).await;
    let (decided, kept) = (row(&ledger, 8).await, row(&ledger, 9).await);
    assert_eq!((decided.owner, decided.verdict), (at(28), Some(accepted("later"))));
    assert_eq!((kept.owner, kept.verdict), (at(19), Some(accepted("v"))));

    one(&ledger, restore(6, 16, rejected(8), 50)).await;
    assert_eq!(one(&ledger, take_over(6, 20, 16)).await, Outcome::Row(Arc::new(row(&ledger, 6).await)));
    assert_eq!(row(&ledger, 6).await.owner, at(20), "what was rejected may be sent again");
    assert_eq!(find(&ledger, 7).await, None);
}

pub async fn partitions_are_counted_anew_by_whoever_was_first(world: World) {
    let (one_process, other) = (world.process("gk-1", 1, false).await, world.process("gk-2", 1, false).await);
    let counted = |ledger: Arc<dyn Ledger>| async move { ledger.counted("events").await.expect("it is there") };
    let count = |ledger: Arc<dyn Ledger>, from: Option<Counted>, to: Counted| async move {
        ledger.count("events", from.as_ref(), &to).await.expect("it is there")
    };
    let settled = |settled| Counted { settled, growth: None };
    let growing = |ends: [u64; 4]| Counted { settled: 4, growth: Some(Growth { to: 6, ends: ends.into() }) };
    assert_eq!(counted(one_process.clone()).await, None);
    assert_eq!(count(one_process.clone(), None, settled(4)).await, settled(4));
    assert_eq!(count(other.clone(), None, settled(9)).await, settled(4), "somebody counted before");
    assert_eq!(counted(other.clone()).await, Some(settled(4)));
    let (first, second) = (growing([7, 0, 9, 1 << 40]), growing([8, 8, 8, 8]));
    assert_eq!(count(one_process.clone(), Some(settled(4)), first.clone()).await, first);
    assert_eq!(count(other.clone(), Some(settled(4)), second).await, first, "the ends of whoever noticed first");
    drop((one_process, other));
    let ledger = world.process("gk-3", 1, true).await;
    assert_eq!(counted(ledger.clone()).await, Some(first.clone()), "a restart forgets nothing");
    assert_eq!(count(ledger.clone(), Some(first), settled(6)).await, settled(6));
    assert_eq!(ledger.counted("created anew").await.expect("it is there"), None);
}

pub async fn a_topic_that_was_recreated_leaves_nothing_in_work(world: World) {
    async fn known(ledger: &Arc<dyn Ledger>, role: TopicRole, topic_id: &str) -> String {
        ledger.topic(role, topic_id).await.expect("nothing is wrong with the store")
    }
    async fn vanished(ledger: &Arc<dyn Ledger>) -> Vec<u8> {
        let mut vanished = Vec::new();
        for number in 1..=6 {
            if row(ledger, number).await.vanished {
                vanished.push(number);
            }
        }
        vanished
    }
    let recreated = |ledger: &Arc<dyn Ledger>, role, old: &'static str, new: &'static str| {
        let ledger = Arc::clone(ledger);
        async move { ledger.recreated(role, old, new).await.expect("nothing is wrong with the store") }
    };
    let (ledger, other) = (world.process("gk-1", 1, false).await, world.process("gk-2", 1, false).await);
    let tier = TopicRole::Deferred;
    assert_eq!(known(&ledger, TopicRole::Events, "events").await, "events");
    assert_eq!(known(&other, TopicRole::Events, "anew").await, "events", "whoever was first says it for all");
    assert_eq!(known(&ledger, tier(1), "tier").await, "tier");

    // 1 is called for, 2 is published, 3 waits in tier 1, 4 in tier 2, 5 came back from the tier, 6 went on from there.
    let mut batch: Vec<Entry> = (1..=6).map(|number| Entry::Claim(claim(number, 10 + u64::from(number)))).collect();
    batch.extend([lease(1, 11, 60_000), reached(2, 12, accepted("v")), published(2, 12, 1)]);
    batch.extend([put_off(3, 13, 1), put_off(4, 14, 2), put_off(5, 15, 1), put_off(6, 16, 1)]);
    batch.extend([Entry::Claim(came_back(5, 15, 1, 70)), Entry::Claim(came_back(6, 16, 1, 71)), put_off(6, 16, 2)]);
    commit(&ledger, batch).await;
    assert_eq!(recreated(&ledger, tier(1), "tier", "tier anew").await, 2);
    assert_eq!(vanished(&ledger).await, [3, 5], "only what no copy carries on any more");
    assert_eq!(known(&other, tier(1), "tier anew").await, "tier anew");

    assert_eq!(recreated(&ledger, TopicRole::Events, "events", "anew").await, 3);
    assert_eq!(vanished(&ledger).await, [1, 3, 4, 5, 6]);
    assert_eq!(known(&ledger, TopicRole::Events, "anew").await, "anew");
    let again = Claim { position: Position { topic_id: "anew".to_owned(), ..at(0) }, ..claim(1, 11) };
    let Outcome::Row(taken) = one(&other, Entry::TakeOver { claim: again.clone(), from: at(11) }).await else {
        panic!("a row is the answer")
    };
    assert_eq!((&taken.owner, taken.vanished), (&again.position, false), "what is sent again is its own");
}
