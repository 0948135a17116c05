//! What the drawn latencies allow at best. Pure.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::time::Duration;

/// Little's law: so many calls at once, each as long as the mean, are so many a second. `None`: calls take no time.
pub fn little(in_flight: usize, latencies: &[Duration]) -> Option<f64> {
    let mean = mean(latencies);
    (mean > 0.0).then(|| in_flight as f64 / mean)
}

/// In seconds; 0 of none.
pub fn mean(latencies: &[Duration]) -> f64 {
    let sum: f64 = latencies.iter().map(Duration::as_secs_f64).sum();
    if latencies.is_empty() { 0.0 } else { sum / latencies.len() as f64 }
}

/// Which of several ready tickets a perfect scheduler takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foresight {
    /// The one whose event came first: nobody knows beforehand how long a call will take.
    None,
    /// The one with the most work left: it knows every draw. No schedule is noticeably shorter.
    Full,
}

/// How long a scheduler without any cost of its own needs: one call at a time per ticket, in the ticket's order, at most
/// `in_flight` in all, and never an idle place while a ticket is ready.
pub fn makespan(events: &[(u64, Duration)], in_flight: usize, foresight: Foresight) -> Duration {
    let mut tickets: BTreeMap<u64, VecDeque<usize>> = BTreeMap::new();
    // What each event and those behind it on its ticket take, for who knows it.
    let mut left = vec![Reverse(Duration::ZERO); events.len()];
    let mut behind: BTreeMap<u64, Duration> = BTreeMap::new();
    for (event, (ticket, latency)) in events.iter().enumerate().rev() {
        tickets.entry(*ticket).or_default().push_front(event);
        let sum = behind.entry(*ticket).or_default();
        *sum += *latency;
        if foresight == Foresight::Full {
            left[event] = Reverse(*sum);
        }
    }
    let heads = tickets.values_mut().filter_map(VecDeque::pop_front);
    let mut ready: BTreeSet<(Reverse<Duration>, usize)> = heads.map(|event| (left[event], event)).collect();
    let mut running: BinaryHeap<Reverse<(Duration, u64)>> = BinaryHeap::new();
    let mut now = Duration::ZERO;
    loop {
        while running.len() < in_flight
            && let Some((_, event)) = ready.pop_first()
        {
            let (ticket, latency) = events[event];
            running.push(Reverse((now + latency, ticket)));
        }
        let Some(Reverse((ended, ticket))) = running.pop() else { return now };
        now = ended;
        ready.extend(tickets.get_mut(&ticket).and_then(VecDeque::pop_front).map(|event| (left[event], event)));
    }
}

/// Events a second between the tenth and the ninetieth percent of the ends, in the order of time: the ramp-up and the
/// tail, when fewer tickets are left than calls may run, are outside. `ends` are milliseconds; `None`: too few, or all
/// at once.
pub fn steady_rate(ends: &[i64]) -> Option<f64> {
    let mut ends = ends.to_vec();
    ends.sort_unstable();
    let (from, to) = (ends.len() / 10, ends.len() * 9 / 10);
    let (first, last) = (*ends.get(from)?, *ends.get(to)?);
    // Many end in one burst, so count whole bursts: those after the first one's time, up to the last one's.
    let ended = ends.iter().filter(|end| **end > first && **end <= last).count();
    (last > first).then(|| ended as f64 * 1_000.0 / (last - first) as f64)
}

/// The value that `share` of all do not exceed.
pub fn percentile(values: &[f64], share: f64) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_unstable_by(f64::total_cmp);
    let rank = (share * values.len() as f64).ceil().max(1.0) as usize;
    values.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn makespan(events: &[(u64, Duration)], in_flight: usize) -> Duration {
        super::makespan(events, in_flight, Foresight::None)
    }

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn calls_without_end_of_half_a_second_are_two_a_second_for_each_place() {
        assert_eq!(little(1, &[]), None);
        assert_eq!(little(64, &[ms(0), ms(0)]), None);
        assert_eq!(little(1, &[ms(500)]), Some(2.0));
        assert_eq!(little(64, &[ms(250), ms(750)]), Some(128.0));
    }

    #[test]
    fn nothing_takes_no_time_and_one_call_its_own() {
        assert_eq!(makespan(&[], 4), ms(0));
        assert_eq!(makespan(&[(1, ms(30))], 4), ms(30));
    }

    #[test]
    fn a_ticket_has_one_call_at_a_time_however_many_places_there_are() {
        assert_eq!(makespan(&[(1, ms(10)), (1, ms(20)), (1, ms(30))], 8), ms(60));
    }

    #[test]
    fn tickets_share_the_places_and_no_place_is_idle_while_one_is_ready() {
        let events = [(1, ms(10)), (2, ms(10)), (3, ms(10)), (4, ms(10)), (5, ms(10))];
        assert_eq!(makespan(&events, 2), ms(30));
        // The slow one holds up its own ticket only: 1 | 2 3 4 beside it, then its second event.
        let events = [(1, ms(40)), (1, ms(5)), (2, ms(10)), (3, ms(10)), (4, ms(10))];
        assert_eq!(makespan(&events, 2), ms(45));
    }

    #[test]
    fn of_two_ready_tickets_the_one_whose_event_came_first_goes_first() {
        // One place: order does not matter. Two places: 1 and 2 run, at 10 the second event of 1 goes before ticket 3.
        let events = [(1, ms(10)), (2, ms(50)), (1, ms(40)), (3, ms(20))];
        assert_eq!(makespan(&events, 1), ms(120));
        assert_eq!(makespan(&events, 2), ms(70));
    }

    #[test]
    fn who_knows_all_draws_begins_with_the_longest_chain() {
        // Two places: the chain of ticket 3 takes 40 and comes last in order.
        let events = [(1, ms(20)), (2, ms(20)), (3, ms(20)), (3, ms(20))];
        assert_eq!(super::makespan(&events, 2, Foresight::None), ms(60));
        assert_eq!(super::makespan(&events, 2, Foresight::Full), ms(40));
    }

    #[test]
    fn the_steady_rate_leaves_ramp_up_and_tail_out() {
        assert_eq!(steady_rate(&[]), None);
        assert_eq!(steady_rate(&[5; 50]), None);
        // One every 10 ms, but the first took five seconds to come and the last one ten.
        let mut ends: Vec<i64> = (1..=100).map(|n| 5_000 + n * 10).collect();
        ends[99] += 10_000;
        assert_eq!(steady_rate(&ends), Some(100.0));
    }

    #[test]
    fn the_steady_rate_of_bursts_counts_whole_bursts() {
        // Ten bursts of ten, 50 ms apart: 200 a second.
        let ends: Vec<i64> = (0..100).map(|n| n / 10 * 50).collect();
        assert_eq!(steady_rate(&ends), Some(200.0));
    }

    #[test]
    fn a_percentile_is_a_value_that_occurred() {
        assert_eq!(percentile(&[], 0.5), None);
        assert_eq!(percentile(&[3.0, 1.0, 2.0], 0.5), Some(2.0));
        assert_eq!(percentile(&[3.0, 1.0, 2.0], 0.99), Some(3.0));
        assert_eq!(percentile(&[7.0], 0.0), Some(7.0));
    }
}
