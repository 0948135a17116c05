//! A road without a loop, for tests.

use std::ops::Range;
use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Batch, Fixtures, Line, Road};
use crate::domain::answer::{Answer, Findings, Versions};
use crate::domain::clock::{SystemClock, Timestamp};
use crate::domain::event::SupportEvent;
use crate::domain::feedback::EventFeedback;
use crate::domain::ops_event::OpsEvent;
use crate::domain::position::{Partition, TopicRole};
use crate::domain::reason_code::ReasonCode;
use crate::domain::record::{OutRecord, Payload, Record};
use crate::domain::samples;
use crate::domain::tenant::{Limits, Tenant, TenantBook};
use crate::pipeline::dedupe::ledger::places::{Entered, Mark};
use crate::pipeline::dedupe::ledger::{Entry, Outcome, Row};
use crate::pipeline::ingest::Ingest;
use crate::pipeline::log::{Assignment, Burst, Epoch, Errand, Happening};
use crate::pipeline::publish::Publisher;
use crate::pipeline::schema_set::SchemaSet;
use crate::pipeline::triage::guard::Guard;
use crate::pipeline::triage::model::{CallLimits, ModelCard, Range as Span};
use crate::pipeline::triage::prompt::Prompts;
use crate::pipeline::triage::testing::{Scripted, card, event, tenant};
use crate::settings::load::{LoadOptions, load};
use crate::settings::schemas::Encoding;

/// A setting: there is a schema registry.
pub(crate) const REGISTRY: &str = "schemas.registry.url=http://127.0.0.1:1";

pub(crate) const EVENTS: Partition = Partition { topic: TopicRole::Events, number: 0 };

/// The shipped settings but for these, one remote model, the tenant `acme`.
pub(crate) fn fixtures(sets: &[&str], model: Arc<Scripted>) -> (Fixtures, Arc<SchemaSet>) {
    fixtures_of(tenant(), sets, model)
}

fn fixtures_of(tenant: Tenant, sets: &[&str], model: Arc<Scripted>) -> (Fixtures, Arc<SchemaSet>) {
    let sets = sets.iter().map(|set| (*set).to_owned()).collect();
    let options = LoadOptions { profile: None, file: None, environment: Vec::new(), sets };
    let settings = load(&options).expect("settings of a test").settings;
    let schemas = Arc::new(SchemaSet::new(&settings.schemas).expect("the shipped schemas"));
    let prompts = Arc::new(Prompts::load(None, 4_000).expect("the shipped prompts"));
    let clock = Arc::new(SystemClock);
    let guard = Guard::new(vec![model], &settings.triage, prompts, clock.clone(), 1, Arc::new(|_| {}));
    let tenants = watch::channel(Arc::new(TenantBook::new(vec![tenant], None))).1;
    let fixtures = Fixtures {
        ingest: Ingest::new(schemas.clone(), tenants, settings.schemas.max_payload_bytes, false),
        publisher: Publisher::new(
            schemas.clone(),
            Encoding::Json,
            "a".to_owned(),
            "group".to_owned(),
            "/us".to_owned(),
        ),
        settings: settings.pipeline,
        guard: Arc::new(guard),
        clock,
        writer: "a".to_owned(),
        incarnation: 1,
        topics: settings.topics,
        defers: true,
        our_source: "/us".to_owned(),
    };
    (fixtures, schemas)
}

/// An event of `acme` that breaks no rule and wants a model.
pub(crate) fn decidable_event(number: u64) -> SupportEvent {
    let mut event = event("Charged twice", "My card was charged twice, please look into the payment");
    (event.event_id, event.ticket_id) = (format!("e-{number}"), format!("t-{number}"));
    event.occurred_at = Timestamp(1_790_000_000_000);
    if let Some(message) = &mut event.message {
        message.created_at = event.occurred_at;
    }
    event
}

/// A road and what it has asked of the log.
pub(crate) struct TestRoad {
    pub(crate) road: Road,
    schemas: Arc<SchemaSet>,
    errands: UnboundedReceiver<Errand>,
}

