//! Limits that are only watched, and the day on which they bite.

use super::tests::{id, item, requests, seconds};
use super::*;
use crate::domain::clock::Timestamp;

#[test]
fn limits_in_shadow_mode_let_everything_go_and_still_count() {
    let (mut admission, now, acme) = (Admission::new(10), Instant::now(), Arc::from("acme"));
    let shadow = Limits { mode: LimitMode::Shadow, ..requests(2) };
    for item in 0..5 {
        admission.offer(now, &acme, shadow, item, 1).expect("there is room");
        assert!(matches!(admission.next(now, |_| true), Next::Go { .. }), "{item}");
    }
    assert_eq!(admission.wait_of(now, "acme", shadow, 1), Duration::from_secs(4 * 30));
    admission.set_limits(now, "acme", requests(2));
    admission.offer(now, &acme, requests(2), 5, 1).expect("there is room");
    assert!(matches!(admission.next(now, |_| true), Next::WaitUntil(_)), "from now on they bite");
}

#[test]
fn a_limit_that_was_only_watched_begins_to_bite_with_an_empty_bucket_at_worst() {
    let start = Instant::now();
    let (acme, watched, lease) = (id("a"), Limits { mode: LimitMode::Shadow, ..requests(60) }, seconds(5));
    // On its own, by trips, and with a trip under way at the moment of the change.
    for (every, is_under_way) in [(None, false), (Some(seconds(1)), false), (Some(seconds(1)), true)] {
        let (mut admission, mut account) = (Admission::new(10), shares::account::Account::default());
        if let Some(every) = every {
            admission.share(every);
        }
        let trip = |admission: &mut Admission<u32>, account: &mut shares::account::Account, at: Duration| {
            for ask in admission.trip(start + at) {
                let clock = Timestamp(i64::try_from(at.as_millis()).expect("some minutes"));
                let reply = account.trip(clock, "gk-1", &ask, lease);
                admission.trip_answered(start + at, &ask.tenant, reply);
            }
        };
        let step = Duration::from_millis(100);
        let mut at = Duration::ZERO;
        for n in 0..1_000 {
            at += step;
            trip(&mut admission, &mut account, at);
            admission.offer(start + at, &acme, watched, n, 10).expect("room");
            assert_eq!(item(admission.next(start + at, |_| true)), Some(n), "nothing waits");
            admission.settle(start + at, &acme, 1, 10, 10);
        }
        let asks = if is_under_way { admission.trip(start + at + seconds(1)) } else { Vec::new() };
        at += if is_under_way { seconds(1) } else { Duration::ZERO };
        admission.set_limits(start + at, &acme, requests(60));
        for ask in asks {
            let clock = Timestamp(i64::try_from(at.as_millis()).expect("some minutes"));
            let reply = account.trip(clock, "gk-1", &ask, lease);
            admission.trip_answered(start + at, &ask.tenant, reply);
        }
        admission.offer(start + at, &acme, requests(60), 1_000, 10).expect("room");
        let enforced_at = at;
        while item(admission.next(start + at, |_| true)).is_none() {
            at += step;
            trip(&mut admission, &mut account, at);
            assert!(at - enforced_at <= seconds(3), "shared: {every:?}, a trip under way: {is_under_way}");
        }
        assert_eq!(item(admission.next(start + at, |_| true)), None, "one came, and no more");
        let (left, _) = admission.levels_of(start + at, &acme, requests(60));
        assert!(left.is_some_and(|left| left < 3.0), "nothing is given for it: {left:?}");
    }
}
