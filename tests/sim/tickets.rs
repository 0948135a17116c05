//! What upstream systems write in a simulated history: mostly ordinary events, and every kind of trouble.

use gatekeeper::domain::clock::Timestamp;
use gatekeeper::domain::event::{Actor, ActorType, EventType, Message, SupportEvent, TicketSnapshot};
use gatekeeper::domain::record::{Payload, Record};
use gatekeeper::pipeline::publish::Publisher;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

pub const TENANTS: [&str; 3] = ["acme", "umbrella", "initech"];

/// Writes events, and remembers them to write some of them twice.
pub struct Upstream {
    written: Vec<SupportEvent>,
    next: u64,
    tickets: u64,
}

impl Upstream {
    pub fn new(tickets: u64) -> Self {
        Self { written: Vec::new(), next: 0, tickets }
    }

    /// The next record: its key and what it says.
    pub fn next(
        &mut self,
        chance: &mut ChaCha8Rng,
        avro: &Publisher,
        json: &Publisher,
        now: Timestamp,
    ) -> (String, Record) {
        let dice = chance.random_range(0..100);
        let event = match dice {
            0..10 if !self.written.is_empty() => self.written[chance.random_range(0..self.written.len())].clone(),
            10..13 if !self.written.is_empty() => {
                let mut event = self.written[chance.random_range(0..self.written.len())].clone();
                if let Some(message) = &mut event.message {
                    message.body.push_str(" (edited)");
                }
                event
            }
            13..16 => return garbage(chance, now),
            _ => self.fresh(chance, now),
        };
        self.written.push(event.clone());
        let publisher = if chance.random_bool(0.5) { avro } else { json };
        let key = format!("{}|{}", event.tenant_id, event.ticket_id);
        let out = publisher.event(&event, 0);
        (key, Record { offset: 0, timestamp: now, key: out.key, value: out.value, headers: out.headers })
    }

    fn fresh(&mut self, chance: &mut ChaCha8Rng, now: Timestamp) -> SupportEvent {
        self.next += 1;
        let tenant =
            if chance.random_range(0..50) == 0 { "nobody" } else { TENANTS[chance.random_range(0..TENANTS.len())] };
        let ticket = chance.random_range(0..self.tickets);
        // The same ids under different tenants are different events.
        let event_id = format!("event-{}", if chance.random_bool(0.2) { self.next / 2 } else { self.next });
        let mut event = event(tenant, &format!("ticket-{ticket}"), &event_id, now);
        match chance.random_range(0..30) {
            0 => event.ticket.human_owned = true,
            1 => event.event_type = EventType::TicketUpdated,
            2 => event.expires_at = Some(now.after(std::time::Duration::from_millis(chance.random_range(0..2_000)))),
            3 => event.message = None,
            _ => {}
        }
        event
    }
}

fn garbage(chance: &mut ChaCha8Rng, now: Timestamp) -> (String, Record) {
    let mut bytes: Vec<u8> = (0..chance.random_range(0..40)).map(|_| chance.random()).collect();
    // Framed with an id that nobody has: a registry is asked for it.
    if chance.random_bool(0.3) {
        bytes.splice(0..0, [0, 0, 0, 0, chance.random_range(90..=99)]);
    }
    let key = format!("garbage-{}", chance.random_range(0..10));
    let record = Record {
        offset: 0,
        timestamp: now,
        key: Some(Payload::copy_from_slice(key.as_bytes())),
        value: chance.random_bool(0.8).then(|| Payload::from(bytes)),
        headers: Vec::new(),
    };
    (key, record)
}

fn event(tenant: &str, ticket: &str, event_id: &str, now: Timestamp) -> SupportEvent {
    let customer = Actor { kind: ActorType::EndUser, id: None, display_name: None, locale: None, tier: None };
    let json = serde_json::json!({
        "event_id": event_id, "source": "/desk", "event_type": "TICKET_CREATED", "tenant_id": tenant,
        "ticket_id": ticket, "occurred_at": now.0, "actor": {"type": "END_USER"}, "ticket": {"subject": "Help", "status": "OPEN"},
    });
    let mut event: SupportEvent = serde_json::from_value(json).expect("the shape of an event");
    event.actor = customer.clone();
    event.ticket = TicketSnapshot { external_id: None, ..event.ticket };
    event.message = Some(Message {
        message_id: format!("m-{event_id}"),
        author: customer,
        body: format!("My invoice is wrong, please look at it ({event_id})"),
        is_public: true,
        created_at: now,
        language: None,
        auto_submitted: Default::default(),
        attachments: Vec::new(),
        dataref: None,
    });
    event
}
