//! Four instances, uneven load, one limit: what goes in a minute, and what does not.

use std::collections::VecDeque;
use std::sync::Arc;

use proptest::prelude::*;
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use tokio::time::{Duration, Instant};

use super::account::Account;
use super::{Ask, Reply};
use crate::domain::clock::Timestamp;
use crate::domain::tenant::Limits;
use crate::pipeline::admit::{Admission, Next};

const STEP: u64 = 10;
const SECOND: Duration = Duration::from_secs(1);
const LEASE: Duration = Duration::from_secs(5);

/// Something is on its way until then.
type Way<T> = Option<(u64, T)>;

struct Instance {
    admission: Admission<u64>,
    /// Events a minute.
    load: f64,
    due: f64,
    asks: Way<Vec<Ask>>,
    replies: Way<Vec<(Arc<str>, Reply)>>,
    trips: Vec<u64>,
    running: VecDeque<(u64, u32, u32)>,
    /// Not before it may call again: its model is slow.
    slots: usize,
}

/// All of it.
struct World {
    chance: ChaCha8Rng,
    start: Instant,
    now: u64,
    tenant: Arc<str>,
    limits: Limits,
    account: Account,
    database_is_away: bool,
    instances: Vec<Instance>,
    /// When each call went, what it used, and where.
    calls: Vec<(u64, u32, usize)>,
    /// Tokens of a call.
    tokens: std::ops::Range<u32>,
    /// What is really used, of what was estimated.
    used_percent: u32,
}

impl World {
    fn new(seed: u64, limits: Limits, loads: &[f64]) -> Self {
        let start = Instant::now();
        let instance = |load: &f64| {
            let mut admission = Admission::new(100_000);
            admission.share(SECOND);
            let (asks, replies, trips, running) = (None, None, Vec::new(), VecDeque::new());
            Instance { admission, load: *load, due: 0.0, asks, replies, trips, running, slots: 64 }
        };
        Self {
            chance: ChaCha8Rng::seed_from_u64(seed),
            start,
            now: 0,
            tenant: "acme".into(),
            limits,
            account: Account::default(),
            database_is_away: false,
            instances: loads.iter().map(instance).collect(),
            calls: Vec::new(),
            tokens: 100..300,
            used_percent: 100,
        }
    }

    fn run(&mut self, seconds: u64) {
        let end = self.now + seconds * 1_000;
        while self.now < end {
            for index in 0..self.instances.len() {
                self.step(index);
            }
            self.now += STEP;
        }
    }

    fn step(&mut self, index: usize) {
        let (ms, now) = (self.now, self.start + Duration::from_millis(self.now));
        let delay = self.chance.random_range(0..4) * STEP;
        let this = &mut self.instances[index];
        this.due += this.load * STEP as f64 / 60_000.0;
        while this.due >= 1.0 {
            this.due -= 1.0;
            let tokens = self.chance.random_range(self.tokens.clone());
            this.admission.offer(now, &self.tenant, self.limits, ms, tokens).expect("there is room");
        }
        if let Some((_, asks)) = this.asks.take_if(|(at, _)| *at <= ms) {
            if self.database_is_away {
                asks.iter().for_each(|ask| this.admission.trip_failed(now, &ask.tenant));
            } else {
                let name = index.to_string();
                let at = Timestamp(1_790_000_000_123 + ms as i64);
                let trip = |ask: &Ask| (ask.tenant.clone(), self.account.trip(at, &name, ask, LEASE));
                this.replies = Some((ms + delay, asks.iter().map(trip).collect()));
                // It stands in the database as text.
                let text = serde_json::to_string(&self.account).expect("plain values");
                self.account = serde_json::from_str(&text).expect("as it was written");
            }
        }
        if let Some((_, replies)) = this.replies.take_if(|(at, _)| *at <= ms) {
            replies.into_iter().for_each(|(tenant, reply)| this.admission.trip_answered(now, &tenant, reply));
        }
        if this.asks.is_none() && this.replies.is_none() && this.admission.trip_due().is_some_and(|due| due <= now) {
            this.trips.push(ms);
            this.asks = Some((ms + delay, this.admission.trip(now)));
        }
        while let Some((_, reserved, used)) = this.running.pop_front_if(|(at, ..)| *at <= ms) {
            this.admission.settle(now, &self.tenant, 1, reserved, used);
        }
        while this.running.len() < this.slots {
            let Next::Go { reserved_tokens, .. } = this.admission.next(now, |_| true) else { break };
            let used = reserved_tokens * self.used_percent / 100;
            this.running.push_back((ms + 500, reserved_tokens, used));
            self.calls.push((ms, used, index));
        }
    }

