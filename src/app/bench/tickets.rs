//! The events of a run: texts of the demonstration, tickets and latencies from the seed.

use std::time::Duration;

use anyhow::Context as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::latency::Latency;
use crate::domain::clock::Timestamp;
use crate::domain::event::{EventType, SupportEvent};
use crate::domain::record::OutRecord;
use crate::pipeline::publish::{Publisher, partition_for};

/// Fair among a few tenants, as in life.
const TENANTS: u64 = 8;
const DEMO: &str = include_str!("../../../demo/tickets.jsonl");
/// Ids of the ordinary ones among them: those that are decided.
const ORDINARY: &str = include_str!("../../../demo/labels.csv");

/// Everything that chance decides of an event.
#[derive(Debug, Clone, Copy)]
pub struct Draws {
    /// All chance.
    pub seed: u64,
    /// Of the simulated model.
    pub latency: Option<Latency>,
    /// How many tickets there are.
    pub tickets: u64,
}

impl Draws {
    /// How long the simulated call takes.
    pub fn latency(&self, event: u64) -> Duration {
        self.latency.map_or(Duration::ZERO, |latency| latency.draw(self.seed, event))
    }

    /// Which ticket it is about.
    pub fn ticket(&self, event: u64) -> u64 {
        // Another seed than that of the latencies: slow calls must not gather on some tickets.
        let mut chance = ChaCha8Rng::seed_from_u64(!self.seed);
        chance.set_stream(event);
        chance.random_range(0..self.tickets)
    }
}

/// Writes events.
pub struct Tickets {
    texts: Vec<SupportEvent>,
    publisher: Publisher,
    source: String,
    partitions: u32,
}

impl Tickets {
    pub fn new(publisher: Publisher, source: String, partitions: u32) -> anyhow::Result<Self> {
        let ordinary: std::collections::HashSet<&str> =
            ORDINARY.lines().filter_map(|line| line.split(',').next()).collect();
        let mut texts = Vec::new();
        for line in DEMO.lines() {
            let event: SupportEvent = serde_json::from_str(line).context("a ticket of the demonstration")?;
            if ordinary.contains(&*event.event_id) && event.message.is_some() {
                texts.push(event);
            }
        }
        anyhow::ensure!(!texts.is_empty(), "the demonstration has no ordinary ticket");
        Ok(Self { texts, publisher, source, partitions })
    }

    /// The record of this event.
    pub fn record(&self, event: u64, ticket: u64, now: Timestamp) -> OutRecord {
        let text = &self.texts[(event % self.texts.len() as u64) as usize];
        let mut written = text.clone();
        written.event_id = event_id(event);
        written.source = self.source.clone();
        written.event_type = EventType::MessageAdded;
        written.tenant_id = format!("tenant-{}", ticket % TENANTS);
        written.ticket_id = format!("ticket-{ticket}");
        written.occurred_at = now;
        (written.idempotency_key, written.ticket_version, written.change_set) = (None, None, None);
        let mut record = self.publisher.event(&written, 0);
        record.partition = record.key.as_deref().map_or(0, |key| partition_for(key, self.partitions));
        record
    }
}

fn event_id(event: u64) -> String {
    format!("bench-{event}")
}

/// The number of the event with this id, if it is one of ours.
pub fn number(event_id: &str) -> Option<u64> {
    event_id.strip_prefix("bench-")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_recognised_by_its_id() {
        assert_eq!(number(&event_id(42)), Some(42));
        assert_eq!(number("acme-0042"), None);
    }

    #[test]
    fn tickets_come_evenly_and_without_regard_to_latency() {
        let latency =
            Latency::TwoPoint { fast: Duration::from_millis(1), slow: Duration::from_secs(1), slow_per_thousand: 500 };
        let draws = Draws { seed: 1, latency: Some(latency), tickets: 2 };
        let slow = |event: &u64| draws.latency(*event) > Duration::from_millis(1);
        let both = (0..10_000).filter(slow).filter(|event| draws.ticket(*event) == 0).count();
        assert!((2_300..2_700).contains(&both), "{both}");
    }
}
