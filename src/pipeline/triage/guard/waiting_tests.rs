//! Which model is waited for, and which is passed by.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::breaker::BreakerState;
use super::super::model::{CallError, CallLimits, ModelCard, Range};
use super::super::testing::{Act, FakeLeases, Scripted, card, good_reply};
use super::tests::{DECIDE_WITHIN, SERVER, answered, fail, guard, job, local, remote, second};
use super::*;
use crate::domain::reason_code::ReasonCode as Code;

#[tokio::test(start_paused = true)]
async fn a_retry_after_is_waited_for_but_neither_past_its_cap_nor_past_the_deadline() {
    let limited = |seconds| fail(CallError::RateLimited { retry_after: Some(Duration::from_secs(seconds)) });
    for (seconds, calls) in [(30, 2), (61, 1), (59, 2), (86_400, 1)] {
        let gpt = remote([limited(seconds)]);
        let guard = guard(&[&gpt]);
        let began = Instant::now();
        let job = Job { decide_by: began + Duration::from_secs(62), ..job() };
        let Triaged::Answered(answer, _) = guard.triage(job, &FakeLeases::default()).await else { panic!("answered") };
        assert_eq!((gpt.calls(), answer.predicted.is_some()), (calls, calls == 2), "{seconds}");
        assert!(calls == 1 || began.elapsed() >= Duration::from_secs(seconds));
    }
    let gpt = remote([limited(50)]);
    let job = Job { decide_by: Instant::now() + Duration::from_secs(40), ..job() };
    let began = Instant::now();
    let Triaged::Answered(answer, _) = guard(&[&gpt]).triage(job, &FakeLeases::default()).await else {
        panic!("answered")
    };
    assert_eq!((answer.degraded, began.elapsed()), (Some(Code::ProviderError), Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn where_only_the_first_model_counts_nobody_else_is_asked_and_nothing_waits_for_its_breaker() {
    let (gpt, other, local) = (remote([]), second([]), local());
    for models in [vec![&gpt, &other, &local], vec![&gpt]] {
        let guard = guard(&models);
        assert!(guard.first_is_well(Instant::now()));
        guard.open_breaker("gpt", Some(Duration::from_secs(30)));
        assert!(!guard.first_is_well(Instant::now()));
        let (began, job) = (Instant::now(), Job { way: Way::FirstOnly, ..job() });
        let Triaged::Answered(answer, _) = guard.triage(job, &FakeLeases::default()).await else { panic!("answered") };
        assert_eq!((answer.predicted, answer.degraded), (None, Some(Code::BreakerOpen)));
        assert_eq!((gpt.calls(), other.calls(), began.elapsed()), (0, 0, Duration::ZERO));
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_last_remote_breaker_is_open_an_event_holds_and_its_own_probe_frees_it() {
    let failing = || (0..5).map(|_| fail(SERVER));
    let (gpt, local) = (remote(failing()), local());
    let guard = guard(&[&gpt, &local]);
    answered(&guard, &FakeLeases::default()).await;
    let patient = Job { decide_by: Instant::now() + DECIDE_WITHIN * 2, ..job() };
    let Triaged::Answered(second, _) = guard.triage(patient, &FakeLeases::default()).await else { panic!("answered") };
    assert_eq!(gpt.calls(), 6, "five failures tripped it, the probe came when its time had passed");
    assert_eq!((second.degraded, guard.breakers()[0].1), (None, BreakerState::Closed));
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_due_before_the_breaker_closes_goes_down_the_chain() {
    let (gpt, local) = (remote((0..6).map(|_| fail(SERVER))), local());
    let guard = guard(&[&gpt, &local]);
    answered(&guard, &FakeLeases::default()).await;
    let short = |seconds| Job { decide_by: Instant::now() + Duration::from_secs(seconds), ..job() };
    guard.triage(short(5), &FakeLeases::default()).await;
    let began = Instant::now();
    let Triaged::Answered(answer, _) = guard.triage(short(10), &FakeLeases::default()).await else {
        panic!("answered")
    };
    assert_eq!((answer.degraded, began.elapsed()), (Some(Code::BreakerOpen), Duration::from_secs(10)));
    assert_eq!((answer.tried[0].attempts, answer.usage.map(|usage| usage.model)), (0, Some("local".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_is_not_held_for_while_another_remote_model_is_left() {
    let (gpt, other) = (remote((0..5).map(|_| fail(SERVER))), second([]));
    let guard = guard(&[&gpt, &other]);
    answered(&guard, &FakeLeases::default()).await;
    answered(&guard, &FakeLeases::default()).await;
    let began = Instant::now();
    let (answer, _) = answered(&guard, &FakeLeases::default()).await;
    assert_eq!((answer.degraded, began.elapsed()), (Some(Code::BreakerOpen), Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_model_that_wants_to_be_left_alone_for_long_is_not_waited_for_while_another_is_left() {
    let day = Duration::from_secs(86_400);
    let (gpt, other) = (remote([fail(CallError::RateLimited { retry_after: Some(day) })]), second([]));
    let guard = guard(&[&gpt, &other]);
    let began = Instant::now();
    for events in 1..4 {
        let patient = Job { decide_by: began + DECIDE_WITHIN * 5, ..job() };
        let Triaged::Answered(answer, _) = guard.triage(patient, &FakeLeases::default()).await else {
            panic!("answered")
        };
        assert_eq!((answer.degraded, began.elapsed()), (Some(Code::ProviderError), Duration::ZERO));
        assert_eq!((gpt.calls(), other.calls()), (1, events));
    }
    // Its pause is over: somebody asks it, and it is heard again.
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(answered(&guard, &FakeLeases::default()).await.0.degraded, None);
}

/// Events one after the other, as the road begins them: their time runs a moment before their call.
async fn events_that_wait_for(guard: &Guard, decide_within: Duration, events: usize) -> Answer {
    let mut last = None;
    for _ in 0..events {
        let tenant = Arc::new(Tenant { decide_by: decide_within, ..(*job().tenant).clone() });
        let job = Job { tenant, decide_by: Instant::now() + decide_within, ..job() };
        tokio::time::advance(Duration::from_millis(1)).await;
        let Triaged::Answered(answer, _) = guard.triage(job, &FakeLeases::default()).await else { panic!("answered") };
        last = Some(answer);
    }
    last.expect("one at least")
}

#[tokio::test(start_paused = true)]
async fn a_model_that_stalls_opens_its_breaker_and_the_next_one_is_asked_in_time() {
    for seconds in [20, 45, 60] {
        let (gpt, other) = (remote((0..9).map(|_| Act::Hang)), second([]));
        let guard = guard(&[&gpt, &other]);
        let decide_within = Duration::from_secs(seconds);
        let answer = events_that_wait_for(&guard, decide_within, 5).await;
        assert_eq!((gpt.calls(), other.calls(), guard.breakers()[0].1), (5, 5, BreakerState::Open), "{seconds}");
        assert_eq!(answer.degraded, Some(Code::DeadlineExceeded));
        assert_eq!(answer.usage.map(|usage| usage.model).as_deref(), Some("other"));
        let began = Instant::now();
        let answer = events_that_wait_for(&guard, decide_within, 1).await;
        assert_eq!((answer.degraded, gpt.calls(), other.calls()), (Some(Code::BreakerOpen), 5, 6));
        assert!(began.elapsed() < Duration::from_secs(1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_that_stalls_is_asked_less_at_once_and_its_calls_are_counted_as_timeouts() {
    let (recorder, metrics) = crate::telemetry::recorder::local();
    // Every third call: not so many that the breaker opens.
    let script = (0..30).map(|call| if call % 3 == 0 { Act::Hang } else { Act::Say(Ok(good_reply())) });
    let limits = CallLimits { at_once: Range { min: 1, initial: 32, max: 256 }, ..CallLimits::default() };
    let gpt = Arc::new(Scripted::new(ModelCard { limits, ..card("gpt", true) }, script));
    let guard = guard(&[&gpt]);
    let before = guard.paces(Instant::now()).next().expect("one model").limit;
    let _here = metrics::set_default_local_recorder(&recorder);
    events_that_wait_for(&guard, DECIDE_WITHIN, 30).await;
    assert!(guard.paces(Instant::now()).next().expect("one model").limit < before);
    let counted = "gatekeeper_model_calls_total{model=\"gpt\",outcome=\"timeout\"} 10\n";
    assert!(metrics.render().contains(counted), "{}", metrics.render());
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_cannot_wait_opens_no_breaker_and_leaves_time_for_the_next_model_all_the_same() {
    let (gpt, other) = (remote((0..30).map(|_| Act::Hang)), second([]));
    let guard = guard(&[&gpt, &other]);
    let answer = events_that_wait_for(&guard, Duration::from_secs(8), 30).await;
    assert_eq!((gpt.calls(), other.calls(), guard.breakers()[0].1), (30, 30, BreakerState::Closed));
    assert_eq!(answer.usage.map(|usage| usage.model).as_deref(), Some("other"));
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_its_own_tenants_deadline_cuts_short_leaves_its_place_to_one_that_can_wait() {
    let gpt = remote((0..5).map(|_| fail(SERVER)).chain([Act::Hang]));
    let guard = guard(&[&gpt]);
    for _ in 0..5 {
        let job = Job { decide_by: Instant::now() + Duration::from_millis(1), ..job() };
        guard.triage(job, &FakeLeases::default()).await;
    }
    assert_eq!((gpt.calls(), guard.breakers()[0].1), (5, BreakerState::Open));
    tokio::time::advance(Duration::from_secs(60)).await;
    let hasty = events_that_wait_for(&guard, Duration::from_secs(8), 1).await;
    assert_eq!((hasty.degraded, gpt.calls()), (Some(Code::DeadlineExceeded), 6));
    assert_eq!(guard.breakers()[0].1, BreakerState::HalfOpen, "it said nothing of the provider");
    let began = Instant::now();
    let patient = events_that_wait_for(&guard, DECIDE_WITHIN, 1).await;
    assert_eq!((patient.degraded, gpt.calls(), guard.breakers()[0].1), (None, 7, BreakerState::Closed));
    assert!(began.elapsed() < Duration::from_secs(1), "at once");
}

#[tokio::test(start_paused = true)]
async fn a_model_has_all_the_time_where_the_next_one_is_not_to_be_asked() {
    let late = || Act::SayAfter(DECIDE_WITHIN * 9 / 10, Ok(good_reply()));
    let (gpt, other) = (remote([late(), late()]), second([]));
    let guard = guard(&[&gpt, &other]);
    assert_eq!(events_that_wait_for(&guard, DECIDE_WITHIN, 1).await.degraded, Some(Code::DeadlineExceeded));
    guard.open_breaker("other", None);
    assert_eq!(events_that_wait_for(&guard, DECIDE_WITHIN, 1).await.degraded, None);
}

#[tokio::test(start_paused = true)]
async fn one_event_probes_and_the_others_follow_when_it_comes_back() {
    let probe = Act::SayAfter(Duration::from_secs(3), Ok(good_reply()));
    let gpt = remote((0..5).map(|_| fail(SERVER)).chain([probe]));
    let guard = Arc::new(guard(&[&gpt]));
    answered(&guard, &FakeLeases::default()).await;
    let held: Vec<_> = (0..20)
        .map(|_| {
            let guard = Arc::clone(&guard);
            let job = Job { decide_by: Instant::now() + DECIDE_WITHIN * 2, ..job() };
            tokio::spawn(async move { guard.triage(job, &FakeLeases::default()).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(gpt.calls(), 6, "exactly one probe");
    for task in held {
        assert!(matches!(task.await, Ok(Triaged::Answered(Answer { predicted: Some(_), .. }, _))));
    }
    assert_eq!(gpt.calls(), 25);
}

#[tokio::test(start_paused = true)]
async fn events_are_held_while_the_breaker_they_wait_for_is_open_and_not_while_somebody_else_is_asked() {
    let paid = remote((0..5).map(|_| fail(SERVER)));
    let guard = guard(&[&paid]);
    assert!(!guard.holds(Instant::now()));
    let leases = FakeLeases::default();
    for _ in 0..5 {
        let job = Job { decide_by: Instant::now() + Duration::from_millis(1), ..job() };
        guard.triage(job, &leases).await;
    }
    assert_eq!((guard.breakers()[0].1, guard.holds(Instant::now())), (BreakerState::Open, true));
    guard.open_breaker("gpt", None);
    assert!(!guard.holds(Instant::now()), "an order is not waited for: the chain goes on");
    guard.reset_breaker("gpt");
    assert!(!guard.holds(Instant::now()));
}