impl TestRoad {
    pub(crate) fn new(sets: &[&str]) -> Self {
        Self::asking(card("gpt", true), sets)
    }

    /// A road to this model.
    pub(crate) fn asking(card: ModelCard, sets: &[&str]) -> Self {
        Self::of(tenant(), card, sets)
    }

    /// With a tenant of these limits.
    pub(crate) fn limited(limits: Limits) -> Self {
        Self::limited_with(limits, &[])
    }

    /// And these settings.
    pub(crate) fn limited_with(limits: Limits, sets: &[&str]) -> Self {
        Self::of(Tenant { limits, ..tenant() }, card("gpt", true), sets)
    }

    /// With a tenant that wants fallbacks' decisions improved, and a model that takes one call at a time.
    pub(crate) fn improving() -> Self {
        let at_once = Span { min: 1, initial: 1, max: 1 };
        let limits = CallLimits { at_once, ..CallLimits::default() };
        Self::of(Tenant { improve_fallbacks: true, ..tenant() }, ModelCard { limits, ..card("gpt", true) }, &[])
    }

    /// With this tenant, and a road to this model.
    pub(crate) fn of(tenant: Tenant, card: ModelCard, sets: &[&str]) -> Self {
        let (errands, asked) = unbounded_channel();
        let model = Arc::new(Scripted::new(card, []));
        let (fixtures, schemas) = fixtures_of(tenant, sets, model);
        Self { road: Road::new(fixtures, errands, Instant::now()), schemas, errands: asked }
    }

    /// With a schema registry that is never asked by itself.
    pub(crate) fn with_registry() -> Self {
        Self::new(&[REGISTRY])
    }

    pub(crate) fn schemas(&self) -> Arc<SchemaSet> {
        self.schemas.clone()
    }

    pub(crate) fn feedback(&self, burst: &Burst) -> Vec<EventFeedback> {
        let feedback = burst.records.iter().filter(|record| record.topic == TopicRole::Feedback);
        let value = |record: &OutRecord| record.value.clone().expect("outputs have values");
        feedback.map(|record| self.schemas.read("EventFeedback", &value(record)).expect("we wrote it")).collect()
    }

    /// Assigned, and entered in the ledger unless it is stopped.
    pub(crate) fn assign(&mut self, assignment: Assignment) {
        let (partition, partitions) = (assignment.partition, vec![assignment]);
        self.road.happened(Happening::Assigned { epoch: Epoch(1), partitions }, Instant::now());
        self.road.pending.retain(|group| !matches!(group[..], [(Entry::Enter { .. } | Entry::Money(_), _)]));
        let outcome = Outcome::Entered(Entered::default());
        self.road.entered(partition, Epoch(1), &outcome, Instant::now());
    }

    /// A partition that nobody has read before.
    pub(crate) fn owns(&mut self, partition: Partition) {
        self.assign(Assignment::never_read(partition, "t"));
    }

    /// Records that are rejected at once: each is a result, with nothing to wait for.
    pub(crate) fn read_unreadable_of(&mut self, partition: Partition, offsets: Range<u64>) {
        let record = |offset| Record {
            offset,
            timestamp: Timestamp(0),
            key: None,
            value: Some(Payload::from_static(b"?")),
            headers: Vec::new(),
        };
        let records = offsets.map(record).collect();
        self.road.happened(Happening::Records { epoch: Epoch(1), partition, records }, Instant::now());
    }

    pub(crate) fn read_unreadable(&mut self, offsets: Range<u64>) {
        self.read_unreadable_of(EVENTS, offsets);
    }

    /// What the ledger should write next, of whichever line.
    pub(crate) fn next_batch(&mut self, max_entries: usize) -> Option<(Vec<Entry>, Batch)> {
        [Line::Answers, Line::Others].into_iter().find_map(|line| self.road.next_batch(line, max_entries))
    }

