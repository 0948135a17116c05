//! The breaker on a clock that is moved.

use tokio::time::advance;

use super::*;

const OPEN_FOR: Duration = Duration::from_secs(60);

fn settings(probes: u32) -> Settings {
    Settings {
        consecutive_failures: 5,
        failure_percent: 50,
        min_calls: 20,
        window: Duration::from_secs(10),
        open_for: OPEN_FOR,
        probes,
    }
}

fn breaker(probes: u32) -> (Breaker, Arc<Mutex<Vec<BreakerChange>>>) {
    let changes = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&changes);
    let listener: Listener = Arc::new(move |change| heard.lock().expect("no test panics in here").push(change));
    (Breaker::new("gpt", settings(probes), listener), changes)
}

fn permit(breaker: &Breaker) -> Permit {
    match breaker.admit(Instant::now(), true) {
        Admit::Go(permit) => permit,
        other => panic!("wanted a permit, got {other:?}"),
    }
}

fn trip(breaker: &Breaker) {
    for _ in 0..5 {
        permit(breaker).settle(Outcome::Failure);
    }
    assert_eq!(breaker.state(Instant::now()), BreakerState::Open);
}

#[tokio::test(start_paused = true)]
async fn five_failures_in_a_row_open_it_for_its_time_and_every_change_is_told() {
    let (breaker, changes) = breaker(1);
    trip(&breaker);
    let Admit::OpenUntil(until) = breaker.admit(Instant::now(), true) else { panic!("open") };
    assert_eq!(until, Instant::now() + OPEN_FOR);
    advance(OPEN_FOR).await;
    permit(&breaker).settle(Outcome::Success);
    let changes: Vec<_> =
        changes.lock().expect("not poisoned").iter().map(|change| (change.from, change.to, change.why)).collect();
    assert_eq!(
        changes,
        [
            (BreakerState::Closed, BreakerState::Open, Why::Failures),
            (BreakerState::Open, BreakerState::HalfOpen, Why::TimePassed),
            (BreakerState::HalfOpen, BreakerState::Closed, Why::ProbesSucceeded),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn the_end_of_its_time_is_told_when_it_has_passed_and_not_when_somebody_asks() {
    let (breaker, changes) = breaker(1);
    trip(&breaker);
    advance(OPEN_FOR).await;
    breaker.let_time_pass(Instant::now());
    let last = changes.lock().expect("not poisoned").last().cloned().expect("it opened");
    assert_eq!((last.to, last.why), (BreakerState::HalfOpen, Why::TimePassed));
    advance(OPEN_FOR).await;
    let report = breaker.report(Instant::now());
    assert_eq!((report.state, report.lasts, report.why), (BreakerState::HalfOpen, OPEN_FOR, Some(Why::TimePassed)));
}

#[tokio::test(start_paused = true)]
async fn a_success_breaks_the_streak_but_a_429_does_not() {
    let (breaker, _) = breaker(1);
    for outcome in [Outcome::Failure, Outcome::Failure, Outcome::Failure, Outcome::Failure, Outcome::Success] {
        permit(&breaker).settle(outcome);
    }
    for _ in 0..4 {
        permit(&breaker).settle(Outcome::Failure);
        permit(&breaker).settle(Outcome::Neither);
    }
    assert_eq!(breaker.state(Instant::now()), BreakerState::Closed);
    permit(&breaker).settle(Outcome::Failure);
    assert_eq!(breaker.state(Instant::now()), BreakerState::Open);
}

#[tokio::test(start_paused = true)]
async fn half_of_twenty_calls_within_the_window_open_it_and_older_ones_are_forgotten() {
    let (breaker, _) = breaker(1);
    let pair = |breaker: &Breaker| {
        permit(breaker).settle(Outcome::Success);
        permit(breaker).settle(Outcome::Failure);
    };
    (0..9).for_each(|_| pair(&breaker));
    advance(Duration::from_secs(11)).await;
    (0..9).for_each(|_| pair(&breaker));
    assert_eq!(breaker.state(Instant::now()), BreakerState::Closed, "18 calls of the window are too few");
    pair(&breaker);
    assert_eq!(breaker.state(Instant::now()), BreakerState::Open, "10 of 20");
}

#[tokio::test(start_paused = true)]
async fn half_open_lets_exactly_n_probes_through_and_needs_all_of_them() {
    let (breaker, _) = breaker(2);
    trip(&breaker);
    advance(OPEN_FOR).await;
    let (first, second) = (permit(&breaker), permit(&breaker));
    assert!(matches!(breaker.admit(Instant::now(), true), Admit::Probing));
    first.settle(Outcome::Success);
    assert!(matches!(breaker.admit(Instant::now(), true), Admit::Probing), "one success is not two");
    second.settle(Outcome::Success);
    assert_eq!(breaker.state(Instant::now()), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_probe_counts_as_failed_and_does_not_wedge_it() {
    let (breaker, _) = breaker(1);
    trip(&breaker);
    advance(OPEN_FOR).await;
    drop(permit(&breaker));
    assert_eq!(breaker.state(Instant::now()), BreakerState::Open);
    advance(OPEN_FOR).await;
    permit(&breaker).settle(Outcome::Failure);
    assert_eq!(breaker.state(Instant::now()), BreakerState::Open);
    advance(OPEN_FOR).await;
    permit(&breaker).settle(Outcome::Success);
    assert_eq!(breaker.state(Instant::now()), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_proves_nothing_frees_its_place_and_wakes_the_waiting() {
    let (breaker, _) = breaker(1);
    trip(&breaker);
    advance(OPEN_FOR).await;
    let probe = permit(&breaker);
    let woken = breaker.changed();
    assert!(matches!(breaker.admit(Instant::now(), true), Admit::Probing));
    probe.settle(Outcome::Neither);
    let woken = tokio::time::timeout(OPEN_FOR, woken).await;
    woken.expect("nobody was told of the free place");
    permit(&breaker).settle(Outcome::Success);
}

#[tokio::test(start_paused = true)]
async fn results_of_calls_begun_before_the_trip_are_ignored() {
    let (breaker, _) = breaker(1);
    let (late_success, late_failure, later_failure) = (permit(&breaker), permit(&breaker), permit(&breaker));
    trip(&breaker);
    advance(OPEN_FOR).await;
    let probe = permit(&breaker);
    late_success.settle(Outcome::Success);
    late_failure.settle(Outcome::Failure);
    assert_eq!(breaker.state(Instant::now()), BreakerState::HalfOpen, "only the probe decides");
    probe.settle(Outcome::Success);
    for _ in 0..4 {
        permit(&breaker).settle(Outcome::Failure);
    }
    later_failure.settle(Outcome::Failure);
    assert_eq!(breaker.state(Instant::now()), BreakerState::Closed, "nor does it count afterwards");
}

#[tokio::test(start_paused = true)]
async fn refused_credentials_stop_it_until_somebody_resets_it() {
    let (breaker, changes) = breaker(1);
    permit(&breaker).settle(Outcome::Refused(ReasonCode::ProviderAuth));
    advance(Duration::from_secs(86_400)).await;
    assert!(matches!(breaker.admit(Instant::now(), true), Admit::Stopped(ReasonCode::ProviderAuth)));
    breaker.reset();
    permit(&breaker).settle(Outcome::Success);
    assert_eq!(changes.lock().expect("not poisoned").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_order_opens_it_until_its_time_has_passed_and_then_it_has_to_prove_itself() {
    let (breaker, changes) = breaker(1);
    let running = permit(&breaker);
    breaker.force_open(Some(Instant::now() + OPEN_FOR));
    assert!(matches!(breaker.admit(Instant::now(), true), Admit::Stopped(ReasonCode::BreakerOpen)));
    // Begun before the order: it proves nothing.
    running.settle(Outcome::Success);
    assert_eq!(breaker.state(Instant::now()), BreakerState::Forced);
    advance(OPEN_FOR).await;
    permit(&breaker).settle(Outcome::Success);
    assert_eq!(breaker.state(Instant::now()), BreakerState::Closed);
    let told: Vec<_> = changes.lock().expect("no panic").iter().map(|change| (change.to, change.why)).collect();
    assert_eq!(
        told,
        [
            (BreakerState::Forced, Why::Ordered),
            (BreakerState::HalfOpen, Why::TimePassed),
            (BreakerState::Closed, Why::ProbesSucceeded),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_order_without_an_end_stands_until_a_reset_and_a_second_one_is_no_change() {
    let (breaker, changes) = breaker(1);
    breaker.force_open(None);
    advance(OPEN_FOR * 1_000).await;
    breaker.force_open(None);
    assert_eq!(breaker.state(Instant::now()), BreakerState::Forced);
    breaker.reset();
    permit(&breaker).settle(Outcome::Success);
    assert_eq!(changes.lock().expect("no panic").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_order_whose_time_has_passed_ends_the_one_before_it_and_opens_nothing() {
    let (breaker, changes) = breaker(1);
    let over = || Some(Instant::now());
    breaker.force_open(over());
    assert_eq!(breaker.state(Instant::now()), BreakerState::Closed);
    breaker.force_open(None);
    advance(OPEN_FOR).await;
    breaker.force_open(over());
    permit(&breaker).settle(Outcome::Success);
    assert_eq!(breaker.state(Instant::now()), BreakerState::Closed);
    let told: Vec<_> = changes.lock().expect("no panic").iter().map(|change| (change.to, change.why)).collect();
    assert_eq!(
        told,
        [
            (BreakerState::Forced, Why::Ordered),
            (BreakerState::HalfOpen, Why::TimePassed),
            (BreakerState::Closed, Why::ProbesSucceeded),
        ]
    );
    trip(&breaker);
    breaker.force_open(over());
    assert_eq!(breaker.state(Instant::now()), BreakerState::Open, "what it does by itself is its own");
}

#[tokio::test(start_paused = true)]
async fn a_report_says_since_when_it_is_so_why_and_after_how_many_failures() {
    let (breaker, _) = breaker(1);
    let report = |breaker: &Breaker| breaker.report(Instant::now());
    assert_eq!((report(&breaker).state, report(&breaker).why), (BreakerState::Closed, None));
    advance(OPEN_FOR).await;
    permit(&breaker).settle(Outcome::Failure);
    let Report { lasts, failures, .. } = report(&breaker);
    assert_eq!((lasts, failures), (OPEN_FOR, 1));
    permit(&breaker).settle(Outcome::Success);
    assert_eq!(report(&breaker).failures, 0);
    trip(&breaker);
    advance(Duration::from_secs(1)).await;
    let expected =
        Report { state: BreakerState::Open, lasts: Duration::from_secs(1), why: Some(Why::Failures), failures: 5 };
    assert_eq!(report(&breaker), expected);
    breaker.reset();
    let expected = Report { state: BreakerState::Closed, lasts: Duration::ZERO, why: Some(Why::Reset), failures: 0 };
    assert_eq!(report(&breaker), expected);
}
