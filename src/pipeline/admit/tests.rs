//! What admission promises, one promise a test; fairness has its own file.

use proptest::prelude::*;

use super::*;

const UNLIMITED: Limits = Limits::NONE;

pub(super) fn requests(per_minute: u32) -> Limits {
    Limits { requests_per_minute: Some(per_minute), ..UNLIMITED }
}

fn tokens(per_minute: u32) -> Limits {
    Limits { tokens_per_minute: Some(per_minute), ..UNLIMITED }
}

pub(super) fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(super) fn id(name: &str) -> Arc<str> {
    Arc::from(name)
}

pub(super) fn item<T>(next: Next<T>) -> Option<T> {
    match next {
        Next::Go { item, .. } => Some(item),
        Next::WaitUntil(_) | Next::NoRoom | Next::Empty => None,
    }
}

impl<T> Admission<T> {
    /// Every tenant stands where it belongs, and nowhere else.
    fn assert_sound(&self, now: Instant) {
        let mut waiting = 0;
        for (number, state) in self.tenants.iter().enumerate() {
            let stands = (self.turns.has(number), self.asleep.contains(number), self.idle.contains(number));
            let Some(state) = state else {
                assert_eq!(stands, (false, false, false), "an unused number stands somewhere");
                assert!(self.unused.contains(&number));
                continue;
            };
            assert_eq!(self.numbers.get(&state.id), Some(&number));
            assert!(state.queue.len() <= self.max_waiting_per_tenant);
            waiting += state.queue.len();
            match state.queue.front() {
                None => assert_eq!(stands, (false, false, state.running == 0)),
                Some(head) if stands.0 => {
                    assert_eq!(stands, (true, false, false));
                    assert_eq!(
                        state.allowance.check(now, head.tokens),
                        Verdict::Granted,
                        "it has a turn and may not go"
                    );
                }
                Some(_) => assert_eq!(stands, (false, true, false), "it waits and nobody will wake it"),
            }
        }
        assert_eq!(waiting, self.waiting);
        assert_eq!(self.numbers.len() + self.unused.len(), self.tenants.len());
    }
}

#[test]
fn a_full_queue_gives_the_item_back_and_disturbs_nobody() {
    let now = Instant::now();
    let mut admission = Admission::new(2);
    assert_eq!(admission.offer(now, &id("a"), UNLIMITED, 1, 10), Ok(()));
    assert_eq!(admission.offer(now, &id("a"), UNLIMITED, 2, 10), Ok(()));
    assert_eq!(admission.offer(now, &id("a"), UNLIMITED, 3, 10), Err(Full(3)));
    assert_eq!(admission.offer(now, &id("b"), UNLIMITED, 4, 10), Ok(()));
    assert_eq!((admission.waiting(), admission.waiting_of("a"), admission.waiting_of("b")), (3, 2, 1));
    assert_eq!(admission.waiting_of("nobody"), 0);
}

#[test]
fn a_tenants_items_go_in_order_and_say_whose_they_are() {
    let now = Instant::now();
    let mut admission = Admission::new(10);
    for n in 0..5 {
        admission.offer(now, &id("a"), UNLIMITED, n, 100 + n).expect("room");
    }
    for n in 0..5 {
        let expected = Next::Go { item: n, tenant: id("a"), reserved_tokens: 100 + n };
        assert_eq!(admission.next(now, |_| true), expected);
    }
    assert_eq!(admission.next(now, |_| true), Next::Empty);
}

#[test]
fn over_its_limit_a_tenant_waits_until_exactly_when_it_may_go() {
    let now = Instant::now();
    let mut admission = Admission::new(100);
    for n in 0..62 {
        admission.offer(now, &id("a"), requests(60), n, 10).expect("room");
    }
    for n in 0..60 {
        assert_eq!(item(admission.next(now, |_| true)), Some(n));
    }
    assert_eq!(admission.next(now, |_| true), Next::WaitUntil(now + seconds(1)));
    assert_eq!(admission.next(now + seconds(1) - Duration::from_nanos(1), |_| true), Next::WaitUntil(now + seconds(1)));
    assert_eq!(item(admission.next(now + seconds(1), |_| true)), Some(60));
    assert_eq!(admission.next(now + seconds(1), |_| true), Next::WaitUntil(now + seconds(2)));
}

