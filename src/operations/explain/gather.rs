//! Finds everything that speaks of one event.

use std::collections::{BTreeMap, HashSet};

use super::{Copy, ExplainError, Explanation, Identity, Input, LedgerRow};
use crate::domain::dead_letter::DeadLetter;
use crate::domain::decision::{Origin, TriageDecision};
use crate::domain::event::SupportEvent;
use crate::domain::feedback::EventFeedback;
use crate::domain::identity::DedupeKey;
use crate::domain::position::{Partition, Position, TopicRole};
use crate::domain::record::Record;
use crate::operations::audit::reading::{ReadError, decode, each};
use crate::operations::log_browser::{LogBrowser, TopicInfo};
use crate::pipeline::dedupe::ledger::{Ledger, Row};
use crate::pipeline::schema_set::{SchemaSet, schema_id};

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// An event id, a decision id, an origin `topic-partition-offset`, or a position `topic id/partition@offset`.
    pub asked: String,
    /// Whose event, where the id alone does not say.
    pub tenant: Option<String>,
}

/// Partition and offset on the events topic.
type Place = (u32, u64);

/// Reads the log through, and the event's row of the ledger if there is a ledger.
///
/// # Errors
/// When nothing or more than one event answers to the question, or log or ledger cannot be read.
pub async fn gather(
    question: &Question,
    browser: &dyn LogBrowser,
    ledger: Option<&dyn Ledger>,
    schemas: &SchemaSet,
) -> Result<Explanation, ExplainError> {
    let log = Log::new(browser, schemas).await?;
    let unknown = || ExplainError::Unknown { asked: question.asked.clone(), tenant: question.tenant.clone() };
    let events = log.topic(TopicRole::Events).ok_or_else(unknown)?;

    let wanted = match place_of(&question.asked, events) {
        Some(place) => Wanted::Place(place),
        None => match log.decision_with_id(&question.asked).await? {
            Some(decision) => Wanted::Event(Identity::of_decision(&decision)),
            None => Wanted::Id(question.asked.clone(), question.tenant.clone()),
        },
    };
    let mut found = log.copies(&wanted).await?;
    let event = the_one(&question.asked, &events.name, &found)?;
    if found.is_empty() {
        return Err(unknown());
    }
    let decision = log.decision_of(event.as_ref(), &found).await?;
    log.add_dead_letters(&mut found).await?;
    let row = match (ledger, &event) {
        (Some(ledger), Some(event)) => ledger.find(event.key()).await.map_err(ReadError::from)?,
        _ => None,
    };
    let better = match (ledger, &event) {
        (Some(ledger), Some(event)) => ledger.find(DedupeKey::of_better(event.key())).await.map_err(ReadError::from)?,
        _ => None,
    };
    Ok(Explanation {
        copies: found.into_iter().map(|(place, found)| found.copy(name_of(&events.name, place))).collect(),
        event,
        decision,
        tables: Vec::new(),
        ledger: row.map(|row| seen(&row, events)),
        better: better.map(|row| seen(&row, events)),
    })
}

fn place_of(text: &str, topic: &TopicInfo) -> Option<Place> {
    let named = text.strip_prefix(&*topic.name).and_then(|rest| rest.strip_prefix('-')?.split_once('-'));
    // As log lines have it.
    let (partition, offset) =
        named.or_else(|| text.strip_prefix(&*topic.topic_id)?.strip_prefix('/')?.split_once('@'))?;
    Some((partition.parse().ok()?, offset.parse().ok()?))
}

fn name_of(topic: &str, (partition, offset): Place) -> String {
    format!("{topic}-{partition}-{offset}")
}

/// Which copies are looked for.
enum Wanted {
    Place(Place),
    Event(Identity),
    Id(String, Option<String>),
}

impl Wanted {
    fn takes(&self, place: Place, event: Option<&Identity>) -> bool {
        match self {
            Self::Place(wanted) => *wanted == place,
            Self::Event(wanted) => event == Some(wanted),
            Self::Id(id, tenant) => event
                .is_some_and(|event| event.event_id == *id && tenant.as_ref().is_none_or(|it| *it == event.tenant_id)),
        }
    }
}

/// What was found of one copy.
#[derive(Default)]
struct Found {
    event: Option<Identity>,
    record: Option<Input>,
    feedback: Vec<EventFeedback>,
    dead_letter: Option<DeadLetter>,
}

impl Found {
    fn copy(self, origin: String) -> Copy {
        let (terminals, deferrals): (Vec<_>, Vec<_>) = self.feedback.into_iter().partition(|it| it.terminal);
        let terminal = terminals.into_iter().next_back();
        Copy { origin, record: self.record, deferrals, terminal, dead_letter: self.dead_letter }
    }
}

