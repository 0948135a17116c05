//! What calls cost their tenants: reserved with the lease of each attempt, settled when it has ended.
//!
//! ```text
//!  an attempt begins   Reserve + Lease, one transaction    no room: NoMoney, or NoMoneyYet while others still run
//!  an attempt ended    Settle (+ Release)                  the day of the reservation pays
//!  a call found none   the tenant's budget is spent        until the next day, or until it is raised
//! ```
//!
//! How much there is, is the ledger's knowledge, for all instances. What is remembered here only saves questions: a budget
//! that had no room for a call is taken for spent, and what comes then is put off, decided by what costs nothing, or left to
//! people, as the tenant wants it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio::time::Instant;

use super::deferral::Why;
use super::item::ItemId;
use super::{Purpose, Road};
use crate::domain::budget::{Day, Purse};
use crate::domain::feedback::LimitState;
use crate::domain::identity::DedupeKey;
use crate::domain::money::Money;
use crate::domain::ops_event::{OpsEvent, OpsKind};
use crate::domain::tenant::{LimitMode, Limits, WhenSpent};
use crate::pipeline::dedupe::ledger::purses::{Movement, Reservation, Room};
use crate::pipeline::dedupe::ledger::{Entry, Outcome};
use crate::pipeline::lane::TicketKey;
use crate::pipeline::triage::guard::{Budget, LeaseReply};
use crate::telemetry::happenings::{
    BudgetExhausted, BudgetGone, BudgetLevel, BudgetNearlySpent, BudgetRenewed, BudgetWouldBite,
};

/// From this share on a budget is told to be nearly spent.
const NEARLY: u64 = 80;

/// What the road knows of money.
#[derive(Debug, Default)]
pub(super) struct Till {
    /// Of attempts that run, by event.
    reserved: HashMap<DedupeKey, Reservation>,
    /// What an attempt is told, once its lease is answered.
    refused: HashMap<DedupeKey, LeaseReply>,
    /// Budgets that had no room for a call.
    spent: BTreeMap<Arc<str>, Spent>,
    /// The day on which each was last told to be nearly spent.
    nearly: BTreeMap<Arc<str>, Day>,
    /// What gauges say of each, and of which day.
    levels: BTreeMap<Arc<str>, (Day, Purse)>,
    today: Option<Day>,
    last_number: u64,
    has_forfeited: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Spent {
    day: Day,
    budget: Money,
    left: Money,
}

impl Till {
    /// No attempt runs whose bill is not in the ledger, or about to be.
    pub fn is_settled(&self) -> bool {
        self.reserved.is_empty()
    }

    /// Why there is no money for this attempt, if there is none.
    pub fn refused(&mut self, key: &DedupeKey) -> Option<LeaseReply> {
        self.refused.remove(key)
    }

    /// Whether it is to be said that earlier lives of this instance settle nothing any more: once.
    pub fn forfeits(&mut self) -> bool {
        !std::mem::replace(&mut self.has_forfeited, true)
    }

    fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }
}

impl Road {
    /// What is to be written before an attempt that is expected to cost this much, if its tenant has a budget.
    pub(super) fn reserving(&mut self, key: DedupeKey, expected: Money) -> Option<(Entry, Purpose)> {
        let call = self.calls.get(&key).filter(|_| expected > Money::default())?;
        let limits = self.limits_now(&call.tenant, &call.read_under);
        let budget = limits.money_per_day?;
        let (tenant, day) = (Arc::clone(&call.tenant), Day::of(self.fixtures.clock.now()));
        let call = Reservation { number: self.till.number(), tenant, day, expected };
        let enforced = (limits.mode == LimitMode::Enforce).then_some(budget);
        let purpose = Purpose::Reserve { key, call: call.clone(), budget };
        Some((Entry::Money(Movement::Reserve { call, budget: enforced }), purpose))
    }