#[test]
fn a_tenant_over_its_limit_holds_up_nobody_else() {
    let now = Instant::now();
    let mut admission = Admission::new(100);
    for n in 0..10 {
        admission.offer(now, &id("limited"), requests(1), ("limited", n), 10).expect("room");
        admission.offer(now, &id("free"), UNLIMITED, ("free", n), 10).expect("room");
    }
    let gone: Vec<_> = std::iter::from_fn(|| item(admission.next(now, |_| true))).collect();
    assert_eq!(gone.iter().filter(|(tenant, _)| *tenant == "free").count(), 10);
    assert_eq!(gone.iter().filter(|(tenant, _)| *tenant == "limited").count(), 1);
    assert_eq!(admission.next(now, |_| true), Next::WaitUntil(now + seconds(60)));
}

#[test]
fn without_room_at_the_model_nothing_is_charged_and_the_turn_is_kept() {
    let now = Instant::now();
    let mut admission = Admission::new(10);
    for n in 0..3 {
        admission.offer(now, &id("a"), tokens(600), ("a", n), 100).expect("room");
        admission.offer(now, &id("b"), tokens(600), ("b", n), 100).expect("room");
    }
    let mut asked = Vec::new();
    for _ in 0..5 {
        let refused = admission.next(now, |tokens| {
            asked.push(tokens);
            false
        });
        assert_eq!(refused, Next::NoRoom);
    }
    assert_eq!(asked, [100; 5], "asked once each time, for the one whose turn it is");
    assert!(admission.levels(now).all(|level| (level.tokens, level.running, level.waiting) == (Some(600.0), 0, 3)));
    let gone: Vec<_> = std::iter::from_fn(|| item(admission.next(now, |_| true))).collect();
    assert_eq!(gone, [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2), ("b", 2)]);
    let nobody = admission.next(now, |_| panic!("nobody waits, so nobody needs room"));
    assert_eq!(nobody, Next::Empty);
}

#[test]
fn a_refund_wakes_a_sleeper_at_once_and_a_debt_lets_it_sleep_longer() {
    let now = Instant::now();
    let mut admission = Admission::new(10);
    for n in 0..2 {
        admission.offer(now, &id("a"), tokens(600), n, 600).expect("room");
    }
    assert_eq!(item(admission.next(now, |_| true)), Some(0));
    assert_eq!(admission.next(now, |_| true), Next::WaitUntil(now + seconds(60)));
    admission.settle(now, "a", 1, 600, 900);
    assert_eq!(admission.next(now, |_| true), Next::WaitUntil(now + seconds(90)));
    admission.settle(now, "a", 1, 900, 0);
    assert_eq!(item(admission.next(now, |_| true)), Some(1));
}

#[test]
fn a_debt_takes_the_turn_away_from_one_who_waits_for_it() {
    let now = Instant::now();
    let mut admission = Admission::new(10);
    for n in 0..2 {
        admission.offer(now, &id("a"), tokens(600), n, 100).expect("room");
    }
    assert_eq!(item(admission.next(now, |_| true)), Some(0));
    admission.settle(now, "a", 1, 100, 700);
    assert_eq!(admission.next(now, |_| true), Next::WaitUntil(now + seconds(20)));
}

#[test]
fn changed_limits_take_effect_on_who_already_waits() {
    let now = Instant::now();
    let mut admission = Admission::new(10);
    for n in 0..4 {
        admission.offer(now, &id("a"), requests(0), n, 10).expect("a shut tenant may wait");
    }
    assert!(matches!(admission.next(now, |_| true), Next::WaitUntil(until) if until > now + seconds(3_600)));
    admission.set_limits(now, "a", requests(1));
    assert_eq!(item(admission.next(now, |_| true)), Some(0));
    assert_eq!(admission.next(now, |_| true), Next::WaitUntil(now + seconds(60)));
    admission.offer(now, &id("a"), requests(60), 4, 10).expect("room");
    assert_eq!(admission.next(now, |_| true), Next::WaitUntil(now + seconds(1)));
    admission.set_limits(now, "a", UNLIMITED);
    assert_eq!(item(admission.next(now, |_| true)), Some(1));
    admission.set_limits(now, "a", requests(0));
    assert_eq!(item(admission.next(now, |_| true)), None, "and it may lose its turn");
    admission.set_limits(now, "nobody", UNLIMITED);
    admission.assert_sound(now);
}

