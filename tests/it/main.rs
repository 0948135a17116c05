//! Integration tests, one binary so that it is linked once.

mod bench;
mod ledger_contract;
mod log_contract;
mod story;

#[cfg(feature = "failpoints")]
mod kills;