    /// The most that went in any minute: calls and tokens.
    fn worst_minute(&self) -> (u64, u64) {
        let (mut worst, mut sum, mut from) = ((0, 0), (0, 0), 0);
        for (at, tokens, _) in &self.calls {
            sum = (sum.0 + 1, sum.1 + u64::from(*tokens));
            while self.calls[from].0 + 60_000 <= *at {
                sum = (sum.0 - 1, sum.1 - u64::from(self.calls[from].1));
                from += 1;
            }
            worst = (sum.0.max(worst.0), sum.1.max(worst.1));
        }
        worst
    }

    fn calls_between(&self, from: u64, to: u64) -> impl Iterator<Item = &(u64, u32, usize)> {
        self.calls.iter().filter(move |(at, ..)| (from * 1_000..to * 1_000).contains(at))
    }

    fn went(&self, from: u64, to: u64) -> usize {
        self.calls_between(from, to).count()
    }

    fn went_of(&self, instance: usize, from: u64, to: u64) -> usize {
        self.calls_between(from, to).filter(|(.., of)| *of == instance).count()
    }

    fn trips_are_a_second_apart(&self) -> bool {
        self.instances.iter().all(|this| this.trips.windows(2).all(|pair| pair[1] - pair[0] >= 1_000))
    }
}

fn requests(per_minute: u32) -> Limits {
    Limits { requests_per_minute: Some(per_minute), ..Limits::default() }
}

