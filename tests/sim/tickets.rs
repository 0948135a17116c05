//! What upstream systems write in a simulated history: mostly ordinary events, and every kind of trouble.

use gatekeeper::domain::clock::Timestamp;
use gatekeeper::domain::decision::TriageDecision;
use gatekeeper::domain::event::{Actor, ActorType, EventType, FieldChange, Message, SupportEvent, TicketSnapshot};
use gatekeeper::domain::human_feedback::HumanFeedback;
use gatekeeper::domain::record::{Payload, Record};
use gatekeeper::pipeline::publish::Publisher;
use gatekeeper::pipeline::schema_set::SchemaSet;
use gatekeeper::settings::schemas::Encoding;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

pub const TENANTS: [&str; 3] = ["acme", "umbrella", "initech"];

/// Writes events, and remembers them to write some of them twice.
pub struct Upstream {
    written: Vec<SupportEvent>,
    judged: Vec<HumanFeedback>,
    next: u64,
    tickets: u64,
    /// Whether an id comes up in two tickets of a tenant now and then.
    pub ids_meet: bool,
}

impl Upstream {
    pub fn new(tickets: u64) -> Self {
        Self { written: Vec::new(), judged: Vec::new(), next: 0, tickets, ids_meet: true }
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

    /// What a person makes of a decision: of one that there is, of a ticket, of one that never was; twice; or nonsense.
    pub fn judge(
        &mut self,
        chance: &mut ChaCha8Rng,
        schemas: &SchemaSet,
        decided: &[TriageDecision],
        now: Timestamp,
    ) -> (String, Record) {
        let feedback = match chance.random_range(0..20) {
            0..4 if !self.judged.is_empty() => self.judged[chance.random_range(0..self.judged.len())].clone(),
            4 if !self.judged.is_empty() => {
                let mut feedback = self.judged[chance.random_range(0..self.judged.len())].clone();
                feedback.comment = Some("on second thoughts".to_owned());
                feedback
            }
            5 | 6 => return garbage(chance, now),
            _ => self.fresh_judgement(chance, decided, now),
        };
        self.judged.push(feedback.clone());
        let key = format!("{}|{}", feedback.tenant_id, feedback.ticket_id);
        let encoding = if chance.random_bool(0.5) { Encoding::Avro } else { Encoding::Json };
        let value = Payload::from(schemas.write("HumanFeedback", &feedback, encoding));
        let record_key = Some(Payload::copy_from_slice(key.as_bytes()));
        (key, Record { offset: 0, timestamp: now, key: record_key, value: Some(value), headers: Vec::new() })
    }

    fn fresh_judgement(
        &mut self,
        chance: &mut ChaCha8Rng,
        decided: &[TriageDecision],
        now: Timestamp,
    ) -> HumanFeedback {
        self.next += 1;
        let one = (!decided.is_empty()).then(|| &decided[chance.random_range(0..decided.len())]);
        let (tenant, ticket) = match one {
            Some(decision) if chance.random_bool(0.8) => (decision.tenant_id.clone(), decision.ticket_id.clone()),
            _ => (
                TENANTS[chance.random_range(0..TENANTS.len())].to_owned(),
                format!("ticket-{}", chance.random_range(0..self.tickets)),
            ),
        };
        let decision_id = match chance.random_range(0..4) {
            0 => one.map(|decision| decision.decision_id.clone()),
            1 => Some("never was".to_owned()),
            _ => None,
        };
        let overrides = if chance.random_range(0..20) == 0 {
            serde_json::json!([])
        } else {
            serde_json::json!([{"field": "category", "actual": "refund_cancel"}])
        };
        let json = serde_json::json!({
            "feedback_id": format!("feedback-{}", self.next), "source": "/desk", "tenant_id": tenant, "ticket_id": ticket,
            "decision_id": decision_id, "occurred_at": now.0, "actor": {"type": "AGENT"}, "kind": "OVERRIDE",
            "overrides": overrides,
        });
        serde_json::from_value(json).expect("the shape of feedback")
    }

    fn fresh(&mut self, chance: &mut ChaCha8Rng, now: Timestamp) -> SupportEvent {
        self.next += 1;
        let tenant =
            if chance.random_range(0..50) == 0 { "nobody" } else { TENANTS[chance.random_range(0..TENANTS.len())] };
        let ticket = chance.random_range(0..self.tickets);
        // The same ids under different tenants are different events.
        let meets = chance.random_bool(0.2) && self.ids_meet;
        let event_id = format!("event-{}", if meets { self.next / 2 } else { self.next });
        let mut event = event(tenant, &format!("ticket-{ticket}"), &event_id, now);
        match chance.random_range(0..30) {
            0 => event.ticket.human_owned = true,
            1 => event.event_type = EventType::TicketUpdated,
            4..=7 => changed_by_an_agent(&mut event),
            2 => event.expires_at = Some(now.after(std::time::Duration::from_millis(chance.random_range(0..2_000)))),
            3 => event.message = None,
            _ => {}
        }
        event
    }
}

/// An agent sets another category by hand.
fn changed_by_an_agent(event: &mut SupportEvent) {
    event.event_type = EventType::TicketUpdated;
    event.actor.kind = ActorType::Agent;
    event.message = None;
    event.changes =
        vec![FieldChange { field: "category".to_owned(), previous: None, current: Some("refund_cancel".to_owned()) }];
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
