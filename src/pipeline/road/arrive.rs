//! A record arrives: the frontier knows whether it is new, ingest what it says, its lane where it stands.

use std::sync::Arc;

use tokio::time::Instant;

use super::deferral::place_of;
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
use crate::telemetry::happenings::RecordsRead;

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
        if owned.stopped {
            return;
        }
        owned.caught_up = false;
        if matches!(partition.topic, TopicRole::Deferred(_)) {
            self.keep_early(partition, records, now);
            return;
        }
        for record in records {
            self.take_record(partition, record, now);
        }
    }

    /// The frontier knows whether it is new.
    pub(super) fn take_record(&mut self, partition: Partition, record: Record, now: Instant) {
        let Some(owned) = self.partitions.get_mut(&partition) else { return };
        let read = owned.frontier.read(record.offset);
        let topic_id = owned.topic_id.clone();
        self.mark_vanished(partition, &read.gaps);
        if read.fresh {
            self.take_in(partition, topic_id, record, now);
        }
    }

    pub(super) fn caught_up(&mut self, epoch: Epoch, partition: Partition, end: u64, now: Instant) {
        let Some(owned) = self.partitions.get_mut(&partition).filter(|owned| owned.epoch == epoch) else { return };
        if owned.stopped {
            return;
        }
        if let Some(waiting) = &mut owned.entering {
            return waiting.caught_up(end);
        }
        if owned.early.is_empty() {
            self.read_up_to(partition, end, now);
        } else {
            owned.read_to = Some(end);
        }
    }

    /// Everything before `end` has come on the road; the rest were gaps.
    pub(super) fn read_up_to(&mut self, partition: Partition, end: u64, now: Instant) {
        let Some(owned) = self.partitions.get_mut(&partition) else { return };
        let gaps = owned.frontier.advance_to(end);
        owned.caught_up = true;
        owned.follow_soon(now);
        self.mark_vanished(partition, &gaps);
        // A saved SUPERSEDED may have waited for an event that cannot come any more.
        if self.everything_is_read() {
            self.work_what_waits_in_vain(now);
        }
    }

    fn take_in(&mut self, partition: Partition, topic_id: String, record: Record, now: Instant) {
        let id = ItemId(self.next_item);
        self.next_item += 1;
        let offset = record.offset;
        let here = Position { topic_id, partition: partition.number, offset };
        let item = match partition.topic {
            TopicRole::Deferred(_) => match Deferral::read(&record, partition.number) {
                Ok(deferral) => self.item_of_copy(partition, here, &deferral, record, now),
                Err(why) => foreign_copy(partition, here, record, &why, now),
            },
            _ => self.item_of(partition, here, record, now),
        };
        failpoints::hit("decoded");
        let claim = item.event().map(|event| (event.ticket.clone(), event.claim.clone()));
        let place = place_of(&item);
        self.items.insert(id, Tracked::new(partition, offset, item));
        match claim {
            Some((ticket, claim)) => {
                self.lanes.join(&ticket, id, claim.event_id.clone(), place);
                if claim.hop > 0 {
                    self.is_back(id);
                }
                self.want(Entry::Claim(claim), Purpose::Claim(id));
            }
            None => self.reject_unreadable(id),
        }
    }

    fn item_of(&self, partition: Partition, position: Position, record: Record, now: Instant) -> Item {
        let content = match self.fixtures.ingest.read(&record) {
            Ingested::Unreadable(rejection) => Content::Unreadable(rejection),
            Ingested::Event(arrival) => Content::Event(self.event_item(arrival, &position)),
        };
        let origin = TopicRole::Events;
        Item {
            partition,
            position,
            record,
            origin,
            turn: None,
            read_at: now,
            content,
            plan: Plan::Unknown,
            waits_for_owner: None,
        }
    }

    /// A copy of ours: the event it was, at the position it had.
    fn item_of_copy(&self, at: Partition, here: Position, deferral: &Deferral, copy: Record, now: Instant) -> Item {
        let mut item = self.item_of(at, deferral.origin.clone(), deferral.original(copy), now);
        item.turn = Some(deferral.turn);
        if let Content::Event(event) = &mut item.content {
            (event.claim.hop, event.claim.copy) = (deferral.hop, Some(here));
        }
        item
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
        }
    }
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
        read_at: now,
        content,
        plan: Plan::Unknown,
        waits_for_owner: None,
    }
}