#[test]
fn what_is_taken_out_leaves_the_others_in_order_and_wakes_who_may_go_now() {
    let now = Instant::now();
    let mut admission = Admission::new(10);
    admission.offer(now, &id("a"), tokens(600), 0, 500).expect("room");
    assert_eq!(item(admission.next(now, |_| true)), Some(0));
    for (n, cost) in [(1, 400), (2, 100), (3, 10), (4, 10)] {
        admission.offer(now, &id("a"), tokens(600), n, cost).expect("room");
    }
    admission.offer(now, &id("b"), UNLIMITED, 5, 10).expect("room");
    assert_eq!(admission.remove_if(now, |n| n % 2 == 1), [1, 3, 5]);
    assert_eq!(admission.waiting(), 2);
    assert_eq!([item(admission.next(now, |_| true)), item(admission.next(now, |_| true))], [Some(2), None]);
    assert_eq!(item(admission.next(now + seconds(60), |_| true)), Some(4));
    admission.assert_sound(now + seconds(60));
}

#[test]
fn an_idle_tenant_is_forgotten_when_its_buckets_are_full_and_not_before() {
    let now = Instant::now();
    let mut admission = Admission::new(10);
    admission.offer(now, &id("a"), requests(2), 0, 10).expect("room");
    admission.offer(now, &id("b"), UNLIMITED, 1, 10).expect("room");
    while item(admission.next(now, |_| true)).is_some() {}
    let much_later = now + seconds(10_000);
    assert_eq!(
        (admission.next(much_later, |_| true), admission.tenants()),
        (Next::Empty, 2),
        "their calls are still running"
    );
    admission.settle(now, "a", 1, 10, 10);
    admission.settle(now, "b", 1, 10, 10);
    let almost_forgotten = now + REMEMBERED - Duration::from_nanos(1);
    assert_eq!((admission.next(almost_forgotten, |_| true), admission.tenants()), (Next::Empty, 2));
    assert_eq!((admission.next(now + REMEMBERED, |_| true), admission.tenants()), (Next::Empty, 1));
    let almost_full = now + seconds(30) - Duration::from_nanos(1);
    assert_eq!((admission.next(almost_full, |_| true), admission.tenants()), (Next::Empty, 1));
    assert_eq!((admission.next(now + seconds(30), |_| true), admission.tenants()), (Next::Empty, 0));
    admission.settle(now, "a", 1, 10, 10);
    admission.assert_sound(now);
}

#[test]
fn a_hundred_thousand_tenants_that_come_once_leave_no_trace() {
    let start = Instant::now();
    let mut admission = Admission::new(10);
    let mut most = 0;
    for n in 0..100_000u32 {
        let now = start + Duration::from_millis(10) * n;
        let tenant = id(&format!("tenant-{n}"));
        admission.offer(now, &tenant, requests(60), n, 10).expect("room");
        assert_eq!(item(admission.next(now, |_| true)), Some(n));
        admission.settle(now, &tenant, 1, 10, 10);
        most = most.max(admission.tenants());
    }
    assert!(most <= 1_001, "{most} tenants at once, ten seconds' worth are 1,000");
    assert!(admission.tenants.len() <= 1_001 && admission.levels(start).count() <= 1_001);
}

#[test]
fn levels_say_what_is_left() {
    let now = Instant::now();
    let mut admission = Admission::new(10);
    let limits = Limits { requests_per_minute: Some(10), tokens_per_minute: Some(1_000), ..UNLIMITED };
    for n in 0..3 {
        admission.offer(now, &id("a"), limits, n, 300).expect("room");
    }
    assert_eq!(item(admission.next(now, |_| true)), Some(0));
    let levels: Vec<_> = admission.levels(now).collect();
    let expected = Level { tenant: "a", waiting: 2, running: 1, requests: Some(9.0), tokens: Some(700.0) };
    assert_eq!(levels, [expected]);
}

#[derive(Debug, Clone)]
enum Step {
    Offer { tenant: u8, cost: u32, limits: Limits },
    Next { room: bool },
    Settle { choice: u8, used: u32 },
    Pass { millis: u64 },
    Remove { modulus: u32 },
}

