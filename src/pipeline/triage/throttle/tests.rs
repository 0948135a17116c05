//! The throttle on a clock that is moved.

use futures_util::FutureExt as _;
use tokio::time::advance;

use super::super::model::Range;
use super::*;

const LONGEST: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

fn throttle(limits: CallLimits) -> (Throttle, Arc<Notify>) {
    let road = Arc::new(Notify::new());
    (Throttle::new("gpt", &limits, LONGEST, Arc::clone(&road)), road)
}

fn at_once(most: u32) -> CallLimits {
    CallLimits { at_once: Range { min: 1, initial: most, max: most }, ..CallLimits::default() }
}

fn taken(throttle: &Throttle) -> Slot {
    throttle.take(Instant::now(), 100).expect("there is room")
}

fn refused(throttle: &Throttle) -> NotYet {
    throttle.take(Instant::now(), 100).expect_err("there is no room")
}

fn sent(throttle: &Throttle) -> Slot {
    let mut slot = taken(throttle);
    slot.send();
    slot
}

fn answered(hints: RateHints) -> Paced {
    Paced::Answered { latency: SECOND, tokens: 150, hints }
}

fn limited(seconds: u64) -> Paced {
    Paced::RateLimited { retry_after: Some(Duration::from_secs(seconds)) }
}

fn is_told(road: &Notify) -> bool {
    road.notified().now_or_never().is_some()
}