    /// Events of tickets of their own, which the ledger has never seen: they wait for their model.
    pub(crate) fn read_tickets(&mut self, tickets: Range<u64>) {
        self.hand_over_tickets(tickets);
        let now = Instant::now();
        while let Some((entries, batch)) = self.next_batch(10) {
            let outcome = |entry: &Entry| match entry {
                Entry::Claim(claim) => Outcome::Row(Arc::new(Row::left_by(claim))),
                Entry::RepairPublished { .. } => Outcome::Changed(0),
                Entry::Mark { .. } => Outcome::Marked(Mark::NONE),
                other => panic!("they only wait, and yet {other:?}"),
            };
            self.road.ledger_said(batch, entries.iter().map(outcome).collect(), now);
        }
    }

    /// One event of this ticket, which the ledger has never seen.
    pub(crate) fn read_of_ticket(&mut self, ticket: &str, partition: Partition, offset: u64) {
        let mut event = decidable_event(u64::from(partition.number) << 32 | offset);
        (event.ticket_id, event.occurred_at) = (ticket.to_owned(), self.road.fixtures.clock.now());
        let value = Some(Payload::from(serde_json::to_vec(&event).expect("an event can be written")));
        let record = Record { offset, timestamp: Timestamp(0), key: None, value, headers: Vec::new() };
        self.road.happened(Happening::Records { epoch: Epoch(1), partition, records: vec![record] }, Instant::now());
        self.read_tickets(0..0);
    }

    /// The same, and the ledger is not asked yet.
    pub(crate) fn hand_over_tickets(&mut self, tickets: Range<u64>) {
        let record = |offset: u64| {
            let mut event = event("Charged twice", "I was charged twice");
            (event.event_id, event.ticket_id) = (format!("e-{offset}"), format!("t-{offset}"));
            event.occurred_at = self.road.fixtures.clock.now();
            if let Some(message) = &mut event.message {
                message.created_at = event.occurred_at;
            }
            Record {
                offset,
                timestamp: Timestamp(0),
                key: None,
                value: Some(Payload::from(serde_json::to_vec(&event).expect("an event can be written"))),
                headers: Vec::new(),
            }
        };
        let (records, now) = (tickets.map(record).collect::<Vec<_>>(), Instant::now());
        if !records.is_empty() {
            self.road.happened(Happening::Records { epoch: Epoch(1), partition: EVENTS, records }, now);
        }
    }

    /// The ledger has nothing to say, and what is due is done.
    pub(crate) fn wake(&mut self) {
        self.road.partitions.values_mut().for_each(|owned| owned.gaps_unmarked = 0);
        self.road.woke(Instant::now());
    }

    /// Only that gaps are marked.
    pub(crate) fn answer_vanished(&mut self) {
        let now = Instant::now();
        while let Some((entries, batch)) = self.next_batch(1) {
            let outcome = entries.iter().map(|entry| match entry {
                Entry::Mark { .. } => Outcome::Marked(Mark::NONE),
                _ => Outcome::Changed(0),
            });
            self.road.ledger_said(batch, outcome.collect(), now);
        }
    }

    pub(crate) fn for_operators(&self) -> OutRecord {
        let event: OpsEvent = samples::ops_event();
        self.road.fixtures.publisher.ops_event(&event, 0)
    }

    pub(crate) fn errands(&mut self) -> Vec<Errand> {
        std::iter::from_fn(|| self.errands.try_recv().ok()).collect()
    }

    pub(crate) fn bursts(&mut self) -> Vec<Burst> {
        let burst = |errand| if let Errand::Publish(burst) = errand { Some(burst) } else { None };
        self.errands().into_iter().filter_map(burst).collect()
    }
}

/// An answer without a prediction, by a fallback or by the model itself.
pub(crate) fn answer(degraded: Option<ReasonCode>) -> Answer {
    Answer {
        predicted: None,
        usage: None,
        degraded,
        tried: vec![],
        findings: Findings::default(),
        versions: Versions::default(),
        answered_at: Timestamp(0),
        flags: Vec::new(),
        first_look: None,
    }
}
