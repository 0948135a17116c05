//! What tenants' days have cost, and what running calls are expected to: the part of the ledger that counts money.
//!
//! ```text
//!  Reserve, with the lease of a paid call      what it is expected to cost is open, if the budget has room for it
//!  Settle, when the call has ended             what it was billed is settled instead; the purse of the reservation's day pays
//!  Forfeit, once in a life of an instance      calls of its earlier lives may have been billed: they cost what was expected
//!  ... when there is no room for a call        so do those of instances that nobody has heard of for long
//! ```
//!
//! Counted in the ledger's batches, in the transaction of the lease: no trip of its own, and no instance ever spends what
//! another has spoken for. A call that nobody settles (its process died) stays open, which the budget counts as spent; but
//! nobody waits for it for longer than [`SILENT_FOR`].
//!
//! Pure: every ledger that is a database reads what a batch is about, has it computed here, and writes what is different.
//! The same batch again changes nothing.
//!
//! The invariant: settled and open together are never more than the largest budget that was asked under, but for what
//! calls were billed beyond what was expected of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::LedgerError;
use super::outcomes::Holder;
use crate::domain::budget::{Day, Purse};
use crate::domain::money::Money;

/// Purses of days before that go: a year back is enough for whoever asks what a tenant cost.
pub const KEPT_DAYS: i64 = 400;

/// An instance that the ledger has not heard of for so long does not come back to settle its calls. Far more than a call
/// takes; one that does come back finds them settled, and its late word changes nothing.
pub const SILENT_FOR: Duration = Duration::from_secs(600);

/// What is asked of purses outside of batches.
pub trait Spending: Send + Sync + 'static {
    /// What this tenant's day has cost so far.
    fn spent<'a>(&'a self, tenant: &'a str, day: Day) -> BoxFuture<'a, Result<Purse, LedgerError>>;
}

/// A paid call, as far as money is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// Names the call within this life of its instance.
    pub number: u64,
    /// Who pays.
    pub tenant: Arc<str>,
    /// From which day's purse.
    pub day: Day,
    /// What the call is expected to cost.
    pub expected: Money,
}

/// What a batch does with purses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Movement {
    /// Before a paid call.
    Reserve {
        /// The call.
        call: Reservation,
        /// What the day may cost; `None`: it is only counted.
        budget: Option<Money>,
    },
    /// It has ended.
    Settle {
        /// The call.
        call: Reservation,
        /// What it cost.
        billed: Money,
    },
    /// Calls of earlier lives of this instance will not be settled by them any more.
    Forfeit,
}

/// What a movement came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// Whether a call may be made.
    pub room: Room,
    /// The purse after it.
    pub purse: Purse,
}

/// Whether the budget has room for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// It has, and that is reserved.
    Reserved,
    /// It may have some, once calls that run now have cost less than was expected of them.
    Later,
    /// It has none, whatever becomes of them.
    None,
}

/// Whose purse, of which day.
pub type PurseId = (Arc<str>, Day);

/// A call that is not settled yet: whose, and which of its life.
pub type CallId = (Holder, u64);

/// Purses, and the calls that are open in them: of a whole ledger, or as much as a batch is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Purses {
    /// By tenant and day.
    pub days: BTreeMap<PurseId, Purse>,
    /// What is open.
    pub open: BTreeMap<CallId, Reservation>,
}

impl Movement {
    /// The call it is about, if it is about one.
    #[must_use]
    pub fn call(&self) -> Option<&Reservation> {
        match self {
            Self::Reserve { call, .. } | Self::Settle { call, .. } => Some(call),
            Self::Forfeit => None,
        }
    }
}

impl Purses {
    /// Do it.
    pub fn apply(&mut self, me: &Holder, movement: &Movement) -> Moved {
        let (call, room) = match movement {
            Movement::Reserve { call, budget } => (call, self.reserve(me, call, *budget)),
            Movement::Settle { call, billed } => {
                if let Some(open) = self.open.remove(&(me.clone(), call.number)) {
                    self.close(&open, *billed);
                }
                (call, Room::Reserved)
            }
            Movement::Forfeit => {
                self.forfeit(me);
                return Moved { room: Room::Reserved, purse: Purse::default() };
            }
        };
        Moved { room, purse: self.purse(&call.tenant, call.day) }
    }

    /// All of these, in order, by their places; and the purses in which one waits for calls that run now.
    pub fn apply_all<'a, P>(
        &mut self,
        me: &Holder,
        movements: impl IntoIterator<Item = (P, &'a Movement)>,
    ) -> (Vec<(P, Moved)>, BTreeSet<PurseId>) {
        let (mut all, mut waiting) = (Vec::new(), BTreeSet::new());
        for (place, movement) in movements {
            let moved = self.apply(me, movement);
            let call = movement.call().filter(|_| moved.room == Room::Later);
            waiting.extend(call.map(|call| (Arc::clone(&call.tenant), call.day)));
            all.push((place, moved));
        }
        (all, waiting)
    }

