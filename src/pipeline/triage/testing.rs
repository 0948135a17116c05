//! Values and fakes for the tests of this stage and of its adapters.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::guard::{LeaseReply, Leases};
use super::model::{CallError, CallLimits, Content, Model, ModelCard, Question, RateHints, Reply};
use crate::domain::clock::{HandClock, Timestamp};
use crate::domain::event::{
    Actor, ActorType, AutoSubmitted, Channel, EventType, Message, SupportEvent, TicketSnapshot, TicketStatus,
};
use crate::domain::flags::{Context, Evaluation, Flag, FlagBook, FlagProvider, Rule, Share, Source};
use crate::domain::identity::DedupeKey;
use crate::domain::money::Money;
use crate::domain::position::Position;
use crate::domain::silence::Presence;
use crate::domain::tenant::Tenant;
use crate::settings::triage::{Breaker, LocalFirst, Retry, Triage};

pub fn event(subject: &str, body: &str) -> SupportEvent {
    let actor = Actor { kind: ActorType::EndUser, id: None, display_name: None, locale: None, tier: None };
    SupportEvent {
        event_id: "e-1".to_owned(),
        source: "/zendesk/acme".to_owned(),
        event_type: EventType::TicketCreated,
        tenant_id: "acme".to_owned(),
        ticket_id: "t-1".to_owned(),
        occurred_at: Timestamp(0),
        recorded_at: None,
        expires_at: None,
        idempotency_key: None,
        ticket_version: None,
        change_set: None,
        correlation_id: None,
        causation_id: None,
        actor: actor.clone(),
        ticket: TicketSnapshot {
            external_id: None,
            subject: Some(subject.to_owned()),
            status: TicketStatus::New,
            kind: None,
            priority: None,
            impact: None,
            urgency: None,
            channel: Channel::Email,
            group_id: None,
            assignee_id: None,
            requester: None,
            organization_id: None,
            brand_id: None,
            form_id: None,
            tags: Vec::new(),
            custom_fields: BTreeMap::new(),
            created_at: None,
            updated_at: None,
            sla: None,
            human_owned: false,
        },
        message: Some(Message {
            message_id: "m-1".to_owned(),
            author: actor,
            body: body.to_owned(),
            is_public: true,
            created_at: Timestamp(0),
            language: None,
            auto_submitted: AutoSubmitted::No,
            attachments: Vec::new(),
            dataref: None,
        }),
        history: Vec::new(),
        changes: Vec::new(),
        context: BTreeMap::new(),
        merged_into_ticket_id: None,
    }
}

pub fn tenant() -> Tenant {
    serde_json::from_str(r#"{"id": "acme"}"#).expect("everything else has a default")
}

pub fn position() -> Position {
    Position { topic_id: "events".to_owned(), partition: 0, offset: 7 }
}

/// Of a process that is always there.
pub fn present() -> Arc<Presence> {
    presence(Arc::new(HandClock::default()))
}

/// Of a process that is away when this clock is moved by more than a second.
pub fn presence(clock: Arc<HandClock>) -> Arc<Presence> {
    Arc::new(Presence::new(Duration::from_secs(1), clock))
}

pub fn settings() -> Triage {
    Triage {
        chain: Vec::new(),
        prompts: None,
        max_prompt_chars: 4_000,
        retry: Retry {
            max_attempts: 3,
            base: Duration::from_millis(500),
            cap: Duration::from_secs(10),
            max_retry_after: Duration::from_secs(60),
            budget_percent: 10,
        },
        breaker: Breaker {
            consecutive_failures: 5,
            failure_percent: 50,
            min_calls: 20,
            window: Duration::from_secs(10),
            open_for: Duration::from_secs(60),
            probes: 1,
        },
        local_first: LocalFirst { enabled: false, threshold: 0.95 },
    }
}

pub fn card(name: &str, remote: bool) -> ModelCard {
    ModelCard {
        name: name.to_owned(),
        provider: "fake".to_owned(),
        request_model: format!("{name}-1"),
        remote,
        calibrated: remote,
        input_micros_per_1k: if remote { 150 } else { 0 },
        output_micros_per_1k: if remote { 600 } else { 0 },
        hard_deadline: Duration::from_secs(60),
        limits: CallLimits::default(),
    }
}

pub fn reply(content: Content) -> Reply {
    Reply {
        content,
        response_id: Some("r-1".to_owned()),
        response_model: None,
        finish_reason: Some("stop".to_owned()),
        input_tokens: 1_000,
        output_tokens: 100,
        rate: RateHints::default(),
        latency: Duration::from_millis(5),
    }
}

pub fn good_reply() -> Reply {
    reply(Content::Text(super::answer::tests::good().to_string()))
}

/// What a scripted model does when asked.
pub enum Act {
    Say(Result<Reply, CallError>),
    SayAfter(Duration, Result<Reply, CallError>),
    Hang,
}

/// Does what its script says, then answers well for ever.
pub struct Scripted {
    card: ModelCard,
    script: Mutex<VecDeque<Act>>,
    pub asked: Mutex<Vec<Question>>,
}

impl Scripted {
    pub fn new(card: ModelCard, script: impl IntoIterator<Item = Act>) -> Self {
        Self { card, script: Mutex::new(script.into_iter().collect()), asked: Mutex::new(Vec::new()) }
    }

    pub fn calls(&self) -> usize {
        self.asked.lock().expect("not poisoned").len()
    }
}

impl Model for Scripted {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn ask(&self, question: Question) -> BoxFuture<'_, Result<Reply, CallError>> {
        self.asked.lock().expect("not poisoned").push(question);
        let act = self.script.lock().expect("not poisoned").pop_front();
        async move {
            match act {
                None => Ok(good_reply()),
                Some(Act::Say(result)) => result,
                Some(Act::SayAfter(wait, result)) => {
                    tokio::time::sleep(wait).await;
                    result
                }
                Some(Act::Hang) => std::future::pending().await,
            }
        }
        .boxed()
    }
}

/// Grants unless told otherwise, and counts.
#[derive(Default)]
pub struct FakeLeases {
    pub refusal: Option<LeaseReply>,
    pub granted: Mutex<Vec<Duration>>,
    pub released: Mutex<u32>,
    pub billed: Mutex<Vec<Money>>,
}

impl FakeLeases {
    pub fn counts(&self) -> (usize, u32) {
        (self.granted.lock().expect("not poisoned").len(), *self.released.lock().expect("not poisoned"))
    }
}

impl Leases for FakeLeases {
    fn acquire(&self, _: DedupeKey, _: &Position, lasts: Duration, _: Money) -> BoxFuture<'_, LeaseReply> {
        async move {
            if let Some(refusal) = self.refusal {
                return refusal;
            }
            self.granted.lock().expect("not poisoned").push(lasts);
            LeaseReply::Granted
        }
        .boxed()
    }

    fn ended(&self, _: DedupeKey, _: &Position, billed: Money, is_answered: bool) {
        self.billed.lock().expect("not poisoned").push(billed);
        *self.released.lock().expect("not poisoned") += u32::from(!is_answered);
    }
}

/// Rules for flags that a test changes.
#[derive(Default)]
pub struct Switches(Mutex<FlagBook>);

impl Switches {
    /// For everybody.
    pub fn set(&self, flag: Flag, share: Share) {
        let mut book = self.0.lock().expect("not poisoned");
        book.put(flag, None, Rule::new(share, Source::Database(7)));
    }
}

impl FlagProvider for Switches {
    fn evaluate(&self, flag: Flag, context: Context<'_>) -> Evaluation {
        self.0.lock().expect("not poisoned").evaluate(flag, context)
    }
}
