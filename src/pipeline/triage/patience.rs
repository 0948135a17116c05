//! How long one model of the chain is waited for, and what it says of a provider that we stopped waiting for it.
//!
//! A model has all the time that its event has left, unless another remote one that works follows: a quarter is that
//! one's, or a provider that stalls would keep events from one that works.
//!
//! Where an event has no more time than a call may take, no call reaches its own limit: the event's time began earlier. So
//! a call that we end counts against its provider as well, if it has run for a fifth of that limit. Not sooner: a tenant
//! that cannot wait must not open the breaker for everybody else.

use std::time::Duration;

use tokio::time::Instant;

/// One part in so many of the time that is left belongs to the next remote model.
const KEPT: u32 = 4;

/// So much of what a call may take has to be left for one that is to prove something.
const PROOF: u32 = 4;

/// After so much of what it may take, a call without a reply says something.
const TELLING: u32 = 5;

/// Until when a model is waited for. `is_followed`: another remote one is there to be asked after it.
pub(super) fn until(now: Instant, decide_by: Instant, is_followed: bool) -> Instant {
    let left = decide_by.saturating_duration_since(now);
    if is_followed { decide_by - left / KEPT } else { decide_by }
}

/// A probe that is cut off proves nothing, and meanwhile nobody else may: whoever probes has at least a quarter of the time
/// that a call may take, or that its tenant has. A fresh event always has it, so there is always one that may.
pub(super) fn may_probe(left: Duration, longest: Duration, decide_within: Duration) -> bool {
    left >= longest.min(decide_within) / PROOF
}

/// Whether a call that we ended after this time, before its own limit, is a failure of the provider's.
pub(super) fn is_telling(ran: Duration, longest: Duration) -> bool {
    ran >= longest / TELLING
}