    /// As they are when these calls, which nobody will settle any more, are given up first: the same movements again. `self` is
    /// what was there before, with those calls in it.
    pub fn again_without<'a, P>(
        &mut self,
        gone: BTreeMap<CallId, Reservation>,
        me: &Holder,
        movements: impl IntoIterator<Item = (P, &'a Movement)>,
    ) -> (Self, Vec<(P, Moved)>) {
        let ids: Vec<CallId> = gone.keys().cloned().collect();
        self.open.extend(gone);
        let mut after = self.clone();
        after.give_up(&ids);
        let (moved, _) = after.apply_all(me, movements);
        (after, moved)
    }

    /// Calls of instances that are gone cost what was expected of them.
    fn give_up<'a>(&mut self, gone: impl IntoIterator<Item = &'a CallId>) {
        for id in gone {
            if let Some(open) = self.open.remove(id) {
                self.close(&open, open.expected);
            }
        }
    }

    /// What this day has cost.
    #[must_use]
    pub fn purse(&self, tenant: &Arc<str>, day: Day) -> Purse {
        self.days.get(&(Arc::clone(tenant), day)).copied().unwrap_or_default()
    }

    fn reserve(&mut self, me: &Holder, call: &Reservation, budget: Option<Money>) -> Room {
        let id = (me.clone(), call.number);
        if self.open.contains_key(&id) {
            return Room::Reserved;
        }
        let is_first = !self.days.contains_key(&(Arc::clone(&call.tenant), call.day));
        let purse = self.days.entry((Arc::clone(&call.tenant), call.day)).or_default();
        let with = |spent: Money| spent.0.saturating_add(call.expected.0);
        let room = match budget {
            Some(budget) if with(purse.settled) > budget.0 => Room::None,
            Some(budget) if with(purse.spent()) > budget.0 => Room::Later,
            _ => Room::Reserved,
        };
        if room == Room::Reserved {
            purse.open.0 = with(purse.open);
            self.open.insert(id, call.clone());
        }
        if is_first {
            self.forget_before(Day(call.day.0.saturating_sub(KEPT_DAYS)));
        }
        room
    }

    fn close(&mut self, open: &Reservation, billed: Money) {
        let purse = self.days.entry((Arc::clone(&open.tenant), open.day)).or_default();
        purse.open.0 = purse.open.0.saturating_sub(open.expected.0);
        purse.settled.0 = purse.settled.0.saturating_add(billed.0);
    }

    fn forfeit(&mut self, me: &Holder) {
        let is_before = |(holder, _): &CallId| holder.instance == me.instance && holder != me;
        let before: Vec<CallId> = self.open.keys().filter(|id| is_before(id)).cloned().collect();
        self.give_up(&before);
    }

    fn forget_before(&mut self, oldest: Day) {
        self.days.retain(|(_, day), _| *day >= oldest);
        self.open.retain(|_, call| call.day >= oldest);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn life(instance: &str, incarnation: i64) -> Holder {
        Holder { instance: instance.to_owned(), incarnation }
    }

    fn call(number: u64, day: i64, expected: u64) -> Reservation {
        Reservation { number, tenant: "acme".into(), day: Day(day), expected: Money(expected) }
    }

    fn reserve(number: u64, expected: u64, budget: u64) -> Movement {
        Movement::Reserve { call: call(number, 0, expected), budget: Some(Money(budget)) }
    }

    fn settle(number: u64, billed: u64) -> Movement {
        Movement::Settle { call: call(number, 0, 0), billed: Money(billed) }
    }

    #[test]
    fn what_is_refused_now_may_have_room_when_running_calls_cost_less_than_expected() {
        let (mut purses, me) = (Purses::default(), life("a", 1));
        let rooms = [1, 2].map(|number| purses.apply(&me, &reserve(number, 6, 10)).room);
        assert_eq!(rooms, [Room::Reserved, Room::Later]);
        let settled = purses.apply(&me, &settle(1, 4)).purse;
        assert_eq!(settled, Purse { settled: Money(4), open: Money(0) });
        assert_eq!(purses.apply(&me, &reserve(2, 6, 10)).room, Room::Reserved);
        assert_eq!(purses.apply(&me, &settle(2, 6)).purse.spent(), Money(10));
        assert_eq!(purses.apply(&me, &reserve(3, 1, 10)).room, Room::None);
        assert_eq!(purses.apply(&me, &reserve(3, 1, 11)).room, Room::Reserved, "the budget was raised");
    }

    #[test]
    fn the_purse_of_the_day_of_the_reservation_pays_whenever_the_call_ends() {
        let (mut purses, me) = (Purses::default(), life("a", 1));
        let before_midnight = call(1, 7, 5);
        purses.apply(&me, &Movement::Reserve { call: before_midnight.clone(), budget: Some(Money(5)) });
        let next_day = Movement::Reserve { call: call(2, 8, 5), budget: Some(Money(5)) };
        assert_eq!(purses.apply(&me, &next_day).room, Room::Reserved, "a new day has its own money");
        purses.apply(&me, &Movement::Settle { call: before_midnight, billed: Money(4) });
        let acme: Arc<str> = "acme".into();
        assert_eq!((purses.purse(&acme, Day(7)).spent(), purses.purse(&acme, Day(8)).spent()), (Money(4), Money(5)));
        // The clock was set back over midnight.
        let back = Movement::Reserve { call: call(3, 7, 2), budget: Some(Money(5)) };
        assert_eq!(purses.apply(&me, &back).room, Room::None, "the day before is as it was left");
    }

    #[test]
    fn calls_that_a_crash_cut_off_cost_what_was_expected_and_those_of_others_stay_open() {
        let mut purses = Purses::default();
        purses.apply(&life("a", 1), &reserve(1, 3, 100));
        purses.apply(&life("b", 1), &reserve(1, 5, 100));
        for _ in 0..2 {
            purses.apply(&life("a", 2), &Movement::Forfeit);
            let purse = purses.purse(&"acme".into(), Day(0));
            assert_eq!(purse, Purse { settled: Money(3), open: Money(5) });
        }
        assert_eq!(purses.apply(&life("a", 1), &settle(1, 1)).purse.settled, Money(3), "a late word changes nothing");
    }

    #[test]
    fn who_waits_for_calls_that_run_is_told_where_and_has_an_answer_when_they_are_given_up() {
        let (mut purses, dead, me) = (Purses::default(), life("a", 1), life("b", 1));
        purses.apply(&dead, &reserve(1, 6, 10));
        let (waits, mut before) = (reserve(1, 6, 10), purses.clone());
        let (moved, waiting) = purses.apply_all(&me, [((), &waits)]);
        assert_eq!((moved[0].1.room, waiting), (Room::Later, [("acme".into(), Day(0))].into()));
        // A database has not read the calls of others before.
        let gone = std::mem::take(&mut before.open);
        let (after, moved) = before.again_without(gone, &me, [((), &waits)]);
        assert_eq!((moved[0].1.room, after.open.len(), before.open.len()), (Room::None, 0, 1));
        assert_eq!(moved[0].1.purse, Purse { settled: Money(6), open: Money(0) });
    }

    #[test]
    fn a_budget_that_is_only_counted_refuses_nothing() {
        let (mut purses, me) = (Purses::default(), life("a", 1));
        let counted = Movement::Reserve { call: call(1, 0, 500), budget: None };
        assert_eq!(
            purses.apply(&me, &counted),
            Moved { room: Room::Reserved, purse: purses.purse(&"acme".into(), Day(0)) }
        );
    }

    #[test]
    fn purses_of_long_ago_go() {
        let (mut purses, me) = (Purses::default(), life("a", 1));
        for day in [0, 1, KEPT_DAYS, KEPT_DAYS + 1] {
            purses.apply(&me, &Movement::Reserve { call: call(day.unsigned_abs(), day, 1), budget: None });
        }
        let days: Vec<i64> = purses.days.keys().map(|(_, day)| day.0).collect();
        assert_eq!((days, purses.open.len()), (vec![1, KEPT_DAYS, KEPT_DAYS + 1], 3));
    }

    proptest! {
        /// Two instances, one of which dies now and then, ask under one budget; each call is billed what was expected or
        /// less, and each batch may come twice.
        #[test]
        fn no_more_is_ever_spent_than_the_budget_and_what_was_reserved_is_settled_or_open(
            budget in 0u64..200,
            steps in proptest::collection::vec((0u8..8, 0usize..2, 1u64..40, 0u64..=40, any::<bool>()), 1..120),
        ) {
            let mut purses = Purses::default();
            let mut lives = [1, 1];
            let mut running: [Vec<Reservation>; 2] = Default::default();
            let (mut reserved, mut given_back) = (0, 0);
            for (number, (what, who, expected, billed, twice)) in (0..).zip(steps) {
                let me = life(["a", "b"][who], lives[who]);
                let movement = match what {
                    0 => {
                        lives[who] += 1;
                        running[who].clear();
                        purses.apply(&life(["a", "b"][who], lives[who]), &Movement::Forfeit);
                        continue;
                    }
                    1..=4 => Movement::Reserve { call: call(number, 0, expected), budget: Some(Money(budget)) },
                    _ => match running[who].pop() {
                        Some(call) => Movement::Settle { billed: Money(billed.min(call.expected.0)), call },
                        None => continue,
                    },
                };
                let first = purses.apply(&me, &movement);
                if twice {
                    let again = purses.apply(&me, &movement);
                    prop_assert_eq!((again.purse, again.room), (first.purse, first.room));
                }
                match movement {
                    Movement::Reserve { call, .. } if first.room == Room::Reserved => {
                        reserved += call.expected.0;
                        running[who].push(call);
                    }
                    Movement::Settle { call, billed } => given_back += call.expected.0 - billed.0,
                    _ => {}
                }
                let purse = purses.purse(&"acme".into(), Day(0));
                prop_assert!(purse.spent().0 <= budget, "{:?} of {}", purse, budget);
                prop_assert_eq!(purse.spent().0, reserved - given_back);
                let open: u64 = purses.open.values().map(|call| call.expected.0).sum();
                prop_assert_eq!(purse.open.0, open);
            }
        }
    }
}
