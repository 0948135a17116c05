//! What is played: the tickets that ship with the product, what each should end as, and a noisy tenant's burst.

use serde_json::{Value, json};

use crate::domain::position::TopicRole;
use crate::domain::record::{Header, OutRecord, Payload};
use crate::pipeline::publish::partition_for;

const TICKETS: &str = include_str!("../../../demo/tickets.jsonl");
const EXPECTED: &str = include_str!("../../../demo/expected.csv");

/// Policies by tenant id.
pub(super) const TENANTS: &[(&str, &str)] = &[
    ("acme", include_str!("../../../demo/tenants/acme.toml")),
    ("globex", include_str!("../../../demo/tenants/globex.toml")),
    ("hooli", include_str!("../../../demo/tenants/hooli.toml")),
    ("initech", include_str!("../../../demo/tenants/initech.toml")),
    ("stark", include_str!("../../../demo/tenants/stark.toml")),
    ("umbrella", include_str!("../../../demo/tenants/umbrella.toml")),
];

/// The tenant that makes noise.
pub(super) const NOISY: &str = "stark";

/// Lines of the tickets that are worth a look, and why.
pub(super) const WORTH_A_LOOK: &[(usize, &str)] = &[
    (28, "prompt injection in the text: nothing acts by itself"),
    (19, "card, phone and e-mail never leave: placeholders do"),
    (32, "an out-of-office reply: no mail loop"),
    (49, "a stranger: dead letter with a code, nothing dropped"),
    (67, "a prompt injection in German"),
    (101, "a zero-width space inside \"lawyer\": people decide all the same"),
    (131, "a person owns the ticket; this tenant wants recommendations"),
    (143, "the same id with another text: not a duplicate, a conflict"),
    (155, "priority \"critical\": a human lane"),
    (301, "the same event again: decided once"),
];

/// One line of the tickets.
#[derive(Debug, Clone)]
pub(super) struct Ticket {
    /// The event.
    pub event: Value,
    /// Its line, from 1; none for generated ones.
    pub line: Option<usize>,
    /// Status and code it should end with.
    pub expected: Option<(String, String)>,
}

impl Ticket {
    fn text(&self, key: &str) -> &str {
        self.event[key].as_str().unwrap_or_default()
    }

    pub fn tenant(&self) -> &str {
        self.text("tenant_id")
    }

    pub fn subject(&self) -> &str {
        self.event["ticket"]["subject"].as_str().unwrap_or_default()
    }

    pub fn is_noise(&self) -> bool {
        self.tenant() == NOISY
    }

    /// As an upstream publishes it.
    pub fn record(&self, partitions: u32) -> OutRecord {
        let key = format!("{}|{}", self.tenant(), self.text("ticket_id"));
        OutRecord {
            topic: TopicRole::Events,
            partition: partition_for(key.as_bytes(), partitions),
            key: Some(Payload::from(key)),
            value: Some(Payload::from(self.event.to_string())),
            headers: vec![
                Header::text("ce_specversion", "1.0"),
                Header::text("ce_id", self.text("event_id")),
                Header::text("ce_source", self.text("source")),
                Header::text("content-type", "application/json"),
            ],
        }
    }
}

/// All lines, in order.
pub(super) fn tickets() -> anyhow::Result<Vec<Ticket>> {
    let mut expected = csv::Reader::from_reader(EXPECTED.as_bytes());
    let mut tickets = Vec::new();
    for ((index, line), row) in TICKETS.lines().enumerate().zip(expected.records()) {
        let row = row?;
        let end = row.get(2).zip(row.get(3)).map(|(status, code)| (status.to_owned(), code.to_owned()));
        tickets.push(Ticket { event: serde_json::from_str(line)?, line: Some(index + 1), expected: end });
    }
    Ok(tickets)
}

/// `count` short tickets of the noisy tenant, made from the subjects of its own.
pub(super) fn burst(tickets: &[Ticket], count: usize) -> Vec<Ticket> {
    let models: Vec<&Ticket> = tickets.iter().filter(|ticket| ticket.is_noise()).collect();
    let made = models.iter().cycle().take(count).enumerate().map(|(index, model)| {
        let id = format!("{NOISY}-noise-{index:04}");
        let mut event = model.event.clone();
        let (occurred, subject) = (event["occurred_at"].clone(), model.subject().to_owned());
        event = json!({
            "event_id": id, "source": event["source"], "event_type": "TICKET_CREATED", "tenant_id": NOISY,
            "ticket_id": format!("ST-NOISE-{index:04}"), "occurred_at": occurred,
            "actor": {"type": "END_USER", "id": format!("cust-noise-{index}")},
            "ticket": {"subject": subject, "status": "NEW", "channel": "WEB"},
            "message": {"message_id": format!("m-{id}"), "author": {"type": "END_USER"}, "is_public": true,
                        "created_at": occurred, "body": format!("{subject}. please look at house {index}")},
        });
        Ticket { event, line: None, expected: None }
    });
    made.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ticket_has_an_expected_end_and_every_known_tenant_a_policy() {
        let tickets = tickets().expect("the tickets that ship are readable");
        assert_eq!(tickets.len(), TICKETS.lines().count());
        for ticket in &tickets {
            let (_, code) = ticket.expected.as_ref().expect("an end");
            let known = TENANTS.iter().any(|(id, _)| *id == ticket.tenant());
            assert!(known || matches!(code.as_str(), "TENANT_UNKNOWN" | "VALIDATION_FAILED"), "{}", ticket.event);
        }
    }

    #[test]
    fn a_burst_is_of_the_noisy_tenant_and_no_ticket_comes_twice() {
        let burst = burst(&tickets().expect("readable"), 300);
        let ids: std::collections::BTreeSet<_> = burst.iter().map(|ticket| ticket.text("ticket_id")).collect();
        assert_eq!(ids.len(), 300);
        assert!(burst.iter().all(Ticket::is_noise));
    }
}