#[tokio::test(start_paused = true)]
async fn no_more_run_at_once_than_may_and_whoever_found_no_room_is_told_once() {
    let (throttle, road) = throttle(at_once(2));
    let (one, two) = (taken(&throttle), taken(&throttle));
    assert_eq!(refused(&throttle), NotYet::Busy);
    drop(one);
    assert!(!is_told(&road), "nobody had asked for a new event");
    let three = throttle.take_for_new(Instant::now(), 100).expect("one has gone");
    assert_eq!(throttle.take_for_new(Instant::now(), 100).err(), Some(NotYet::Busy));
    drop(two);
    assert!(is_told(&road));
    drop(three);
    assert!(!is_told(&road));
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_pauses_the_whole_model_and_the_longest_one_counts() {
    let (throttle, _) = throttle(at_once(10));
    let (one, two, three) = (sent(&throttle), sent(&throttle), sent(&throttle));
    let began = Instant::now();
    one.end(began, limited(30));
    two.end(began, limited(20));
    three.end(began, answered(RateHints::default()));
    assert_eq!(refused(&throttle), NotYet::Until(began + Duration::from_secs(30)));
    advance(Duration::from_secs(30)).await;
    taken(&throttle);
    let four = sent(&throttle);
    four.end(Instant::now(), Paced::Otherwise { retry_after: Some(SECOND) });
    assert_eq!(refused(&throttle), NotYet::Until(Instant::now() + SECOND), "so does that of a 503");
}

#[tokio::test(start_paused = true)]
async fn a_day_pauses_it_for_a_minute_and_then_one_call_at_a_time_asks_again() {
    let (throttle, _) = throttle(at_once(50));
    let others = [sent(&throttle), sent(&throttle)];
    sent(&throttle).end(Instant::now(), limited(86_400));
    assert!(throttle.is_silent(Instant::now()));
    assert_eq!(refused(&throttle), NotYet::Until(Instant::now() + LONGEST));
    drop(others);
    advance(LONGEST).await;
    let probe = sent(&throttle);
    assert_eq!(refused(&throttle), NotYet::Busy);
    probe.end(Instant::now(), answered(RateHints::default()));
    assert!(!throttle.is_silent(Instant::now()));
    assert_eq!(throttle.pace(Instant::now()).limit, 2, "others wait, so it grows again");
}

#[tokio::test(start_paused = true)]
async fn with_nothing_but_429s_for_longer_than_anybody_waits_it_is_silent() {
    let (throttle, _) = throttle(at_once(50));
    for _ in 0..6 {
        assert!(!throttle.is_silent(Instant::now()));
        sent(&throttle).end(Instant::now(), Paced::RateLimited { retry_after: None });
        advance(Duration::from_secs(11)).await;
    }
    assert!(throttle.is_silent(Instant::now()));
    sent(&throttle).end(Instant::now(), answered(RateHints::default()));
    assert!(!throttle.is_silent(Instant::now()));
}

#[tokio::test(start_paused = true)]
async fn buckets_are_charged_by_estimate_settled_by_use_and_given_back_unsent() {
    let limits = CallLimits { requests_per_minute: Some(3), tokens_per_minute: Some(6_000), ..CallLimits::default() };
    let (throttle, _) = throttle(limits);
    let left = |throttle: &Throttle| {
        let pace = throttle.pace(Instant::now());
        (pace.requests_left, pace.tokens_left)
    };
    let slot = taken(&throttle);
    assert_eq!(left(&throttle), (Some(2.0), Some(5_900.0)));
    drop(slot);
    assert_eq!(left(&throttle), (Some(3.0), Some(6_000.0)));
    sent(&throttle).end(Instant::now(), answered(RateHints::default()));
    assert_eq!(left(&throttle), (Some(2.0), Some(5_850.0)));
    sent(&throttle).end(Instant::now(), Paced::Otherwise { retry_after: None });
    assert_eq!(left(&throttle), (Some(1.0), Some(5_850.0)), "a failed request counts, its tokens do not");
    drop(sent(&throttle));
    assert_eq!(left(&throttle), (Some(0.0), Some(5_750.0)), "of a call that was cut off nobody knows");
    assert_eq!(refused(&throttle), NotYet::Until(Instant::now() + Duration::from_secs(20)));
}

#[tokio::test(start_paused = true)]
async fn what_the_provider_counts_is_followed() {
    let limits = CallLimits { requests_per_minute: Some(60), ..CallLimits::default() };
    let (throttle, _) = throttle(limits);
    let hints = RateHints { remaining_requests: Some(7), ..RateHints::default() };
    sent(&throttle).end(Instant::now(), answered(hints));
    assert_eq!(throttle.pace(Instant::now()).requests_left, Some(7.0));
    let hints = RateHints { remaining_tokens: Some(99), reset_tokens: Some(SECOND * 5), ..RateHints::default() };
    sent(&throttle).end(Instant::now(), answered(hints));
    assert_eq!(refused(&throttle), NotYet::Until(Instant::now() + SECOND * 5), "too few for another call");
    advance(SECOND * 5).await;
    let hints = RateHints { remaining_requests: Some(0), reset_requests: Some(LONGEST * 9), ..RateHints::default() };
    sent(&throttle).end(Instant::now(), answered(hints));
    assert_eq!(refused(&throttle), NotYet::Until(Instant::now() + LONGEST), "nothing pauses it for longer");
}

#[tokio::test(start_paused = true)]
async fn those_in_line_go_first_in_their_order_and_the_new_ones_after_them() {
    let (throttle, road) = throttle(at_once(1));
    let running = taken(&throttle);
    let order = Arc::new(Mutex::new(Vec::new()));
    let waiting: Vec<_> = (0..5)
        .map(|number| {
            let (throttle, order) = (throttle.clone(), Arc::clone(&order));
            tokio::spawn(async move {
                let line = throttle.line_up();
                let slot = loop {
                    match line.take(Instant::now(), 1) {
                        Ok(slot) => break slot,
                        Err(refused) => line.turn(refused, Instant::now() + LONGEST).await,
                    }
                };
                drop(line);
                order.lock().expect("not poisoned").push(number);
                tokio::time::sleep(SECOND).await;
                drop(slot);
            })
        })
        .collect();
    tokio::task::yield_now().await;
    drop(running);
    let barged = throttle.take_for_new(Instant::now(), 1);
    assert_eq!((barged.err(), refused(&throttle)), (Some(NotYet::Busy), NotYet::Busy), "a free place is theirs");
    tokio::time::timeout(SECOND * 6, road.notified()).await.expect("the road is told after the last one");
    for task in waiting {
        task.await.expect("it got its slot");
    }
    assert_eq!(*order.lock().expect("not poisoned"), [0, 1, 2, 3, 4]);
    throttle.take_for_new(Instant::now(), 1).expect("nobody is left");
}

#[tokio::test(start_paused = true)]
async fn who_leaves_the_line_passes_its_turn_on() {
    let (throttle, _) = throttle(at_once(1));
    let running = taken(&throttle);
    let (first, second) = (throttle.line_up(), throttle.line_up());
    let mut turn = Box::pin(first.turn(NotYet::Busy, Instant::now() + LONGEST));
    assert!((&mut turn).now_or_never().is_none());
    let mut next = Box::pin(second.turn(NotYet::Busy, Instant::now() + LONGEST));
    assert!((&mut next).now_or_never().is_none());
    drop(running);
    drop(turn);
    drop(first);
    tokio::time::timeout(SECOND, next).await.expect("the turn was lost");
    second.take(Instant::now(), 1).expect("it is free");
}
