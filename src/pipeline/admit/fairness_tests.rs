//! Fairness, measured: tenants that offer at their own pace, a server with so many places, virtual time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::*;

/// What one tenant does.
#[derive(Clone, Copy)]
struct Habit {
    every: Duration,
    tokens: u32,
    limits: Limits,
}

/// When each call began, by tenant, with how long it had waited.
struct Course {
    calls: Vec<Vec<(Duration, Duration)>>,
    habits: Vec<Habit>,
}

const PLACES: usize = 20;
/// A call lasts a millisecond a token, so the server does 20,000 tokens a second.
const TOKENS_PER_SECOND: u64 = PLACES as u64 * 1_000;

fn run(habits: &[Habit], lasts: Duration) -> Course {
    let start = Instant::now();
    let ids: Vec<Arc<str>> = (0..habits.len()).map(|tenant| Arc::from(tenant.to_string())).collect();
    let mut admission = Admission::new(64);
    let mut arrivals: BinaryHeap<Reverse<(Instant, usize)>> = (0..habits.len())
        .map(|tenant| Reverse((start + habits[tenant].every * tenant as u32 / habits.len() as u32, tenant)))
        .collect();
    let mut ends: BinaryHeap<Reverse<(Instant, usize, u32)>> = BinaryHeap::new();
    let mut calls = vec![Vec::new(); habits.len()];
    let mut now = start;
    while now < start + lasts {
        while let Some(Reverse((at, tenant))) = arrivals.peek().copied().filter(|Reverse((at, _))| *at <= now) {
            arrivals.pop();
            let Habit { every, tokens, limits } = habits[tenant];
            // What finds no room would be deferred: here it is gone.
            drop(admission.offer(now, &ids[tenant], limits, (tenant, at), tokens));
            arrivals.push(Reverse((at + every, tenant)));
        }
        while let Some(Reverse((_, tenant, tokens))) = ends.peek().copied().filter(|Reverse((at, ..))| *at <= now) {
            ends.pop();
            admission.settle(now, &ids[tenant], 1, tokens, tokens);
        }
        let mut wake = None;
        while ends.len() < PLACES {
            match admission.next(now, |_| true) {
                Next::Go { item: (tenant, offered), reserved_tokens, .. } => {
                    calls[tenant].push((now - start, now - offered));
                    let end = now + Duration::from_millis(reserved_tokens.into());
                    ends.push(Reverse((end, tenant, reserved_tokens)));
                }
                Next::WaitUntil(until) => {
                    wake = Some(until);
                    break;
                }
                Next::NoRoom | Next::Empty => break,
            }
        }
        let arrival = arrivals.peek().map(|Reverse((at, _))| *at);
        let end = ends.peek().map(|Reverse((at, ..))| *at);
        now = [arrival, end, wake].into_iter().flatten().min().expect("somebody always arrives");
    }
    Course { calls, habits: habits.to_vec() }
}

impl Course {
    fn tokens(&self, tenant: usize, from: Duration, to: Duration) -> f64 {
        let begun = self.calls[tenant].iter().filter(|(at, _)| (from..to).contains(at)).count();
        begun as f64 * f64::from(self.habits[tenant].tokens)
    }

    fn longest_wait(&self, tenant: usize) -> Duration {
        self.calls[tenant].iter().map(|(_, waited)| *waited).max().expect("it had a turn")
    }
}