    /// The ledger has said whether there is room.
    pub(super) fn reserve_answered(&mut self, key: DedupeKey, call: Reservation, budget: Money, outcome: &Outcome) {
        let Outcome::Moved(moved) = outcome else { return };
        self.look_at(&call, budget, moved.purse);
        match moved.room {
            Room::Reserved => {
                if moved.purse.spent() > budget {
                    // It can be so only where it is watched, or was lowered.
                    BudgetWouldBite { tenant_id: &call.tenant }.record();
                }
                self.till.reserved.insert(key, call);
            }
            Room::Later => {
                self.till.refused.insert(key, LeaseReply::NoMoneyYet);
            }
            Room::None => {
                self.till.refused.insert(key, LeaseReply::NoMoney);
                self.is_spent_now(call.tenant, Spent { day: call.day, budget, left: moved.purse.left_of(budget) });
            }
        }
    }

    /// What is to be written when an attempt has ended that cost this much, if money was reserved for it.
    pub(super) fn settling(&mut self, key: DedupeKey, billed: Money) -> Option<(Entry, Purpose)> {
        let call = self.till.reserved.remove(&key)?;
        let purpose = Purpose::Settle(call.clone());
        Some((Entry::Money(Movement::Settle { call, billed }), purpose))
    }

    pub(super) fn settle_answered(&mut self, call: &Reservation, outcome: &Outcome) {
        let book = self.fixtures.ingest.tenants().borrow().clone();
        let budget = book.find(&call.tenant).and_then(|tenant| tenant.limits.in_force().money_per_day);
        if let (Some(budget), Outcome::Moved(moved)) = (budget, outcome) {
            self.look_at(call, budget, moved.purse);
        }
    }

    fn look_at(&mut self, call: &Reservation, budget: Money, purse: Purse) {
        let (tenant_id, day, spent) = (&*call.tenant, call.day, purse.spent());
        if day != Day::of(self.fixtures.clock.now()) {
            return;
        }
        BudgetLevel { tenant_id, spent, left: purse.left_of(budget) }.record();
        self.till.levels.insert(Arc::clone(&call.tenant), (day, purse));
        let is_nearly = u128::from(spent.0) * 100 >= u128::from(budget.0) * u128::from(NEARLY);
        if is_nearly && self.till.nearly.insert(Arc::clone(&call.tenant), day) != Some(day) {
            BudgetNearlySpent { tenant_id, day, budget, spent }.record();
        }
    }

    fn is_spent_now(&mut self, tenant: Arc<str>, spent: Spent) {
        let before = self.till.spent.insert(Arc::clone(&tenant), spent);
        if before.is_some_and(|before| (before.day, before.budget) == (spent.day, spent.budget)) {
            return;
        }
        let Spent { day, budget, left } = spent;
        BudgetExhausted { tenant_id: &tenant, day, budget, left }.record();
        self.tell_operators(&tenant, day, ("available", "exhausted"), budget);
    }

    /// Days that ended, ended what was spent in them.
    pub(super) fn notice_new_day(&mut self) {
        let today = Day::of(self.fixtures.clock.now());
        if self.till.today.replace(today).is_some_and(|day| day != today) {
            let over = self.till.levels.values_mut().filter(|(day, _)| *day != today);
            over.for_each(|level| *level = (today, Purse::default()));
            self.tell_levels();
        }
        if self.till.spent.is_empty() && self.till.nearly.is_empty() {
            return;
        }
        self.till.nearly.retain(|_, day| *day >= today);
        let over = self.till.spent.extract_if(.., |_, spent| spent.day < today);
        for (tenant, Spent { budget, .. }) in over.collect::<Vec<_>>() {
            BudgetRenewed { tenant_id: &tenant, day: today, budget }.record();
            self.tell_operators(&tenant, today, ("exhausted", "available"), budget);
        }
    }

    /// Budgets, or days, are others now: what gauges say follows, without a call that costs something.
    pub(super) fn tell_levels(&mut self) {
        let book = self.fixtures.ingest.tenants().borrow().clone();
        self.till.levels.retain(|tenant_id, (_, purse)| {
            let budget = book.find(tenant_id).and_then(|tenant| tenant.limits.in_force().money_per_day);
            match budget {
                Some(budget) => {
                    BudgetLevel { tenant_id, spent: purse.spent(), left: purse.left_of(budget) }.record();
                }
                None => BudgetGone { tenant_id }.record(),
            }
            budget.is_some()
        });
    }