/// The event that all copies are of; `None` where it cannot be read.
fn the_one(asked: &str, topic: &str, found: &BTreeMap<Place, Found>) -> Result<Option<Identity>, ExplainError> {
    let mut events: BTreeMap<(&str, &str), (Identity, String)> = BTreeMap::new();
    for (place, copy) in found {
        if let Some(event) = &copy.event {
            let first = || (event.clone(), name_of(topic, *place));
            events.entry((&event.tenant_id, &event.source)).or_insert_with(first);
        }
    }
    match events.len() {
        0 | 1 => Ok(events.into_values().next().map(|(event, _)| event)),
        _ => Err(ExplainError::Ambiguous { asked: asked.to_owned(), found: events.into_values().collect() }),
    }
}

/// The log with its topics.
struct Log<'a> {
    browser: &'a dyn LogBrowser,
    schemas: &'a SchemaSet,
    topics: Vec<TopicInfo>,
}

impl<'a> Log<'a> {
    async fn new(browser: &'a dyn LogBrowser, schemas: &'a SchemaSet) -> Result<Self, ReadError> {
        Ok(Self { browser, schemas, topics: browser.topics().await? })
    }

    fn topic(&self, role: TopicRole) -> Option<&TopicInfo> {
        self.topics.iter().find(|topic| topic.role == role)
    }

    /// Every record of a topic.
    async fn each(
        &self,
        topic: TopicRole,
        mut f: impl FnMut(Partition, Record) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        for number in 0..self.topic(topic).map_or(0, |topic| topic.partitions) {
            let partition = Partition { topic, number };
            each(self.browser, partition, |record| f(partition, record)).await?;
        }
        Ok(())
    }

    async fn decision_with_id(&self, id: &str) -> Result<Option<TriageDecision>, ReadError> {
        self.decision(|decision| decision.decision_id == id).await
    }

    /// What was published of the event, or what its terminals refer to.
    async fn decision_of(
        &self,
        event: Option<&Identity>,
        found: &BTreeMap<Place, Found>,
    ) -> Result<Option<TriageDecision>, ReadError> {
        let feedback = found.values().flat_map(|found| &found.feedback);
        let ids: HashSet<&str> = feedback.filter_map(|feedback| feedback.decision_id.as_deref()).collect();
        self.decision(|decision| {
            ids.contains(&*decision.decision_id) || event.is_some_and(|event| *event == Identity::of_decision(decision))
        })
        .await
    }

    /// The last one that is meant: a better decision comes later.
    async fn decision(&self, is_meant: impl Fn(&TriageDecision) -> bool) -> Result<Option<TriageDecision>, ReadError> {
        let mut last = None;
        self.each(TopicRole::Decisions, |partition, record| {
            let decision = decode(self.schemas, partition, &record, "TriageDecision")?;
            if is_meant(&decision) {
                last = Some(decision);
            }
            Ok(())
        })
        .await?;
        Ok(last)
    }

    /// Copies by record and by feedback: either may be gone before the other.
    async fn copies(&self, wanted: &Wanted) -> Result<BTreeMap<Place, Found>, ReadError> {
        let mut found: BTreeMap<Place, Found> = BTreeMap::new();
        self.each(TopicRole::Events, |partition, record| {
            let place = (partition.number, record.offset);
            let value = record.value.as_deref().unwrap_or_default();
            let event = self.schemas.read::<SupportEvent>("SupportEvent", value).ok();
            let identity = event.as_ref().map(Identity::of_event);
            if wanted.takes(place, identity.as_ref()) {
                let copy = found.entry(place).or_default();
                copy.event = identity;
                copy.record = Some(Input {
                    timestamp: record.timestamp,
                    bytes: value.len(),
                    schema_id: schema_id(value),
                    event_type: event.map(|event| event.event_type),
                });
            }
            Ok(())
        })
        .await?;
        self.each(TopicRole::Feedback, |partition, record| {
            let feedback: EventFeedback = decode(self.schemas, partition, &record, "EventFeedback")?;
            let identity = Identity::of_feedback(&feedback);
            let Origin { topic, partition, offset, .. } = &feedback.origin;
            if let Some(place) = self.place(topic, *partition, *offset)
                && wanted.takes(place, identity.as_ref())
            {
                let copy = found.entry(place).or_default();
                copy.event = copy.event.take().or(identity);
                copy.feedback.push(feedback);
            }
            Ok(())
        })
        .await?;
        Ok(found)
    }

    async fn add_dead_letters(&self, found: &mut BTreeMap<Place, Found>) -> Result<(), ReadError> {
        self.each(TopicRole::DeadLetters, |partition, record| {
            let letter: DeadLetter = decode(self.schemas, partition, &record, "DeadLetter")?;
            let place = self.place(&letter.origin_topic, letter.origin_partition, letter.origin_offset);
            if let Some(copy) = place.and_then(|place| found.get_mut(&place)) {
                copy.dead_letter = Some(letter);
            }
            Ok(())
        })
        .await
    }

