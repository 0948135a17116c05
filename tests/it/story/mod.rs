//! Stories: the real binary, a provider as a process of its own, and what a consumer sees in the log.
//!
//! Each ends with the audit, of which the provider's own call ledger is a part. Nothing sleeps for luck: everything
//! that is waited for has a deadline, and a story that ends leaves no process behind.

mod backwards;
mod better;
mod budget;
mod calibration;
mod changes;
mod cluster;
mod deferral;
mod demo;
mod flags;
pub mod gatekeeper;
pub mod human_feedback;
mod life;
mod no_brokers;
mod operating;
mod outage;
mod poison;
mod positions;
mod pretend_registry;
mod recreated;
mod redrive;
mod refusals;
mod registry;
mod shared_limits;
mod shutdown;
mod silent_cluster;
mod surroundings;
pub mod tickets;
mod waiting;
