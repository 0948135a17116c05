//! Random histories of two processes, which every ledger must tell in the same words.

use std::future::Future;

use gatekeeper::domain::budget::Day;
use gatekeeper::domain::clock::Timestamp;
use gatekeeper::domain::feedback::FeedbackStatus;
use gatekeeper::pipeline::dedupe::ledger::purses::Movement;
use gatekeeper::pipeline::dedupe::ledger::{Claim, Entry};
use proptest::prelude::*;

use super::decisions::{acted_on, answered_and_decided, decided, overtaken, past, placed, recall};
use super::purses::{reserve, settle};
use super::world::{
    World, answered, came_back, claim, commit, enter, enter_at, find, lease, published, put_off, reached, release,
    repair, repair_copies, restore, stands, take_over, vanished, verdict,
};

fn any_entry() -> impl Strategy<Value = Entry> {
    let status = prop::sample::select(vec![FeedbackStatus::Accepted, FeedbackStatus::Rejected]);
    // Few keys, offsets and times, so that entries meet.
    (0..24_u8, 0..4_u8, 0..4_u64, 0..4_u64, 0..30_i64, status).prop_map(
        |(kind, number, offset, other, time, status)| {
            let text = ["a", "b"][usize::from(time % 2 == 0)];
            let hop = if time > 25 { 1 } else { 0 };
            match kind {
                0 => Entry::Claim(Claim { hop, at: Timestamp(time), ..claim(number, offset) }),
                1 => take_over(number, offset, other),
                2 => lease(number, offset, time.unsigned_abs()),
                3 => release(number, offset),
                4 => answered(number, offset, text),
                5 => reached(number, offset, verdict(status, text, time)),
                6 => published(number, offset, time),
                7 => vanished(offset, offset + other),
                8 => put_off(number, offset, u8::try_from(other).expect("small")),
                9 => Entry::Claim(came_back(number, offset, 1 + u32::from(time > 15), other)),
                10 => repair_copies(offset, &[other]),
                11 => enter("events", u32::from(number), text),
                12 => enter_at(u32::from(number), offset),
                13 => stands(u32::from(number), offset),
                // An id is made of the key, and a key is of one ticket.
                14 => {
                    let decision = past(&format!("d-{number}-{text}"), text, time, text);
                    decided(number, offset, placed(&decision, number, i64::from(number)))
                }
                15 => recall(text, (other > 1).then_some("d-1-a"), time),
                16 => restore(number, offset, verdict(status, text, time), time),
                17 => {
                    let decision = past(&format!("d-{number}-{text}"), text, time, text);
                    answered_and_decided(number, offset, text, placed(&decision, number, i64::from(number)))
                }
                // A call is of one tenant and day.
                18 => reserve(u64::from(number), "a", i64::from(number % 2), other, (offset > 0).then_some(4)),
                19 => settle(u64::from(number), "a", i64::from(number % 2), other),
                20 => Entry::Money(Movement::Forfeit),
                21 => acted_on(text, (other > 1).then_some("d-1-a")),
                22 => overtaken(text, number, i64::from(number)),
                _ => repair(offset, &[other]),
            }
        },
    )
}

/// What happens next.
#[derive(Debug, Clone)]
enum Happening {
    /// One of two processes commits.
    Batch {
        process: usize,
        entries: Vec<Entry>,
    },
    TimePasses(i64),
    Forget {
        published_before: i64,
        rejected_after: i64,
        limit: u32,
    },
    Restart {
        process: usize,
        predecessor_is_dead: bool,
    },
}

fn any_happening() -> impl Strategy<Value = Happening> {
    let batch = (0..2_usize, prop::collection::vec(any_entry(), 1..25));
    prop_oneof![
        8 => batch.prop_map(|(process, entries)| Happening::Batch { process, entries }),
        2 => (0..20_i64).prop_map(Happening::TimePasses),
        1 => (0..30_i64, 0..30_i64, 10..20_u32).prop_map(|(published_before, rejected_after, limit)| {
            Happening::Forget { published_before, rejected_after, limit }
        }),
        1 => (0..2_usize, any::<bool>())
            .prop_map(|(process, predecessor_is_dead)| Happening::Restart { process, predecessor_is_dead }),
    ]
}

/// Everything that can be seen of a world in which these things happen.
async fn history(world: World, happenings: &[Happening]) -> Vec<String> {
    let names = ["gk-1", "gk-2"];
    let mut processes = [world.process(names[0], 1, true).await, world.process(names[1], 1, true).await];
    let mut seen = Vec::new();
    for (time, happening) in (2..).zip(happenings) {
        match happening {
            Happening::Batch { process, entries } => {
                let outcomes = commit(&processes[*process], entries.clone()).await;
                assert_eq!(outcomes.len(), entries.len());
                seen.extend(outcomes.iter().map(|outcome| format!("{outcome:?}")));
            }
            Happening::TimePasses(millis) => world.pass(*millis).await,
            Happening::Forget { published_before, rejected_after, limit } => {
                let (before, after) = (Timestamp(*published_before), Timestamp(*rejected_after));
                seen.push(format!("{:?}", processes[0].forget(before, after, *limit).await.expect("it is there")));
                seen.push(format!("{:?}", processes[0].forget_decisions(before, *limit).await.expect("it is there")));
            }
            Happening::Restart { process, predecessor_is_dead } => {
                processes[*process] = world.process(names[*process], time, *predecessor_is_dead).await;
            }
        }
    }
    for number in 0..4 {
        seen.push(format!("{:?}", find(&processes[0], number).await));
    }
    for day in [0, 1].map(Day) {
        seen.push(format!("{:?}", processes[1].spent("a", day).await.expect("it is there")));
    }
    seen
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be made").block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sqlite_and_memory_cannot_be_told_apart(happenings in prop::collection::vec(any_happening(), 1..25)) {
        let (in_file, in_memory) = run(async {
            (history(World::of_sqlite(), &happenings).await, history(World::of_memory(), &happenings).await)
        });
        prop_assert_eq!(in_file, in_memory);
    }
}

proptest! {
    // A database for each history costs more than the history.
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    #[ignore = "needs Postgres: tests/run starts it"]
    fn postgres_and_memory_cannot_be_told_apart(happenings in prop::collection::vec(any_happening(), 1..25)) {
        let (on_server, in_memory) = run(async {
            (history(World::of_postgres().await, &happenings).await, history(World::of_memory(), &happenings).await)
        });
        prop_assert_eq!(on_server, in_memory);
    }
}
