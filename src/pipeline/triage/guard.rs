//! The walk down the chain of models, to an answer or to nobody's.
//!
//! The first model that answers wins; `degraded` says why it was not the first of the chain. After the last model come
//! people: an answer without a prediction, never an error. What a decision may do with either is policy, elsewhere.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::answer;
use super::attempts::{Attempts, COMPLETION_TOKENS, End};
use super::breaker::{Breaker, BreakerState, Listener, Report};
use super::failure::{Failure, kept_back, switched_off, unpaid};
use super::guarded::Guarded;
use super::injection;
pub use super::job::{Bill, Budget, Job, LeaseReply, Leases, Places, Reserved, Triaged, Turn};
use super::known::{Known, KnownTenants};
use super::local::ask_local;
use super::model::{Model, ModelCard};
use super::patience;
use super::prompt::{NoPrompt, Prompts, Rendered};
use super::spent::Spent;
pub use super::throttle::NotYet;
pub use super::way::Way;
use super::{switch, way};
use crate::domain::answer::{Answer, Findings, FirstLook, Predicted, Tried};
use crate::domain::clock::Clock;
use crate::domain::event::SupportEvent;
use crate::domain::flags::{Flag, FlagBook, FlagProvider, Flags};
use crate::domain::reason_code::ReasonCode;
use crate::domain::tenant::{Tenant, WhenSpent};
use crate::domain::text::legible;
use crate::settings::triage::{LocalFirst, Retry, Triage};
use crate::telemetry::happenings::{FlagsRead, LookedFirst, ModelAnswered, ModelPace};

enum Seat {
    Remote(Guarded),
    Local(Arc<dyn Model>),
}

impl Seat {
    fn guarded(&self) -> Option<&Guarded> {
        match self {
            Self::Remote(guarded) => Some(guarded),
            Self::Local(_) => None,
        }
    }
}

/// The chain and its guards.
pub struct Guard {
    chain: Vec<Seat>,
    cards: Vec<ModelCard>,
    retry: Retry,
    prompts: Arc<Prompts>,
    known: KnownTenants,
    clock: Arc<dyn Clock>,
    chance: Mutex<ChaCha8Rng>,
    /// Told when a new event may find room where it found none.
    room: Arc<Notify>,
    local_first: LocalFirst,
    flags: Arc<dyn FlagProvider>,
}

impl Guard {
    /// A guard over these models, in the order they are asked. `seed` is all its chance.
    #[must_use]
    pub fn new(
        models: Vec<Arc<dyn Model>>,
        settings: &Triage,
        prompts: Arc<Prompts>,
        clock: Arc<dyn Clock>,
        seed: u64,
        on_breaker_change: Listener,
    ) -> Self {
        let cards = models.iter().map(|model| model.card().clone()).collect();
        let room = Arc::new(Notify::new());
        let wakes = Arc::clone(&room);
        let listener: Listener = Arc::new(move |change| {
            on_breaker_change(change);
            wakes.notify_one();
        });
        let seat = |model: Arc<dyn Model>| match model.card().remote {
            false => Seat::Local(model),
            true => Seat::Remote(Guarded::new(model, settings, Arc::clone(&listener), Arc::clone(&room))),
        };
        Self {
            chain: models.into_iter().map(seat).collect(),
            cards,
            retry: settings.retry,
            prompts,
            known: KnownTenants::default(),
            clock,
            chance: Mutex::new(ChaCha8Rng::seed_from_u64(seed)),
            room,
            local_first: settings.local_first,
            flags: Arc::new(FlagBook::default()),
        }
    }

    /// Under these flags; without any, everything is on.
    #[must_use]
    pub fn under(self, flags: Arc<dyn FlagProvider>) -> Self {
        Self { flags, ..self }
    }

    /// The flags of this event's ticket, as of now.
    #[must_use]
    pub fn flags_of(&self, event: &SupportEvent) -> Flags {
        Flags::of(&*self.flags, switch::context(event))
    }

