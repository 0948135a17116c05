//! A record arrives: the frontier knows whether it is new, ingest what it says, its lane where it stands.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::deferral::place_of;
use super::hold::Behind;
use super::item::{Content, EventItem, Item, ItemId, Plan};
use super::{Purpose, Road};
use crate::domain::deferral::{Deferral, NotADeferral};
use crate::domain::position::{Partition, Position, TopicRole};
use crate::domain::reason_code::ReasonCode;
use crate::domain::record::Record;
use crate::failpoints;
use crate::pipeline::dedupe::ledger::{Claim, Entry};
use crate::pipeline::ingest::{Arrival, Ingested, Rejection};
use crate::pipeline::lane::TicketKey;
use crate::pipeline::log::Epoch;
use crate::pipeline::tracked::Tracked;
use crate::telemetry::happenings::{ForeignKeyRead, RecordsRead};

/// Whoever makes keys of their own makes all of them so: one warning in so long is enough.
const WARN_AGAIN: Duration = Duration::from_secs(600);

impl Road {
    pub(super) fn arrive(&mut self, epoch: Epoch, partition: Partition, records: Vec<Record>, now: Instant) {
        let owned = self.partitions.get_mut(&partition).filter(|owned| owned.epoch == epoch);
        if let Some(waiting) = owned.and_then(|owned| owned.entering.as_mut()) {
            return waiting.push(records);
        }
        let bytes = records.iter().filter_map(|record| record.value.as_ref()).map(|value| value.len()).sum();
        RecordsRead { partition, records: records.len(), bytes }.record();
        let Some(owned) = self.partitions.get_mut(&partition).filter(|owned| owned.epoch == epoch) else {
            // Read under an ownership that has ended meanwhile: whoever owns the partition reads it.
            return;
        };
        if owned.stopped.is_some() {
            return;
        }
        owned.caught_up = false;
        if matches!(partition.topic, TopicRole::Deferred(_)) {
            self.keep_early(partition, records, now);
            return;
        }
        for record in records {
            self.arrive_one(partition, record, now);
        }
    }

    /// The next record of a partition, if it does not wait. The frontier knows whether it is new.
    pub(super) fn arrive_one(&mut self, partition: Partition, record: Record, now: Instant) {
        let Some(owned) = self.partitions.get_mut(&partition) else { return };
        owned.caught_up = false;
        if let Some(held) = &mut owned.held {
            held.queue(Behind::Record(record));
            return;
        }
        let read = owned.frontier.read(record.offset);
        let topic_id = owned.topic_id.clone();
        self.mark_vanished(partition, &read.gaps);
        if read.fresh {
            self.take_in(partition, topic_id, record, now);
        }
    }

    pub(super) fn caught_up(&mut self, epoch: Epoch, partition: Partition, end: u64, now: Instant) {
        let Some(owned) = self.partitions.get_mut(&partition).filter(|owned| owned.epoch == epoch) else { return };
        if owned.stopped.is_some() {
            return;
        }
        if let Some(waiting) = &mut owned.entering {
            return waiting.caught_up(end);
        }
        if owned.early.is_empty() {
            self.reached(partition, end, now);
        } else {
            owned.read_to = Some(end);
        }
    }

    /// The end of a partition, if no record of it waits: everything before has come on the road; the rest were gaps.
    pub(super) fn reached(&mut self, partition: Partition, end: u64, now: Instant) {
        let follows = now + self.follow_after();
        let Some(owned) = self.partitions.get_mut(&partition) else { return };
        if let Some(held) = &mut owned.held {
            held.queue(Behind::End(end));
            return;
        }
        let gaps = owned.frontier.advance_to(end);
        owned.caught_up = true;
        owned.follow_by(follows);
        self.mark_vanished(partition, &gaps);
        // A saved SUPERSEDED may have waited for an event that cannot come any more.
        if self.everything_is_read() {
            self.work_what_waits_in_vain(now);
        }
    }

    /// Onto the road with it, or aside if nobody can say yet what it is.
    pub(super) fn take_in(&mut self, partition: Partition, topic_id: String, record: Record, now: Instant) {
        let offset = record.offset;
        let here = Position { topic_id, partition: partition.number, offset };
        let item = match partition.topic {
            TopicRole::Deferred(_) => match Deferral::read(&record, partition.number) {
                Ok(deferral) => self.item_of(partition, here, record, Some(&deferral), now),
                Err(why) => Ok(foreign_copy(partition, here, record, &why, now)),
            },
            TopicRole::HumanFeedback => self.feedback_item_of(partition, here, record, now),
            _ => self.item_of(partition, here, record, None, now),
        };
        failpoints::hit("decoded");
        let item = match item {
            Ok(item) => item,
            Err(NotYet { record, schema_id }) => return self.hold(partition, record, schema_id, now),
        };
        let id = ItemId(self.next_item);
        self.next_item += 1;
        let claim = item.event().map(|event| (event.ticket.clone(), event.claim.clone(), event.improves.is_some()));
        let is_feedback = item.feedback().is_some();
        let place = place_of(&item);
        self.on_road_bytes += item.record.bytes();
        self.items.insert(id, Tracked::new(partition, offset, item));
        match claim {
            Some((ticket, claim, improves)) => {
                self.lanes.join(&ticket, id, claim.event_id.clone(), place);
                if claim.hop > 0 && !improves {
                    self.is_back(id);
                }
                self.want(Entry::Claim(claim), Purpose::Claim(id));
            }
            None if is_feedback => self.ask_about_feedback(id),
            None => self.reject_unreadable(id),
        }
    }

