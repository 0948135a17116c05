//! Ports in memory: for the simulation, and to compare the real ones with.

pub mod ledger;
pub mod log;
pub mod registry;
pub mod shares;