    /// Who is to be asked about a ticket of this tenant. `looked`: what the local model said, if it was asked first.
    #[must_use]
    pub fn way(&self, tenant: &Tenant, flags: &Flags, looked: Option<FirstLook>) -> Way {
        if self.first_is_remote() { way::of(tenant, flags, self.local_first, looked) } else { Way::Chain(looked) }
    }

    /// Room for a new event of so many tokens, at the model that would be asked first. Where the first models are not to
    /// be asked (broken, stopped, silent) the next one counts; if none is left, the event begins without: it will hold, or
    /// go down the chain.
    pub fn room(&self, now: Instant, tokens: u32) -> Result<Reserved, NotYet> {
        for (place, seat) in self.chain.iter().enumerate() {
            let Seat::Remote(guarded) = seat else { break };
            if guarded.is_asked(now) {
                return guarded.throttle.take_for_new(now, tokens).map(|slot| Reserved::at(place, slot));
            }
        }
        Ok(Reserved::default())
    }

    /// Until [`Guard::room`] may say something else than [`NotYet::Busy`]. For one listener.
    pub async fn room_changed(&self) {
        self.room.notified().await;
    }

    /// How fast each remote model is asked.
    pub fn paces(&self, now: Instant) -> impl Iterator<Item = ModelPace<'_>> {
        self.chain.iter().filter_map(Seat::guarded).map(move |guarded| guarded.throttle.pace(now))
    }

    /// Ask down the chain. Everything that was called when this future is dropped is given back.
    pub async fn triage(&self, mut job: Job, leases: &dyn Leases) -> Triaged {
        let mut reserved = std::mem::take(&mut job.reserved);
        let known = self.known.of(&job.tenant, &self.prompts, &self.cards);
        let mut spent = Spent::default();
        let mut tried = Vec::new();
        let mut rendered: Option<Result<Rendered, NoPrompt>> = None;
        if job.way == Way::LookFirst {
            return self.look_first(&mut job, &known).await;
        }
        let reach = if job.way == Way::FirstOnly { 1 } else { self.chain.len() };
        for (place, seat) in self.chain.iter().enumerate().take(reach) {
            if job.budget.is_spent && self.cards[place].is_priced() {
                tried.push(unpaid(&self.cards[place].name));
                continue;
            }
            let (end, attempts) = match seat {
                Seat::Local(_) if waits_or_goes_to_people(&job, &tried, &spent) => break,
                Seat::Local(model) => (ask_local(&**model, &job, &mut spent).await, 1),
                Seat::Remote(_) if !job.flags.is_on(Flag::RemoteModels) => (End::Failed(switched_off()), 0),
                Seat::Remote(guarded) => {
                    let rendered = match rendered.get_or_insert_with(|| self.render(&known, &job.event)) {
                        Ok(rendered) => rendered,
                        Err(why) => {
                            tried.push(kept_back(&self.cards[place].name, *why));
                            continue;
                        }
                    };
                    let now = Instant::now();
                    let mut later = self.chain[place + 1..reach].iter().filter_map(Seat::guarded).peekable();
                    let mut attempts = Attempts {
                        guarded,
                        job: &job,
                        leases,
                        retry: &self.retry,
                        chance: &self.chance,
                        may_hold: job.flags.is_on(Flag::Hold) && job.way != Way::FirstOnly && later.peek().is_none(),
                        until: patience::until(now, job.decide_by, later.any(|next| next.is_asked(now))),
                        flags: &*self.flags,
                        prompt: Arc::clone(&rendered.prompt),
                        reserved: reserved.take(place),
                        spent: &mut spent,
                        made: 0,
                        excused: 0,
                        repaired: false,
                        last: None,
                    };
                    (attempts.run().await, attempts.made)
                }
            };
            match end {
                End::Answered(predicted) => {
                    return self.answered(&job, &known, Some(*predicted), tried, rendered.and_then(Result::ok), spent);
                }
                End::Failed(Failure { code, detail }) => {
                    tried.push(Tried { model: self.cards[place].name.clone(), code, attempts, detail });
                }
                End::Left(left) => return *left,
            }
        }
        if job.budget.when_spent == WhenSpent::Defer && waits_or_goes_to_people(&job, &tried, &spent) {
            return Triaged::Unpaid(spent.so_far());
        }
        self.answered(&job, &known, None, tried, rendered.and_then(Result::ok), spent)
    }

    /// The local model alone; its answer, if it is sure.
    async fn look_first(&self, job: &mut Job, known: &Known) -> Triaged {
        let local =
            self.chain.iter().find_map(|seat| if let Seat::Local(model) = seat { Some(&**model) } else { None });
        let threshold = self.local_first.threshold;
        let Some(model) = local else { return Triaged::InDoubt(way::look("", None, threshold)) };
        let mut spent = Spent::default();
        let predicted = match ask_local(model, job, &mut spent).await {
            End::Answered(predicted) => Some(*predicted),
            End::Failed(_) | End::Left(_) => None,
        };
        let look = way::look(&model.card().name, predicted.as_ref(), threshold);
        LookedFirst { tenant_id: &job.event.tenant_id, is_sure: look.is_sure() }.record();
        if !look.is_sure() {
            return Triaged::InDoubt(look);
        }
        job.way = Way::Chain(Some(look));
        self.answered(job, known, predicted, Vec::new(), None, spent)
    }

    fn render(&self, known: &Known, event: &SupportEvent) -> Result<Rendered, NoPrompt> {
        self.prompts.render(known.frame(&self.prompts)?, event)
    }

    fn answered(
        &self,
        job: &Job,
        known: &Known,
        mut predicted: Option<Predicted>,
        tried: Vec<Tried>,
        rendered: Option<Rendered>,
        spent: Spent,
    ) -> Triaged {
        if let (Some(predicted), Some(rendered)) = (&mut predicted, &rendered) {
            answer::restore(predicted, |text| rendered.redactor.restore(text));
        }
        let bill = spent.so_far();
        let usage = spent.usage();
        if let Some(usage) = &usage {
            ModelAnswered {
                model: &usage.model,
                tenant_id: &job.event.tenant_id,
                input_tokens: usage.input_tokens,
                output_tokens: usage.output_tokens,
                cost_micros: usage.cost_micros,
                currency: &job.tenant.currency,
            }
            .record();
        }
        let answer = Answer {
            degraded: tried.first().map(|first| first.code),
            usage,
            predicted,
            tried,
            findings: rendered.map_or_else(|| of_text_that_stayed(&job.event), |rendered| rendered.findings),
            versions: known.versions.clone(),
            answered_at: self.clock.now(),
            flags: job.flags.ruled(),
            first_look: if let Way::Chain(look) = &job.way { look.clone() } else { None },
        };
        FlagsRead { flags: &job.flags }.record();
        Triaged::Answered(answer, bill)
    }

    /// Tokens to reserve for this tenant before the first model is asked, roughly; 0 if it costs none.
    #[must_use]
    pub fn estimated_tokens(&self, tenant: &Arc<Tenant>, event: &SupportEvent) -> u32 {
        if !self.first_is_remote() {
            return 0;
        }
        let known = self.known.of(tenant, &self.prompts, &self.cards);
        let prompt = known.frame(&self.prompts).map_or(0, |frame| self.prompts.estimate(frame, event));
        prompt.saturating_add(COMPLETION_TOKENS)
    }

    /// Whether the first model of the chain costs money.
    #[must_use]
    pub fn first_is_remote(&self) -> bool {
        matches!(self.chain.first(), Some(Seat::Remote(_)))
    }

    /// Whether nobody in the chain but models in this process can be asked without money.
    #[must_use]
    pub fn needs_money(&self) -> bool {
        self.cards.iter().all(|card| card.is_priced() || !card.remote)
    }

    /// Whether events wait for a breaker: no remote model is asked now, and the last of them is waited for.
    #[must_use]
    pub fn holds(&self, now: Instant) -> bool {
        let mut states = self.guarded().map(|(_, breaker)| breaker.state(now));
        let mut last = BreakerState::Closed;
        states.all(|state| {
            last = state;
            state != BreakerState::Closed
        }) && matches!(last, BreakerState::Open | BreakerState::HalfOpen)
    }

    /// Whether the first model of the chain is asked as usual: its breaker neither keeps calls back nor tries one.
    #[must_use]
    pub fn first_is_well(&self, now: Instant) -> bool {
        let first = self.chain.first();
        first
            .is_some_and(|seat| matches!(seat, Seat::Remote(first) if first.breaker.state(now) == BreakerState::Closed))
    }

    /// Every breaker's model and state.
    #[cfg(test)]
    #[must_use]
    pub fn breakers(&self) -> Vec<(String, BreakerState)> {
        let now = Instant::now();
        self.guarded().map(|(name, breaker)| (name.to_owned(), breaker.state(now))).collect()
    }

    /// How every breaker is, by model.
    #[must_use]
    pub fn breaker_reports(&self) -> Vec<(String, Report)> {
        let now = Instant::now();
        self.guarded().map(|(name, breaker)| (name.to_owned(), breaker.report(now))).collect()
    }

    /// Breakers change that have to by now.
    pub fn let_time_pass(&self, now: Instant) {
        self.guarded().for_each(|(_, breaker)| breaker.let_time_pass(now));
    }

    /// Do not ask this model, for so long or until it is reset; false: it has no breaker.
    pub fn open_breaker(&self, model: &str, lasts: Option<Duration>) -> bool {
        let until = lasts.map(|lasts| Instant::now() + lasts);
        self.guarded().filter(|(name, _)| *name == model).map(|(_, breaker)| breaker.force_open(until)).count() > 0
    }

    /// Close the breaker of this model; false: there is none.
    pub fn reset_breaker(&self, model: &str) -> bool {
        self.guarded().filter(|(name, _)| *name == model).map(|(_, breaker)| breaker.reset()).count() > 0
    }

    /// The process ends: calls that are dropped from now on are held against nobody.
    pub fn end(&self) {
        self.guarded().for_each(|(_, breaker)| breaker.end());
    }

    fn guarded(&self) -> impl Iterator<Item = (&str, &Breaker)> {
        let remote = self.chain.iter().filter_map(Seat::guarded);
        remote.map(|guarded| (guarded.model.card().name.as_str(), &guarded.breaker))
    }
}

/// Whether the tenant wants nobody to decide without money. What was paid for already is not put off: it would be lost.
fn waits_or_goes_to_people(job: &Job, tried: &[Tried], spent: &Spent) -> bool {
    let no_money = tried.iter().any(|tried| tried.code == ReasonCode::BudgetExhausted);
    no_money
        && match job.budget.when_spent {
            WhenSpent::Degrade => false,
            WhenSpent::Defer => spent.tokens() == 0,
            WhenSpent::Human => true,
        }
}

/// Nothing was taken out of a text that did not leave; but it may speak to a model all the same.
fn of_text_that_stayed(event: &SupportEvent) -> Findings {
    let body = event.message.as_ref().map(|message| message.body.as_str());
    let texts = event.ticket.subject.as_deref().into_iter().chain(body);
    let injection_suspected = texts.map(legible).any(|text| injection::suspected(&text));
    Findings { injection_suspected, ..Findings::default() }
}

#[cfg(test)]
mod flags_tests;
#[cfg(test)]
mod load;
#[cfg(test)]
mod money_tests;
#[cfg(test)]
mod places_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod waiting_tests;
