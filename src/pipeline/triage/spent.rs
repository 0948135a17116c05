//! What an event's calls have cost so far, over all models and attempts: every reply that was billed counts, usable or
//! not.

use super::job::Bill;
use super::model::{ModelCard, Reply};
use crate::domain::answer::Usage;

/// Sums of one event.
#[derive(Debug, Default)]
pub(super) struct Spent {
    /// Calls made to remote models.
    pub calls: u32,
    input_tokens: u64,
    output_tokens: u64,
    /// Thousandths of a millionth, so that rounding happens once.
    cost_nanos: u128,
    last: Option<Usage>,
}

impl Spent {
    /// A reply came, after so many attempts at this model.
    pub fn bill(&mut self, card: &ModelCard, reply: &Reply, attempts: u32) {
        self.input_tokens = self.input_tokens.saturating_add(reply.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(reply.output_tokens);
        self.cost_nanos += u128::from(reply.input_tokens) * u128::from(card.input_micros_per_1k)
            + u128::from(reply.output_tokens) * u128::from(card.output_micros_per_1k);
        self.last = Some(Usage {
            model: card.name.clone(),
            provider: card.provider.clone(),
            request_model: card.request_model.clone(),
            response_model: reply.response_model.clone(),
            response_id: reply.response_id.clone(),
            input_tokens: self.input_tokens,
            output_tokens: self.output_tokens,
            cost_micros: u64::try_from(self.cost_nanos.div_ceil(1_000)).unwrap_or(u64::MAX),
            latency_ms: u64::try_from(reply.latency.as_millis()).unwrap_or(u64::MAX),
            attempts,
            finish_reason: reply.finish_reason.clone(),
            calibrated: card.calibrated,
        });
    }

    /// So far.
    pub fn so_far(&self) -> Bill {
        Bill { calls: self.calls, tokens: self.tokens() }
    }

    /// Tokens of all billed replies.
    pub fn tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }

    /// The model that replied last, with the sums.
    pub fn usage(self) -> Option<Usage> {
        self.last
    }
}
