//! Guarded triage: from an event to an [`Answer`](crate::domain::answer::Answer), whatever the models do.
//!
//! ```text
//!  event --> prompt (redacted, delimited) --> breaker --> lease --> ask --> classify --> answer (distrusted)
//!                                               |                     ^         |
//!                                               | open: hold, or      +- retry --+--> next model --> people
//!                                               | the next model         repair
//! ```
//!
//! [`guard`] is the walk down the chain; everything else here is a part of it that can be read alone. What a model
//! *is* stands in [`model`], what to do with its answer is the next stage's business.

pub mod answer;
mod attempts;
pub mod breaker;
mod call_errors;
mod concurrency;
mod failure;
pub mod guard;
mod guarded;
pub mod injection;
mod job;
mod known;
mod lease;
mod local;
pub mod model;
mod patience;
pub mod prompt;
pub mod redact;
pub mod retry;
mod spent;
mod switch;
#[cfg(test)]
pub(crate) mod testing;
mod throttle;
mod way;
