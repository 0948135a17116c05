//! The limit, on time that is made up.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const RANGE: Range = Range { min: 1, initial: 32, max: 256 };

/// What became of a simulated call.
type Verdict = fn(running: u32) -> Ended;

/// Others always wait, for so many round trips of as long as a call takes, or a second; `answer` sees how many run. How often it
/// was cut, and the limit after each round.
fn rounds(limit: &mut Concurrency, now: &mut Instant, rounds: u32, answer: Verdict) -> (u32, Vec<u32>) {
    let (mut cuts, mut limits) = (0, Vec::new());
    for _ in 0..rounds {
        let (running, epoch) = (limit.limit(), limit.epoch());
        *now += if let Ended::Answered(latency) = answer(running) { latency } else { SECOND };
        for _ in 0..running {
            cuts += u32::from(limit.ended(*now, epoch, answer(running), true).is_some());
        }
        limits.push(limit.limit());
    }
    (cuts, limits)
}

const WELL: Verdict = |_| Ended::Answered(SECOND);

#[test]
fn it_grows_by_half_each_round_trip_until_the_first_cut_and_stops_at_its_most() {
    let (mut limit, mut now) = (Concurrency::new(RANGE), Instant::now());
    let (cuts, limits) = rounds(&mut limit, &mut now, 7, WELL);
    assert_eq!((cuts, limits), (0, vec![48, 72, 108, 162, 243, 256, 256]));
}

#[test]
fn a_round_of_429s_cuts_it_once() {
    let (mut limit, mut now) = (Concurrency::new(Range { initial: 100, ..RANGE }), Instant::now());
    let (cuts, limits) = rounds(&mut limit, &mut now, 2, |_| Ended::RateLimited);
    assert_eq!((cuts, limits), (2, vec![80, 64]));
    let (cuts, limits) = rounds(&mut limit, &mut now, 40, |_| Ended::RateLimited);
    assert_eq!(limits.last(), Some(&1));
    assert!(cuts < 40, "a limit that cannot fall is not cut");
}

#[test]
fn after_a_storm_it_is_back_within_a_minute() {
    let (mut limit, mut now) = (Concurrency::new(Range { initial: 256, ..RANGE }), Instant::now());
    rounds(&mut limit, &mut now, 60, |_| Ended::RateLimited);
    assert_eq!(limit.limit(), 1);
    let (_, limits) = rounds(&mut limit, &mut now, 60, WELL);
    assert!(limits[59] >= 231, "{limits:?}");
    assert!(limits[8] <= 10, "warily at first: {limits:?}");
}

#[test]
fn it_settles_just_below_what_the_provider_takes() {
    let (mut limit, mut now) = (Concurrency::new(RANGE), Instant::now());
    let takes_100: Verdict = |running| if running > 100 { Ended::RateLimited } else { Ended::Answered(SECOND) };
    rounds(&mut limit, &mut now, 20, takes_100);
    let (cuts, limits) = rounds(&mut limit, &mut now, 200, takes_100);
    assert!(limits.iter().all(|limit| (80..=110).contains(limit)), "{limits:?}");
    assert!((1..=20).contains(&cuts), "{cuts} cuts in 200 round trips");
}

#[test]
fn calls_that_do_not_end_cut_it_but_one_does_not() {
    let now = Instant::now();
    let mut limit = Concurrency::new(Range { initial: 100, ..RANGE });
    for _ in 0..FEWEST / 10 - 1 {
        assert_eq!(limit.ended(now, 0, Ended::TimedOut, false), None);
    }
    for _ in 0..FEWEST - 1 {
        assert_eq!(limit.ended(now, 0, Ended::Answered(SECOND), false), None);
    }
    assert_eq!(limit.ended(now, 0, Ended::TimedOut, false), None, "ten of a hundred and nine are not many");
    assert_eq!(limit.limit(), 100);
    let mut limit = Concurrency::new(Range { initial: 100, ..RANGE });
    let ends: Vec<_> = (0..100).map(|_| limit.ended(now, 0, Ended::TimedOut, true)).collect();
    assert_eq!(ends.iter().flatten().collect::<Vec<_>>(), [&Cut::TimedOut]);
    assert_eq!(limit.limit(), 80);
}

#[test]
fn what_is_remembered_of_calls_is_bounded_where_their_number_is_not() {
    let mut limit = Concurrency::new(Range::default());
    for _ in 0..5 * MOST {
        limit.ended(Instant::now(), 0, Ended::Answered(SECOND), false);
        assert!(limit.window.len() < MOST);
    }
}

