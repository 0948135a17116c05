//! A record arrives: the frontier knows whether it is new, ingest what it says, its lane where it stands.

use std::sync::Arc;

use tokio::time::Instant;

use super::item::{Content, EventItem, Item, ItemId, Plan};
use super::{Purpose, Road};
use crate::domain::position::{Partition, Position};
use crate::domain::record::Record;
use crate::failpoints;
use crate::pipeline::dedupe::ledger::{Claim, Entry};
use crate::pipeline::ingest::{Arrival, Ingested};
use crate::pipeline::lane::TicketKey;
use crate::pipeline::log::Epoch;
use crate::pipeline::tracked::Tracked;
use crate::telemetry::happenings::RecordsRead;

impl Road {
    pub(super) fn arrive(&mut self, epoch: Epoch, partition: Partition, records: Vec<Record>, now: Instant) {
        let bytes = records.iter().filter_map(|record| record.value.as_ref()).map(|value| value.len()).sum();
        RecordsRead { partition, records: records.len(), bytes }.record();
        for record in records {
            let Some(owned) = self.partitions.get_mut(&partition).filter(|owned| owned.epoch == epoch) else {
                // Read under an ownership that has ended meanwhile: whoever owns the partition reads it.
                return;
            };
            if owned.stopped {
                return;
            }
            owned.caught_up = false;
            let read = owned.frontier.read(record.offset);
            let topic_id = owned.topic_id.clone();
            self.mark_vanished(partition, &read.gaps);
            if read.fresh {
                self.take_in(partition, topic_id, record, now);
            }
        }
    }

    pub(super) fn caught_up(&mut self, epoch: Epoch, partition: Partition, end: u64, now: Instant) {
        let Some(owned) = self.partitions.get_mut(&partition).filter(|owned| owned.epoch == epoch) else { return };
        if owned.stopped {
            return;
        }
        let gaps = owned.frontier.advance_to(end);
        owned.caught_up = true;
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
        let position = Position { topic_id, partition: partition.number, offset };
        let ingested = self.fixtures.ingest.read(&record);
        failpoints::hit("decoded");
        let content = match ingested {
            Ingested::Unreadable(rejection) => Content::Unreadable(rejection),
            Ingested::Event(arrival) => Content::Event(self.event_item(arrival, &position)),
        };
        let item = Item { partition, position, record, read_at: now, content, plan: Plan::Unknown };
        let claim = item.event().map(|event| (event.ticket.clone(), event.claim.clone()));
        self.items.insert(id, Tracked::new(partition, offset, item));
        match claim {
            Some((ticket, claim)) => {
                self.lanes.join(&ticket, id, claim.event_id.clone());
                self.want(Entry::Claim(claim), Purpose::Claim(id));
            }
            None => self.reject_unreadable(id),
        }
    }

    fn event_item(&self, arrival: Arrival, position: &Position) -> EventItem {
        let event = arrival.event;
        let ticket: TicketKey = format!("{}|{}", event.tenant_id, event.ticket_id).into();
        let claim = Claim {
            key: arrival.key,
            position: position.clone(),
            hop: 0,
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
