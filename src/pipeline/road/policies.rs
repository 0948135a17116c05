//! Tenants' policies change while events are on the road: which one counts for what.
//!
//! An event keeps the policy under which it was read: one question is asked, and its answer judged, under one policy. An
//! answer that was saved before a restart or in another instance is judged under the version it names, as long as that is
//! remembered; so the versions in a decision are those that made it. Limits are no part of what is decided: those of now
//! count, for events that wait too.

use std::sync::Arc;

use tokio::time::Instant;

use super::Road;
use crate::domain::tenant::{Limits, Tenant};

impl Road {
    /// Other tenants, or other limits, from now on: what waits for its tenant's limits waits for these.
    pub fn tenants_changed(&mut self, now: Instant) {
        let book = self.fixtures.ingest.tenants().borrow().clone();
        let waiting: Vec<String> = self.admission.levels(now).map(|level| level.tenant.to_owned()).collect();
        for id in waiting {
            // What waits of a tenant that is gone goes as it would have gone.
            if let Some(tenant) = book.find(&id) {
                self.admission.set_limits(now, &id, self.limits_that_count(tenant.limits));
            }
        }
        self.tell_levels();
    }

    /// What this tenant may ask now; `read_under`: what its event was read under.
    pub(super) fn limits_now(&self, tenant_id: &str, read_under: &Tenant) -> Limits {
        let book = self.fixtures.ingest.tenants().borrow();
        self.limits_that_count(book.find(tenant_id).map_or(read_under.limits, |tenant| tenant.limits))
    }

    /// A model in this process is asked as often as there is work.
    fn limits_that_count(&self, limits: Limits) -> Limits {
        if self.fixtures.guard.first_is_remote() {
            limits.in_force()
        } else {
            Limits { weight: limits.weight, ..Limits::NONE }
        }
    }

    /// The policy of this version, which an answer names; if nobody remembers it, the one that the event was read under.
    pub(super) fn asked_under(&self, read_under: &Arc<Tenant>, version: &str) -> Arc<Tenant> {
        if read_under.version == version {
            return read_under.clone();
        }
        let book = self.fixtures.ingest.tenants().borrow();
        book.of_version(&read_under.id, version).unwrap_or(read_under).clone()
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;

    use super::*;
    use crate::domain::tenant::TenantBook;
    use crate::pipeline::ingest::Ingest;
    use crate::pipeline::road::testing::{EVENTS, TestRoad};
    use crate::pipeline::triage::testing::tenant;

    /// A road over a book of tenants that the test changes.
    fn road_over(book: TenantBook) -> (TestRoad, watch::Sender<Arc<TenantBook>>) {
        let (sender, receiver) = watch::channel(Arc::new(book));
        let mut test = TestRoad::new(&[]);
        test.road.fixtures.defers = false;
        test.road.fixtures.ingest = Ingest::new(test.schemas(), receiver, 1 << 20, false);
        test.owns(EVENTS);
        (test, sender)
    }

    fn of(version: &str, requests_per_minute: Option<u32>) -> Tenant {
        let limits = Limits { requests_per_minute, ..Limits::default() };
        Tenant { version: version.to_owned(), limits, ..tenant() }
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_for_its_tenants_limits_goes_as_soon_as_they_are_raised() {
        let (mut test, book) = road_over(TenantBook::new(vec![of("1", Some(1))], None));
        test.read_tickets(0..3);
        let now = Instant::now();
        assert!(test.road.next_job(now).is_some() && test.road.next_job(now).is_none(), "one a minute");
        book.send_replace(Arc::new(TenantBook::new(vec![of("1", None)], None)));
        test.road.tenants_changed(now);
        assert!(test.road.next_job(now).is_some() && test.road.next_job(now).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_read_before_limits_were_set_is_held_to_them_when_it_asks() {
        let (test, book) = road_over(TenantBook::new(vec![of("1", None)], None));
        let before = of("1", None);
        book.send_replace(Arc::new(TenantBook::new(vec![of("2", Some(7))], None)));
        assert_eq!(test.road.limits_now("acme", &before).requests_per_minute, Some(7));
        book.send_replace(Arc::new(TenantBook::new(Vec::<Tenant>::new(), None)));
        assert_eq!(test.road.limits_now("acme", &before), before.limits, "a tenant that is gone");
    }

    #[tokio::test(start_paused = true)]
    async fn a_saved_answer_is_judged_under_the_version_it_names() {
        let former = [Arc::new(of("1", None)), Arc::new(of("2", None))];
        let book = TenantBook::new(vec![of("3", None)], None).remembering(former);
        let (test, _book) = road_over(book);
        let read_under = Arc::new(of("3", None));
        for (named, judged) in [("1", "1"), ("2", "2"), ("3", "3"), ("0", "3")] {
            assert_eq!(test.road.asked_under(&read_under, named).version, judged);
        }
    }
}
