//! Tickets about which nobody is asked who costs anything: they wait for no limit and for no room at a model.
//!
//! ```text
//! ask ----> at home ----> the local model ---> sure, or no remote model may be asked: an answer
//!   |          ^                   `---------> in doubt -> ask again, now for the chain
//!   `-> admission --> its turn --> the flag is off meanwhile: at home after all
//! ```
//!
//! Which way a ticket goes is asked again when its turn has come, in both lines: flags may have changed, and a newer event
//! of the ticket may be the one to decide. What runs here is over within milliseconds and bounded by the road; it takes
//! none of the places of calls, or tickets that need none would wait for those that do.

use tokio::time::Instant;

use super::Road;
use super::item::{EventItem, ItemId, Plan};
use crate::domain::answer::FirstLook;
use crate::domain::flags::Flags;
use crate::domain::identity::DedupeKey;
use crate::pipeline::lane::TicketKey;
use crate::pipeline::triage::guard::{Job, Way};

impl Road {
    /// Flags and way of an event, as of now.
    pub(super) fn way_of(&self, event: &EventItem) -> (Flags, Way) {
        let guard = &self.fixtures.guard;
        let flags = guard.flags_of(&event.event);
        if event.improves.is_some() {
            return (flags, Way::FirstOnly);
        }
        let way = event.tenant.as_ref().map(|tenant| guard.way(tenant, &flags, event.first_look.clone()));
        (flags, way.unwrap_or(Way::Chain(None)))
    }

    /// Whether this event waits at home from now on.
    pub(super) fn stays_at_home(&mut self, ticket: &TicketKey, id: ItemId) -> bool {
        let event = self.items.get(&id).and_then(|item| item.event());
        let stays = event.is_some_and(|event| !self.way_of(event).1.is_paid());
        if stays {
            self.at_home.push_back(ticket.clone());
        }
        stays
    }

    /// The next one at home.
    pub(super) fn next_at_home(&mut self, now: Instant) -> Option<Job> {
        while let Some(ticket) = self.at_home.pop_front() {
            let job = self.start_call(&ticket, None, now);
            if job.is_some() {
                return job;
            }
        }
        None
    }

    /// The local model has looked, and a remote one is to be asked.
    pub(super) fn in_doubt(&mut self, key: DedupeKey, look: FirstLook, now: Instant) {
        let Some(id) = self.calls.remove(&key).and_then(|call| call.item) else { return };
        let Some(event) = self.items.get_mut(&id).and_then(|item| item.event_mut()) else { return };
        event.first_look = Some(look);
        let ticket = event.ticket.clone();
        self.ask_again(&ticket, id, now);
    }

    /// What was put off instead leaves its lane to the next.
    pub(super) fn ask_again(&mut self, ticket: &TicketKey, id: ItemId, now: Instant) {
        let wants = self.items.get(&id).is_some_and(|item| matches!(item.plan, Plan::Ask));
        if wants && !self.ask(ticket, id, now) {
            self.work(ticket, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::flags::{Flag, Share};
    use crate::domain::position::Partition;
    use crate::domain::tenant::{Limits, Tenant};
    use crate::pipeline::log::Happening;
    use crate::pipeline::road::testing::{EVENTS, TestRoad};
    use crate::pipeline::triage::guard::{Bill, Guard, Triaged};
    use crate::pipeline::triage::model::Model;
    use crate::pipeline::triage::prompt::Prompts;
    use crate::pipeline::triage::testing::{Scripted, Switches, card, settings, tenant};
    use crate::settings::triage::{LocalFirst, Triage};

    /// Three tickets of a tenant that may ask once a minute, on a road with one place for calls.
    fn three_tickets() -> (TestRoad, Arc<Switches>) {
        let limits = Limits { requests_per_minute: Some(1), ..Limits::default() };
        let tenant = Tenant { limits, calibrated_fields: vec!["category".to_owned()], ..tenant() };
        let mut test = TestRoad::of(tenant, card("gpt", true), &["pipeline.max_in_flight=1"]);
        let switches = Arc::<Switches>::default();
        let models =
            [card("gpt", true), card("local", false)].map(|card| Arc::new(Scripted::new(card, [])) as Arc<dyn Model>);
        let triage = Triage { local_first: LocalFirst { enabled: true, threshold: 0.95 }, ..settings() };
        let prompts = Arc::new(Prompts::load(None, 4_000).expect("the shipped prompts"));
        let guard = Guard::new(models.into(), &triage, prompts, test.road.fixtures.clock.clone(), 1, Arc::new(|_| {}));
        test.road.fixtures.guard = Arc::new(guard.under(switches.clone()));
        test.road.fixtures.defers = false;
        test.owns(EVENTS);
        (test, switches)
    }

    fn jobs(test: &mut TestRoad) -> Vec<Job> {
        std::iter::from_fn(|| test.road.next_job(Instant::now())).collect()
    }

    fn doubt() -> FirstLook {
        FirstLook { model: "local".to_owned(), confidence: Some(0.5), threshold: 0.95 }
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_of_the_local_model_waits_for_nothing_and_in_doubt_a_ticket_waits_like_any_other() {
        let (mut test, _) = three_tickets();
        test.read_tickets(0..3);
        let looks = jobs(&mut test);
        assert_eq!(
            looks.iter().filter(|job| job.way == Way::LookFirst).count(),
            3,
            "neither limit nor place holds them"
        );
        assert_eq!((test.road.asking, test.road.admission.waiting()), (0, 0));
        for look in looks {
            test.road.triaged(look.key, Triaged::InDoubt(doubt()), Instant::now());
        }
        let asked = jobs(&mut test);
        assert_eq!(asked.iter().map(|job| job.way.clone()).collect::<Vec<_>>(), [Way::Chain(Some(doubt()))]);
        assert_eq!((test.road.asking, test.road.admission.waiting()), (1, 2), "one a minute");
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_for_its_turn_when_remote_models_are_switched_off_needs_none() {
        let (mut test, switches) = three_tickets();
        switches.set(Flag::LocalFirst, Share::OFF);
        test.read_tickets(0..3);
        let first = jobs(&mut test);
        assert_eq!((first.len(), test.road.admission.waiting()), (1, 2));
        assert_eq!(first[0].way, Way::Chain(None));
        switches.set(Flag::RemoteModels, Share::OFF);
        test.read_tickets(3..4);
        assert_eq!(jobs(&mut test)[0].way, Way::WithoutRemote, "a new one waits for nothing");
        test.road.triaged(first[0].key, Triaged::Gone(Bill::default()), Instant::now());
        let turned = jobs(&mut test);
        let ways: Vec<_> = turned.iter().map(|job| job.way.clone()).collect();
        assert_eq!(ways, [Way::WithoutRemote, Way::WithoutRemote], "the first made no call, and so do they");
        assert_eq!(test.road.asking, 0, "and its tenant's place is free again");
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_at_home_leaves_with_its_partition_and_a_late_doubt_is_nobodys() {
        let (mut test, _) = three_tickets();
        test.read_tickets(0..2);
        let running = test.road.next_job(Instant::now()).expect("the first one");
        let partitions: Vec<Partition> = vec![EVENTS];
        test.road.happened(Happening::Lost { partitions }, Instant::now());
        assert!(test.road.at_home.is_empty() && jobs(&mut test).is_empty());
        test.road.triaged(running.key, Triaged::InDoubt(doubt()), Instant::now());
        assert!(jobs(&mut test).is_empty() && test.road.calls.is_empty());
    }
}