#[test]
fn a_provider_that_queues_our_calls_cuts_it() {
    let (mut limit, mut now) = (Concurrency::new(RANGE), Instant::now());
    // Forty at once take a second, more wait for each other.
    let queues: Verdict = |running| Ended::Answered(SECOND * running.max(40) / 40);
    rounds(&mut limit, &mut now, 20, queues);
    let (cuts, limits) = rounds(&mut limit, &mut now, 1_000, queues);
    assert!(cuts > 0 && limits.iter().all(|limit| (50..150).contains(limit)), "{limits:?}");
}

#[test]
fn where_asking_less_does_not_help_it_is_given_up() {
    let (mut limit, mut now) = (Concurrency::new(RANGE), Instant::now());
    rounds(&mut limit, &mut now, 10, WELL);
    let slower: Verdict = |_| Ended::Answered(SECOND * 3);
    let (cuts, _) = rounds(&mut limit, &mut now, 20, slower);
    assert!((1..=3).contains(&cuts), "{cuts} cuts that helped nobody");
    let (_, limits) = rounds(&mut limit, &mut now, 20, slower);
    assert_eq!(limits.last(), Some(&256));
}

#[test]
fn a_long_tail_is_no_reason_to_slow_down() {
    let (mut limit, mut now) = (Concurrency::new(Range { initial: 256, ..RANGE }), Instant::now());
    for _ in 0..100 {
        now += SECOND;
        for call in 0..256 {
            let latency = if call % 20 == 0 { SECOND * 40 } else { Duration::from_millis(20) };
            assert_eq!(limit.ended(now, 0, Ended::Answered(latency), true), None);
        }
    }
    assert_eq!(limit.limit(), 256);
}

#[test]
fn while_nobody_has_to_wait_it_does_not_grow() {
    let (mut limit, now) = (Concurrency::new(RANGE), Instant::now());
    for _ in 0..1_000 {
        limit.ended(now, 0, Ended::Answered(SECOND), false);
    }
    assert_eq!(limit.limit(), 32);
    limit.ended(now, 0, Ended::Answered(SECOND), true);
    limit.ended(now, 0, Ended::Answered(SECOND), true);
    assert_eq!(limit.limit(), 33);
}

#[test]
fn left_alone_it_starts_again_from_its_least() {
    let (mut limit, mut now) = (Concurrency::new(Range { initial: 256, ..RANGE }), Instant::now());
    limit.collapse(now);
    assert_eq!((limit.limit(), limit.ended(now, 0, Ended::RateLimited, true)), (1, None), "older calls are not heard");
    now += SECOND * 60;
    let (_, limits) = rounds(&mut limit, &mut now, 60, WELL);
    assert_eq!(limits[59], 256);
}

proptest! {
    #[test]
    fn it_stays_within_its_bounds_and_moves_by_little(
        (min, span, start) in (0u32..50, 0u32..300, 0u32..400),
        ends in proptest::collection::vec((0u8..12, 0u64..5_000, any::<bool>(), 0usize..40), 1..600),
    ) {
        let range = Range { min, initial: start, max: min + span };
        let (mut limit, mut now) = (Concurrency::new(range), Instant::now());
        let mut epochs = VecDeque::from([0]);
        for (how, millis, held_back, age) in ends {
            now += Duration::from_millis(millis / 10);
            let before = limit.limit();
            // Some calls are older than the last cut.
            let epoch = epochs[age.min(epochs.len() - 1)];
            let how = match how {
                0 => Ended::RateLimited,
                1 => Ended::TimedOut,
                _ => Ended::Answered(Duration::from_millis(millis)),
            };
            let current = epoch == limit.epoch();
            let cut = limit.ended(now, epoch, how, held_back);
            let after = limit.limit();
            prop_assert!(after >= range.min.max(1) && after <= range.max.max(range.min.max(1)));
            prop_assert!(current || (cut.is_none() && after == before), "an old call was heard");
            prop_assert_eq!(cut.is_some(), after < before);
            prop_assert!(f64::from(after) >= (f64::from(before) * CUT).floor());
            prop_assert!(after <= before + 1);
            prop_assert!(after <= before || (held_back && matches!(how, Ended::Answered(_))), "it grew without need");
            if epochs.front() != Some(&limit.epoch()) {
                epochs.push_front(limit.epoch());
            }
        }
    }
}
