//! Tenants' money, in every ledger.

use std::sync::Arc;

use gatekeeper::domain::budget::{Day, Purse};
use gatekeeper::domain::money::Money;
use gatekeeper::pipeline::dedupe::ledger::purses::{KEPT_DAYS, Movement, Reservation, Room, SILENT_FOR};
use gatekeeper::pipeline::dedupe::ledger::{Entry, Ledger, Outcome};

use super::world::{World, claim, commit, lease, one};

fn call(number: u64, tenant: &str, day: i64, expected: u64) -> Reservation {
    Reservation { number, tenant: tenant.into(), day: Day(day), expected: Money(expected) }
}

pub fn reserve(number: u64, tenant: &str, day: i64, expected: u64, budget: Option<u64>) -> Entry {
    let call = call(number, tenant, day, expected);
    Entry::Money(Movement::Reserve { call, budget: budget.map(Money) })
}

pub fn settle(number: u64, tenant: &str, day: i64, billed: u64) -> Entry {
    Entry::Money(Movement::Settle { call: call(number, tenant, day, 0), billed: Money(billed) })
}

fn came_to(outcome: &Outcome) -> (Room, u64, u64) {
    match outcome {
        Outcome::Moved(moved) => (moved.room, moved.purse.settled.0, moved.purse.open.0),
        other => panic!("money moves or does not, and is not {other:?}"),
    }
}

async fn spent(ledger: &Arc<dyn Ledger>, tenant: &str, day: i64) -> (u64, u64) {
    let Purse { settled, open } = ledger.spent(tenant, Day(day)).await.expect("nothing is wrong with the store");
    (settled.0, open.0)
}

pub async fn several_instances_share_a_days_money_and_settle_what_they_reserved(world: World) {
    let (one_process, other) = (world.process("gk-1", 1, true).await, world.process("gk-2", 1, true).await);
    let first = one(&one_process, reserve(1, "acme", 7, 6, Some(10))).await;
    assert_eq!(came_to(&first), (Room::Reserved, 0, 6));
    let second = one(&other, reserve(1, "acme", 7, 6, Some(10))).await;
    assert_eq!(came_to(&second), (Room::Later, 0, 6), "the same number is another call of another instance");
    assert_eq!(came_to(&one(&one_process, settle(1, "acme", 7, 4)).await), (Room::Reserved, 4, 0));
    let again = one(&other, reserve(1, "acme", 7, 6, Some(10))).await;
    assert_eq!(came_to(&again), (Room::Reserved, 4, 6));
    assert_eq!(came_to(&one(&one_process, reserve(2, "acme", 7, 7, Some(10))).await), (Room::None, 4, 6));
    assert_eq!(came_to(&one(&one_process, reserve(2, "acme", 8, 7, Some(10))).await).0, Room::Reserved, "another day");
    assert_eq!(came_to(&one(&one_process, reserve(3, "globex", 7, 7, Some(7))).await).0, Room::Reserved);
    assert_eq!(
        came_to(&one(&one_process, reserve(4, "acme", 7, 7, None)).await),
        (Room::Reserved, 4, 13),
        "counted only"
    );
    assert_eq!((spent(&other, "acme", 7).await, spent(&other, "acme", 6).await), ((4, 13), (0, 0)));
}

pub async fn money_is_counted_once_however_often_a_batch_comes(world: World) {
    let ledger = world.ledger().await;
    let begun = || vec![Entry::Claim(claim(1, 10)), reserve(1, "acme", 7, 6, Some(10)), lease(1, 10, 1_000)];
    let first = commit(&ledger, begun()).await;
    let again = commit(&ledger, begun()).await;
    assert_eq!((came_to(&first[1]), &first[2]), (came_to(&again[1]), &Outcome::LeaseGranted));
    for _ in 0..2 {
        let both = commit(&ledger, vec![settle(1, "acme", 7, 5), reserve(2, "acme", 7, 5, Some(10))]).await;
        assert_eq!(both.iter().map(came_to).collect::<Vec<_>>()[1], (Room::Reserved, 5, 5), "in the batch's order");
    }
    assert_eq!(spent(&ledger, "acme", 7).await, (5, 5));
}

