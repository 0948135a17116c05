//! Integration tests, one binary so that it is linked once.

mod bench;
mod commands;
mod ledger_contract;
mod ledger_postgres;
mod log_contract;
mod postgres;
mod registry;
mod secured_kafka;
mod shares_contract;
mod story;
mod trail_contract;

#[cfg(feature = "failpoints")]
mod kills;
