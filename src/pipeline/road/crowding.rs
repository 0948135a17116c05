//! A tenant that fills the road with events for a model that is busy makes room for the others.
//!
//! What waits for a model's room waits on the road, and a full road is not read onto: one tenant that sends far more than the
//! model takes would keep back what everybody else sent after it. So when the road is full, the youngest of the tenant with the
//! most waiting go to a delay tier, for about as long as the model has work without them, as far as its pace tells. The oldest
//! stay: as much as keeps the model busy until more is read. When the model could do with more all the same, they come back
//! before their time; when the road is full again then, they are among those that may go. Where nobody else is known to send
//! anything, or where tenants share the road evenly, nothing goes: reading stops, and the log keeps it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Road;
use super::deferral::Why;
use super::item::{Item, ItemId, Plan};
use crate::domain::deferral::TIER_DELAYS;
use crate::domain::tenant::Limits;
use crate::pipeline::admit::bookings::Bookings;
use crate::pipeline::lane::TicketKey;

/// How often it is looked for somebody who crowds.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A pace is a guess: nobody is away for longer at a time because of it. It is one of the tiers.
const FORESEEN: Duration = TIER_DELAYS[2];

/// Who sends events here.
#[derive(Debug, Default)]
pub(super) struct Company {
    first: Option<Arc<str>>,
    has_several: bool,
    look_at: Option<Instant>,
    /// Until when the model has work of each tenant that went aside.
    turns: Bookings,
}

impl Company {
    /// An event of this tenant is here.
    pub fn meet(&mut self, tenant: &Arc<str>) {
        let first = self.first.get_or_insert_with(|| tenant.clone());
        self.has_several |= first != tenant;
    }
}

impl Road {
    /// Make room on a full road.
    pub(super) fn make_room(&mut self, now: Instant) {
        let is_time = self.company.look_at.is_none_or(|at| at <= now);
        if !is_time || !self.reading_stopped || self.draining || !self.fixtures.defers || !self.model_is_asked(now) {
            return;
        }
        self.company.look_at = Some(now + LOOK_EVERY);
        // What is done and waits for the log has nothing to do with a model.
        let stays = |item: &Item| !item.goes_aside() && !matches!(item.plan, Plan::Publish(_));
        let staying = self.items.values().filter(|item| stays(item));
        let (stay, bytes) = staying.fold((0, 0), |(stay, bytes), item| (stay + 1, bytes + item.record.bytes()));
        // Half of it: while these leave, there is something to read onto.
        let settings = &self.fixtures.settings;
        let (most, most_bytes) = (settings.max_on_road / 2, settings.max_on_road_bytes / 2);
        // As heavy as they are on average; where that was too few, the next look sees it.
        let too_heavy = (bytes.saturating_sub(most_bytes) * stay).div_ceil(bytes.max(1));
        let too_many = stay.saturating_sub(most).max(too_heavy);
        if let Some(tenant) = self.admission.crowder().filter(|_| too_many > 0 && self.has_company()) {
            self.put_off_crowd(&tenant, too_many, now);
        }
    }

    /// Whether what is on the road takes more than half of its bytes. Reading goes on at three quarters, so what need not wait
    /// here beyond half of them must not.
    pub(super) fn is_heavy(&self) -> bool {
        self.on_road_bytes > self.fixtures.settings.max_on_road_bytes / 2
    }

    /// How many may wait here for their tenants' limits: no more than do, where the road is half full of bytes.
    pub(super) fn room_over_limits(&self) -> usize {
        let room = self.fixtures.settings.max_over_limits;
        if self.is_heavy() { room.min(self.admission.over_limits().max(1)) } else { room }
    }

    fn has_company(&self) -> bool {
        self.company.has_several || self.fixtures.ingest.tenants().borrow().known().nth(1).is_some()
    }

    /// Whether calls are begun as far as there is room at the model.
    fn model_is_asked(&self, now: Instant) -> bool {
        !self.ledger_is_away && self.away.is_none() && self.held_by_breaker(now).is_none()
    }