    fn tell_operators(&mut self, tenant: &str, day: Day, (from, to): (&str, &str), budget: Money) {
        let (writer, incarnation) = (&self.fixtures.writer, self.fixtures.incarnation);
        let event = OpsEvent {
            ops_event_id: format!("{writer}-{incarnation:x}-budget-{}", self.till.number()),
            at: self.fixtures.clock.now(),
            kind: OpsKind::TenantBudgetExhausted,
            tenant_id: Some(tenant.to_owned()),
            component: Some("budget".to_owned()),
            previous: Some(from.to_owned()),
            current: Some(to.to_owned()),
            attributes: [("day".to_owned(), day.to_string()), ("budget".to_owned(), budget.to_string())].into(),
            processor: writer.clone(),
        };
        let record = self.fixtures.publisher.ops_event(&event, 0);
        self.aside(record);
    }

    /// What is known to be spent, under these limits and on this day.
    fn spent(&self, tenant: &str, limits: Limits) -> Option<Spent> {
        let today = Day::of(self.fixtures.clock.now());
        let budget = limits.money_per_day.filter(|_| limits.mode == LimitMode::Enforce)?;
        self.till.spent.get(tenant).filter(|spent| spent.day == today && budget <= spent.budget).copied()
    }

    /// Whether there is money for a call that is about to begin, and what becomes of its event if there is none.
    pub(super) fn budget_of(&self, ticket: &TicketKey, tenant: &str, limits: Limits) -> Budget {
        let when_spent = match limits.when_budget_is_spent {
            WhenSpent::Defer if !self.may_go_aside(ticket) => WhenSpent::Degrade,
            when_spent => when_spent,
        };
        Budget { is_spent: self.spent(tenant, limits).is_some(), when_spent }
    }

    /// Whether this event is put off because there is no money for it, before it has waited for anything.
    pub(super) fn waits_for_money(&mut self, ticket: &TicketKey, id: ItemId, tenant: &str, limits: Limits) -> bool {
        let spent = self.spent(tenant, limits).filter(|_| self.fixtures.guard.needs_money());
        let Some(spent) = spent.filter(|_| limits.when_budget_is_spent == WhenSpent::Defer) else { return false };
        let goes = self.may_go_aside(ticket);
        if goes {
            self.put_off(ticket, id, self.until_next_day(Some(spent)));
        }
        goes
    }

    /// A call found no money, and its tenant wants its event put off.
    pub(super) fn put_off_unpaid(&mut self, id: ItemId, now: Instant) {
        let Some(event) = self.items.get(&id).and_then(|item| item.event()) else { return };
        let Some(tenant) = &event.tenant else { return };
        let (ticket, tenant_id) = (event.ticket.clone(), event.claim.tenant_id.clone());
        let spent = self.spent(&tenant_id, self.limits_now(&tenant_id, tenant));
        if self.may_go_aside(&ticket) {
            self.put_off(&ticket, id, self.until_next_day(spent));
            self.work(&ticket, now);
        } else {
            // It may not wait any more: it is asked about anew, and what costs nothing decides.
            self.claim_again(id);
        }
    }