    /// What a record says; a copy of ours is the event it was, at the position it had.
    fn item_of(
        &mut self,
        partition: Partition,
        here: Position,
        record: Record,
        copy_of: Option<&Deferral>,
        now: Instant,
    ) -> Result<Item, NotYet> {
        // As it first stood: what was added to a copy is nothing that its publisher said.
        let (position, original, copy) = match copy_of {
            Some(deferral) => (deferral.origin.clone(), deferral.original(record.clone()), Some(record)),
            None => (here.clone(), record, None),
        };
        let ingested = self.fixtures.ingest.read(&original);
        if let Ingested::NotYetKnown { schema_id } = ingested {
            return Err(NotYet { record: copy.unwrap_or(original), schema_id });
        }
        let content = match ingested {
            Ingested::Unreadable(rejection) => Content::Unreadable(rejection),
            Ingested::Event(arrival) => {
                // A copy was seen before, and what is rejected has no order to lose.
                if arrival.foreign_key && arrival.rejection.is_none() && copy_of.is_none() {
                    self.foreign_key(&arrival, &position, now);
                }
                let mut event = self.event_item(arrival, &position);
                if let Some(deferral) = copy_of {
                    (event.claim.hop, event.claim.copy) = (deferral.hop, Some(here));
                    event = event.improving(deferral.improves.as_deref());
                }
                Content::Event(event)
            }
            Ingested::Feedback(_) | Ingested::NotYetKnown { .. } => unreachable!("answered above, or no event's"),
        };
        Ok(Item {
            partition,
            position,
            record: original,
            origin: TopicRole::Events,
            turn: copy_of.map(|deferral| deferral.turn),
            had_its_end: copy_of.is_some_and(|deferral| deferral.improves.is_some()),
            read_at: now,
            content,
            plan: Plan::Unknown,
            waits_for_owner: None,
        })
    }

    fn foreign_key(&mut self, arrival: &Arrival, position: &Position, now: Instant) {
        let again = self.foreign_key_told.is_some_and(|told| now.saturating_duration_since(told) < WARN_AGAIN);
        if !again {
            self.foreign_key_told = Some(now);
        }
        let (tenant_id, source) = (arrival.event.tenant_id.as_str(), arrival.event.source.as_str());
        ForeignKeyRead { tenant_id, source, position, again }.record();
    }

    fn event_item(&self, arrival: Arrival, position: &Position) -> EventItem {
        let event = arrival.event;
        let ticket: TicketKey = format!("{}|{}", event.tenant_id, event.ticket_id).into();
        let claim = Claim {
            key: arrival.key,
            position: position.clone(),
            hop: 0,
            copy: None,
            ticket: ticket.clone(),
            body: arrival.body,
            tenant_id: event.tenant_id.as_str().into(),
            event_id: event.event_id.as_str().into(),
            at: self.fixtures.clock.now(),
        };
        EventItem {
            schema_id: arrival.rejection.as_ref().and_then(|rejection| rejection.schema_id),
            rejection: arrival.rejection.map(Arc::new),
            tenant: arrival.tenant,
            event,
            ticket,
            claim,
            first_look: None,
            improves: None,
        }
    }
}

/// A record whose schema nobody knows yet.
pub(super) struct NotYet {
    pub record: Record,
    pub schema_id: u32,
}

/// Somebody else wrote to a deferred topic.
fn foreign_copy(partition: Partition, position: Position, record: Record, why: &NotADeferral, now: Instant) -> Item {
    let rejection =
        Rejection { code: ReasonCode::DecodeFailed, reason: why.to_string(), violations: Vec::new(), schema_id: None };
    let (origin, content) = (partition.topic, Content::Unreadable(rejection));
    Item {
        partition,
        position,
        record,
        origin,
        turn: None,
        had_its_end: false,
        read_at: now,
        content,
        plan: Plan::Unknown,
        waits_for_owner: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::record::Payload;
    use crate::pipeline::log::Happening;
    use crate::pipeline::road::testing::{EVENTS, TestRoad, decidable_event};
    use crate::telemetry::recorder;

    #[tokio::test(start_paused = true)]
    async fn an_event_with_another_key_than_its_tickets_goes_on_and_is_counted() {
        let (recorder, handle) = recorder::local();
        let _here = metrics::set_default_local_recorder(&recorder);
        let mut test = TestRoad::new(&[]);
        test.owns(EVENTS);
        let record = |offset, key: &'static [u8]| Record {
            offset,
            timestamp: crate::domain::clock::Timestamp(0),
            key: Some(Payload::from_static(key)),
            value: Some(serde_json::to_vec(&decidable_event(offset)).expect("an event can be written").into()),
            headers: Vec::new(),
        };
        let records = vec![record(0, b"acme|t-0"), record(1, b"t-1"), record(2, b"acme|t-1")];
        test.road.happened(Happening::Records { epoch: Epoch(1), partition: EVENTS, records }, Instant::now());
        assert_eq!(test.road.items.len(), 3);
        let text = handle.render();
        assert!(text.contains("\ngatekeeper_foreign_keys_total 2\n"), "{text}");
        assert!(test.road.foreign_key_told.is_some());
    }
}