fn any_limits() -> impl Strategy<Value = Limits> {
    let limit = |range| proptest::option::of(range);
    (limit(0u32..100), limit(0u32..10_000), 1u32..10).prop_map(|(requests_per_minute, tokens_per_minute, weight)| {
        Limits { requests_per_minute, tokens_per_minute, weight, ..UNLIMITED }
    })
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u8..6, 0u32..2_000, any_limits()).prop_map(|(tenant, cost, limits)| Step::Offer { tenant, cost, limits }),
        4 => proptest::bool::weighted(0.8).prop_map(|room| Step::Next { room }),
        3 => (any::<u8>(), 0u32..3_000).prop_map(|(choice, used)| Step::Settle { choice, used }),
        2 => prop_oneof![0u64..500, 0u64..100_000].prop_map(|millis| Step::Pass { millis }),
        1 => (2u32..5).prop_map(|modulus| Step::Remove { modulus }),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_every_item_leaves_once_and_every_tenant_stands_where_it_belongs(
        steps in proptest::collection::vec(any_step(), 1..300),
    ) {
        let mut now = Instant::now();
        let mut admission = Admission::new(4);
        let mut inside: Vec<VecDeque<u32>> = vec![VecDeque::new(); 6];
        let mut running: Vec<(Arc<str>, u32)> = Vec::new();
        let mut items = 0..;
        for step in steps {
            match step {
                Step::Offer { tenant, cost, limits } => {
                    let item = items.next().expect("endless");
                    let queue = &mut inside[usize::from(tenant)];
                    match admission.offer(now, &id(&tenant.to_string()), limits, item, cost) {
                        Ok(()) => queue.push_back(item),
                        Err(Full(back)) => prop_assert_eq!((back, queue.len()), (item, 4)),
                    }
                }
                Step::Next { room } => match admission.next(now, |_| room) {
                    Next::Go { item, tenant, reserved_tokens } => {
                        let queue = &mut inside[tenant.parse::<usize>().expect("a number")];
                        prop_assert_eq!(queue.pop_front(), Some(item));
                        running.push((tenant, reserved_tokens));
                    }
                    Next::WaitUntil(until) => {
                        prop_assert!(until > now && admission.waiting() > 0);
                        now = until;
                        prop_assert!(admission.turns.first().is_none());
                    }
                    Next::NoRoom => prop_assert!(!room && admission.turns.first().is_some()),
                    Next::Empty => prop_assert_eq!(admission.waiting(), 0),
                },
                Step::Settle { choice, used } => {
                    if !running.is_empty() {
                        let (tenant, reserved) = running.swap_remove(usize::from(choice) % running.len());
                        admission.settle(now, &tenant, 1, reserved, used);
                    }
                }
                Step::Pass { millis } => now += Duration::from_millis(millis),
                Step::Remove { modulus } => {
                    let mut removed = admission.remove_if(now, |item| item % modulus == 0);
                    let mut expected: Vec<u32> = inside.iter().flatten().copied().filter(|item| item % modulus == 0).collect();
                    inside.iter_mut().for_each(|queue| queue.retain(|item| item % modulus != 0));
                    removed.sort_unstable();
                    expected.sort_unstable();
                    prop_assert_eq!(removed, expected);
                }
            }
            admission.assert_sound(now);
            prop_assert_eq!(admission.waiting(), inside.iter().map(VecDeque::len).sum::<usize>());
        }
    }
}

#[test]
fn nothing_comes_back_that_was_not_taken() {
    let now = Instant::now();
    let limits = Limits { requests_per_minute: Some(3), tokens_per_minute: Some(300), ..UNLIMITED };
    for every in [None, Some(seconds(1))] {
        let mut admission = Admission::new(10);
        if let Some(every) = every {
            admission.share(every);
        }
        // Went before there were any limits.
        admission.offer(now, &id("a"), UNLIMITED, 0, 100).expect("there is room");
        assert_eq!(item(admission.next(now, |_| true)), Some(0));
        admission.set_limits(now, "a", limits);
        let before = admission.levels_of(now, "a", limits);
        for _ in 0..3 {
            admission.give_back(now, "a", 100);
            admission.give_back(now, "nobody", 100);
        }
        assert_eq!(admission.levels_of(now, "a", limits), before);
    }
    let mut admission = Admission::new(10);
    for n in 0..2 {
        admission.offer(now, &id("a"), limits, n, 100).expect("there is room");
        assert_eq!(item(admission.next(now, |_| true)), Some(n));
    }
    assert_eq!(admission.levels_of(now, "a", limits), (Some(1.0), Some(100.0)));
    admission.give_back(now, "a", 100);
    assert_eq!(admission.levels_of(now, "a", limits), (Some(2.0), Some(200.0)));
    admission.settle(now, "a", 1, 100, 0);
    admission.give_back(now, "a", 100);
    assert_eq!(admission.levels_of(now, "a", limits), (Some(2.0), Some(300.0)), "the call that was made counts");
}