pub async fn what_a_life_did_not_settle_costs_what_was_expected_once_the_next_one_says_so(world: World) {
    let dead = world.process("gk-1", 1, true).await;
    commit(&dead, vec![reserve(1, "acme", 7, 3, Some(9)), reserve(2, "globex", 8, 4, Some(9))]).await;
    let other = world.process("gk-2", 1, true).await;
    one(&other, reserve(1, "acme", 7, 5, Some(9))).await;
    let next = world.process("gk-1", 2, true).await;
    assert_eq!(spent(&next, "acme", 7).await, (0, 8), "whoever only looks changes nothing");
    for _ in 0..2 {
        one(&next, Entry::Money(Movement::Forfeit)).await;
        assert_eq!((spent(&next, "acme", 7).await, spent(&next, "globex", 8).await), ((3, 5), (4, 0)));
    }
    one(&dead, settle(1, "acme", 7, 1)).await;
    assert_eq!(spent(&next, "acme", 7).await, (3, 5), "a late word of the dead changes nothing");
    assert_eq!(came_to(&one(&next, reserve(1, "acme", 7, 1, Some(9))).await), (Room::Reserved, 3, 6));
}

pub async fn nobody_waits_for_money_of_an_instance_that_is_not_heard_of_any_more(world: World) {
    let dead = world.process("gk-1", 1, true).await;
    commit(&dead, vec![Entry::Claim(claim(1, 10)), reserve(1, "acme", 7, 6, Some(10)), lease(1, 10, 1_000)]).await;
    one(&dead, reserve(2, "acme", 8, 6, Some(10))).await;
    drop(dead);
    let other = world.process("gk-2", 1, true).await;
    assert_eq!(came_to(&one(&other, reserve(1, "acme", 7, 6, Some(10))).await), (Room::Later, 0, 6));
    world.pass(i64::try_from(SILENT_FOR.as_millis()).expect("minutes")).await;
    let other = {
        drop(other);
        world.process("gk-2", 2, true).await
    };
    assert_eq!(
        came_to(&one(&other, reserve(2, "acme", 8, 3, Some(10))).await),
        (Room::Reserved, 0, 9),
        "there is room"
    );
    for _ in 0..2 {
        let refused = one(&other, reserve(3, "acme", 7, 6, Some(10))).await;
        assert_eq!(came_to(&refused), (Room::None, 6, 0), "it costs what was expected");
    }
    assert_eq!(came_to(&one(&other, reserve(4, "acme", 7, 4, Some(10))).await), (Room::Reserved, 6, 4));
    let third = world.process("gk-3", 1, true).await;
    assert_eq!(came_to(&one(&third, reserve(1, "acme", 7, 2, Some(11))).await), (Room::Later, 6, 4), "the other lives");
    let back = world.process("gk-1", 1, true).await;
    assert_eq!(
        came_to(&one(&back, settle(1, "acme", 7, 1)).await),
        (Room::Reserved, 6, 4),
        "a late word changes nothing"
    );
    assert_eq!(
        came_to(&one(&back, settle(2, "acme", 8, 1)).await),
        (Room::Reserved, 1, 3),
        "nobody waited for this one"
    );
}

pub async fn purses_of_long_ago_go_when_a_new_day_begins(world: World) {
    let ledger = world.ledger().await;
    for (number, day) in (1..).zip([0, 1]) {
        one(&ledger, reserve(number, "acme", day, 1, None)).await;
    }
    one(&ledger, reserve(3, "globex", KEPT_DAYS + 1, 1, None)).await;
    let days = [0, 1, KEPT_DAYS + 1];
    let mut left = Vec::new();
    for (tenant, day) in ["acme", "acme", "globex"].iter().zip(days) {
        left.push(spent(&ledger, tenant, day).await);
    }
    assert_eq!(left, [(0, 0), (0, 1), (0, 1)]);
}
