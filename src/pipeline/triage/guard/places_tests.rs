//! Calls take turns for places, and what is made ready meanwhile.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::super::model::CallError;
use super::super::testing::{Act, FakeLeases, Scripted, good_reply};
use super::tests::{fail, guard, job, remote};
use super::*;
use crate::domain::reason_code::ReasonCode as Code;

/// Events with one place for all their calls.
struct Bench {
    guard: Arc<Guard>,
    gpt: Arc<Scripted>,
    leases: Arc<FakeLeases>,
    places: Places,
}

impl Bench {
    /// The first calls last so long.
    fn with_calls_of(seconds: &[u64]) -> Self {
        Self::of(seconds.iter().map(|seconds| Act::SayAfter(Duration::from_secs(*seconds), Ok(good_reply()))))
    }

    fn of(script: impl IntoIterator<Item = Act>) -> Self {
        let gpt = remote(script);
        Self { guard: Arc::new(guard(&[&gpt])), gpt, leases: Arc::default(), places: Places::new(1) }
    }

    /// An event begins, and gets as far as it can at once.
    async fn begin(&self, decide_within: Duration) -> tokio::task::JoinHandle<(Triaged, Instant)> {
        let (guard, leases, places) = (self.guard.clone(), self.leases.clone(), self.places.clone());
        let turn = places.turn();
        let job = Job { decide_by: Instant::now() + decide_within, turn, ..job() };
        let task = tokio::spawn(async move { (guard.triage(job, &*leases).await, Instant::now()) });
        sleep(Duration::from_millis(1)).await;
        task
    }

    /// Leases granted, leases released, calls made, calls that run.
    fn counts(&self) -> (usize, u32, usize, usize) {
        let (granted, released) = self.leases.counts();
        (granted, released, self.gpt.calls(), self.places.taken())
    }
}

const PATIENT: Duration = Duration::from_secs(300);

#[tokio::test(start_paused = true)]
async fn the_next_call_has_its_lease_while_the_one_before_it_has_the_place() {
    let bench = Bench::with_calls_of(&[3, 3]);
    let first = bench.begin(PATIENT).await;
    let second = bench.begin(PATIENT).await;
    assert_eq!(bench.counts(), (2, 0, 1, 1), "two leases, one call");
    sleep(Duration::from_secs(3)).await;
    assert_eq!(bench.counts(), (2, 0, 2, 1), "the place went from one to the other, without a word to the ledger");
    let ((_, first), (_, second)) = (first.await.expect("it ends"), second.await.expect("it ends"));
    assert_eq!(second - first, Duration::from_secs(3));
    assert_eq!(bench.places.taken(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_grew_short_in_line_is_asked_for_anew_and_the_call_has_its_whole_time() {
    let bench = Bench::with_calls_of(&[59, 59]);
    let first = bench.begin(PATIENT).await;
    let second = bench.begin(PATIENT).await;
    sleep(Duration::from_secs(59)).await;
    assert_eq!(bench.counts(), (3, 1, 2, 1), "the old lease was given back");
    for task in [first, second] {
        let (Triaged::Answered(answer, _), _) = task.await.expect("it ends") else { panic!("answered") };
        assert_eq!((answer.degraded, answer.tried.len()), (None, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_place_after_its_decision_is_due() {
    let bench = Bench::with_calls_of(&[50]);
    let _first = bench.begin(PATIENT).await;
    let begun = Instant::now();
    let due = bench.begin(Duration::from_secs(20)).await;
    let (Triaged::Answered(answer, _), ended) = due.await.expect("it ends") else { panic!("answered") };
    assert_eq!((answer.degraded, ended - begun), (Some(Code::DeadlineExceeded), Duration::from_secs(20)));
    assert_eq!(bench.counts(), (2, 1, 1, 1), "its lease was given back, and it never called");
}

#[tokio::test(start_paused = true)]
async fn no_call_begins_for_which_a_place_came_after_the_breaker_opened() {
    for lasts in [None, Some(Duration::from_secs(30))] {
        let bench = Bench::with_calls_of(&[3]);
        let first = bench.begin(PATIENT).await;
        let second = bench.begin(PATIENT).await;
        assert!(bench.guard.open_breaker("gpt", lasts));
        let (Triaged::Answered(answer, _), _) = second.await.expect("it ends") else { panic!("answered") };
        assert_eq!((answer.degraded, answer.tried[0].attempts), (Some(Code::BreakerOpen), 0));
        assert_eq!(bench.counts(), (2, 1, 1, 0), "its lease and its place were given back, and it never called");
        first.await.expect("it ends");
    }
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_opened_and_closed_while_a_place_was_waited_for_is_asked_anew() {
    let bench = Bench::of([Act::SayAfter(Duration::from_secs(1), Err(CallError::Request { status: 400 }))]);
    let first = bench.begin(PATIENT).await;
    let second = bench.begin(PATIENT).await;
    bench.guard.open_breaker("gpt", None);
    bench.guard.reset_breaker("gpt");
    for ended in [first.await, second.await] {
        assert!(matches!(ended, Ok((Triaged::Answered(..), _))));
    }
    assert_eq!(bench.counts(), (3, 2, 2, 0), "the permit was asked for anew, and then it called");
}

#[tokio::test(start_paused = true)]
async fn who_waits_to_try_again_leaves_its_place_to_others() {
    let slow_down = CallError::Server { status: 503, retry_after: Some(Duration::from_secs(30)) };
    let bench = Bench::of([fail(slow_down)]);
    let waits = bench.begin(PATIENT).await;
    assert_eq!((bench.gpt.calls(), bench.places.taken(), waits.is_finished()), (1, 0, false));
}

#[tokio::test(start_paused = true)]
async fn when_the_process_ends_what_is_ready_gives_its_lease_back_and_what_runs_ends() {
    let bench = Bench::with_calls_of(&[3]);
    let first = bench.begin(PATIENT).await;
    let second = bench.begin(PATIENT).await;
    bench.places.close();
    let (ended, _) = second.await.expect("it ends");
    assert_eq!((ended, bench.counts()), (Triaged::Gone(Bill::default()), (2, 1, 1, 1)));
    let (Triaged::Answered(answer, _), _) = first.await.expect("it ends") else { panic!("answered") };
    assert_eq!(answer.degraded, None);
}

#[tokio::test(start_paused = true)]
async fn a_paid_answer_keeps_its_place_until_nobody_waits_for_its_save() {
    for (act, kept) in [(Act::Say(Ok(good_reply())), 1), (fail(CallError::Auth { status: 401 }), 0)] {
        let bench = Bench::of([act]);
        let turn = bench.places.turn();
        bench.guard.triage(Job { turn: turn.clone(), ..job() }, &*bench.leases).await;
        assert_eq!((bench.gpt.calls(), bench.places.taken()), (1, kept));
        drop(turn);
        assert_eq!(bench.places.taken(), 0);
    }
}
