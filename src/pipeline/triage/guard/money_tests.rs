//! What becomes of an event, and of its bill, where its tenant's money is short.

use futures_util::future::BoxFuture;

use super::super::model::Content;
use super::super::testing::{Act, FakeLeases, Scripted, card, reply};
use super::tests::{DECIDE_WITHIN, SERVER, answered, fail, guard, job, local, remote};
use super::*;
use crate::domain::identity::DedupeKey;
use crate::domain::money::Money;
use crate::domain::position::Position;
use crate::domain::reason_code::ReasonCode as Code;

/// Grants once.
struct Once {
    then: LeaseReply,
    leases: FakeLeases,
}

impl Once {
    fn then(then: LeaseReply) -> Self {
        Self { then, leases: FakeLeases::default() }
    }
}

impl Leases for Once {
    fn acquire(&self, key: DedupeKey, owner: &Position, lasts: Duration, expected: Money) -> BoxFuture<'_, LeaseReply> {
        match self.leases.counts().0 {
            0 => self.leases.acquire(key, owner, lasts, expected),
            _ => Box::pin(std::future::ready(self.then)),
        }
    }

    fn ended(&self, key: DedupeKey, owner: &Position, billed: Money, is_answered: bool) {
        self.leases.ended(key, owner, billed, is_answered);
    }
}

fn nonsense() -> Act {
    Act::Say(Ok(reply(Content::Text("nonsense".to_owned()))))
}

fn unpaid_job(when_spent: WhenSpent, is_spent: bool) -> Job {
    Job { budget: Budget { is_spent, when_spent }, ..job() }
}

#[tokio::test(start_paused = true)]
async fn an_event_without_money_goes_where_its_tenant_wants_it_and_nobody_is_paid() {
    for is_spent in [false, true] {
        let (paid, free) = (remote([]), local());
        let guard = guard(&[&paid, &free]);
        let leases = FakeLeases { refusal: Some(LeaseReply::NoMoney), ..FakeLeases::default() };
        let degraded = guard.triage(unpaid_job(WhenSpent::Degrade, is_spent), &leases).await;
        let Triaged::Answered(answer, Bill { calls: 0, tokens: 0 }) = degraded else { panic!("{degraded:?}") };
        assert_eq!((answer.degraded, answer.tried[0].attempts), (Some(Code::BudgetExhausted), 0));
        assert!(answer.usage.is_some_and(|usage| usage.model == "local"));
        let people = guard.triage(unpaid_job(WhenSpent::Human, is_spent), &leases).await;
        let Triaged::Answered(answer, Bill { calls: 0, tokens: 0 }) = people else { panic!("{people:?}") };
        assert_eq!((answer.degraded, answer.predicted), (Some(Code::BudgetExhausted), None));
        assert_eq!(
            guard.triage(unpaid_job(WhenSpent::Defer, is_spent), &leases).await,
            Triaged::Unpaid(Bill::default())
        );
        assert_eq!((paid.calls(), free.calls()), (0, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_without_a_price_is_asked_when_the_money_is_spent() {
    let mut card = card("gratis", true);
    (card.input_micros_per_1k, card.output_micros_per_1k) = (0, 0);
    let (paid, gratis) = (remote([]), Arc::new(Scripted::new(card, [])));
    let guard = guard(&[&paid, &gratis]);
    let triaged = guard.triage(unpaid_job(WhenSpent::Defer, true), &FakeLeases::default()).await;
    let Triaged::Answered(answer, _) = triaged else { panic!("{triaged:?}") };
    assert_eq!((answer.degraded, paid.calls(), gratis.calls()), (Some(Code::BudgetExhausted), 0, 1));
    assert!(!guard.needs_money());
}

#[tokio::test(start_paused = true)]
async fn money_that_running_calls_speak_for_is_waited_for_until_the_decision_is_due() {
    let paid = remote([]);
    let guard = guard(&[&paid]);
    let leases = FakeLeases { refusal: Some(LeaseReply::NoMoneyYet), ..FakeLeases::default() };
    let began = Instant::now();
    assert_eq!(guard.triage(unpaid_job(WhenSpent::Defer, false), &leases).await, Triaged::Unpaid(Bill::default()));
    assert_eq!((began.elapsed(), paid.calls()), (DECIDE_WITHIN, 0));
}

#[tokio::test(start_paused = true)]
async fn every_attempt_is_billed_what_its_reply_cost_and_one_without_a_reply_nothing() {
    let paid = remote([fail(SERVER), nonsense()]);
    let guard = guard(&[&paid]);
    let leases = FakeLeases::default();
    let (answer, _) = answered(&guard, &leases).await;
    // 1,000 tokens at 150 and 100 at 600 a thousand.
    let one = Money(150 + 60);
    assert_eq!(*leases.billed.lock().expect("not poisoned"), [Money(0), one, one]);
    assert_eq!(answer.usage.map(|usage| usage.cost_micros), Some(2 * one.0));
}

#[tokio::test(start_paused = true)]
async fn what_was_paid_for_already_is_not_put_off() {
    let (paid, free) = (remote([nonsense()]), local());
    let guard = guard(&[&paid, &free]);
    let triaged = guard.triage(unpaid_job(WhenSpent::Defer, false), &Once::then(LeaseReply::NoMoney)).await;
    let Triaged::Answered(answer, bill) = triaged else { panic!("{triaged:?}") };
    assert_eq!((answer.degraded, bill.tokens, free.calls()), (Some(Code::OutputInvalid), 1_100, 1));
}

#[tokio::test(start_paused = true)]
async fn what_was_billed_is_told_also_where_the_event_leaves_in_the_middle() {
    let bill = Bill { calls: 1, tokens: 1_100 };
    let held = Duration::from_secs(9);
    for (then, left) in [
        (LeaseReply::HeldElsewhere(held), Triaged::HeldElsewhere(held, bill)),
        (LeaseReply::Pointless, Triaged::Pointless(bill)),
        (LeaseReply::Gone, Triaged::Gone(bill)),
    ] {
        let paid = remote([nonsense()]);
        assert_eq!(guard(&[&paid]).triage(job(), &Once::then(then)).await, left);
    }
}

#[tokio::test(start_paused = true)]
async fn money_that_ends_after_an_attempt_that_cost_nothing_is_what_its_tenant_wants_it_to_be() {
    for (when_spent, locals) in [(WhenSpent::Degrade, 1), (WhenSpent::Human, 0), (WhenSpent::Defer, 0)] {
        let (paid, free) = (remote([fail(SERVER)]), local());
        let guard = guard(&[&paid, &free]);
        let triaged = guard.triage(unpaid_job(when_spent, false), &Once::then(LeaseReply::NoMoney)).await;
        let bill = Bill { calls: 1, tokens: 0 };
        match triaged {
            Triaged::Answered(answer, billed) if when_spent != WhenSpent::Defer => {
                assert_eq!((answer.degraded, answer.tried[0].attempts), (Some(Code::BudgetExhausted), 1));
                assert_eq!((answer.predicted.is_some(), billed), (locals == 1, bill));
            }
            other => assert_eq!((other, when_spent), (Triaged::Unpaid(bill), WhenSpent::Defer)),
        }
        assert_eq!((paid.calls(), free.calls()), (1, locals));
    }
}
