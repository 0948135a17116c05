//! A remote model in this process: everything that guards a real one guards it too, only nobody has to be paid.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::tickets::{Draws, number};
use crate::domain::taxonomy::Taxonomy;
use crate::pipeline::triage::model::{CallError, CallLimits, Content, Model, ModelCard, Question, RateHints, Reply};

/// A timer fires at the first whole millisecond after its time, and its thread wakes in the next one: a sleep is this
/// much too long on average.
const TIMER_EXCESS: Duration = Duration::from_millis(1);

/// No call is cut off.
const LONGER_THAN_ANY: Duration = Duration::from_secs(90);

/// Answers after the time that was drawn for the event.
pub struct Simulated {
    card: ModelCard,
    draws: Draws,
    taken: Arc<Taken>,
}

/// What the calls took.
#[derive(Debug, Default)]
pub struct Taken {
    calls: AtomicU64,
    micros: AtomicU64,
    running: AtomicU64,
    most_running: AtomicU64,
}

impl Taken {
    /// How many there were, and their mean in seconds.
    pub fn so_far(&self) -> (u64, f64) {
        let calls = self.calls.load(Ordering::Relaxed);
        (calls, self.micros.load(Ordering::Relaxed) as f64 / 1e6 / calls.max(1) as f64)
    }

    /// The most that were running at once.
    pub fn most_running(&self) -> u64 {
        self.most_running.load(Ordering::Relaxed)
    }
}

impl Simulated {
    pub fn new(draws: Draws, taken: Arc<Taken>) -> Self {
        let card = ModelCard {
            name: "simulated".to_owned(),
            provider: "bench".to_owned(),
            request_model: "simulated".to_owned(),
            remote: true,
            calibrated: true,
            input_micros_per_1k: 150,
            output_micros_per_1k: 600,
            hard_deadline: LONGER_THAN_ANY,
            limits: CallLimits::default(),
        };
        Self { card, draws, taken }
    }
}

impl Model for Simulated {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn ask(&self, question: Question) -> BoxFuture<'_, Result<Reply, CallError>> {
        Box::pin(async move {
            let begun = Instant::now();
            let event = number(&question.event.event_id).unwrap_or_default();
            let latency = self.draws.latency(event);
            if !latency.is_zero() {
                let running = self.taken.running.fetch_add(1, Ordering::Relaxed) + 1;
                self.taken.most_running.fetch_max(running, Ordering::Relaxed);
                tokio::time::sleep(latency.saturating_sub(TIMER_EXCESS)).await;
                self.taken.running.fetch_sub(1, Ordering::Relaxed);
            }
            let taken = begun.elapsed();
            self.taken.calls.fetch_add(1, Ordering::Relaxed);
            self.taken.micros.fetch_add(taken.as_micros() as u64, Ordering::Relaxed);
            let input_tokens = question.prompt.map_or(0, |prompt| prompt.estimated_tokens.into());
            Ok(Reply {
                content: Content::Text(answer(&question.tenant.taxonomy, event)),
                response_id: Some(format!("simulated-{event}")),
                response_model: Some(self.card.request_model.clone()),
                finish_reason: Some("stop".to_owned()),
                input_tokens,
                output_tokens: 120,
                rate: RateHints::default(),
                latency: taken,
            })
        })
    }
}

/// Of the shape and about the size of a real one.
fn answer(taxonomy: &Taxonomy, event: u64) -> String {
    let categories = &taxonomy.categories;
    let category =
        categories.get(event as usize % categories.len().max(1)).map_or("none_of_these", |label| &label.name);
    serde_json::json!({
        "category": category, "category_confidence": 0.83, "impact": "low", "impact_confidence": 0.7,
        "urgency": "medium", "urgency_confidence": 0.74, "sentiment": "neutral", "sentiment_confidence": 0.8,
        "language": "en", "language_confidence": 0.98,
        "summary": "The customer describes a problem with their account and asks for it to be solved.",
        "reply": "Thank you for your message. We are looking into it and will come back to you within a day.",
        "rationale": "The words of the ticket fit this category best, and nothing in it says that many are affected.",
    })
    .to_string()
}
