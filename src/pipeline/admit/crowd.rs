//! Who has more waiting than its part, for a busy model or for its own limits, and how fast it goes.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Admission, Tenant};

impl<T> Admission<T> {
    /// The tenant with the most waiting for a model, if that is twice its part or more. A newcomer has a part, too.
    #[must_use]
    pub fn crowder(&self) -> Option<Arc<str>> {
        let at_the_model =
            |(number, state): &(usize, &Tenant<T>)| !state.queue.is_empty() && !self.asleep.contains(*number);
        let tenants = self.tenants.iter().enumerate().filter_map(|(number, state)| Some((number, state.as_deref()?)));
        let waiting: Vec<_> = tenants.filter(at_the_model).map(|(_, state)| (state.queue.len(), &state.id)).collect();
        let all: usize = waiting.iter().map(|(waits, _)| waits).sum();
        let (most, crowder) = waiting.iter().max_by_key(|(waits, _)| *waits)?;
        ((waiting.len() + 1) * most >= 2 * all).then(|| Arc::clone(crowder))
    }

    /// Whether this tenant has its part of so many waiting for their limits: all tenants over theirs have the same.
    #[must_use]
    pub fn fills_its_part(&self, tenant: &str, of: usize) -> bool {
        self.waiting_of(tenant) >= of / self.asleep.len().max(1)
    }

    /// How many wait for their tenants' limits.
    #[must_use]
    pub fn over_limits(&self) -> usize {
        let asleep = self.asleep.ids().filter_map(|number| self.tenants.get(number)?.as_ref());
        asleep.map(|state| state.queue.len()).sum()
    }

    /// How many calls of this tenant end while it has something waiting, a second; none while too little is known.
    #[must_use]
    pub fn served_per_second(&self, now: Instant, tenant: &str) -> Option<f64> {
        self.state_of(tenant)?.served.per_second(now)
    }

    /// What waits of this tenant, but for so many that come first.
    pub fn waiting_behind(&self, tenant: &str, so_many: usize) -> impl Iterator<Item = &T> {
        let queue = self.state_of(tenant).map(|state| state.queue.iter().skip(so_many));
        queue.into_iter().flatten().map(|waiting| &waiting.item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::tenant::Limits;
    use crate::pipeline::admit::Next;

    #[test]
    fn who_has_a_good_deal_more_waiting_than_its_part_crowds() {
        let now = Instant::now();
        let crowder = |waiting: &[(&str, usize)]| {
            let mut admission = Admission::new(1_000);
            for (tenant, count) in waiting {
                for n in 0..*count {
                    admission.offer(now, &Arc::from(*tenant), Limits::NONE, n, 1).expect("there is room");
                }
            }
            admission.crowder()
        };
        assert_eq!(crowder(&[]), None);
        assert_eq!(crowder(&[("loud", 10)]), Some(Arc::from("loud")), "somebody might come");
        assert_eq!(crowder(&[("quiet", 1), ("loud", 10)]), Some(Arc::from("loud")));
        assert_eq!(crowder(&[("a", 11), ("b", 10)]), None, "they share");
        assert_eq!(crowder(&[("a", 10), ("b", 12), ("c", 10), ("d", 9)]), None, "about evenly");
        let mut admission = Admission::new(1_000);
        let limits = Limits { requests_per_minute: Some(1), ..Limits::NONE };
        (0..10).for_each(|n| {
            admission.offer(now, &Arc::from("loud"), limits, n, 1).expect("there is room");
        });
        assert!(matches!(admission.next(now, |_| true), Next::Go { .. }));
        assert_eq!(admission.crowder(), None, "it waits for its own limits, not for a model");
        assert_eq!(admission.waiting_behind("loud", 6).copied().collect::<Vec<_>>(), [7, 8, 9]);
    }

    #[test]
    fn tenants_over_their_limits_have_the_same_part_of_what_may_wait() {
        let now = Instant::now();
        let requests = |per_minute| Limits { requests_per_minute: Some(per_minute), ..Limits::NONE };
        let mut admission = Admission::new(100);
        let mut offer = |tenant: &str, limits, n: u32| {
            for n in 0..n {
                admission.offer(now, &Arc::from(tenant), limits, n, 10).expect("room");
            }
            while matches!(admission.next(now, |_| true), Next::Go { .. }) {}
            let full = ["a", "b", "c"].map(|tenant| admission.fills_its_part(tenant, 8));
            (full, admission.over_limits())
        };
        assert_eq!(offer("c", Limits::NONE, 20), ([false; 3], 0), "who has no limit is over none");
        assert_eq!(offer("a", requests(60), 67), ([false; 3], 7));
        assert_eq!(offer("a", requests(60), 1), ([true, false, false], 8));
        assert_eq!(offer("b", requests(60), 63), ([true, false, false], 11), "two have four each");
        assert_eq!(offer("b", requests(60), 1), ([true, true, false], 12));
    }

    #[test]
    fn what_came_to_no_call_is_no_pace() {
        let begun = Instant::now();
        let mut admission = Admission::new(100);
        let loud: Arc<str> = Arc::from("loud");
        (0..9).for_each(|n| admission.offer(begun, &loud, Limits::NONE, n, 10).expect("room"));
        let now = begun + std::time::Duration::from_secs(2);
        for _ in 0..4 {
            assert!(matches!(admission.next(now, |_| true), Next::Go { .. }));
            admission.give_back(now, "loud", 10);
        }
        assert_eq!(admission.served_per_second(now, "loud"), None);
        assert!(matches!(admission.next(now, |_| true), Next::Go { .. }));
        admission.settle(now, "loud", 1, 10, 10);
        assert!(admission.served_per_second(now, "loud").is_some());
    }
}