    /// On the events topic; `None` for an origin on another one, which has the same partitions and offsets.
    fn place(&self, topic: &str, partition: i32, offset: i64) -> Option<Place> {
        self.topic(TopicRole::Events).filter(|events| events.name == topic)?;
        Some((u32::try_from(partition).ok()?, u64::try_from(offset).ok()?))
    }
}

fn seen(row: &Row, events: &TopicInfo) -> LedgerRow {
    LedgerRow {
        key: row.key.to_hex(),
        owner: owner(&row.owner, events),
        hop: row.hop,
        first_seen_at: row.first_seen_at,
        answer: row.answer.as_deref().cloned(),
        answered_at: row.answered_at,
        verdict: row.verdict.as_ref().map(|verdict| (verdict.status, verdict.code.to_string())),
        better: row.verdict.as_ref().and_then(|verdict| verdict.better),
        published_at: row.published_at,
        vanished: row.vanished,
        rejected: row.rejected,
    }
}

/// A topic that was deleted and made again has another id: then the old position is named as the ledger has it.
fn owner(owner: &Position, events: &TopicInfo) -> String {
    if owner.topic_id == events.topic_id {
        name_of(&events.name, (owner.partition, owner.offset))
    } else {
        owner.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::samples;
    use crate::operations::log_browser::testing::Shelf;
    use crate::settings::load::{LoadOptions, load};

    #[tokio::test]
    async fn what_another_topic_has_at_the_same_place_is_not_of_the_event() {
        let mut shelf = Shelf::default();
        let at = |topic: &str| Origin { topic: topic.to_owned(), partition: 0, offset: 0, timestamp: samples::NOON };
        let (events, people) = (Shelf::name(TopicRole::Events), Shelf::name(TopicRole::HumanFeedback));
        shelf.put(TopicRole::Events, 0, samples::NOON, &samples::sparse_event());
        for topic in [events, people] {
            let letter = DeadLetter {
                dead_letter_id: format!("of {topic}"),
                origin_topic: topic.to_owned(),
                origin_partition: 0,
                origin_offset: 0,
                ..samples::dead_letter()
            };
            shelf.put(TopicRole::DeadLetters, 0, samples::NOON, &letter);
            let terminal = EventFeedback {
                reason: Some(topic.to_owned()),
                origin: at(topic),
                terminal: true,
                ..samples::feedback()
            };
            shelf.put(TopicRole::Feedback, 0, samples::NOON, &terminal);
        }
        let schemas = SchemaSet::new(&load(&LoadOptions::default()).expect("the defaults").settings.schemas);
        let question = Question { asked: format!("{events}-0-0"), tenant: None };
        let found = gather(&question, &shelf, None, &schemas.expect("the shipped ones")).await.expect("it is there");
        let [copy] = &*found.copies else { panic!("one record: {found:?}") };
        assert_eq!(copy.dead_letter.as_ref().map(|letter| &*letter.dead_letter_id), Some(&*format!("of {events}")));
        assert_eq!(copy.terminal.as_ref().and_then(|terminal| terminal.reason.as_deref()), Some(events));
    }

    #[test]
    fn an_origin_is_told_from_an_id_that_looks_like_one() {
        let (name, topic_id) = ("support.events.v1".to_owned(), "8c9f".to_owned());
        let topic = TopicInfo { role: TopicRole::Events, name, topic_id, partitions: 4 };
        assert_eq!(place_of("support.events.v1-3-1042", &topic), Some((3, 1042)));
        let position = Position { topic_id: "8c9f".to_owned(), partition: 3, offset: 1_042 };
        assert_eq!(place_of(&position.to_string(), &topic), Some((3, 1042)), "as log lines have it");
        for id in ["support.events.v1-3", "support.events.v1-3-x", "support.events.v12-3-4", "a-1-2", "4711", "8c9f/3"]
        {
            assert_eq!(place_of(id, &topic), None, "{id}");
        }
    }

    fn event(tenant: &str) -> Found {
        let identity = Identity {
            tenant_id: tenant.to_owned(),
            source: "/helpdesk".to_owned(),
            event_id: "1".to_owned(),
            idempotency_key: None,
            ticket_id: "T-1".to_owned(),
        };
        Found { event: Some(identity), ..Found::default() }
    }

    #[test]
    fn several_events_of_one_id_are_listed_and_several_copies_are_one() {
        let copies = BTreeMap::from([((0, 1), event("acme")), ((3, 1), event("acme"))]);
        assert!(the_one("1", "events", &copies).expect("one event").is_some());
        let two = BTreeMap::from([((0, 1), event("acme")), ((3, 1), event("umbrella"))]);
        let text = the_one("1", "events", &two).expect_err("two events").to_string();
        assert!(text.contains("tenant acme, source /helpdesk, ticket T-1, at events-0-1"), "{text}");
        assert!(text.contains("tenant umbrella"), "{text}");
    }
}