    /// At most so many of the tenant's youngest, if they would wait too long.
    fn put_off_crowd(&mut self, tenant: &Arc<str>, at_most: usize, now: Instant) {
        let Some(pace) = self.admission.served_per_second(now, tenant) else { return };
        let patience = self.fixtures.settings.crowded_after.as_secs_f64();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "far from the ends of the range")]
        let (stay, per_minute) = ((pace * patience).ceil() as usize, (pace * 60.0).ceil() as u32);
        let waiting = self.admission.waiting_of(tenant);
        let stay = stay.max(waiting.saturating_sub(at_most));
        let waits_here = |id: &ItemId| self.items.get(id).is_some_and(|item| matches!(item.plan, Plan::Ask));
        let crowd: Vec<(TicketKey, ItemId)> = self
            .admission
            .waiting_behind(tenant, stay)
            .filter_map(|ticket| Some((ticket.clone(), *self.lanes.unit(ticket)?.items.last()?)))
            .filter(|(ticket, id)| self.may_go_aside(ticket) && waits_here(id))
            .collect();
        let gone: HashSet<&TicketKey> = crowd.iter().map(|(ticket, _)| ticket).collect();
        self.admission.remove_if(now, |ticket| gone.contains(ticket));
        #[expect(clippy::cast_precision_loss, reason = "a number of events in memory")]
        let wait = Duration::try_from_secs_f64(waiting as f64 / pace).map_or(FORESEEN, |wait| wait.min(FORESEEN));
        let pace = Limits { requests_per_minute: Some(per_minute), ..Limits::NONE };
        for (ticket, id) in &crowd {
            let is_foreseen = self.company.turns.booked(now, tenant) < FORESEEN;
            let turn = if is_foreseen { self.company.turns.book(now, tenant, &pace, 0, wait) } else { FORESEEN };
            let away = TIER_DELAYS.into_iter().find(|delay| *delay >= turn).unwrap_or(FORESEEN).min(FORESEEN);
            self.put_off(ticket, *id, Why::model_is_busy(away));
            self.work(ticket, now);
        }
    }

    /// Whether the model could do with more than there is on the road: what went aside for its sake need not stay away.
    pub(super) fn model_waits(&self, now: Instant) -> bool {
        let settings = &self.fixtures.settings;
        let work = self.asking + self.admission.waiting() + self.claiming;
        let enough = settings.max_in_flight + settings.prepared(self.pace.per_second(now));
        // Those that wait for their own tenants' limits are no work for it. They are counted only where it matters.
        let has_enough = work >= enough && work - self.admission.over_limits() >= enough;
        !has_enough && self.model_is_asked(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::{Clock as _, SystemClock};
    use crate::domain::position::{Partition, TopicRole};
    use crate::domain::reason_code::ReasonCode;
    use crate::domain::record::{OutRecord, Record};
    use crate::pipeline::admit::Next;
    use crate::pipeline::dedupe::ledger::places::Mark;
    use crate::pipeline::dedupe::ledger::{Entry, Outcome, Row};
    use crate::pipeline::log::{Epoch, Errand, Happening, PublishOutcome};
    use crate::pipeline::road::testing::{EVENTS, TestRoad};

    const TIER: Partition = Partition { topic: TopicRole::Deferred(1), number: 0 };

    /// A full road: four of forty tickets of one tenant are at the model, which ends two of them a second.
    async fn full(has_company: bool, sets: &[&str]) -> TestRoad {
        let bounds = ["pipeline.max_on_road=40", "pipeline.max_in_flight=4", "pipeline.max_prepared=1"];
        let mut test = TestRoad::new(&[&bounds[..], sets].concat());
        for partition in [EVENTS, TIER] {
            test.owns(partition);
        }
        test.read_tickets(0..40);
        test.road.company.has_several = has_company;
        for _ in 0..4 {
            tokio::time::advance(Duration::from_millis(500)).await;
            let job = test.road.next_job(Instant::now()).expect("there is room");
            test.road.admission.settle(Instant::now(), &job.tenant.id, 1, 0, 0);
        }
        test
    }

    /// What goes out next, and is committed; the ledger remembers whatever it is told.
    fn published(test: &mut TestRoad) -> Vec<OutRecord> {
        test.wake();
        while let Some((entries, batch)) = test.next_batch(100) {
            let outcome = |entry: &Entry| match entry {
                Entry::Claim(claim) => Outcome::Row(Arc::new(Row::left_by(claim))),
                Entry::Defer { .. } => Outcome::Done,
                Entry::Mark { .. } => Outcome::Marked(Mark::NONE),
                _ => Outcome::Changed(0),
            };
            test.road.ledger_said(batch, entries.iter().map(outcome).collect(), Instant::now());
        }
        test.wake();
        let bursts = test.bursts();
        for burst in &bursts {
            let committed = Happening::Published { burst: burst.number, outcome: PublishOutcome::Committed };
            test.road.happened(committed, Instant::now());
        }
        bursts.into_iter().flat_map(|burst| burst.records).collect()
    }

    fn copies(records: &[OutRecord]) -> Vec<&OutRecord> {
        records.iter().filter(|record| matches!(record.topic, TopicRole::Deferred(_))).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn on_a_full_road_the_youngest_of_who_crowds_go_aside_and_reading_goes_on() {
        let mut test = full(true, &[]).await;
        let out = published(&mut test);
        assert_eq!(copies(&out).len(), 20, "half of the road is free");
        assert_eq!(test.road.admission.waiting(), 16);
        let feedback = out.iter().filter(|record| record.topic == TopicRole::Feedback);
        let said =
            feedback.map(|record| String::from_utf8_lossy(record.value.as_deref().expect("a value")).into_owned());
        assert!(
            said.clone().count() == 20
                && said.clone().all(|one| one.contains(ReasonCode::ProviderRateLimited.as_str()))
        );
        let first = said.clone().next().expect("there are twenty");
        assert!((20..40).any(|offset| first.contains(&format!("e-{offset}\""))), "{first}");
        test.wake();
        assert!(test.errands().iter().any(|errand| matches!(errand, Errand::Resume(_))), "the others are read");
        assert_eq!(copies(&published(&mut test)).len(), 0, "once is enough");
    }

    #[tokio::test(start_paused = true)]
    async fn a_road_that_is_full_of_few_large_events_is_a_full_road() {
        let mut test = full(true, &["pipeline.max_on_road=1000"]).await;
        test.road.fixtures.settings.max_on_road_bytes = test.road.on_road_bytes / 4;
        assert_eq!(copies(&published(&mut test)).len(), 31, "but for what the model reaches within two seconds");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_goes_aside_who_keeps_nobody_back_or_is_served_soon() {
        for (has_company, sets) in
            [(false, &[][..]), (true, &["pipeline.crowded_after=\"30s\""]), (true, &["pipeline.max_on_road=41"])]
        {
            let mut test = full(has_company, sets).await;
            assert_eq!(copies(&published(&mut test)).len(), 0, "{has_company} {sets:?}");
        }
        let mut test = full(true, &[]).await;
        test.road.fixtures.defers = false;
        assert_eq!(copies(&published(&mut test)).len(), 0, "there is nowhere to go");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pace_that_nobody_knows_or_that_was_long_ago_moves_nobody() {
        let mut test = full(true, &[]).await;
        tokio::time::advance(Duration::from_secs(600)).await;
        assert_eq!(copies(&published(&mut test)).len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_model_without_work_takes_back_what_went_aside_for_its_sake_and_nothing_else() {
        let out = published(&mut full(true, &[]).await);
        let copy = copies(&out).into_iter().next().expect("there are twenty").clone();
        for waits_for_room in [true, false] {
            let mut test = TestRoad::new(&[]);
            test.owns(TIER);
            let OutRecord { key, value, mut headers, .. } = copy.clone();
            headers.retain(|header| waits_for_room || &*header.name != "gk-waits-for-room");
            let records = vec![Record { offset: 0, timestamp: SystemClock.now(), key, value, headers }];
            test.road.happened(Happening::Records { epoch: Epoch(1), partition: TIER, records }, Instant::now());
            published(&mut test);
            assert_eq!(test.road.next_job(Instant::now()).is_some(), waits_for_room, "it is due in a minute");
            let due = test.road.next_early(Instant::now()).is_some_and(|due| due > Instant::now());
            assert_eq!(due, !waits_for_room, "and nobody is woken for nothing");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn events_that_wait_for_their_own_limits_are_no_work_for_the_model() {
        let mut test = TestRoad::new(&["pipeline.max_in_flight=4", "pipeline.max_prepared=1"]);
        let limits = Limits { requests_per_minute: Some(1), ..Limits::NONE };
        let (now, loud) = (Instant::now(), Arc::from("loud"));
        for number in 0..40 {
            let ticket = Arc::from(format!("t-{number}"));
            test.road.admission.offer(now, &loud, limits, ticket, 1).expect("it may wait");
        }
        assert!(!test.road.model_waits(now), "the first may go");
        test.road.admission.next(now, |_| true);
        assert!(matches!(test.road.admission.next(now, |_| true), Next::WaitUntil(_)));
        assert_eq!(test.road.admission.waiting(), 39);
        assert!(test.road.model_waits(now), "thirty-nine sleep");
    }
}