fn tokens(per_minute: u32) -> Limits {
    Limits { tokens_per_minute: Some(per_minute), ..Limits::default() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn four_instances_under_uneven_load_stay_within_a_twentieth_of_the_limit_and_use_it(
        limit in 60u32..3_000,
        parts in proptest::collection::vec(0.0f64..2.0, 4),
        by_tokens: bool,
        used_percent in 50u32..=100,
        seed: u64,
    ) {
        let limits = if by_tokens { tokens(limit * 200) } else { requests(limit) };
        // As much again as the limit at least, however it is spread.
        let sum: f64 = parts.iter().sum::<f64>().max(0.1);
        let loads: Vec<f64> = parts.iter().map(|part| f64::from(limit) * 3.0 * part / sum).collect();
        let mut world = World::new(seed, limits, &loads);
        world.used_percent = if by_tokens { used_percent } else { 100 };
        world.run(240);
        let worst = world.worst_minute();
        let (worst, most) = if by_tokens { (worst.1, limit * 200) } else { (worst.0, limit) };
        // One call is what cannot be divided.
        let allowed = f64::from(most) * 1.05 + if by_tokens { 300.0 } else { 1.0 };
        prop_assert!(worst as f64 <= allowed, "{worst} of {most} in a minute");
        let went = world.went(120, 240);
        let used: u64 = world.calls_between(120, 240).map(|(_, tokens, _)| u64::from(*tokens)).sum();
        let went = if by_tokens { used as f64 } else { went as f64 };
        prop_assert!(went >= f64::from(most) * 2.0 * 0.95, "{went} of {most} a minute in two");
        prop_assert!(world.trips_are_a_second_apart());
    }

    #[test]
    fn a_minute_of_load_that_comes_and_goes_never_holds_more_than_the_limit(
        limit in 60u32..3_000,
        loads in proptest::collection::vec(proptest::collection::vec(0.0f64..8.0, 4), 12),
        seed: u64,
    ) {
        let mut world = World::new(seed, requests(limit), &[0.0; 4]);
        for load in loads {
            for (instance, part) in world.instances.iter_mut().zip(load) {
                // Mostly quiet, and then far too much.
                instance.load = if part > 5.0 { f64::from(limit) * part } else { 0.0 };
            }
            world.run(17);
        }
        let worst = world.worst_minute().0;
        prop_assert!(worst as f64 <= f64::from(limit) * 1.05 + 1.0, "{worst} of {limit} in a minute");
        prop_assert!(world.trips_are_a_second_apart());
    }
}

#[test]
fn a_lone_busy_instance_gets_the_whole_limit_although_the_others_are_there() {
    let mut world = World::new(1, requests(600), &[3_000.0, 12.0, 12.0, 0.0]);
    world.run(300);
    assert!(world.went_of(0, 120, 300) >= 3 * 560, "{}", world.went_of(0, 120, 300));
    assert!(world.went_of(1, 120, 300) >= 35, "a little is not kept waiting: {}", world.went_of(1, 120, 300));
    assert!(world.went(120, 300) >= 3 * 585, "{}", world.went(120, 300));
}

#[test]
fn nobody_is_left_behind_however_little_there_is() {
    for limit in [12, 60, 600] {
        let mut world = World::new(2, requests(limit), &[f64::from(limit); 4]);
        world.run(600);
        let parts: Vec<usize> = (0..4).map(|index| world.went_of(index, 60, 600)).collect();
        let (least, equal) = (parts.iter().min().copied().unwrap_or(0), parts.iter().sum::<usize>() / 4);
        assert!(least * 2 >= equal, "{limit}: {parts:?}");
    }
}

#[test]
fn who_was_quiet_spends_its_minute_at_once_and_then_waits_until_it_is_over() {
    let mut world = World::new(3, requests(600), &[0.0; 4]);
    world.run(5);
    world.instances[0].load = 60_000.0;
    world.instances[0].slots = 10_000;
    world.run(3);
    world.instances[0].load = 0.0;
    assert!((600..=612).contains(&world.went(5, 8)), "{}", world.went(5, 8));
    let now = world.start + Duration::from_millis(world.now);
    let wait = world.instances[0].admission.wait_of(now, "acme", world.limits, 200);
    // 2,400 wait; the first of them for the end of the minute.
    let expected = 57.0 + f64::from(2_400) / 10.0;
    assert!((wait.as_secs_f64() - expected).abs() < 5.0, "{wait:?}");
    world.run(57);
    assert!(world.went(8, 64) <= 12, "{}", world.went(8, 64));
    world.run(60);
    assert!((570..=630).contains(&world.went(66, 125)), "a steady stream: {}", world.went(66, 125));
    let by_second = (70..120).map(|second| world.went(second, second + 1)).max().unwrap_or(0);
    assert!(by_second <= 25, "{by_second} in a second");
}

#[test]
fn the_first_event_of_a_quiet_tenant_waits_for_one_trip_and_the_next_ones_for_none() {
    let mut world = World::new(4, requests(600), &[120.0, 120.0, 0.0, 0.0]);
    world.run(60);
    // What is on its way takes 60 ms at most.
    assert!(world.instances.iter().all(|this| this.admission.waiting() == 0));
    assert!(world.went(0, 60) >= 2 * 118);
}

#[test]
fn an_instance_that_is_idle_or_gone_keeps_nothing() {
    let mut world = World::new(5, requests(600), &[1_200.0, 1_200.0, 0.0, 0.0]);
    world.run(90);
    // One is idle from now on, and one is gone in the middle of everything.
    let gone = world.instances.remove(1);
    drop(gone);
    world.run(LEASE.as_secs() + 2);
    let from = world.now / 1_000;
    world.run(60);
    assert!(world.went(from, from + 60) >= 585, "{}", world.went(from, from + 60));
    let last = world.instances[0].trips.len();
    world.instances[0].load = 0.0;
    let waiting = |world: &World| world.instances[0].admission.waiting();
    while waiting(&world) > 0 {
        world.run(10);
    }
    world.run(5);
    let trips = world.instances[0].trips.len();
    assert!(trips > last);
    world.run(60);
    assert_eq!(world.instances[0].trips.len(), trips, "who has nothing to say asks nothing");
    assert!(world.instances[0].admission.farewell(world.start + Duration::from_millis(world.now)).is_empty());
}

#[test]
fn with_the_database_away_each_goes_on_at_its_part_and_nothing_is_caught_up_afterwards() {
    let mut world = World::new(6, requests(600), &[1_200.0, 1_200.0, 0.0, 0.0]);
    world.run(120);
    world.database_is_away = true;
    world.run(180);
    let away = world.went(125, 300);
    assert!((1_650..=1_760).contains(&away), "{away} in 175 s of 10 a second");
    let parts = [0, 1].map(|index| world.went_of(index, 125, 300));
    assert!(parts[0].abs_diff(parts[1]) <= 10, "{parts:?}");
    world.instances[2].load = 600.0;
    world.run(20);
    assert_eq!(world.went_of(2, 300, 320), 0, "who never had a part has none");
    world.database_is_away = false;
    world.run(120);
    let worst = world.worst_minute().0;
    assert!(worst <= 630, "{worst} in a minute");
    assert!(world.went(330, 420) >= 855, "{}", world.went(330, 420));
}

#[test]
fn a_call_that_costs_more_than_a_minute_brings_goes_when_everything_is_there_and_is_paid_off() {
    let mut world = World::new(7, tokens(6_000), &[4.0, 60.0, 0.0, 0.0]);
    world.tokens = 9_000..9_001;
    world.run(10);
    assert_eq!(world.calls.len(), 1, "{:?}", world.calls);
    world.run(600);
    // Six hundred seconds bring 60,000, and there were 6,000.
    assert!((5..=7).contains(&world.calls.len()), "{:?}", world.calls);
    assert!(world.went_of(0, 0, 610) >= 2, "nobody is left behind: {:?}", world.calls);
}

#[test]
fn a_long_call_is_not_starved_by_short_ones_of_another_instance() {
    let mut world = World::new(8, tokens(6_000), &[0.0, 600.0, 600.0, 0.0]);
    world.run(90);
    let now = world.start + Duration::from_millis(world.now);
    world.instances[0].admission.offer(now, &world.tenant, world.limits, 0, 3_000).expect("there is room");
    world.run(60);
    assert_eq!(world.went_of(0, 90, 150), 1);
}