/// 1.0: all have the same; 1/n: one has all.
fn jain(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    sum * sum / (shares.len() as f64 * shares.iter().map(|share| share * share).sum::<f64>())
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn every(millis: u64, tokens: u32) -> Habit {
    Habit { every: Duration::from_millis(millis), tokens, limits: Limits::default() }
}

/// A hundred tenants, each of whom offers a little more than its share of 200 tokens a second.
fn a_hundred() -> Vec<Habit> {
    vec![every(900, 200); 100]
}

#[test]
fn a_tenant_at_a_hundred_times_its_share_takes_nothing_from_the_others() {
    let mut habits = a_hundred();
    habits[0] = every(9, 200);
    let course = run(&habits, seconds(60));
    for from in [10, 20, 30, 40, 50].map(seconds) {
        let shares: Vec<f64> = (0..100).map(|tenant| course.tokens(tenant, from, from + seconds(10))).collect();
        assert!(jain(&shares) >= 0.99, "{}: {shares:?}", jain(&shares));
    }
}

#[test]
fn neither_does_one_with_texts_fifty_times_as_long() {
    let mut habits = a_hundred();
    habits[0] = every(9, 200);
    habits[1] = every(900, 50 * 200);
    let course = run(&habits, seconds(1_000));
    let shares: Vec<f64> = (0..100).map(|tenant| course.tokens(tenant, seconds(0), seconds(1_000))).collect();
    assert!(jain(&shares) >= 0.99, "{}: {shares:?}", jain(&shares));
    assert!((0.9..1.1).contains(&(shares[1] / shares[2])), "the long texts get {} of {}", shares[1], shares[2]);
    // Its one call in a round takes the place of fifty, but in one of twenty places.
    let others: Vec<f64> = (2..100).map(|tenant| course.tokens(tenant, seconds(500), seconds(510))).collect();
    assert!(jain(&others) >= 0.99, "{}: {others:?}", jain(&others));
}

#[test]
fn what_some_leave_over_goes_to_those_who_want_more() {
    let mut habits = vec![every(4_000, 200); 50];
    habits.extend(vec![every(100, 200); 50]);
    let course = run(&habits, seconds(60));
    let in_ten = |tenant| course.tokens(tenant, seconds(40), seconds(50));
    let modest: Vec<f64> = (0..50).map(in_ten).collect();
    let greedy: Vec<f64> = (50..100).map(in_ten).collect();
    assert!(modest.iter().all(|tokens| *tokens >= 400.0), "who wants less than its share gets all of it: {modest:?}");
    assert!(jain(&greedy) >= 0.99);
    let total: f64 = modest.iter().chain(&greedy).sum();
    assert!(total >= 0.99 * 10.0 * TOKENS_PER_SECOND as f64, "nothing lies idle: {total}");
}

#[test]
fn a_quiet_tenant_among_noisy_ones_waits_at_most_about_one_round() {
    let mut habits = vec![every(20, 200); 100];
    habits[42] = every(3_700, 200);
    let course = run(&habits, seconds(120));
    let round = Duration::from_millis(100 * 200 * 1_000 / TOKENS_PER_SECOND);
    assert!(course.calls[42].len() >= 30);
    assert!(course.longest_wait(42) <= round, "{:?} of a round of {round:?}", course.longest_wait(42));
    assert!(course.longest_wait(7) > 20 * round, "the noisy ones wait behind themselves");
}

#[test]
fn a_lone_tenant_gets_everything() {
    let course = run(&[every(1, 200)], seconds(10));
    let tokens = course.tokens(0, seconds(1), seconds(9));
    assert!(tokens >= 0.99 * 8.0 * TOKENS_PER_SECOND as f64, "{tokens}");
}

#[test]
fn weights_are_shares() {
    let weights = [1, 2, 5, 10];
    let habits = weights.map(|weight| Habit { limits: Limits { weight, ..Limits::default() }, ..every(5, 100) });
    let course = run(&habits, seconds(120));
    let shares =
        [0, 1, 2, 3].map(|tenant| course.tokens(tenant, seconds(10), seconds(110)) / f64::from(weights[tenant]));
    assert!(jain(&shares) >= 0.999, "{shares:?}");
}

#[test]
fn limits_hold_over_every_window_and_are_used_up() {
    let limits = Limits { requests_per_minute: Some(120), tokens_per_minute: Some(18_000), ..Limits::NONE };
    let requests_bind = Habit { limits, ..every(50, 100) };
    let tokens_bind = Habit { limits, ..every(50, 300) };
    let course = run(&[requests_bind, tokens_bind, every(5, 200)], seconds(600));
    for (tenant, per_minute) in [(0, 120.0), (1, 60.0)] {
        let calls = &course.calls[tenant];
        for first in 0..calls.len() {
            for last in first..calls.len() {
                let minutes = (calls[last].0 - calls[first].0).as_secs_f64() / 60.0;
                assert!((last - first + 1) as f64 <= per_minute + per_minute * minutes + 1e-6);
            }
        }
        assert!(calls.len() as f64 >= 10.9 * per_minute, "ten minutes and a full bucket: {}", calls.len());
    }
}
