//! The limit before providers whose calls have a long tail, for as long as chance needs to show what it can do.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, LogNormal};

use super::*;

/// A provider that works on so many calls at once, in the order in which they come; each takes this many times its draw.
struct Provider {
    chance: ChaCha8Rng,
    /// Microseconds of a call: p50 100 ms, p99 1 s.
    length: LogNormal<f64>,
    /// When each of its places is free.
    places: BinaryHeap<Reverse<u64>>,
    slowness: f64,
    timeouts_per_thousand: u32,
    /// Microseconds after which a call is given up.
    patience: u64,
}

impl Provider {
    fn new(places: usize) -> Self {
        let places = vec![Reverse(0); places].into();
        Self {
            chance: ChaCha8Rng::seed_from_u64(1),
            length: LogNormal::new(100_000_f64.ln(), 0.99).expect("a distribution"),
            places,
            slowness: 1.0,
            timeouts_per_thousand: 0,
            patience: u64::MAX,
        }
    }

    /// When a call that comes now ends, and how.
    fn call(&mut self, now: u64) -> (u64, bool) {
        let work = (self.length.sample(&mut self.chance) * self.slowness) as u64;
        let Reverse(free) = self.places.pop().expect("a place");
        let end = free.max(now) + work;
        self.places.push(Reverse(end));
        let is_late = self.chance.random_range(0..1_000) < self.timeouts_per_thousand;
        (end.min(now.saturating_add(self.patience)), is_late || end - now > self.patience)
    }
}

/// Calls that run: when they end, when they were begun, their epoch, whether they end in time.
#[derive(Default)]
struct Running(BinaryHeap<Reverse<(u64, u64, u64, bool)>>);

/// Somebody always waits, for so many seconds. What the limit was on average, the least it was, and calls a second.
fn work(
    limit: &mut Concurrency,
    provider: &mut Provider,
    running: &mut Running,
    (from, seconds): (u64, u64),
) -> (f64, u32, f64) {
    let zero = Instant::now();
    let (mut now, until) = (from * 1_000_000, (from + seconds) * 1_000_000);
    let (mut calls, mut area, mut least) = (0_u64, 0.0, limit.limit());
    while now < until {
        while (running.0.len() as u32) < limit.limit() {
            let (end, late) = provider.call(now);
            running.0.push(Reverse((end, now, limit.epoch(), late)));
        }
        let Reverse((end, begun, epoch, late)) = running.0.pop().expect("one runs at least");
        area += f64::from(limit.limit()) * (end - now) as f64;
        now = end;
        calls += 1;
        let how = if late { Ended::TimedOut } else { Ended::Answered(Duration::from_micros(end - begun)) };
        limit.ended(zero + Duration::from_micros(now), epoch, how, true);
        least = least.min(limit.limit());
    }
    let length = (now - from * 1_000_000) as f64;
    (area / length, least, calls as f64 / length * 1e6)
}

fn at_most(max: u32) -> Concurrency {
    Concurrency::new(Range { min: 1, initial: 32, max })
}

#[test]
fn a_long_tail_does_not_eat_the_limit_up_in_the_long_run() {
    for (max, minutes) in [(20, 60), (100, 20), (256, 10), (1_000, 4)] {
        let (mut limit, mut provider, mut running) = (at_most(max), Provider::new(10_000), Running::default());
        work(&mut limit, &mut provider, &mut running, (0, 60));
        let (mean, least, _) = work(&mut limit, &mut provider, &mut running, (60, minutes * 60));
        assert!(mean >= 0.99 * f64::from(max), "{mean:.1} of {max} on average, {least} at least");
    }
}

#[test]
fn a_few_calls_that_do_not_end_do_not_eat_it_up_either() {
    let (mut limit, mut provider, mut running) = (at_most(256), Provider::new(10_000), Running::default());
    provider.timeouts_per_thousand = 50;
    work(&mut limit, &mut provider, &mut running, (0, 60));
    let (mean, least, _) = work(&mut limit, &mut provider, &mut running, (60, 600));
    assert!(mean >= 0.97 * 256.0, "{mean:.1} of 256 on average, {least} at least");
}

/// Begun with as many as it has places for: more than that at first, and its queue passes for what is usual.
#[test]
fn a_provider_of_few_places_and_long_calls_is_not_asked_for_more_than_it_ends_in_time() {
    for seed in 0..4 {
        let mut limit = Concurrency::new(Range { min: 1, initial: 8, max: 256 });
        let (mut provider, mut running) = (Provider::new(8), Running::default());
        (provider.slowness, provider.patience) = (10.0, 60_000_000);
        provider.chance = ChaCha8Rng::seed_from_u64(seed);
        work(&mut limit, &mut provider, &mut running, (0, 600));
        let (mean, least, rate) = work(&mut limit, &mut provider, &mut running, (600, 4 * 3_600));
        // Its places are 4.9 calls a second; 150 at once wait for half a minute.
        assert!(rate >= 4.6, "{rate:.1} calls/s");
        assert!((8.0..150.0).contains(&mean), "{mean:.1} calls at once on average, {least} at least");
    }
}

#[test]
fn a_provider_that_queues_is_kept_busy_and_not_flooded_for_an_hour() {
    let (mut limit, mut provider, mut running) = (at_most(1_000), Provider::new(100), Running::default());
    work(&mut limit, &mut provider, &mut running, (0, 60));
    for hour in 0..2 {
        let (mean, least, rate) = work(&mut limit, &mut provider, &mut running, (60 + hour * 1_800, 1_800));
        // Its hundred places are 612 calls a second.
        assert!(rate >= 0.95 * 612.0, "{rate:.0} calls/s");
        assert!((100.0..300.0).contains(&mean), "{mean:.1} calls at once on average, {least} at least");
    }
}

#[test]
fn one_that_becomes_slower_for_everybody_has_the_whole_limit_again_soon() {
    for slowness in [1.4, 2.5, 8.0, 30.0] {
        let (mut limit, mut provider, mut running) = (at_most(256), Provider::new(10_000), Running::default());
        work(&mut limit, &mut provider, &mut running, (0, 120));
        provider.slowness = slowness;
        work(&mut limit, &mut provider, &mut running, (120, 120));
        let (mean, least, _) = work(&mut limit, &mut provider, &mut running, (240, 600));
        assert!(mean >= 0.97 * 256.0, "{slowness}: {mean:.1} of 256 on average, {least} at least");
    }
}