    /// Money that is only spoken for by calls that run may be there again in a moment.
    fn until_next_day(&self, spent: Option<Spent>) -> Why {
        let now = self.fixtures.clock.now();
        let micros = |money: Money| i64::try_from(money.0).unwrap_or(i64::MAX);
        let limit = spent.map(|spent| LimitState {
            scope: "tenant".to_owned(),
            unit: "micros".to_owned(),
            capacity: micros(spent.budget),
            remaining: micros(spent.left),
            refills_at: spent.day.next().begins(),
        });
        Why::budget_exhausted(spent.map(|spent| spent.day.ends_in(now)).unwrap_or_default(), limit)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use tokio::sync::{oneshot, watch};

    use super::*;
    use crate::domain::clock::{Clock, Timestamp};
    use crate::domain::tenant::{Tenant, TenantBook};
    use crate::pipeline::dedupe::ledger::Row;
    use crate::pipeline::dedupe::ledger::outcomes::Holder;
    use crate::pipeline::dedupe::ledger::places::Mark;
    use crate::pipeline::dedupe::ledger::purses::Purses;
    use crate::pipeline::ingest::Ingest;
    use crate::pipeline::road::item::Plan;
    use crate::pipeline::road::testing::{EVENTS, TestRoad};
    use crate::pipeline::road::{LeaseRequest, Wish};
    use crate::pipeline::triage::guard::{Bill, Job, Triaged};
    use crate::pipeline::triage::testing::tenant;
    use crate::telemetry::recorder;

    const NOON: i64 = 20_000 * 24 * 3_600_000 + 12 * 3_600_000;
    const TODAY: Day = Day(20_000);

    struct Hand(Mutex<Timestamp>);

    impl Hand {
        fn pass(&self, by: Duration) {
            let mut now = self.0.lock().expect("nobody panics with it");
            *now = now.after(by);
        }
    }

    impl Clock for Hand {
        fn now(&self) -> Timestamp {
            *self.0.lock().expect("nobody panics with it")
        }
    }

    /// A road whose ledger knows nothing but purses.
    struct Shop {
        test: TestRoad,
        clock: Arc<Hand>,
        purses: Purses,
        book: watch::Sender<Arc<TenantBook>>,
        batches: Vec<Vec<Entry>>,
    }

    fn book(money: u64, when_budget_is_spent: WhenSpent, mode: LimitMode) -> Arc<TenantBook> {
        let limits = Limits { money_per_day: Some(Money(money)), when_budget_is_spent, mode, ..Limits::NONE };
        Arc::new(TenantBook::new(vec![Tenant { limits, ..tenant() }], None))
    }

    impl Shop {
        fn open(money: u64, when_spent: WhenSpent, mode: LimitMode) -> Self {
            let (sender, receiver) = watch::channel(book(money, when_spent, mode));
            let mut test = TestRoad::new(&["pipeline.superseding=false"]);
            let clock = Arc::new(Hand(Mutex::new(Timestamp(NOON))));
            test.road.fixtures.clock = clock.clone();
            test.road.fixtures.ingest = Ingest::new(test.schemas(), receiver, 1 << 20, false);
            test.owns(EVENTS);
            Self { test, clock, purses: Purses::default(), book: sender, batches: Vec::new() }
        }

        fn serve(&mut self) {
            let me = Holder { instance: "a".to_owned(), incarnation: 1 };
            while let Some((entries, batch)) = self.test.next_batch(100) {
                let outcome = |entry: &Entry| match entry {
                    Entry::Claim(claim) => Outcome::Row(Arc::new(Row::left_by(claim))),
                    Entry::Money(movement) => Outcome::Moved(self.purses.apply(&me, movement)),
                    Entry::Lease { .. } => Outcome::LeaseGranted,
                    Entry::Mark { .. } => Outcome::Marked(Mark::NONE),
                    _ => Outcome::Done,
                };
                let outcomes = entries.iter().map(outcome).collect();
                self.batches.push(entries);
                self.test.road.ledger_said(batch, outcomes, Instant::now());
            }
        }

        fn jobs(&mut self) -> Vec<Job> {
            std::iter::from_fn(|| self.test.road.next_job(Instant::now())).collect()
        }

        fn begin(&mut self, job: &Job, expected: u64) -> LeaseReply {
            let (reply, mut answer) = oneshot::channel();
            let wish = Wish::Begin { lasts: Duration::from_secs(60), expected: Money(expected), reply };
            self.test.road.lease_wanted(LeaseRequest { key: job.key, owner: job.owner.clone(), wish });
            self.serve();
            answer.try_recv().expect("it is answered")
        }

        fn end(&mut self, job: &Job, billed: u64) {
            let wish = Wish::End { billed: Money(billed), is_answered: true };
            self.test.road.lease_wanted(LeaseRequest { key: job.key, owner: job.owner.clone(), wish });
            self.serve();
        }

        fn purse(&self, day: Day) -> (u64, u64) {
            let purse = self.purses.purse(&"acme".into(), day);
            (purse.settled.0, purse.open.0)
        }

        /// What operators were told, as `current`.
        fn told(&self) -> Vec<String> {
            let schemas = self.test.schemas();
            let read = |record: &crate::domain::record::OutRecord| -> OpsEvent {
                schemas.read("OpsEvent", record.value.as_ref().expect("a value")).expect("we wrote it")
            };
            self.test.road.asides.iter().map(read).filter_map(|event| event.current).collect()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_reserves_with_its_lease_and_is_settled_with_its_bill() {
        let mut shop = Shop::open(100, WhenSpent::Degrade, LimitMode::Enforce);
        shop.test.read_tickets(0..3);
        let jobs = shop.jobs();
        assert_eq!(shop.begin(&jobs[0], 60), LeaseReply::Granted);
        let together = |entries: &Vec<Entry>| {
            matches!(entries[..], [Entry::Money(Movement::Reserve { .. }), Entry::Lease { .. }, ..])
        };
        assert!(shop.batches.last().is_some_and(together), "one transaction: {:?}", shop.batches);
        assert_eq!((shop.purse(TODAY), shop.begin(&jobs[1], 60)), ((0, 60), LeaseReply::NoMoneyYet));
        let released = |entries: &Vec<Entry>| matches!(entries[..], [Entry::Release { .. }, ..]);
        assert!(shop.batches.last().is_some_and(released), "its lease holds up nobody");
        assert!(!shop.test.road.till.is_settled());
        shop.end(&jobs[0], 30);
        assert!(shop.test.road.till.is_settled());
        assert_eq!((shop.purse(TODAY), shop.begin(&jobs[1], 60)), ((30, 0), LeaseReply::Granted));
        shop.end(&jobs[1], 65);
        assert_eq!((shop.begin(&jobs[2], 6), shop.told()), (LeaseReply::NoMoney, vec!["exhausted".to_owned()]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_spent_budget_is_told_once_and_known_until_it_is_raised_or_its_day_ends() {
        let mut shop = Shop::open(100, WhenSpent::Degrade, LimitMode::Enforce);
        shop.test.read_tickets(0..4);
        let jobs = shop.jobs();
        assert!(jobs.iter().all(|job| job.budget == Budget::default()));
        assert_eq!([0, 1].map(|job: usize| shop.begin(&jobs[job], 101)), [LeaseReply::NoMoney; 2]);
        shop.test.read_tickets(4..5);
        assert!(shop.jobs()[0].budget.is_spent);
        shop.book.send_replace(book(150, WhenSpent::Degrade, LimitMode::Enforce));
        shop.test.read_tickets(5..6);
        assert!(!shop.jobs()[0].budget.is_spent, "it was raised");
        assert_eq!(shop.begin(&jobs[2], 151), LeaseReply::NoMoney);
        shop.clock.pass(Duration::from_secs(12 * 3_600));
        shop.test.road.notice_new_day();
        assert_eq!(shop.told(), ["exhausted", "exhausted", "available"]);
        shop.test.read_tickets(6..7);
        assert!(!shop.jobs()[0].budget.is_spent);
        assert_eq!(shop.begin(&jobs[3], 150), LeaseReply::Granted);
    }

    #[tokio::test(start_paused = true)]
    async fn gauges_say_what_is_left_of_this_day_and_of_this_budget() {
        let (recorder, metrics) = recorder::local();
        let _here = metrics::set_default_local_recorder(&recorder);
        let says = |left: &str, spent: &str| {
            let text = metrics.render();
            for (gauge, value) in [("left", left), ("spent", spent)] {
                let line = format!("\ngatekeeper_budget_{gauge}{{tenant=\"acme\"}} {value}\n");
                assert!(text.contains(&line), "{line} is not in {text}");
            }
        };
        let mut shop = Shop::open(100_000_000, WhenSpent::Degrade, LimitMode::Enforce);
        shop.test.road.notice_new_day();
        shop.test.read_tickets(0..1);
        let job = shop.jobs().remove(0);
        assert_eq!(shop.begin(&job, 60_000_000), LeaseReply::Granted);
        shop.end(&job, 95_000_000);
        says("5", "95");
        shop.book.send_replace(book(200_000_000, WhenSpent::Degrade, LimitMode::Enforce));
        shop.test.road.tenants_changed(Instant::now());
        says("105", "95");
        shop.clock.pass(Duration::from_secs(12 * 3_600));
        shop.test.road.notice_new_day();
        says("200", "0");
        shop.book.send_replace(Arc::new(TenantBook::new(vec![tenant()], None)));
        shop.test.road.tenants_changed(Instant::now());
        says("NaN", "NaN");
    }

    #[tokio::test(start_paused = true)]
    async fn the_day_of_the_reservation_pays_a_call_that_ends_after_midnight() {
        let mut shop = Shop::open(100, WhenSpent::Degrade, LimitMode::Enforce);
        shop.test.read_tickets(0..2);
        let jobs = shop.jobs();
        shop.clock.pass(Duration::from_secs(12 * 3_600 - 1));
        shop.begin(&jobs[0], 60);
        shop.clock.pass(Duration::from_secs(2));
        assert_eq!(shop.begin(&jobs[1], 100), LeaseReply::Granted, "the new day has its own money");
        shop.end(&jobs[0], 50);
        assert_eq!((shop.purse(TODAY), shop.purse(TODAY.next())), ((50, 0), (0, 100)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_no_money_is_put_off_until_the_next_day_and_books_no_turn() {
        let mut shop = Shop::open(100, WhenSpent::Defer, LimitMode::Enforce);
        shop.test.read_tickets(0..1);
        let job = shop.jobs().remove(0);
        assert_eq!(shop.begin(&job, 101), LeaseReply::NoMoney);
        shop.test.road.triaged(job.key, Triaged::Unpaid(Bill::default()), Instant::now());
        // One that comes now waits for nothing first.
        shop.test.hand_over_tickets(1..2);
        shop.serve();
        assert!(shop.jobs().is_empty());
        let mut put_off: Vec<_> = shop
            .test
            .road
            .items
            .values()
            .filter_map(|item| match &item.plan {
                Plan::GoAside(put_off) => Some((item.position.offset, put_off.clone())),
                _ => None,
            })
            .collect();
        put_off.sort_unstable_by_key(|(offset, _)| *offset);
        assert_eq!(put_off.len(), 2);
        for (_, put_off) in put_off {
            assert_eq!((put_off.code.as_str(), put_off.retry_at), ("BUDGET_EXHAUSTED", TODAY.next().begins()));
            let in_an_hour = Timestamp(NOON).after(Duration::from_secs(3_600));
            assert_eq!((put_off.deferral.not_before, put_off.deferral.turn), (in_an_hour, in_an_hour));
            let limit = put_off.limit.as_ref().expect("the budget");
            assert_eq!((limit.unit.as_str(), limit.capacity, limit.remaining), ("micros", 100, 100));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_budget_in_shadow_mode_counts_and_refuses_nothing_and_one_that_is_off_is_not_counted() {
        let mut shop = Shop::open(100, WhenSpent::Defer, LimitMode::Shadow);
        shop.test.read_tickets(0..2);
        let jobs = shop.jobs();
        assert_eq!([0, 1].map(|job: usize| shop.begin(&jobs[job], 101)), [LeaseReply::Granted; 2]);
        assert_eq!((shop.purse(TODAY), shop.told().len()), ((0, 202), 0));
        let mut shop = Shop::open(100, WhenSpent::Defer, LimitMode::Off);
        shop.test.read_tickets(0..1);
        let job = shop.jobs().remove(0);
        assert_eq!((shop.begin(&job, 101), shop.purse(TODAY)), (LeaseReply::Granted, (0, 0)));
    }
}
