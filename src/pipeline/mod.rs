//! THE ROAD: from record to burst.
//!
//! [`run_loop::run`] is the loop, [`road::Road`] the state it drives, [`log`] the port that reading and publishing share.
//! The stages beside them are pure, or stand behind a port of their own; none knows another.

pub mod admit;
pub mod burst;
pub mod decide;
pub mod dedupe;
pub mod frontier;
pub mod health;
pub mod ingest;
pub mod lane;
pub mod log;
pub mod log_health;
pub mod lookups;
pub mod publish;
pub mod quota;
pub mod review;
pub mod road;
pub mod run_loop;
pub mod schema_set;
pub mod tracked;
pub mod triage;
pub mod trips;
#[cfg(test)]
mod worst_model;
