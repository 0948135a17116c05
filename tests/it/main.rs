//! Integration tests, one binary so that it is linked once.

mod commands;
mod ledger_contract;
mod log_contract;
