//! A remote model and what guards it.

use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::breaker::{Breaker, BreakerState, Listener};
use super::model::Model;
use super::retry::RetryBudget;
use super::throttle::Throttle;
use crate::settings::triage::Triage;

/// One of the chain.
pub(super) struct Guarded {
    pub model: Arc<dyn Model>,
    pub breaker: Breaker,
    pub throttle: Throttle,
    pub budget: Mutex<RetryBudget>,
}

impl Guarded {
    /// Well, and asked by nobody. `room` is told when a new event may find room at it.
    pub fn new(model: Arc<dyn Model>, settings: &Triage, listener: Listener, room: Arc<Notify>) -> Self {
        let card = model.card();
        Self {
            breaker: Breaker::new(&card.name, settings.breaker, listener),
            throttle: Throttle::new(&card.name, &card.limits, settings.retry.max_retry_after, room),
            budget: Mutex::new(RetryBudget::new(settings.retry.budget_percent)),
            model,
        }
    }

    /// Whether events are to ask it: it is not broken, stopped or silent.
    pub fn is_asked(&self, now: Instant) -> bool {
        self.breaker.state(now) == BreakerState::Closed && !self.throttle.is_silent(now)
    }
}
